//! The pages of a login: name and password, then the code.

use bytes::Bytes;
use countersign::ids::LoginId;
use countersign::{BackupCode, Challenge, DeliveryStatus, Denied, LoginStep, Reason};
use http::{Response, StatusCode};
use http_body_util::Full;

use super::form::{CodeForm, ResendForm, SignInForm, form, local_path};
use super::route::sign_in_at;
use super::screens::{Alert, BackupCodePage, CodePage, MessagePage, SignInPage};
use super::words::{self, Words};
use crate::answer::{Refusal, status};
use crate::exchange::{Answered, Exchange, Settled};
use crate::texts::sentence;
use crate::tokens::PresentedLogin;
use crate::wire::{BeginBody, Typed};

/// The page of a login, as it is shown after a step.
struct Shown<'s> {
    status: StatusCode,
    alert: Option<Alert>,
    was_sent: bool,
    return_to: &'s str,
}

impl Exchange<'_> {
    pub(super) async fn show_sign_in(mut self) -> Answered {
        let query = self.query();
        let again = query.again == "1";
        let return_to = local_path(&query.return_to).unwrap_or_default();
        if !again && self.is_signed_in().await? {
            return Ok(self.redirect_home(return_to));
        }
        let alert = again.then(|| Alert::refusal(self.w().sign_in_again.to_owned(), None));
        self.sign_in_page(StatusCode::OK, alert, "", return_to, again)
    }

    pub(super) async fn begin_at_page(mut self) -> Answered {
        let SignInForm { name, password, return_to, again } = form(self.parts, &self.body)?;
        let return_to = local_path(&return_to).unwrap_or_default();
        let reauthenticate = again == "1";
        let begin = BeginBody { name: name.clone(), password, reauthenticate };
        let (step, person) = self.first_step(begin).await?;
        let settled = self.settle(&step, None, person.as_ref()).await;
        match step {
            LoginStep::Authenticated(_) => self.signed_in_at_page(settled, return_to),
            LoginStep::CodeRequired(challenge) => Ok(self.redirect_to_code(&challenge, return_to)),
            LoginStep::Denied(denied) => {
                let alert = Alert::refusal(self.answering.message(&denied), Some("password"));
                let status = status(denied.reason());
                self.sign_in_page(status, Some(alert), &name, return_to, reauthenticate)
            }
        }
    }

    pub(super) async fn show_code(mut self, login: LoginId) -> Answered {
        let query = self.query();
        let return_to = local_path(&query.return_to).unwrap_or_default();
        let presented = self.login(login);
        let step = self.flow.challenge(&presented.token).await?;
        let LoginStep::CodeRequired(challenge) = step else {
            return self.login_is_over(step.denied(), login, &presented, return_to).await;
        };
        let language = self.answering.language;
        let alert = match &*query.delivery {
            "failed" => Some(words::could_not_be_sent(language).to_owned()),
            // What the step before said is shown while it is still so.
            code if words::issued(&challenge.delivery).is_none() => {
                NOT_MADE.iter().find(|reason| reason.code() == code).map_or_else(
                    || match &challenge.delivery {
                        DeliveryStatus::NotMade { denied } => Some(self.answering.message(denied)),
                        _ => None,
                    },
                    |reason| Some(sentence(*reason, language).to_owned()),
                )
            }
            _ => None,
        };
        let shown = Shown {
            status: StatusCode::OK,
            alert: alert.map(|text| Alert::refusal(text, None)),
            was_sent: query.delivery == "sent",
            return_to,
        };
        self.code_page(&challenge, shown)
    }

    pub(super) async fn submit_code_at_page(self, login: LoginId) -> Answered {
        let CodeForm { code: Typed(code), trust, return_to } = form(self.parts, &self.body)?;
        let return_to = local_path(&return_to).unwrap_or_default();
        let presented = self.login(login);
        let label = (trust == "yes").then(|| self.device_name());
        let step = self.second_step(&presented, code, label.as_deref()).await?;
        self.after_second_step(step, login, &presented, return_to, "code").await
    }

    pub(super) async fn submit_backup_code_at_page(self, login: LoginId) -> Answered {
        let CodeForm { code: Typed(code), return_to, .. } = form(self.parts, &self.body)?;
        let return_to = local_path(&return_to).unwrap_or_default();
        let presented = self.login(login);
        let code = BackupCode::new(code);
        let step = self.flow.submit_backup_code(&presented.token, &code).await?;
        self.after_second_step(step, login, &presented, return_to, "backup_code").await
    }

    pub(super) async fn resend_at_page(mut self, login: LoginId) -> Answered {
        let ResendForm { to, return_to } = form(self.parts, &self.body)?;
        let return_to = local_path(&return_to).unwrap_or_default();
        let presented = self.login(login);
        let step = self.flow.resend(&presented.token, to).await?;
        if let LoginStep::CodeRequired(challenge) = &step {
            let _ = self.settle(&step, Some(login), presented.person.as_ref()).await;
            return Ok(self.redirect_to_code(challenge, return_to));
        }
        self.after_second_step(step, login, &presented, return_to, "").await
    }

    pub(super) async fn cancel_at_page(mut self, login: LoginId) -> Answered {
        let presented = self.login(login);
        self.flow.cancel(&presented.token).await?;
        self.handed.forget_login(login);
        Ok(self.redirect(&sign_in_at(&self.inner.base, "", false)))
    }

    pub(super) async fn sign_out(mut self) -> Answered {
        self.end_session().await?;
        Ok(self.redirect(&sign_in_at(&self.inner.base, "", false)))
    }

    /// `field`: what was wrong, if something was.
    async fn after_second_step(
        mut self,
        step: LoginStep,
        login: LoginId,
        presented: &PresentedLogin,
        return_to: &str,
        field: &'static str,
    ) -> Answered {
        let settled = self.settle(&step, Some(login), presented.person.as_ref()).await;
        match step {
            LoginStep::Authenticated(_) => self.signed_in_at_page(settled, return_to),
            LoginStep::CodeRequired(challenge) => Ok(self.redirect_to_code(&challenge, return_to)),
            LoginStep::Denied(denied) if denied.ends_login() => {
                self.login_is_over(Some(&denied), login, presented, return_to).await
            }
            LoginStep::Denied(denied) => {
                // The login goes on, on its page.
                let step = self.flow.challenge(&presented.token).await?;
                let LoginStep::CodeRequired(challenge) = step else {
                    return self.login_is_over(step.denied(), login, presented, return_to).await;
                };
                let text = self.answering.message(&denied);
                let shown = Shown {
                    status: status(denied.reason()),
                    alert: Some(Alert::refusal(text, Some(field))),
                    was_sent: false,
                    return_to,
                };
                self.code_page(&challenge, shown)
            }
        }
    }

    fn signed_in_at_page(mut self, settled: Settled, return_to: &str) -> Answered {
        let Settled { backup_code, without_session } = settled;
        let mut frame = self.frame()?;
        let sign_in = sign_in_at(&self.inner.base, return_to, false);
        let mut status = StatusCode::OK;
        if without_session {
            status = StatusCode::INTERNAL_SERVER_ERROR;
            let text = self.w().signed_in_without_session.to_owned();
            frame.alert = Some(Alert::refusal(text, None));
        }
        let next = match (without_session, return_to) {
            (true, _) => &*sign_in,
            (false, "") => frame.home,
            (false, return_to) => return_to,
        };
        if let Some(code) = &backup_code {
            let page = BackupCodePage { frame: frame.clone(), code, next };
            return self.html(status, self.screens()?.backup_code(&page));
        }
        if without_session {
            let page = MessagePage { frame: frame.clone(), next };
            return self.html(status, self.screens()?.message(&page));
        }
        Ok(self.redirect(next))
    }

    /// The login is over: completed in another tab, expired, or ended.
    async fn login_is_over(
        mut self,
        denied: Option<&Denied>,
        login: LoginId,
        presented: &PresentedLogin,
        return_to: &str,
    ) -> Answered {
        self.handed.forget_login(login);
        // The same code sent twice: the first request has signed them in.
        if self.is_signed_in().await? {
            return Ok(self.redirect_home(return_to));
        }
        let (status, text) = match denied {
            Some(denied) => (status(denied.reason()), self.answering.message(denied)),
            None => (StatusCode::GONE, String::new()),
        };
        let name = presented.person.as_ref().map_or("", |person| &*person.name);
        self.sign_in_page(status, Some(Alert::refusal(text, None)), name, return_to, false)
    }

    fn sign_in_page(
        &mut self,
        status: StatusCode,
        alert: Option<Alert>,
        name: &str,
        return_to: &str,
        again: bool,
    ) -> Answered {
        let mut frame = self.frame()?;
        frame.alert = alert;
        let page = SignInPage { frame, name, return_to, again };
        self.html(status, self.screens()?.sign_in(&page))
    }

    fn code_page(&mut self, challenge: &Challenge, shown: Shown<'_>) -> Answered {
        let mut frame = self.frame()?;
        frame.alert = shown.alert;
        let page = CodePage {
            frame,
            login: challenge.login,
            challenge,
            now: self.answering.now,
            was_sent: shown.was_sent,
            offers_trusted_devices: self.inner.flow.offers_trusted_devices(),
            return_to: shown.return_to,
        };
        self.html(shown.status, self.screens()?.code(&page))
    }

    /// To the page of the login, which can be loaded again without sending anything.
    fn redirect_to_code(
        &mut self,
        challenge: &Challenge,
        return_to: &str,
    ) -> Response<Full<Bytes>> {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("delivery", delivered(&challenge.delivery));
        if !return_to.is_empty() {
            query.append_pair("return_to", return_to);
        }
        let (base, login) = (&self.inner.base, challenge.login);
        self.redirect(&format!("{base}/sign-in/{login}?{}", query.finish()))
    }

    fn redirect_home(&mut self, return_to: &str) -> Response<Full<Bytes>> {
        let home = self.inner.pages.as_ref().map_or("/", |(pages, _)| &*pages.home);
        self.redirect(if return_to.is_empty() { home } else { return_to })
    }

    async fn is_signed_in(&self) -> Result<bool, Refusal> {
        match self.revalidated().await {
            Ok(grant) => Ok(grant.is_some()),
            Err(Refusal::SignedOut) => Ok(false),
            Err(refusal) => Err(refusal),
        }
    }

    /// A name for this device, such as `Firefox, Windows`.
    fn device_name(&self) -> String {
        let client = self.flow.context().client();
        let names: Vec<&str> = [client.browser, client.system].into_iter().flatten().collect();
        names.join(", ")
    }

    pub(super) const fn w(&self) -> &'static Words {
        Words::of(self.answering.language)
    }
}

/// Why a first step can make no code.
const NOT_MADE: [Reason; 5] = [
    Reason::SendLimit,
    Reason::LoginSendLimit,
    Reason::NoDestination,
    Reason::CodesLocked,
    Reason::Suspended,
];

/// What the page of a login needs to know of the step before.
const fn delivered(delivery: &DeliveryStatus) -> &'static str {
    match delivery {
        DeliveryStatus::Sent(_) | DeliveryStatus::Queued(_) => "sent",
        DeliveryStatus::Failed { .. } => "failed",
        DeliveryStatus::NotMade { denied } => denied.reason().code(),
        _ => "perhaps",
    }
}
