//! What each page shows, and the page of this crate that shows it.

mod people;
mod settings;

use askama::Template;
use countersign::error::PluginError;
use countersign::status::LockState;
use countersign::{Challenge, FactorStatus, IssuedCode, Method, UserId};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

pub use self::people::{ConfirmResetPage, FindUserPage, UserListPage, UserPage};
pub use self::settings::{EditSettingsPage, ReviewSettingsPage, SettingsPage};
use super::form::with_query;
use super::words::{self, Words};
use crate::texts::{Language, seconds_until};
use crate::tokens::issued;

/// What every page has: its language, its links, and the message at the top.
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
    /// The message at the top of the page, if there is one.
    pub alert: Option<Alert>,
}

/// The message at the top of a page.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Alert {
    /// The message.
    pub text: String,
    /// The name of the form's field that it is about.
    pub field: Option<&'static str>,
    /// What kind of message it is.
    pub kind: AlertKind,
}

/// What kind of message is at the top of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AlertKind {
    /// Something was done.
    Success,
    /// Something is to be done first.
    Notice,
    /// Something was refused, or went wrong.
    Refusal,
}

impl Alert {
    pub(super) const fn refusal(text: String, field: Option<&'static str>) -> Self {
        Self { text, field, kind: AlertKind::Refusal }
    }

    pub(super) fn notice(text: &str) -> Self {
        Self { text: text.to_owned(), field: None, kind: AlertKind::Notice }
    }

    /// The class of its element.
    const fn class(&self) -> &'static str {
        match self.kind {
            AlertKind::Success => "done",
            AlertKind::Notice => "notice",
            AlertKind::Refusal => "wrong",
        }
    }
}

impl Frame<'_> {
    fn w(&self) -> &'static Words {
        Words::of(self.language)
    }

    /// Attributes of a field with a help text. If the alert is about the field, it describes it,
    /// too. Safe as markup.
    fn helped(&self, field: &str, help: &'static str) -> String {
        match &self.alert {
            Some(Alert { field: Some(name), .. }) if *name == field => {
                format!(" aria-invalid=\"true\" aria-describedby=\"alert {help}\" autofocus")
            }
            _ => format!(" aria-describedby=\"{help}\""),
        }
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

    /// A lock state as text. Safe as markup.
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
            /// If the template cannot be rendered.
            pub fn html(&self) -> Result<String, PluginError> {
                self.render().map_err(PluginError::new)
            }
        }
    )*};
}

html! {
    SignInPage CodePage BackupCodePage AccountPage ConfirmMethodPage SettingsPage EditSettingsPage
    ReviewSettingsPage UserListPage FindUserPage UserPage ConfirmResetPage MessagePage
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
    /// The pending login, and what is asked for.
    pub challenge: &'a Challenge,
    /// The time that the page is made at.
    pub now: OffsetDateTime,
    /// What is known of the code from the step before.
    pub last_send: LastSend,
    /// Whether the person has asked to trust the device. `None`: it cannot be trusted.
    pub trust: Option<bool>,
    /// Where to go afterwards: a path of this site, or nothing.
    pub return_to: &'a str,
    /// Whether a code is asked for on a trusted device, too.
    pub again: bool,
}

/// What is known of the code that a page asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LastSend {
    /// It was sent.
    Sent,
    /// The sender refused it.
    Failed,
    /// It may have been sent.
    Unknown,
}

impl CodePage<'_> {
    /// The query of the addresses of its forms: what goes on to the page after the login.
    fn onward(&self) -> String {
        let again = if self.again { "1" } else { "" };
        with_query("", &[("return_to", self.return_to), ("again", again)])
    }

    /// The code to enter.
    fn issued(&self) -> Option<&IssuedCode> {
        issued(&self.challenge.delivery).filter(|_| self.last_send != LastSend::Failed)
    }

    fn sentence(&self, code: &IssuedCode) -> [&'static str; 2] {
        words::sent_to(code.method, self.last_send == LastSend::Sent, self.frame.language)
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
    /// Whether a change of method waits for its code.
    pub is_change_pending: bool,
    /// Whether devices can be trusted.
    pub offers_trusted_devices: bool,
}

impl AccountPage<'_> {
    fn codes_go_by_sms(&self) -> bool {
        self.status.is_some_and(|status| status.method == Method::Sms)
    }
}

/// The page that asks for the code sent to a new destination.
#[derive(Clone, Debug, Template)]
#[template(path = "confirm_method.html")]
#[non_exhaustive]
pub struct ConfirmMethodPage<'a> {
    /// What every page has.
    pub frame: Frame<'a>,
    /// Where the code went, masked. Empty: none was sent.
    pub destination: &'a str,
    /// The four letters that are in the message, too.
    pub reference: &'a str,
}

impl ConfirmMethodPage<'_> {
    fn sentence(&self) -> [&'static str; 2] {
        words::confirm_sent(self.frame.language)
    }

    fn newest(&self) -> [&'static str; 2] {
        words::only_the_newest(self.frame.language)
    }
}

/// A page that shows only the frame's alert.
#[derive(Clone, Debug, Template)]
#[template(path = "message.html")]
#[non_exhaustive]
pub struct MessagePage<'a> {
    /// What every page has.
    pub frame: Frame<'a>,
    /// Where to go from here: a path of this site.
    pub next: &'a str,
}
