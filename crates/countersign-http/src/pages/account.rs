//! The signed-in user's own page.

use countersign::contact::PhoneNumber;
use countersign::{
    Account, Code, DeliveryStatus, Denied, Grant, MethodChange, OperationError, Reason, SetupToken,
};
use http::StatusCode;

use super::form::{ConfirmForm, MethodChoice, MethodForm, form};
use super::route::Page;
use super::screens::{AccountPage, Alert, BackupCodePage, ConfirmMethodPage};
use super::words;
use crate::answer::{Refusal, status};
use crate::exchange::{Answered, Exchange};
use crate::wire::Typed;

impl Exchange<'_> {
    pub(super) async fn account_page(mut self, page: Page) -> Answered {
        let grant = self.whose_session().await?;
        let account = self.flow.account(&grant);
        let done = match page {
            Page::SetMethod => {
                let form: MethodForm = form(self.parts, &self.body)?;
                let change = match form.method {
                    MethodChoice::Email => account.use_email().await,
                    MethodChoice::Sms => match PhoneNumber::new(&form.phone) {
                        Ok(number) => account.use_sms(&number).await.map(MethodChange::Prove),
                        Err(invalid) => Err(invalid.into()),
                    },
                };
                match change {
                    Ok(MethodChange::Prove(setup)) => {
                        self.handed.setup(&setup.token);
                        return self.prove_page(&grant, &setup.delivery);
                    }
                    Ok(MethodChange::Done(_)) => Ok(()),
                    Err(error) => Err((error, Some("phone"))),
                }
            }
            Page::ConfirmMethod => return self.confirm_method_page(&grant, &account).await,
            Page::RemoveDevices => {
                account.revoke_devices().await.map(drop).map_err(|error| (error, None))
            }
            Page::RemoveDevice(device) => {
                account.revoke_device(device).await.map_err(|error| (error, None))
            }
            Page::NewBackupCode => match account.new_backup_code().await {
                Ok(code) => {
                    let mut frame = self.frame()?;
                    frame.user = Some(grant.as_ref().user());
                    let next = format!("{}/me", frame.base);
                    let page = BackupCodePage { frame, code: code.expose(), next: &next };
                    return self.html(StatusCode::OK, self.screens()?.backup_code(&page));
                }
                Err(error) => Err((error, None)),
            },
            _ => return self.overview(&grant, &account, StatusCode::OK, None).await,
        };
        match done {
            Ok(()) => {
                let place = format!("{}/me", self.inner.base);
                Ok(self.redirect(&place))
            }
            Err((OperationError::Denied(denied), field)) if stays_on_its_page(&denied) => {
                let alert = Alert::refusal(self.answering.message(&denied), field);
                self.overview(&grant, &account, status(denied.reason()), Some(alert)).await
            }
            Err((error, _)) => Err(error.into()),
        }
    }

    async fn overview(
        &mut self,
        grant: &Grant,
        account: &Account,
        status: StatusCode,
        alert: Option<Alert>,
    ) -> Answered {
        let mut frame = self.frame()?;
        frame.user = Some(grant.as_ref().user());
        frame.alert = alert;
        let shown = match account.status().await {
            Ok(found) => Some(found),
            Err(OperationError::Denied(denied)) if denied.reason() == Reason::NotInUse => {
                let text = self.answering.message(&denied);
                frame.alert = frame.alert.or(Some(Alert::refusal(text, None)));
                None
            }
            Err(error) => return Err(error.into()),
        };
        let page = AccountPage { frame, status: shown.as_ref() };
        self.html(status, self.screens()?.account(&page))
    }

    /// The page for the code that was sent to the new place.
    fn prove_page(&mut self, grant: &Grant, delivery: &DeliveryStatus) -> Answered {
        let mut frame = self.frame()?;
        frame.user = Some(grant.as_ref().user());
        let text = match delivery {
            DeliveryStatus::Failed { .. } => {
                Some(words::could_not_be_sent(self.answering.language).to_owned())
            }
            DeliveryStatus::NotMade { denied } => Some(self.answering.message(denied)),
            _ => None,
        };
        frame.alert = text.map(|text| Alert::refusal(text, None));
        let (destination, reference) = match words::issued(delivery) {
            Some(code) => (code.destination.as_str(), code.reference.as_str()),
            None => ("", ""),
        };
        let page = ConfirmMethodPage { frame, destination, reference };
        self.html(StatusCode::OK, self.screens()?.confirm_method(&page))
    }

    async fn confirm_method_page(&mut self, grant: &Grant, account: &Account) -> Answered {
        let ConfirmForm { code: Typed(code), destination, reference } =
            form(self.parts, &self.body)?;
        // Without a token it is as over as with one that is over.
        let token = self.presented().setup().unwrap_or_else(|| SetupToken::new(""));
        match account.confirm_method(&token, &Code::new(code)).await {
            Ok(_) => {
                self.handed.forget_setup();
                let place = format!("{}/me", self.inner.base);
                Ok(self.redirect(&place))
            }
            Err(OperationError::Denied(denied)) if denied.reason() == Reason::SetupOver => {
                self.handed.forget_setup();
                let alert = Alert::refusal(self.answering.message(&denied), None);
                self.overview(grant, account, status(denied.reason()), Some(alert)).await
            }
            Err(OperationError::Denied(denied)) if stays_on_its_page(&denied) => {
                let mut frame = self.frame()?;
                frame.user = Some(grant.as_ref().user());
                frame.alert = Some(Alert::refusal(self.answering.message(&denied), Some("code")));
                let page =
                    ConfirmMethodPage { frame, destination: &destination, reference: &reference };
                self.html(status(denied.reason()), self.screens()?.confirm_method(&page))
            }
            Err(error) => Err(Refusal::from(error)),
        }
    }
}

/// Whether a refusal is shown on the page that it is about. The others lead to the login.
fn stays_on_its_page(denied: &Denied) -> bool {
    !matches!(denied.reason(), Reason::SessionStale | Reason::ReauthenticationRequired)
}
