//! The administrator's pages: the tenant's setting, and one user.

use countersign::event::ResetOutcome;
use countersign::policy::Scope;
use countersign::{Administration, Denied, Grant, OperationError, Reason, UserId};
use http::StatusCode;

use super::account::leads_to_the_login;
use super::form::{ScopeForm, UserForm, with_query};
use super::route::Page;
use super::screens::{
    Alert, ConfirmOffPage, ConfirmResetPage, EditSettingsPage, FindUserPage, Frame, SettingsPage,
    UserPage,
};
use super::visit::Visit;
use crate::answer::{Refusal, status};
use crate::exchange::Answered;

impl Visit<'_> {
    pub(super) async fn administration(mut self, page: Page) -> Answered {
        let grant = self.exchange.whose_session().await?;
        let administration = self.exchange.flow.administration(&grant).await?;
        let is_form = matches!(page, Page::SaveSettings | Page::Reset | Page::Unlock);
        if is_form && !self.is_form_of(grant.user())? {
            return Ok(self.of_somebody_else());
        }
        match page {
            Page::EditSettings => {
                let scope = administration.scope().await?;
                let page = EditSettingsPage { frame: self.frame_for(&grant), scope };
                self.html(StatusCode::OK, self.pages.screens.edit_settings(&page))
            }
            Page::SaveSettings => self.save_settings(&grant, &administration).await,
            Page::User => self.show_user(&grant, &administration).await,
            Page::ConfirmReset => {
                let user = UserId::new(self.query().get("id"))
                    .map_err(|_| Refusal::from(StatusCode::NOT_FOUND))?;
                let page = ConfirmResetPage { frame: self.frame_for(&grant), user: &user };
                self.html(StatusCode::OK, self.pages.screens.confirm_reset(&page))
            }
            Page::Reset | Page::Unlock => {
                let UserForm { id } = self.form()?;
                let user = UserId::new(&id).map_err(|_| Refusal::from(StatusCode::NOT_FOUND))?;
                let done = match page {
                    Page::Reset => administration.reset(&user).await.map(|outcome| match outcome {
                        ResetOutcome::BudgetsKept { .. } => "reset_kept",
                        _ => "reset",
                    }),
                    _ => administration.unlock(&user).await.map(|()| "unlocked"),
                };
                match done {
                    Ok(done) => {
                        let query = [("id", user.as_str()), ("done", done)];
                        let place = self.path(&with_query("/users", &query));
                        Ok(self.redirect(&place))
                    }
                    Err(OperationError::Denied(denied)) if !leads_to_the_login(denied.reason()) => {
                        let alert = self.refusal(&denied, None);
                        let mut frame = self.frame_for(&grant);
                        frame.alert = Some(alert);
                        let status = status(denied.reason());
                        self.user_page(frame, &administration, &user, status).await
                    }
                    Err(error) => Err(error.into()),
                }
            }
            _ => {
                let scope = administration.scope().await?;
                let purge = administration.purge_progress().await?;
                let page =
                    SettingsPage { frame: self.frame_for(&grant), scope, purge: purge.as_ref() };
                self.html(StatusCode::OK, self.pages.screens.settings(&page))
            }
        }
    }

    /// The setting is not changed if somebody else has changed it since the page was shown, and not
    /// switched off before the page has said what that deletes.
    async fn save_settings(&mut self, grant: &Grant, administration: &Administration) -> Answered {
        let ScopeForm { scope, before, confirmed } = self.form()?;
        let now = administration.scope().await?;
        let place = if now != before {
            "/settings/edit?done=changed"
        } else if now == scope {
            "/settings"
        } else if scope == Scope::DoNotUse && confirmed != "yes" {
            let saved_users = administration.saved_users().await?;
            let frame = self.frame_for(grant);
            let page = ConfirmOffPage { frame, scope: now, saved_users };
            return self.html(StatusCode::OK, self.pages.screens.confirm_off(&page));
        } else {
            match administration.set_scope(scope).await {
                Ok(_) => "/settings?done=saved",
                Err(OperationError::Denied(denied)) if !leads_to_the_login(denied.reason()) => {
                    let alert = self.refusal(&denied, None);
                    let mut frame = self.frame_for(grant);
                    frame.alert = Some(alert);
                    let page = EditSettingsPage { frame, scope: now };
                    let page = self.pages.screens.edit_settings(&page);
                    return self.html(status(denied.reason()), page);
                }
                Err(error) => return Err(error.into()),
            }
        };
        let place = self.path(place);
        Ok(self.redirect(&place))
    }

    async fn show_user(&mut self, grant: &Grant, administration: &Administration) -> Answered {
        let frame = self.frame_for(grant);
        let query = self.query();
        match query.get("id") {
            "" => {
                let page = FindUserPage { frame, id: "" };
                self.html(StatusCode::OK, self.pages.screens.find_user(&page))
            }
            id => match UserId::new(id) {
                Ok(user) => match administration.status(&user).await {
                    Ok(found) => {
                        let page = UserPage { frame, user: &user, status: &found };
                        self.html(StatusCode::OK, self.pages.screens.user(&page))
                    }
                    Err(OperationError::Denied(denied)) if denied.reason() == Reason::NotFound => {
                        self.no_such_user(frame, id, &denied)
                    }
                    Err(error) => Err(error.into()),
                },
                Err(invalid) => self.no_such_user(frame, id, &invalid.into()),
            },
        }
    }

    /// Asks for another id.
    fn no_such_user(&mut self, mut frame: Frame<'_>, id: &str, denied: &Denied) -> Answered {
        frame.alert = Some(Alert::refusal(self.text(denied), Some("id")));
        let page = FindUserPage { frame, id };
        self.html(status(denied.reason()), self.pages.screens.find_user(&page))
    }

    async fn user_page(
        &mut self,
        frame: Frame<'_>,
        administration: &Administration,
        user: &UserId,
        status: StatusCode,
    ) -> Answered {
        let found = administration.status(user).await?;
        let page = UserPage { frame, user, status: &found };
        self.html(status, self.pages.screens.user(&page))
    }

    fn frame_for<'g>(&self, grant: &'g Grant) -> Frame<'g>
    where
        Self: 'g,
    {
        let mut frame = self.frame_of(grant.user());
        frame.is_administrator = true;
        frame
    }
}
