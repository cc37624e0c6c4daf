//! The administrator's pages: what leads to the settings, and user management.

use countersign::event::ResetOutcome;
use countersign::{Administration, Denied, Grant, OperationError, Reason, UserId};
use http::StatusCode;

use super::account::leads_to_the_login;
use super::form::{UserForm, with_query};
use super::route::Page;
use super::screens::{Alert, ConfirmResetPage, FindUserPage, Frame, UserListPage, UserPage};
use super::visit::Visit;
use crate::answer::{Refusal, status};
use crate::exchange::Answered;
use crate::people::{Filter, LIMIT, Part, list};

impl Visit<'_> {
    pub(super) async fn administration(mut self, page: Page) -> Answered {
        let grant = self.exchange.whose_session().await?;
        let administration = self.exchange.flow.administration(&grant).await?;
        let is_form = matches!(page, Page::SaveSettings | Page::Reset | Page::Unlock);
        if is_form && !self.is_form_of(grant.user())? {
            return Ok(self.of_somebody_else());
        }
        match page {
            Page::EditSettings => self.edit_settings(&grant, &administration).await,
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
            _ => self.show_settings(&grant, &administration).await,
        }
    }

    /// A part of the list of users, where the application has one; else the form for an id.
    async fn list_users(&mut self, grant: &Grant, administration: &Administration) -> Answered {
        let frame = self.frame_for(grant);
        if !self.has_list() {
            let page = FindUserPage { frame, id: "", has_list: false };
            return self.html(StatusCode::OK, self.pages.screens.find_user(&page));
        }
        let query = self.query();
        let filter = Filter::read(query.get("filter")).unwrap_or_default();
        let after = UserId::new(query.get("after")).ok();
        let part = Part { after: after.clone(), filter, limit: LIMIT };
        let found = list(administration, part).await?;
        let page = UserListPage {
            frame,
            people: &found.people,
            filter: filter.code(),
            after: after.as_ref(),
            next: found.next.as_ref(),
        };
        self.html(StatusCode::OK, self.pages.screens.user_list(&page))
    }

    fn has_list(&self) -> bool {
        self.exchange.inner.flow.has_directory()
    }

    async fn show_user(&mut self, grant: &Grant, administration: &Administration) -> Answered {
        let frame = self.frame_for(grant);
        let query = self.query();
        match query.get("id") {
            "" => self.list_users(grant, administration).await,
            id => match UserId::new(id) {
                Ok(user) => match administration.status(&user).await {
                    Ok(found) => {
                        let has_list = self.has_list();
                        let page = UserPage { frame, user: &user, status: &found, has_list };
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
        let page = FindUserPage { frame, id, has_list: self.has_list() };
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
        let page = UserPage { frame, user, status: &found, has_list: self.has_list() };
        self.html(status, self.pages.screens.user(&page))
    }

    pub(super) fn frame_for<'g>(&self, grant: &'g Grant) -> Frame<'g>
    where
        Self: 'g,
    {
        let mut frame = self.frame_of(grant.user());
        frame.is_administrator = true;
        frame
    }
}
