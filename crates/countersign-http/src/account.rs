//! The endpoints of the signed-in user's own page.

use bytes::Bytes;
use countersign::contact::PhoneNumber;
use countersign::{Code, MethodChange, OperationError, Reason, SetupToken};
use http::Response;
use http_body_util::Full;
use serde::Serialize;

use crate::endpoints::Endpoint;
use crate::exchange::{Answered, Exchange, append};
use crate::wire::{Empty, MethodBody, OnlyCode, Secrets, Typed};

impl Exchange<'_> {
    /// The page of a signed-in user.
    pub(crate) async fn account(mut self, endpoint: Endpoint) -> Answered {
        let Some(grant) = self.revalidated().await? else { return self.stale().await };
        let account = self.flow.account(&grant);
        let made = match endpoint {
            Endpoint::SetMethod => match self.parse()? {
                MethodBody::Email {} => account.use_email().await,
                MethodBody::Sms { phone } => {
                    let number = PhoneNumber::new(&phone).map_err(OperationError::from)?;
                    account.use_sms(&number).await.map(MethodChange::Prove)
                }
            }
            .map(|change| self.method_change(&change)),
            Endpoint::ConfirmMethod => {
                let OnlyCode { code: Typed(code) } = self.parse()?;
                // Without a token it is as over as with one that is over.
                let token = self.presented().setup().unwrap_or_else(|| SetupToken::new(""));
                let confirmed = account.confirm_method(&token, &Code::new(code)).await;
                if ends_setup(&confirmed) {
                    self.handed.forget_setup();
                }
                confirmed
                    .map(|method| self.answer_with(&MethodChange::Done(method), Secrets::default()))
            }
            Endpoint::RevokeDevices => account.revoke_devices().await.map(|revoked| {
                #[derive(Serialize)]
                struct Revoked {
                    revoked: u32,
                }
                self.answer_with(&Revoked { revoked }, Secrets::default())
            }),
            Endpoint::RevokeDevice(device) => {
                account.revoke_device(device).await.map(|()| self.nothing())
            }
            Endpoint::NewBackupCode => account.new_backup_code().await.map(|code| {
                let backup_code = Some(code.expose().to_owned());
                self.answer_with(&Empty {}, Secrets { backup_code, ..Secrets::default() })
            }),
            _ => account.status().await.map(|status| self.answer_with(&status, Secrets::default())),
        };
        self.unless_stale(made).await
    }

    fn method_change(&mut self, change: &MethodChange) -> Response<Full<Bytes>> {
        match change {
            MethodChange::Prove(setup) => self.handed.setup(setup, self.answering.now),
            MethodChange::Done(_) => self.handed.forget_setup(),
        }
        let setup_token = self.handed.setup_token.take();
        self.answer_with(change, Secrets { setup_token, ..Secrets::default() })
    }

    async fn unless_stale(self, made: Result<Response<Full<Bytes>>, OperationError>) -> Answered {
        match made {
            Ok(response) => Ok(response),
            Err(OperationError::Denied(denied)) if denied.reason() == Reason::SessionStale => {
                self.stale().await
            }
            Err(error) => {
                let mut response = self.inner.finish(Err(error.into()), self.answering);
                append(response.headers_mut(), &self.handed.headers);
                Ok(response)
            }
        }
    }
}

/// Whether a change of method is made, or over: its token is dead.
pub(crate) fn ends_setup<T>(confirmed: &Result<T, OperationError>) -> bool {
    match confirmed {
        Ok(_) => true,
        Err(OperationError::Denied(denied)) => {
            denied.reason() == Reason::SetupOver || denied.attempts_left() == Some(0)
        }
        Err(OperationError::Failed(_)) => false,
    }
}
