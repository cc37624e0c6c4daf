//! The signed-in user's own page.

use countersign::contact::PhoneNumber;
use countersign::{
    Account, Code, DeliveryStatus, Grant, MethodChange, OperationError, Reason, SetupToken,
};
use http::StatusCode;

use super::form::{ConfirmForm, MethodChoice, MethodForm, with_query, without_separators};
use super::route::Page;
use super::screens::{AccountPage, Alert, BackupCodePage, ConfirmMethodPage};
use super::visit::Visit;
use crate::account::ends_setup;
use crate::answer::status;
use crate::exchange::Answered;
use crate::tokens::issued;
use crate::wire::Typed;

impl Visit<'_> {
    pub(super) async fn account(mut self, page: Page) -> Answered {
        let grant = self.exchange.whose_session().await?;
        let account = self.exchange.flow.account(&grant);
        let is_form = !matches!(page, Page::Account | Page::AskForCode);
        if is_form && !self.is_form_of(grant.user())? {
            return Ok(self.of_somebody_else());
        }
        let (done, field, place) = match page {
            Page::SetMethod => {
                let form: MethodForm = self.form()?;
                let (change, field) = match form.method {
                    MethodChoice::Email => (account.use_email().await, None),
                    MethodChoice::Sms => match PhoneNumber::new(&without_separators(&form.phone)) {
                        Ok(number) => {
                            (account.use_sms(&number).await.map(MethodChange::Prove), Some("phone"))
                        }
                        Err(invalid) => (Err(invalid.into()), Some("phone")),
                    },
                };
                let place = match &change {
                    Ok(MethodChange::Prove(setup)) => {
                        let now = self.exchange.answering.now;
                        self.exchange.handed.setup(setup, now);
                        confirmation(&setup.delivery)
                    }
                    Ok(MethodChange::Done(_)) => {
                        self.exchange.handed.forget_setup();
                        "/me?done=saved".to_owned()
                    }
                    Err(_) => String::new(),
                };
                (change.map(drop), field, place)
            }
            Page::AskForCode => return self.ask_for_code(&grant, StatusCode::OK, None),
            Page::ConfirmMethod => return self.confirm_method(&grant, &account).await,
            Page::RemoveDevices => {
                (account.revoke_devices().await.map(drop), None, "/me?done=removed".to_owned())
            }
            Page::RemoveDevice(device) => {
                (account.revoke_device(device).await, None, "/me?done=removed".to_owned())
            }
            Page::NewBackupCode => match account.new_backup_code().await {
                Ok(code) => {
                    let next = self.path("/me");
                    let frame = self.frame_of(grant.user());
                    let page = BackupCodePage { frame, code: code.expose(), next: &next };
                    let own = self.pages.screens.backup_code(&page);
                    let page = self.exchange.inner.or_built_in(own, || page.html());
                    return self.html(StatusCode::OK, page);
                }
                Err(error) => (Err(error), None, String::new()),
            },
            _ => return self.overview(&grant, &account, StatusCode::OK, None).await,
        };
        match done {
            Ok(()) => {
                let place = self.path(&place);
                Ok(self.redirect(&place))
            }
            Err(OperationError::Denied(denied)) if !leads_to_the_login(denied.reason()) => {
                let alert = self.refusal(&denied, field);
                self.overview(&grant, &account, status(denied.reason()), Some(alert)).await
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn overview(
        &mut self,
        grant: &Grant,
        account: &Account,
        status: StatusCode,
        alert: Option<Alert>,
    ) -> Answered {
        let mut frame = self.frame_of(grant.user());
        frame.alert = alert.or(frame.alert);
        let shown = match account.status().await {
            Ok(found) => Some(found),
            Err(OperationError::Denied(denied)) if denied.reason() == Reason::NotInUse => {
                let text = self.text(&denied);
                frame.alert = frame.alert.or_else(|| Some(Alert::notice(&text)));
                None
            }
            Err(error) => return Err(error.into()),
        };
        let page = AccountPage {
            frame,
            status: shown.as_ref(),
            is_change_pending: self.exchange.presented().setup().is_some(),
            offers_trusted_devices: self.exchange.inner.flow.offers_trusted_devices(),
        };
        self.html(status, self.pages.screens.account(&page))
    }

    /// Shows the page that asks for the code sent to the new destination.
    fn ask_for_code(
        &mut self,
        grant: &Grant,
        status: StatusCode,
        alert: Option<Alert>,
    ) -> Answered {
        let query = self.query();
        let mut frame = self.frame_of(grant.user());
        frame.alert = alert.or_else(|| match query.get("delivery") {
            "failed" => Some(Alert::refusal(self.w().setup_not_sent.to_owned(), None)),
            _ => None,
        });
        let (destination, reference) =
            self.exchange.presented().setup_sent_to().unwrap_or_default();
        let page = ConfirmMethodPage { frame, destination: &destination, reference: &reference };
        self.html(status, self.pages.screens.confirm_method(&page))
    }

    async fn confirm_method(&mut self, grant: &Grant, account: &Account) -> Answered {
        let ConfirmForm { code: Typed(code) } = self.form()?;
        // A missing token is refused like an expired one.
        let token = self.exchange.presented().setup().unwrap_or_else(|| SetupToken::new(""));
        let confirmed = account.confirm_method(&token, &Code::new(code)).await;
        let is_over = ends_setup(&confirmed);
        if is_over {
            self.exchange.handed.forget_setup();
        }
        match confirmed {
            Ok(_) => {
                let place = self.path("/me?done=saved");
                Ok(self.redirect(&place))
            }
            Err(OperationError::Denied(denied)) if is_over => {
                let alert = self.refusal(&denied, None);
                self.overview(grant, account, status(denied.reason()), Some(alert)).await
            }
            Err(OperationError::Denied(denied)) if !leads_to_the_login(denied.reason()) => {
                let alert = self.refusal(&denied, Some("code"));
                self.ask_for_code(grant, status(denied.reason()), Some(alert))
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// The address of the page that asks for the code.
fn confirmation(delivery: &DeliveryStatus) -> String {
    let failed = if issued(delivery).is_none() { "failed" } else { "" };
    with_query("/me/method/confirm", &[("delivery", failed)])
}

/// Whether a refusal leads to the login. The others are shown on the page with the form.
pub(super) const fn leads_to_the_login(reason: Reason) -> bool {
    matches!(reason, Reason::SessionStale | Reason::ReauthenticationRequired)
}
