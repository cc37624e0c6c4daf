//! One request on its way through an application: what each endpoint does.

use bytes::Bytes;
use countersign::clock::Clock;
use countersign::contact::PhoneNumber;
use countersign::ids::LoginId;
use countersign::operator::PurgeProgress;
use countersign::policy::{Channel, Scope};
use countersign::{
    BackupCode, Code, DeviceToken, Grant, Login, LoginFlow, LoginStep, MethodChange,
    OperationError, Password, PendingToken, Reason, RequestFlow, RevalidateError, SavedGrant,
    SetupToken, TrustDevice,
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
use crate::tokens::{Clients, Handed, Person, Presented, PresentedLogin};
use crate::wire::{
    Answer, BeginBody, CodeBody, Empty, MethodBody, OnlyCode, ResendBody, ScopeBody, Secrets,
    SignedIn, Typed,
};

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
                self.step(step, Some(login), presented.person).await
            }
            Endpoint::Resend(login) => {
                let ResendBody { to } = self.parse()?;
                let presented = self.login(login);
                let step = self.flow.resend(&presented.token, to).await?;
                self.step(step, Some(login), presented.person).await
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
            | Endpoint::SetScope
            | Endpoint::User(_)
            | Endpoint::Reset(_)
            | Endpoint::Unlock(_) => self.administration(endpoint).await,
        }
    }

    async fn begin(mut self) -> Answered {
        let begin: BeginBody = self.parse()?;
        let (step, person) = self.first_step(begin).await?;
        self.step(step, None, person).await
    }

    pub(crate) async fn first_step(
        &mut self,
        begin: BeginBody,
    ) -> Result<(LoginStep, Option<Person>), Refusal> {
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
            let presented =
                Presented::new(self.parts, self.inner.clients, self.inner.origins.on_loopback);
            self.handed.evict_logins(&presented);
            if device.is_some() {
                self.handed.forget_device(person.as_ref());
            }
        }
        Ok((step, person))
    }

    async fn submit_code(self, login: LoginId) -> Answered {
        let CodeBody { code: Typed(code), trust_device } = self.parse()?;
        let presented = self.login(login);
        // An empty field of a form names no device.
        let trust_device = trust_device.as_deref().filter(|name| !name.trim().is_empty());
        let step = self.second_step(&presented, code, trust_device).await?;
        self.step(step, Some(login), presented.person).await
    }

    pub(crate) async fn second_step(
        &self,
        presented: &PresentedLogin,
        code: String,
        trust_device: Option<&str>,
    ) -> Result<LoginStep, Refusal> {
        let earlier = self.presented().device(presented.person.as_ref());
        let trust = trust_device_as(trust_device, earlier.as_ref());
        Ok(self.flow.submit_code(&presented.token, &Code::new(code), trust).await?)
    }

    /// Hands out what a step of a login has led to, and makes the client forget what is dead.
    /// `login`: the one that was pending before it. Answers the headers and tokens of the response.
    pub(crate) async fn settle(
        &mut self,
        step: &LoginStep,
        login: Option<LoginId>,
        person: Option<&Person>,
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
                self.handed.login(challenge, person, self.answering.now);
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
        mut self,
        step: LoginStep,
        login: Option<LoginId>,
        person: Option<Person>,
    ) -> Answered {
        let Settled { backup_code, without_session } =
            self.settle(&step, login, person.as_ref()).await;
        let Handed { headers, login_token, device_token, .. } = self.handed;
        let secrets = Secrets { login_token, device_token, setup_token: None, backup_code };
        if without_session {
            return Ok(failed(secrets, headers, self.answering.language));
        }
        let denied = step.denied();
        let message = denied.map(|denied| self.answering.message(denied));
        let status = denied.map_or(StatusCode::OK, |denied| status(denied.reason()));
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
        match self.flow.revalidate(&saved, self.inner.channel()).await {
            Ok(grant) => Ok(Some(grant)),
            Err(RevalidateError::Failed(error)) => Err(error.into()),
            // Where it came in by another channel, it may hold there.
            Err(_) if saved.channel() != self.inner.channel() => Err(Refusal::SignedOut),
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

    /// The page of a signed-in user.
    async fn account(mut self, endpoint: Endpoint) -> Answered {
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

    /// The administrator's page.
    async fn administration(mut self, endpoint: Endpoint) -> Answered {
        #[derive(Serialize)]
        struct Settings {
            scope: Scope,
            saved_users: u64,
            #[serde(skip_serializing_if = "Option::is_none")]
            purge: Option<PurgeProgress>,
        }
        #[derive(Serialize)]
        struct Changed {
            scope: Scope,
            before: Scope,
        }
        let Some(grant) = self.revalidated().await? else { return self.stale().await };
        let administration = self.flow.administration(&grant).await?;
        Ok(match endpoint {
            Endpoint::SetScope => {
                let ScopeBody { scope } = self.parse()?;
                let before = administration.set_scope(scope).await?;
                self.answer_with(&Changed { scope, before }, Secrets::default())
            }
            Endpoint::User(user) => {
                let status = administration.status(&user).await?;
                self.answer_with(&status, Secrets::default())
            }
            Endpoint::Reset(user) => {
                let outcome = administration.reset(&user).await?;
                self.answer_with(&outcome, Secrets::default())
            }
            Endpoint::Unlock(user) => {
                administration.unlock(&user).await?;
                self.nothing()
            }
            _ => {
                let scope = administration.scope().await?;
                let purge = administration.purge_progress().await?;
                let saved_users = administration.saved_users().await?;
                let settings = Settings { scope, saved_users, purge };
                self.answer_with(&settings, Secrets::default())
            }
        })
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
            .unwrap_or_else(|| PresentedLogin { token: PendingToken::new(""), person: None })
    }

    pub(crate) const fn presented(&self) -> Presented<'_> {
        Presented::new(self.parts, self.inner.clients, self.inner.origins.on_loopback)
    }

    fn parse<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        Ok(parse(self.parts, &self.body)?)
    }

    fn answer_with(&mut self, answer: &impl Serialize, secrets: Secrets) -> Response<Full<Bytes>> {
        let headers = std::mem::take(&mut self.handed.headers);
        json(StatusCode::OK, &Answer { of_the_flow: answer, message: None, secrets }, headers)
    }

    fn nothing(&mut self) -> Response<Full<Bytes>> {
        nothing(std::mem::take(&mut self.handed.headers))
    }
}

/// Adds headers to others of the same name: `extend` would replace cookies.
pub(crate) fn append(headers: &mut HeaderMap, more: &HeaderMap) {
    for (name, value) in more {
        headers.append(name, value.clone());
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
