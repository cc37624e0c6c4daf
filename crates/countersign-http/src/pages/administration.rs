//! The administrator's pages: the tenant's setting, and one user.

use countersign::event::ResetOutcome;
use countersign::policy::Scope;
use countersign::{Administration, UserId};
use http::StatusCode;
use percent_encoding::utf8_percent_encode;

use super::form::{ScopeForm, form};
use super::route::Page;
use super::screens::{
    Alert, ConfirmOffPage, ConfirmResetPage, EditSettingsPage, FindUserPage, Frame, SettingsPage,
    UserPage,
};
use crate::exchange::{Answered, Exchange};
use crate::tokens::PLAIN;

impl Exchange<'_> {
    pub(super) async fn administration_page(mut self, page: Page) -> Answered {
        let grant = self.whose_session().await?;
        let administration = self.flow.administration(&grant).await?;
        let mut frame = self.frame()?;
        frame.user = Some(grant.as_ref().user());
        frame.is_administrator = true;
        let base = frame.base;
        match page {
            Page::EditSettings => {
                let page = EditSettingsPage { frame, scope: administration.scope().await? };
                self.html(StatusCode::OK, self.screens()?.edit_settings(&page))
            }
            Page::SaveSettings => {
                let ScopeForm { scope, confirmed } = form(self.parts, &self.body)?;
                let is_off = administration.scope().await? == Scope::DoNotUse;
                if scope == Scope::DoNotUse && confirmed != "yes" && !is_off {
                    let saved_users = administration.saved_users().await?;
                    let page = ConfirmOffPage { frame, saved_users };
                    return self.html(StatusCode::OK, self.screens()?.confirm_off(&page));
                }
                administration.set_scope(scope).await?;
                Ok(self.redirect(&format!("{base}/settings")))
            }
            Page::FindUser => {
                let id = self.query().id;
                if let Ok(user) = UserId::new(id.trim()) {
                    return Ok(self.redirect(&format!("{base}/users/{}", address(&user))));
                }
                let page = FindUserPage { frame };
                self.html(StatusCode::OK, self.screens()?.find_user(&page))
            }
            Page::User(user) => self.user_page(frame, &administration, &user).await,
            Page::ConfirmReset(user) => {
                let page = ConfirmResetPage { frame, user: &user, path: &address(&user) };
                self.html(StatusCode::OK, self.screens()?.confirm_reset(&page))
            }
            Page::Reset(user) => {
                let outcome = administration.reset(&user).await?;
                let w = self.w();
                let text = match outcome {
                    ResetOutcome::BudgetsKept { .. } => {
                        format!("{} {}", w.reset_done, w.reset_budgets_kept)
                    }
                    _ => w.reset_done.to_owned(),
                };
                frame.alert = Some(Alert::success(&text));
                self.user_page(frame, &administration, &user).await
            }
            Page::Unlock(user) => {
                administration.unlock(&user).await?;
                frame.alert = Some(Alert::success(self.w().unlock_done));
                self.user_page(frame, &administration, &user).await
            }
            _ => {
                let scope = administration.scope().await?;
                let purge = administration.purge_progress().await?;
                let page = SettingsPage { frame, scope, purge: purge.as_ref() };
                self.html(StatusCode::OK, self.screens()?.settings(&page))
            }
        }
    }

    async fn user_page(
        &mut self,
        frame: Frame<'_>,
        administration: &Administration,
        user: &UserId,
    ) -> Answered {
        let status = administration.status(user).await?;
        let page = UserPage { frame, user, path: &address(user), status: &status };
        self.html(StatusCode::OK, self.screens()?.user(&page))
    }
}

/// An id as a part of an address.
fn address(user: &UserId) -> String {
    utf8_percent_encode(user.as_str(), PLAIN).to_string()
}
