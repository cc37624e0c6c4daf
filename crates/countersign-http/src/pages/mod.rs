//! Pages for browsers: signing in, one's own account, the tenant's setting and its users.
//!
//! They are complete without scripts, in English and Japanese by `Accept-Language`, and carry no
//! style or script of their own: both are files of the same site. Give them to
//! [`WebBuilder::pages`](crate::WebBuilder::pages). They are under the same base path as the
//! endpoints:
//!
//! | page | path |
//! |---|---|
//! | sign in | `/sign-in`, with `return_to` and `again` |
//! | enter the code | `/sign-in/{login}` |
//! | my information | `/me` |
//! | the tenant's setting | `/settings`, `/settings/edit` |
//! | user management | `/users`, `/users/{id}` |
//!
//! Send somebody who is not signed in to `/sign-in?return_to=/where/they/were`. Of `return_to` only
//! a path of the same site is followed. With `again=1` a code is asked for on a trusted device, too:
//! for what needs a recent login.
//!
//! To change how they look, set the variables that `pages.css` lists, with
//! [`Pages::stylesheet`]. To replace one, implement its method of [`Screens`].

mod account;
mod administration;
mod assets;
mod form;
mod login;
mod route;
mod screens;
mod words;

use std::fmt;

use countersign::error::PluginError;

pub(crate) use assets::Assets;
pub(crate) use form::local_path;
pub use screens::{
    AccountPage, Alert, BackupCodePage, CodePage, ConfirmMethodPage, ConfirmOffPage,
    ConfirmResetPage, EditSettingsPage, FindUserPage, Frame, MessagePage, SettingsPage, SignInPage,
    UserPage,
};

/// The pages of one application, for [`WebBuilder::pages`](crate::WebBuilder::pages).
pub struct Pages {
    application: String,
    home: String,
    stylesheet: String,
    screens: Box<dyn Screens>,
}

impl Pages {
    /// Pages under this name of the application, which is in their titles.
    pub fn new(application: &str) -> Self {
        Self {
            application: application.to_owned(),
            home: "/".to_owned(),
            stylesheet: String::new(),
            screens: Box::new(BuiltIn),
        }
    }

    /// Sets the path to go to after a login that began at no other page. By default `/`. What is no
    /// path of the same site is ignored.
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

    /// Replaces the pages that this implements.
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

/// How each page looks: a method for each, which by default is the page of this crate.
///
/// # Contract
///
/// - Each form keeps the fields and the address of the form that it replaces; `templates/` of this
///   crate has them.
/// - What comes from people is escaped. *Names, labels and addresses can hold markup.*
/// - No style or script is inside a page: the content security policy of every page allows files of
///   the same site only.
/// - An error is a 500. [`on_failure`](crate::WebBuilder::on_failure) gets the cause.
pub trait Screens: Send + Sync {
    /// Name and password.
    ///
    /// # Errors
    ///
    /// The page could not be made.
    fn sign_in(&self, page: &SignInPage<'_>) -> Result<String, PluginError> {
        page.html()
    }

    /// The code, other ways to get one, and the backup code.
    ///
    /// # Errors
    ///
    /// The page could not be made.
    fn code(&self, page: &CodePage<'_>) -> Result<String, PluginError> {
        page.html()
    }

    /// A new backup code, which is shown once.
    ///
    /// # Errors
    ///
    /// The page could not be made.
    fn backup_code(&self, page: &BackupCodePage<'_>) -> Result<String, PluginError> {
        page.html()
    }

    /// The signed-in user's second factor.
    ///
    /// # Errors
    ///
    /// The page could not be made.
    fn account(&self, page: &AccountPage<'_>) -> Result<String, PluginError> {
        page.html()
    }

    /// The code that proves where codes are to go from now on.
    ///
    /// # Errors
    ///
    /// The page could not be made.
    fn confirm_method(&self, page: &ConfirmMethodPage<'_>) -> Result<String, PluginError> {
        page.html()
    }

    /// The tenant's setting, and how far a deletion is.
    ///
    /// # Errors
    ///
    /// The page could not be made.
    fn settings(&self, page: &SettingsPage<'_>) -> Result<String, PluginError> {
        page.html()
    }

    /// The choice of another setting.
    ///
    /// # Errors
    ///
    /// The page could not be made.
    fn edit_settings(&self, page: &EditSettingsPage<'_>) -> Result<String, PluginError> {
        page.html()
    }

    /// What switching off deletes, before it is done.
    ///
    /// # Errors
    ///
    /// The page could not be made.
    fn confirm_off(&self, page: &ConfirmOffPage<'_>) -> Result<String, PluginError> {
        page.html()
    }

    /// The id of a user to look at.
    ///
    /// # Errors
    ///
    /// The page could not be made.
    fn find_user(&self, page: &FindUserPage<'_>) -> Result<String, PluginError> {
        page.html()
    }

    /// One user's second factor, for an administrator.
    ///
    /// # Errors
    ///
    /// The page could not be made.
    fn user(&self, page: &UserPage<'_>) -> Result<String, PluginError> {
        page.html()
    }

    /// What a reset clears, before it is done.
    ///
    /// # Errors
    ///
    /// The page could not be made.
    fn confirm_reset(&self, page: &ConfirmResetPage<'_>) -> Result<String, PluginError> {
        page.html()
    }

    /// One sentence, such as that there is no such page.
    ///
    /// # Errors
    ///
    /// The page could not be made.
    fn message(&self, page: &MessagePage<'_>) -> Result<String, PluginError> {
        page.html()
    }
}
