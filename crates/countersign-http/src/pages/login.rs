//! The pages of a login: name and password, then the code.

use bytes::Bytes;
use countersign::ids::LoginId;
use countersign::input::Field;
use countersign::{BackupCode, Challenge, DeliveryStatus, Denied, LoginStep, Reason, UserId};
use http::{Response, StatusCode};
use http_body_util::Full;

use super::Pages;
use super::form::{CodeForm, Onward, ResendForm, SignInForm, local_path, with_query};
use super::route::sign_in_at;
use super::screens::{Alert, BackupCodePage, CodePage, LastSend, MessagePage, SignInPage};
use super::visit::{Visit, is_about_the_field};
use super::words;
use crate::answer::{Refusal, status};
use crate::exchange::{Answered, Settled};
use crate::texts::sentence;
use crate::tokens::{CameBy, PresentedLogin, issued};
use crate::wire::{BeginBody, Typed};

/// The page of a login, as it is shown after a step.
struct Shown<'s> {
    status: StatusCode,
    alert: Option<Alert>,
    last_send: LastSend,
    trusts: bool,
    onward: &'s Onward,
}

impl Visit<'_> {
    pub(super) async fn show_sign_in(mut self) -> Answered {
        let onward = self.query().onward();
        if !onward.again && self.whose_session().await?.is_some() {
            return Ok(self.redirect_home(&onward));
        }
        let alert = match (onward.again, &*onward.return_to) {
            (true, _) => Some(Alert::notice(self.w().sign_in_again)),
            (false, "") => self.done(),
            (false, _) => Some(Alert::notice(self.w().sign_in_to_continue)),
        };
        self.sign_in_page(StatusCode::OK, alert, "", &onward)
    }

    pub(super) async fn begin(mut self) -> Answered {
        let SignInForm { name, password, onward } = self.form()?;
        let reauthenticate = onward.again;
        let begin = BeginBody { name: name.clone(), password, reauthenticate };
        let (step, came_by) = self.exchange.first_step(begin).await?;
        let settled = self.exchange.settle(&step, None, came_by.as_ref()).await;
        match step {
            LoginStep::Authenticated(_) => self.completed(settled, &onward),
            LoginStep::CodeRequired(challenge) => Ok(self.redirect_to_code(&challenge, &onward)),
            LoginStep::Denied(denied) => {
                let is_name = matches!(
                    denied.reason(),
                    Reason::InvalidInput(invalid) if invalid.field() == Field::LoginName
                );
                let field = if is_name { "name" } else { "password" };
                let field = is_about_the_field(denied.reason()).then_some(field);
                let alert = Alert::refusal(self.text(&denied), field);
                self.sign_in_page(status(denied.reason()), Some(alert), &name, &onward)
            }
        }
    }

    /// The application's callback has verified what the identity provider said.
    pub(super) async fn after_single_sign_on(mut self, user: &UserId, return_to: &str) -> Answered {
        let return_to = local_path(return_to).unwrap_or_default().to_owned();
        let onward = Onward { return_to, again: false };
        let step = self.exchange.first_step_after_single_sign_on(user).await?;
        let settled = self.exchange.settle(&step, None, Some(&CameBy::SingleSignOn)).await;
        match step {
            LoginStep::Authenticated(_) => self.completed(settled, &onward),
            LoginStep::CodeRequired(challenge) => Ok(self.redirect_to_code(&challenge, &onward)),
            LoginStep::Denied(denied) => {
                let text = self.exchange.answering.message_without_password(&denied);
                let alert = Alert::refusal(text, None);
                self.sign_in_page(status(denied.reason()), Some(alert), "", &onward)
            }
        }
    }

    pub(super) async fn show_code(mut self, login: LoginId) -> Answered {
        let query = self.query();
        let onward = query.onward();
        let presented = self.exchange.login(login);
        let challenge = match self.exchange.flow.challenge(&presented.token).await? {
            LoginStep::CodeRequired(challenge) => challenge,
            LoginStep::Denied(denied) => {
                return self.login_is_over(&denied, login, &presented, &onward).await;
            }
            LoginStep::Authenticated(_) => return Err(StatusCode::NOT_FOUND.into()),
        };
        let language = self.exchange.answering.language;
        let (last_send, text) = match &challenge.delivery {
            DeliveryStatus::NotMade { denied } => {
                // The step before may know better why there is no code.
                let said = NOT_MADE.iter().find(|reason| reason.code() == query.get("delivery"));
                let text = match (said, denied.reason()) {
                    (Some(reason), Reason::NoLiveCode) => sentence(*reason, language).to_owned(),
                    _ => self.text(denied),
                };
                (LastSend::Unknown, Some(text))
            }
            delivery => match query.get("delivery") {
                // Said of its own code only.
                "sent" if query.get("reference") == reference(delivery) => (LastSend::Sent, None),
                "failed" => (LastSend::Failed, Some(words::could_not_be_sent(language).to_owned())),
                _ => (LastSend::Unknown, None),
            },
        };
        let alert = text.map(|text| Alert::refusal(text, None));
        let shown =
            Shown { status: StatusCode::OK, alert, last_send, trusts: false, onward: &onward };
        self.code_page(&challenge, shown)
    }

    pub(super) async fn submit_code(self, login: LoginId) -> Answered {
        let CodeForm { code: Typed(code), trust } = self.form()?;
        let onward = self.query().onward();
        let presented = self.exchange.login(login);
        let trusts = trust == "yes";
        let label = trusts.then(|| self.device_name());
        let step = self.exchange.second_step(&presented, code, label.as_deref()).await?;
        self.after_step(step, login, &presented, &onward, (Some("code"), trusts)).await
    }

    pub(super) async fn submit_backup_code(self, login: LoginId) -> Answered {
        let CodeForm { code: Typed(code), .. } = self.form()?;
        let onward = self.query().onward();
        let presented = self.exchange.login(login);
        let code = BackupCode::new(code);
        let step = self.exchange.flow.submit_backup_code(&presented.token, &code).await?;
        self.after_step(step, login, &presented, &onward, (Some("backup_code"), false)).await
    }

    pub(super) async fn resend(self, login: LoginId) -> Answered {
        let ResendForm { to } = self.form()?;
        let onward = self.query().onward();
        let presented = self.exchange.login(login);
        let step = self.exchange.flow.resend(&presented.token, to).await?;
        self.after_step(step, login, &presented, &onward, (None, false)).await
    }

    pub(super) async fn cancel(mut self, login: LoginId) -> Answered {
        let presented = self.exchange.login(login);
        self.exchange.flow.cancel(&presented.token).await?;
        self.exchange.handed.forget_login(login);
        let onward = self.query().onward();
        let place = sign_in_at(&self.exchange.inner.base, &onward.return_to, onward.again);
        Ok(self.redirect(&place))
    }

    pub(super) async fn sign_out(mut self) -> Answered {
        self.exchange.end_session().await?;
        let place = self.path("/sign-in?done=signed_out");
        Ok(self.redirect(&place))
    }

    /// `form`: the field that was sent, and whether the device is to be trusted.
    async fn after_step(
        mut self,
        step: LoginStep,
        login: LoginId,
        presented: &PresentedLogin,
        onward: &Onward,
        form: (Option<&'static str>, bool),
    ) -> Answered {
        let settled = self.exchange.settle(&step, Some(login), presented.came_by.as_ref()).await;
        let denied = match step {
            LoginStep::Authenticated(_) => return self.completed(settled, onward),
            LoginStep::CodeRequired(challenge) => {
                return Ok(self.redirect_to_code(&challenge, onward));
            }
            LoginStep::Denied(denied) => denied,
        };
        if denied.ends_login() {
            return self.login_is_over(&denied, login, presented, onward).await;
        }
        // The login goes on, on its page.
        let challenge = match self.exchange.flow.challenge(&presented.token).await? {
            LoginStep::CodeRequired(challenge) => challenge,
            LoginStep::Denied(over) => {
                return self.login_is_over(&over, login, presented, onward).await;
            }
            LoginStep::Authenticated(_) => return Err(StatusCode::NOT_FOUND.into()),
        };
        let (field, trusts) = form;
        let field = field.filter(|_| is_about_the_field(denied.reason()));
        let shown = Shown {
            status: status(denied.reason()),
            alert: Some(Alert::refusal(self.text(&denied), field)),
            last_send: LastSend::Unknown,
            trusts,
            onward,
        };
        self.code_page(&challenge, shown)
    }

    fn completed(mut self, settled: Settled, onward: &Onward) -> Answered {
        let Settled { backup_code, without_session } = settled;
        if backup_code.is_none() && !without_session {
            return Ok(self.redirect_home(onward));
        }
        let mut frame = self.frame();
        let sign_in = sign_in_at(frame.base, &onward.return_to, false);
        let mut status = StatusCode::OK;
        let mut next = home(self.pages, onward);
        if without_session {
            status = StatusCode::INTERNAL_SERVER_ERROR;
            next = &sign_in;
            let w = self.w();
            let mut text = w.signed_in_without_session.to_owned();
            if backup_code.is_some() {
                text.push_str(if text.is_ascii() { " " } else { "" });
                text.push_str(w.first_write_down);
            }
            frame.alert = Some(Alert::refusal(text, None));
        }
        let page = match &backup_code {
            Some(code) => {
                let page = BackupCodePage { frame, code, next };
                let own = self.pages.screens.backup_code(&page);
                self.exchange.inner.or_built_in(own, || page.html())
            }
            None => self.pages.screens.message(&MessagePage { frame, next }),
        };
        self.html(status, page)
    }

    /// The login is over: completed in another tab, expired, or ended.
    async fn login_is_over(
        mut self,
        denied: &Denied,
        login: LoginId,
        presented: &PresentedLogin,
        onward: &Onward,
    ) -> Answered {
        self.exchange.handed.forget_login(login);
        // The same code sent twice: the first request has started this very session.
        if self.whose_session().await? == Some(login) {
            return Ok(self.redirect_home(onward));
        }
        let alert = Alert::refusal(self.text(denied), None);
        let person = presented.came_by.as_ref().and_then(CameBy::person);
        let name = person.map_or("", |person| &*person.name);
        self.sign_in_page(status(denied.reason()), Some(alert), name, onward)
    }

    fn sign_in_page(
        &mut self,
        status: StatusCode,
        alert: Option<Alert>,
        name: &str,
        onward: &Onward,
    ) -> Answered {
        let mut frame = self.frame();
        frame.alert = alert;
        let (return_to, again) = (&*onward.return_to, onward.again);
        let page = SignInPage { frame, name, return_to, again };
        self.html(status, self.pages.screens.sign_in(&page))
    }

    fn code_page(&mut self, challenge: &Challenge, shown: Shown<'_>) -> Answered {
        let mut frame = self.frame();
        frame.alert = shown.alert;
        let page = CodePage {
            frame,
            challenge,
            now: self.exchange.answering.now,
            last_send: shown.last_send,
            trust: challenge.trust_device.then_some(shown.trusts),
            return_to: &shown.onward.return_to,
            again: shown.onward.again,
        };
        self.html(shown.status, self.pages.screens.code(&page))
    }

    /// To the page of the login, which can be loaded again without sending anything.
    fn redirect_to_code(
        &mut self,
        challenge: &Challenge,
        onward: &Onward,
    ) -> Response<Full<Bytes>> {
        let delivered = match &challenge.delivery {
            DeliveryStatus::Sent(_) | DeliveryStatus::Queued(_) => "sent",
            DeliveryStatus::Failed { .. } => "failed",
            DeliveryStatus::NotMade { denied } => denied.reason().code(),
            _ => "",
        };
        let query = [
            ("delivery", delivered),
            ("reference", reference(&challenge.delivery)),
            ("return_to", &*onward.return_to),
            ("again", onward.again()),
        ];
        let place = self.path(&with_query(&format!("/sign-in/{}", challenge.login), &query));
        self.redirect(&place)
    }

    fn redirect_home(&mut self, onward: &Onward) -> Response<Full<Bytes>> {
        self.redirect(home(self.pages, onward))
    }

    /// The login that started the session of this request. `None`: there is none that holds.
    async fn whose_session(&self) -> Result<Option<LoginId>, Refusal> {
        match self.exchange.revalidated().await {
            Ok(grant) => Ok(grant.map(|grant| grant.login())),
            Err(Refusal::SignedOut) => Ok(None),
            Err(refusal) => Err(refusal),
        }
    }

    /// A name for this device, such as `Firefox, Windows`.
    fn device_name(&self) -> String {
        let client = self.exchange.flow.context().client();
        let names: Vec<&str> = [client.browser, client.system].into_iter().flatten().collect();
        names.join(", ")
    }
}

fn home<'o>(pages: &'o Pages, onward: &'o Onward) -> &'o str {
    if onward.return_to.is_empty() { &pages.home } else { &onward.return_to }
}

/// Reasons why a first step sends no code.
const NOT_MADE: [Reason; 5] = [
    Reason::SendLimit,
    Reason::LoginSendLimit,
    Reason::NoDestination,
    Reason::CodesLocked,
    Reason::Suspended,
];

fn reference(delivery: &DeliveryStatus) -> &str {
    issued(delivery).map_or("", |code| code.reference.as_str())
}
