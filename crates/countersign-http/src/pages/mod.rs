//! Pages for browsers: logging in, one's own account, the tenant's settings and its users.
//!
//! They are complete without scripts, in English and Japanese by `Accept-Language`. Style and
//! script are separate files of the same site. Give them to
//! [`WebBuilder::pages`](crate::WebBuilder::pages). They are under the same base path as the
//! endpoints:
//!
//! | page | path |
//! |---|---|
//! | name and password | `/sign-in`, with `return_to` and `again` |
//! | enter the code | `/sign-in/{login}` |
//! | my information | `/me` |
//! | the tenant's settings | `/settings`, `/settings/edit` |
//! | user management | `/users`, with `filter` and `after`; `/users?id={user}` |
//! | log out | `/sign-out`, by a form |
//!
//! [`Web::signed_in`](crate::Web::signed_in) and its relatives redirect browsers to the login, and
//! from there back. To do it yourself, redirect to `/sign-in?return_to=/where/they/were`. Only a
//! path of the same site is accepted, percent-encoded, of at most 1,024 bytes. `again=1` asks for a
//! code even on a trusted device, for actions that need a recent login.
//!
//! To change how the pages look, set the variables at the top of `pages.css`, with
//! [`Pages::stylesheet`]. To replace one, implement its method of [`Screens`].

mod account;
mod administration;
mod assets;
mod form;
mod login;
mod route;
mod screens;
mod settings;
mod settings_form;
mod visit;
mod words;

use std::fmt;

use countersign::error::PluginError;
use http::HeaderValue;

pub(crate) use assets::Assets;
pub(crate) use form::local_path;
pub use screens::{
    AccountPage, Alert, AlertKind, BackupCodePage, CodePage, ConfirmMethodPage, ConfirmResetPage,
    EditSettingsPage, FindUserPage, Frame, LastSend, MessagePage, ReviewSettingsPage, SettingsPage,
    SignInPage, UserListPage, UserPage,
};
pub use settings_form::{DevicesChoice, LockoutChoice, SettingsFields, Unit};

/// The pages of one application, for [`WebBuilder::pages`](crate::WebBuilder::pages).
pub struct Pages {
    application: String,
    home: String,
    stylesheet: String,
    screens: Box<dyn Screens>,
    /// What browsers let a page do.
    policy: HeaderValue,
}

const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; \
    font-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'";

impl Pages {
    /// Creates the pages. The application's name is shown in titles and in the header.
    pub fn new(application: &str) -> Self {
        Self {
            application: application.to_owned(),
            home: "/".to_owned(),
            stylesheet: String::new(),
            screens: Box::new(BuiltIn),
            policy: HeaderValue::from_static(POLICY),
        }
    }

    /// Sets the path to open after a login that was not asked for by another page. By default `/`.
    /// Ignored unless it is a path of this site of at most 1,024 bytes.
    #[must_use]
    pub fn home(mut self, path: &str) -> Self {
        if let Some(path) = local_path(path) {
            path.clone_into(&mut self.home);
        }
        self
    }

    /// Adds style rules of the application's after those of the pages.
    #[must_use]
    pub fn stylesheet(mut self, css: &str) -> Self {
        css.clone_into(&mut self.stylesheet);
        self
    }

    pub(crate) fn rules(&self) -> &str {
        &self.stylesheet
    }

    /// Lets a login end at a page that redirects to this other origin: `https://client.example`.
    ///
    /// Without it, the content security policy of the pages stops that redirect after a form. Call
    /// it once for each origin. Anything but `https://` with a host and an optional port is
    /// ignored.
    #[must_use]
    pub fn may_lead_to(mut self, origin: &str) -> Self {
        let host = origin.strip_prefix("https://").unwrap_or_default();
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".:-".contains(&byte);
        let is_origin = host.starts_with(|first: char| first.is_ascii_alphanumeric())
            && host.bytes().all(plain);
        let policy = self.policy.to_str().map(|policy| format!("{policy} {origin}"));
        if let (true, Ok(Ok(policy))) = (is_origin, policy.map(HeaderValue::try_from)) {
            self.policy = policy;
        }
        self
    }

    /// Replaces the pages whose methods `screens` implements.
    #[must_use]
    pub fn screens(mut self, screens: impl Screens + 'static) -> Self {
        self.screens = Box::new(screens);
        self
    }
}

impl fmt::Debug for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pages")
            .field("application", &self.application)
            .field("home", &self.home)
            .finish_non_exhaustive()
    }
}

struct BuiltIn;

impl Screens for BuiltIn {}

/// Renders the pages. Each method renders the built-in page by default.
///
/// # Contract
///
/// - Each form keeps the fields and the address of the form that it replaces, also the hidden ones.
///   They are in `templates/` of this crate.
/// - Escape everything that people entered. *Names, labels and addresses can contain markup.*
/// - It shows [`Frame::alert`], which says what happened. *Otherwise nobody learns why they are
///   asked again.* `pages.js` uses the ids and `data-` attributes of the code page.
/// - No style or script is inside a page: the content security policy allows styles, scripts,
///   images and fonts of the same site only.
/// - An error is a 500, except that the new backup code and the message of a refusal are then shown
///   on the built-in page. [`on_failure`](crate::WebBuilder::on_failure) gets the cause.
pub trait Screens: Send + Sync {
    /// Name and password.
    ///
    /// # Errors
    ///
    /// If the template cannot be rendered.
    fn sign_in(&self, page: &SignInPage<'_>) -> Result<String, PluginError> {
        page.html()
    }

    /// The code, other ways to get one, and the backup code.
    ///
    /// # Errors
    ///
    /// If the template cannot be rendered.
    fn code(&self, page: &CodePage<'_>) -> Result<String, PluginError> {
        page.html()
    }

    /// A new backup code, which is shown once.
    ///
    /// # Errors
    ///
    /// If the template cannot be rendered.
    fn backup_code(&self, page: &BackupCodePage<'_>) -> Result<String, PluginError> {
        page.html()
    }

    /// The signed-in user's second factor.
    ///
    /// # Errors
    ///
    /// If the template cannot be rendered.
    fn account(&self, page: &AccountPage<'_>) -> Result<String, PluginError> {
        page.html()
    }

    /// The code that proves where codes are to go from now on.
    ///
    /// # Errors
    ///
    /// If the template cannot be rendered.
    fn confirm_method(&self, page: &ConfirmMethodPage<'_>) -> Result<String, PluginError> {
        page.html()
    }

    /// The tenant's settings, and how far a deletion is.
    ///
    /// # Errors
    ///
    /// If the template cannot be rendered.
    fn settings(&self, page: &SettingsPage<'_>) -> Result<String, PluginError> {
        page.html()
    }

    /// The form for other settings.
    ///
    /// # Errors
    ///
    /// If the template cannot be rendered.
    fn edit_settings(&self, page: &EditSettingsPage<'_>) -> Result<String, PluginError> {
        page.html()
    }

    /// What a change of settings does, before it is saved: also what switching off deletes.
    ///
    /// # Errors
    ///
    /// If the template cannot be rendered.
    fn review_settings(&self, page: &ReviewSettingsPage<'_>) -> Result<String, PluginError> {
        page.html()
    }

    /// The list of users, where the application has one.
    ///
    /// # Errors
    ///
    /// If the template cannot be rendered.
    fn user_list(&self, page: &UserListPage<'_>) -> Result<String, PluginError> {
        page.html()
    }

    /// The id of a user to look at.
    ///
    /// # Errors
    ///
    /// If the template cannot be rendered.
    fn find_user(&self, page: &FindUserPage<'_>) -> Result<String, PluginError> {
        page.html()
    }

    /// One user's second factor, for an administrator.
    ///
    /// # Errors
    ///
    /// If the template cannot be rendered.
    fn user(&self, page: &UserPage<'_>) -> Result<String, PluginError> {
        page.html()
    }

    /// What a reset clears, before it is done.
    ///
    /// # Errors
    ///
    /// If the template cannot be rendered.
    fn confirm_reset(&self, page: &ConfirmResetPage<'_>) -> Result<String, PluginError> {
        page.html()
    }

    /// One sentence, such as that there is no such page.
    ///
    /// # Errors
    ///
    /// If the template cannot be rendered.
    fn message(&self, page: &MessagePage<'_>) -> Result<String, PluginError> {
        page.html()
    }
}
