//! What each page shows, and the page of this crate that shows it.

use askama::Template;
use countersign::error::PluginError;
use countersign::ids::LoginId;
use countersign::operator::PurgeProgress;
use countersign::policy::Scope;
use countersign::status::LockState;
use countersign::{Challenge, FactorStatus, IssuedCode, UserId};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::words::{self, Words};
use crate::texts::{Language, seconds_until};

/// What every page has: its language, its links, and the sentence on top.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Frame<'a> {
    /// The language of the page.
    pub language: Language,
    /// The name of the application.
    pub application: &'a str,
    /// The path that all pages are under. Empty at the root.
    pub base: &'a str,
    /// The application's own start page, as a path.
    pub home: &'a str,
    /// The address of the style.
    pub style: &'a str,
    /// The address of the script.
    pub script: &'a str,
    /// Who is signed in, on pages for which somebody must be.
    pub user: Option<&'a UserId>,
    /// Whether the page is one of an administrator's.
    pub is_administrator: bool,
    /// What the page says first, if anything.
    pub alert: Option<Alert>,
}

/// The sentence on top of a page.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Alert {
    /// The sentence.
    pub text: String,
    /// The name of the form's field that it is about.
    pub field: Option<&'static str>,
    /// Whether it says that something was done. Otherwise it says why something was not.
    pub is_success: bool,
}

impl Alert {
    pub(super) const fn refusal(text: String, field: Option<&'static str>) -> Self {
        Self { text, field, is_success: false }
    }

    pub(super) fn success(text: &str) -> Self {
        Self { text: text.to_owned(), field: None, is_success: true }
    }
}

impl Frame<'_> {
    fn w(&self) -> &'static Words {
        Words::of(self.language)
    }

    /// Attributes of the field that the alert is about. Safe as markup.
    fn wrong(&self, field: &str) -> &'static str {
        match &self.alert {
            Some(Alert { field: Some(name), .. }) if *name == field => {
                " aria-invalid=\"true\" aria-describedby=\"alert\" autofocus"
            }
            _ => "",
        }
    }

    /// A time as an element that the script shows in the reader's own time zone. Safe as markup.
    #[expect(clippy::unused_self, reason = "templates call it on the frame")]
    fn time(&self, at: &OffsetDateTime) -> String {
        let at = at.to_offset(time::UtcOffset::UTC);
        let exact = at.format(&Rfc3339).unwrap_or_default();
        let (date, hour, minute) = (at.date(), at.hour(), at.minute());
        format!("<time datetime=\"{exact}\">{date} {hour:02}:{minute:02} UTC</time>")
    }

    /// Whether secrets of one kind are accepted. Safe as markup.
    fn lock(&self, state: &LockState) -> String {
        match state {
            LockState::Open => self.w().open.to_owned(),
            LockState::LockedUntil { until } => {
                format!("{} {}", self.w().locked_until, self.time(until))
            }
            LockState::Suspended => self.w().suspended.to_owned(),
        }
    }
}

macro_rules! html {
    ($($page:ident)*) => {$(
        impl $page<'_> {
            /// The page as this crate shows it.
            ///
            /// # Errors
            ///
            /// The page could not be made.
            pub fn html(&self) -> Result<String, PluginError> {
                self.render().map_err(PluginError::new)
            }
        }
    )*};
}

html! {
    SignInPage CodePage BackupCodePage AccountPage ConfirmMethodPage SettingsPage EditSettingsPage
    ConfirmOffPage FindUserPage UserPage ConfirmResetPage MessagePage
}

/// The page for name and password.
#[derive(Clone, Debug, Template)]
#[template(path = "sign_in.html")]
#[non_exhaustive]
pub struct SignInPage<'a> {
    /// What every page has.
    pub frame: Frame<'a>,
    /// The name, if it is known.
    pub name: &'a str,
    /// Where to go afterwards: a path of this site, or nothing.
    pub return_to: &'a str,
    /// Whether a code is asked for on a trusted device, too.
    pub again: bool,
}

/// The page for the code, and for other ways to complete the login.
#[derive(Debug, Template)]
#[template(path = "code.html")]
#[non_exhaustive]
pub struct CodePage<'a> {
    /// What every page has.
    pub frame: Frame<'a>,
    /// The pending login.
    pub login: LoginId,
    /// What is asked for.
    pub challenge: &'a Challenge,
    /// The time that the page is made at.
    pub now: OffsetDateTime,
    /// Whether the step before is known to have sent the code.
    pub was_sent: bool,
    /// Whether the device can be trusted.
    pub offers_trusted_devices: bool,
    /// Where to go afterwards: a path of this site, or nothing.
    pub return_to: &'a str,
}

impl CodePage<'_> {
    fn issued(&self) -> Option<&IssuedCode> {
        words::issued(&self.challenge.delivery)
    }

    fn sentence(&self, code: &IssuedCode) -> [&'static str; 2] {
        words::sent_to(code.method, self.was_sent, self.frame.language)
    }

    fn newest(&self) -> [&'static str; 2] {
        words::only_the_newest(self.frame.language)
    }

    /// For how many seconds a code still works, and the sentence. `None`: it has expired.
    fn works_for(&self, code: &IssuedCode) -> Option<(u64, String)> {
        let seconds = self.seconds_left(code.expires_at)?;
        Some((seconds, words::code_works_for(seconds, self.frame.language)))
    }

    /// For how many seconds no other code can be asked for, and the sentence.
    fn waits(&self) -> Option<(u64, String)> {
        let seconds = self.seconds_left(self.challenge.resend_at?)?;
        Some((seconds, words::resend_in(seconds, self.frame.language)))
    }

    fn seconds_left(&self, at: OffsetDateTime) -> Option<u64> {
        (at > self.now).then(|| seconds_until(at, self.now))
    }
}

/// The page with a new backup code, which is shown once.
#[derive(Clone, Template)]
#[template(path = "backup_code.html")]
#[non_exhaustive]
pub struct BackupCodePage<'a> {
    /// What every page has.
    pub frame: Frame<'a>,
    /// The code. A secret.
    pub code: &'a str,
    /// Where to go from here: a path of this site.
    pub next: &'a str,
}

/// The page of the signed-in user's own second factor.
#[derive(Clone, Debug, Template)]
#[template(path = "account.html")]
#[non_exhaustive]
pub struct AccountPage<'a> {
    /// What every page has.
    pub frame: Frame<'a>,
    /// The user's second factor. `None`: it is not in use for them.
    pub status: Option<&'a FactorStatus>,
}

/// The page for the code that proves where codes are to go from now on.
#[derive(Clone, Debug, Template)]
#[template(path = "confirm_method.html")]
#[non_exhaustive]
pub struct ConfirmMethodPage<'a> {
    /// What every page has.
    pub frame: Frame<'a>,
    /// Where the code went, masked.
    pub destination: &'a str,
    /// The four letters that are in the message, too.
    pub reference: &'a str,
}

impl ConfirmMethodPage<'_> {
    fn newest(&self) -> [&'static str; 2] {
        words::only_the_newest(self.frame.language)
    }
}

/// The page of the tenant's setting.
#[derive(Clone, Debug, Template)]
#[template(path = "settings.html")]
#[non_exhaustive]
pub struct SettingsPage<'a> {
    /// What every page has.
    pub frame: Frame<'a>,
    /// Who needs the second factor.
    pub scope: Scope,
    /// How far the deletion is that the last switching off began.
    pub purge: Option<&'a PurgeProgress>,
}

impl SettingsPage<'_> {
    fn shown(&self) -> &'static str {
        self.frame.w().scope(self.scope)
    }
}

/// The page to choose another setting.
#[derive(Clone, Debug, Template)]
#[template(path = "edit_settings.html")]
#[non_exhaustive]
pub struct EditSettingsPage<'a> {
    /// What every page has.
    pub frame: Frame<'a>,
    /// Who needs the second factor now.
    pub scope: Scope,
}

impl EditSettingsPage<'_> {
    /// Value, name and meaning of each choice, and whether it is in force.
    fn choices(&self) -> [(&'static str, &'static str, &'static str, bool); 3] {
        let w = self.frame.w();
        [
            (Scope::DoNotUse, "do_not_use", w.off, w.off_means),
            (Scope::EntireTenant, "entire_tenant", w.entire_tenant, w.entire_tenant_means),
            (
                Scope::SystemAdministratorsOnly,
                "system_administrators_only",
                w.administrators_only,
                w.administrators_only_means,
            ),
        ]
        .map(|(scope, value, name, means)| (value, name, means, scope == self.scope))
    }
}

/// The page that says what switching off deletes.
#[derive(Clone, Debug, Template)]
#[template(path = "confirm_off.html")]
#[non_exhaustive]
pub struct ConfirmOffPage<'a> {
    /// What every page has.
    pub frame: Frame<'a>,
    /// For how many users something is saved.
    pub saved_users: u64,
}

impl ConfirmOffPage<'_> {
    fn deletes_for(&self) -> String {
        words::deletes_for(self.saved_users, self.frame.language)
    }
}

/// The page that asks for the id of a user.
#[derive(Clone, Debug, Template)]
#[template(path = "find_user.html")]
#[non_exhaustive]
pub struct FindUserPage<'a> {
    /// What every page has.
    pub frame: Frame<'a>,
}

/// The page of one user, for an administrator.
#[derive(Clone, Debug, Template)]
#[template(path = "user.html")]
#[non_exhaustive]
pub struct UserPage<'a> {
    /// What every page has.
    pub frame: Frame<'a>,
    /// The user.
    pub user: &'a UserId,
    /// The user's id as a part of an address.
    pub path: &'a str,
    /// The user's second factor.
    pub status: &'a FactorStatus,
}

/// The page that says what a reset clears.
#[derive(Clone, Debug, Template)]
#[template(path = "confirm_reset.html")]
#[non_exhaustive]
pub struct ConfirmResetPage<'a> {
    /// What every page has.
    pub frame: Frame<'a>,
    /// The user.
    pub user: &'a UserId,
    /// The user's id as a part of an address.
    pub path: &'a str,
}

/// A page of one sentence, which is the frame's alert.
#[derive(Clone, Debug, Template)]
#[template(path = "message.html")]
#[non_exhaustive]
pub struct MessagePage<'a> {
    /// What every page has.
    pub frame: Frame<'a>,
    /// Where to go from here: a path of this site.
    pub next: &'a str,
}
