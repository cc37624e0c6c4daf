//! One request on its way through an application: what each endpoint does.

use bytes::Bytes;
use countersign::clock::Clock;
use countersign::ids::LoginId;
use countersign::policy::Channel;
use countersign::{
    BackupCode, Code, DeviceToken, Grant, Login, LoginFlow, LoginStep, Password, PendingToken,
    RequestFlow, RevalidateError, SavedGrant, TrustDevice, UserId,
};
use http::request::Parts;
use http::{HeaderMap, Response, StatusCode};
use http_body::Body;
use http_body_util::Full;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::answer::{Answering, Failure, Refusal, failed, harden, json, nothing, status};
use crate::body::{is_json, parse, read};
use crate::endpoints::{Endpoint, endpoint};
use crate::hosts::{Sessions, Tenants};
use crate::origin::Origins;
use crate::texts::Language;
use crate::tokens::{CameBy, Clients, Handed, Person, Presented, PresentedLogin};
use crate::wire::{Answer, BeginBody, CodeBody, OnlyCode, ResendBody, Secrets, SignedIn, Typed};

/// What an application has set up.
pub(crate) struct Inner {
    pub(crate) flow: LoginFlow,
    pub(crate) tenants: Box<dyn Tenants>,
    pub(crate) sessions: Box<dyn Sessions>,
    pub(crate) clients: Clients,
    pub(crate) origins: Origins,
    pub(crate) base: String,
    /// Whether there are pages, which start a login again with its name.
    pub(crate) keeps_names: bool,
    #[cfg(feature = "pages")]
    pub(crate) pages: Option<(crate::pages::Pages, crate::pages::Assets)>,
    pub(crate) clock: Box<dyn Clock>,
    pub(crate) on_failure: Box<Report>,
}

/// Takes what broke.
pub(crate) type Report = dyn Fn(&(dyn std::error::Error + 'static)) + Send + Sync;

impl Inner {
    pub(crate) async fn route<B>(
        &self,
        parts: &Parts,
        body: B,
        answering: Answering,
    ) -> Result<Response<Full<Bytes>>, Refusal>
    where
        B: Body,
        B::Error: Into<Failure>,
    {
        // Foreign requests first: they learn nothing, not even what there is.
        self.origins.check(parts, is_json(parts))?;
        let path = parts.uri.path().strip_prefix(&*self.base).ok_or(StatusCode::NOT_FOUND)?;
        let endpoint = endpoint(&parts.method, path)?;
        let body = read(body).await?;
        self.visit(parts, body, answering).await?.answer(endpoint).await
    }

    pub(crate) async fn visit<'a>(
        &'a self,
        parts: &'a Parts,
        body: Bytes,
        answering: Answering,
    ) -> Result<Exchange<'a>, Refusal> {
        let tenant = self.tenants.tenant(parts).await?.ok_or(StatusCode::NOT_FOUND)?;
        Ok(Exchange {
            inner: self,
            parts,
            body,
            flow: self.flow.request(&tenant, &self.tenants.context(parts)),
            answering,
            handed: Handed::new(self.clients, self.origins.on_loopback, self.keeps_names),
        })
    }

    /// Whether the user of this grant would need no code after a password. A grant of any other
    /// login than single sign-on was looked at in that way already.
    pub(crate) async fn is_exempt_by_password(
        &self,
        parts: &Parts,
        grant: &Grant,
        answering: Answering,
    ) -> Result<bool, Refusal> {
        if grant.channel() != Channel::SingleSignOn {
            return Ok(true);
        }
        let exchange = self.visit(parts, Bytes::new(), answering).await?;
        match exchange.flow.revalidate(grant, self.channel()).await {
            Ok(_) => Ok(true),
            Err(RevalidateError::Failed(error)) => Err(error.into()),
            Err(_) => Ok(false),
        }
    }

    /// The JSON of a login after single sign-on.
    pub(crate) async fn after_single_sign_on(
        &self,
        parts: &Parts,
        user: &UserId,
        answering: Answering,
    ) -> Answered {
        self.origins.check_host(parts)?;
        self.visit(parts, Bytes::new(), answering).await?.after_single_sign_on(user).await
    }

    #[expect(clippy::result_large_err, reason = "it is the response, and goes out as it is")]
    pub(crate) fn answering(&self, parts: &Parts) -> Result<Answering, Response<Full<Bytes>>> {
        match self.clock.now() {
            Ok(now) => Ok(Answering { language: Language::of(&parts.headers), now }),
            Err(error) => {
                (self.on_failure)(error.cause());
                let language = Language::of(&parts.headers);
                let mut response = failed(Secrets::default(), HeaderMap::new(), language);
                harden(&mut response);
                Err(response)
            }
        }
    }

    pub(crate) fn finish(&self, answered: Answered, answering: Answering) -> Response<Full<Bytes>> {
        let mut response = answered.unwrap_or_else(|refusal| {
            if let Refusal::Failed(error) = &refusal {
                (self.on_failure)(&**error);
            }
            answering.refuse(&refusal)
        });
        harden(&mut response);
        response
    }

    /// The response to a request for the application's own, which is refused.
    pub(crate) fn turn_away(
        &self,
        parts: &Parts,
        refusal: Refusal,
        answering: Answering,
    ) -> Response<Full<Bytes>> {
        #[cfg(feature = "pages")]
        if let Some(response) = self.page_instead(parts, &refusal, answering) {
            return response;
        }
        #[cfg(not(feature = "pages"))]
        let _ = parts;
        self.finish(Err(refusal), answering)
    }

    pub(crate) const fn channel(&self) -> Channel {
        match self.clients {
            Clients::Browsers => Channel::Web,
            Clients::MobileApps => Channel::Mobile,
        }
    }
}

/// One request on its way through.
pub(crate) struct Exchange<'a> {
    pub(crate) inner: &'a Inner,
    pub(crate) parts: &'a Parts,
    pub(crate) body: Bytes,
    pub(crate) flow: RequestFlow,
    pub(crate) answering: Answering,
    pub(crate) handed: Handed,
}

/// What [`Exchange::settle`] leaves to the response.
#[derive(Default)]
pub(crate) struct Settled {
    /// A new backup code, shown once.
    pub(crate) backup_code: Option<String>,
    /// The login is complete, and its session could not be started.
    pub(crate) without_session: bool,
}

pub(crate) type Answered = Result<Response<Full<Bytes>>, Refusal>;

impl Exchange<'_> {
    pub(crate) async fn answer(mut self, endpoint: Endpoint) -> Answered {
        match endpoint {
            Endpoint::Begin => self.begin().await,
            Endpoint::Challenge(login) => {
                let presented = self.login(login);
                let step = self.flow.challenge(&presented.token).await?;
                self.step(step, Some(login), None).await
            }
            Endpoint::SubmitCode(login) => self.submit_code(login).await,
            Endpoint::SubmitBackupCode(login) => {
                let OnlyCode { code: Typed(code) } = self.parse()?;
                let presented = self.login(login);
                let code = BackupCode::new(code);
                let step = self.flow.submit_backup_code(&presented.token, &code).await?;
                self.step(step, Some(login), presented.came_by).await
            }
            Endpoint::Resend(login) => {
                let ResendBody { to } = self.parse()?;
                let presented = self.login(login);
                let step = self.flow.resend(&presented.token, to).await?;
                self.step(step, Some(login), presented.came_by).await
            }
            Endpoint::Cancel(login) => {
                let presented = self.login(login);
                self.flow.cancel(&presented.token).await?;
                self.handed.forget_login(login);
                Ok(nothing(self.handed.headers))
            }
            Endpoint::Logout => {
                self.end_session().await?;
                Ok(nothing(self.handed.headers))
            }
            Endpoint::Session => self.session().await,
            Endpoint::Account
            | Endpoint::SetMethod
            | Endpoint::ConfirmMethod
            | Endpoint::RevokeDevices
            | Endpoint::RevokeDevice(_)
            | Endpoint::NewBackupCode => self.account(endpoint).await,
            Endpoint::Administration
            | Endpoint::SetSettings
            | Endpoint::Rehearse
            | Endpoint::Users
            | Endpoint::User(_)
            | Endpoint::Reset(_)
            | Endpoint::Unlock(_) => self.administration(endpoint).await,
        }
    }

    async fn begin(mut self) -> Answered {
        let begin: BeginBody = self.parse()?;
        let (step, came_by) = self.first_step(begin).await?;
        self.step(step, None, came_by).await
    }

    pub(crate) async fn first_step(
        &mut self,
        begin: BeginBody,
    ) -> Result<(LoginStep, Option<CameBy>), Refusal> {
        let BeginBody { name, password: Typed(password), reauthenticate } = begin;
        let password = Password::new(password);
        let person = (self.inner.clients == Clients::Browsers)
            .then(|| Person::new(self.flow.tenant(), &name));
        let device = self.presented().device(person.as_ref()).filter(|_| !reauthenticate);
        let login = Login {
            name: &name,
            password: &password,
            channel: self.inner.channel(),
            device: device.as_ref(),
        };
        let step = self.flow.begin(&login).await?;
        if let LoginStep::CodeRequired(_) = &step {
            self.evict_logins();
            if device.is_some() {
                self.handed.forget_device(person.as_ref());
            }
        }
        Ok((step, person.map(CameBy::Name)))
    }

    /// The first step after single sign-on. No device token is looked at (`I-43`).
    pub(crate) async fn first_step_after_single_sign_on(
        &mut self,
        user: &UserId,
    ) -> Result<LoginStep, Refusal> {
        let step = self.flow.begin_after_single_sign_on(user).await?;
        if let LoginStep::CodeRequired(_) = &step {
            self.evict_logins();
        }
        Ok(step)
    }

    /// Makes room for the cookie of the login that has begun.
    fn evict_logins(&mut self) {
        let presented =
            Presented::new(self.parts, self.inner.clients, self.inner.origins.on_loopback);
        self.handed.evict_logins(&presented);
    }

    async fn after_single_sign_on(mut self, user: &UserId) -> Answered {
        let step = self.first_step_after_single_sign_on(user).await?;
        let message = step.denied().map(|denied| self.answering.message_without_password(denied));
        self.step_with(step, None, Some(CameBy::SingleSignOn), message).await
    }

    async fn submit_code(self, login: LoginId) -> Answered {
        let CodeBody { code: Typed(code), trust_device } = self.parse()?;
        let presented = self.login(login);
        // An empty field of a form names no device.
        let trust_device = trust_device.as_deref().filter(|name| !name.trim().is_empty());
        let step = self.second_step(&presented, code, trust_device).await?;
        self.step(step, Some(login), presented.came_by).await
    }

    pub(crate) async fn second_step(
        &self,
        presented: &PresentedLogin,
        code: String,
        trust_device: Option<&str>,
    ) -> Result<LoginStep, Refusal> {
        // After single sign-on no device is trusted, whatever the cookie of the login claims.
        let takes_devices = !matches!(presented.came_by, Some(CameBy::SingleSignOn));
        let trust_device = trust_device.filter(|_| takes_devices);
        let person = presented.came_by.as_ref().and_then(CameBy::person);
        let earlier = self.presented().device(person);
        let trust = trust_device_as(trust_device, earlier.as_ref());
        Ok(self.flow.submit_code(&presented.token, &Code::new(code), trust).await?)
    }

    /// Hands out what a step of a login has led to, and makes the client forget what is dead.
    /// `login`: the one that was pending before it. Answers the headers and tokens of the response.
    pub(crate) async fn settle(
        &mut self,
        step: &LoginStep,
        login: Option<LoginId>,
        came_by: Option<&CameBy>,
    ) -> Settled {
        let mut settled = Settled::default();
        match step {
            LoginStep::Authenticated(done) => {
                if let Some(login) = login {
                    self.handed.forget_login(login);
                }
                let presented =
                    Presented::new(self.parts, self.inner.clients, self.inner.origins.on_loopback);
                if let Some(token) = &done.device_token {
                    let person = came_by.and_then(CameBy::person);
                    self.handed.device(token, person, &presented);
                }
                // A change of method that began in the session before is over with it.
                if presented.setup().is_some() {
                    self.handed.forget_setup();
                }
                settled.backup_code =
                    done.backup_code.as_ref().map(|code| code.expose().to_owned());
                match self.inner.sessions.start(self.parts, &done.grant).await {
                    Ok(headers) => append(&mut self.handed.headers, &headers),
                    // What is shown and kept once must not be lost with the session.
                    Err(error) => {
                        (self.inner.on_failure)(error.cause());
                        settled.without_session = true;
                    }
                }
            }
            LoginStep::CodeRequired(challenge) => {
                self.handed.login(challenge, came_by, self.answering.now);
            }
            LoginStep::Denied(denied) => {
                if let (Some(login), true) = (login, denied.ends_login()) {
                    self.handed.forget_login(login);
                }
                append(&mut self.handed.headers, &self.answering.denied_headers(denied));
            }
        }
        settled
    }

    /// What a step of a login has led to, as JSON.
    async fn step(
        self,
        step: LoginStep,
        login: Option<LoginId>,
        came_by: Option<CameBy>,
    ) -> Answered {
        let message = step.denied().map(|denied| self.answering.message(denied));
        self.step_with(step, login, came_by, message).await
    }

    async fn step_with(
        mut self,
        step: LoginStep,
        login: Option<LoginId>,
        came_by: Option<CameBy>,
        message: Option<String>,
    ) -> Answered {
        let Settled { backup_code, without_session } =
            self.settle(&step, login, came_by.as_ref()).await;
        let Handed { headers, login_token, device_token, .. } = self.handed;
        let secrets = Secrets { login_token, device_token, setup_token: None, backup_code };
        if without_session {
            return Ok(failed(secrets, headers, self.answering.language));
        }
        let status = step.denied().map_or(StatusCode::OK, |denied| status(denied.reason()));
        Ok(json(status, &Answer { of_the_flow: &step, message, secrets }, headers))
    }

    pub(crate) async fn end_session(&mut self) -> Result<(), Refusal> {
        // One that cannot be read is ended, too.
        let saved = self.inner.sessions.get(self.parts).await.ok().flatten();
        if saved.is_none_or(|saved| saved.tenant() == self.flow.tenant()) {
            let headers = self.inner.sessions.end(self.parts).await?;
            append(&mut self.handed.headers, &headers);
        }
        self.handed.forget_setup();
        Ok(())
    }

    /// Who is signed in, if the session still holds.
    async fn session(self) -> Answered {
        match self.revalidated().await? {
            Some(grant) => Ok(json(StatusCode::OK, &SignedIn::of(&grant), self.handed.headers)),
            None => self.stale().await,
        }
    }

    /// `None`: the session does not hold any more.
    pub(crate) async fn revalidated(&self) -> Result<Option<Grant>, Refusal> {
        let saved = self.signed_in().await?;
        // The application's callback has started it, on this very site.
        let channel = match saved.channel() {
            Channel::SingleSignOn => Channel::SingleSignOn,
            _ => self.inner.channel(),
        };
        match self.flow.revalidate(&saved, channel).await {
            Ok(grant) => Ok(Some(grant)),
            Err(RevalidateError::Failed(error)) => Err(error.into()),
            // Where it came in by another channel, it may hold there.
            Err(_) if saved.channel() != channel => Err(Refusal::SignedOut),
            Err(_) => Ok(None),
        }
    }

    /// The grant of the session, if it holds. If it does not hold any more, it ends.
    pub(crate) async fn whose_session(&self) -> Result<Grant, Refusal> {
        if let Some(grant) = self.revalidated().await? {
            return Ok(grant);
        }
        self.end_stale().await;
        Err(Refusal::SignedOut)
    }

    /// The session does not hold any more: it ends here.
    pub(crate) async fn stale(self) -> Answered {
        self.end_stale().await;
        Err(Refusal::SignedOut)
    }

    pub(crate) async fn end_stale(&self) {
        // What would make the browser forget it is dropped: this may be the late answer of one tab
        // after a login in another one, whose session the browser would forget instead.
        if let Err(error) = self.inner.sessions.end(self.parts).await {
            (self.inner.on_failure)(error.cause());
        }
    }

    /// The grant in the session of this request, for this tenant: a claim, which the flow checks.
    pub(crate) async fn signed_in(&self) -> Result<SavedGrant, Refusal> {
        let saved = self.inner.sessions.get(self.parts).await?;
        // Another tenant's session is left to that tenant.
        saved.filter(|saved| saved.tenant() == self.flow.tenant()).ok_or(Refusal::SignedOut)
    }

    /// The login of this request. Without its token it is one that is over.
    pub(crate) fn login(&self, login: LoginId) -> PresentedLogin {
        self.presented()
            .login(login)
            .unwrap_or_else(|| PresentedLogin { token: PendingToken::new(""), came_by: None })
    }

    pub(crate) const fn presented(&self) -> Presented<'_> {
        Presented::new(self.parts, self.inner.clients, self.inner.origins.on_loopback)
    }

    pub(crate) fn parse<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        Ok(parse(self.parts, &self.body)?)
    }

    pub(crate) fn answer_with(
        &mut self,
        answer: &impl Serialize,
        secrets: Secrets,
    ) -> Response<Full<Bytes>> {
        let headers = std::mem::take(&mut self.handed.headers);
        json(StatusCode::OK, &Answer { of_the_flow: answer, message: None, secrets }, headers)
    }

    pub(crate) fn nothing(&mut self) -> Response<Full<Bytes>> {
        nothing(std::mem::take(&mut self.handed.headers))
    }
}

/// Adds headers to others of the same name: `extend` would replace cookies.
pub(crate) fn append(headers: &mut HeaderMap, more: &HeaderMap) {
    for (name, value) in more {
        headers.append(name, value.clone());
    }
}

const fn trust_device_as<'a>(
    name: Option<&'a str>,
    token: Option<&'a DeviceToken>,
) -> TrustDevice<'a> {
    match (name, token) {
        (None, _) => TrustDevice::No,
        (Some(name), None) => TrustDevice::Named(name),
        (Some(name), Some(token)) => TrustDevice::Again { name, token },
    }
}
