//! countersign's side of each row.

use std::hint::black_box;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use argon2::{Algorithm, Argon2, Params, Version};
use async_trait::async_trait;
use countersign::clock::ManualClock;
use countersign::contact::EmailAddress;
use countersign::memory::{MemoryFactors, MemoryUsers};
use countersign::password::{Argon2id, PasswordAttempt, PasswordCheck, PasswordVerifier};
use countersign::sender::{CodeMessage, CodeSender, Notice, SendError, SendStatus};
use countersign::user::User;
use countersign::{
    Challenge, Channel, Code, LoginFlow, LoginName, LoginStep, Password, PreverifiedLogin,
    RequestContext, Scope, TenantId, TrustDevice, UserId,
};
use countersign_fast_argon2::FastArgon2;
use futures_lite::future::block_on;
use time::OffsetDateTime;

use crate::Failure;

const PASSWORD: &str = "correct horse battery staple";

/// The call that all the others come down to: RustCrypto's argon2, once.
pub(crate) fn bare() -> Result<(), Failure> {
    let params = Params::new(19_456, 2, 1, Some(32))?;
    let mut output = [0; 32];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params).hash_password_into(
        black_box(PASSWORD.as_bytes()),
        &[3; 16],
        &mut output,
    )?;
    black_box(output);
    Ok(())
}

/// One check of a password, as a first step makes it.
pub(crate) struct PasswordLogin {
    verifier: Argon2id,
    name: LoginName,
    user: User,
    password: Password,
}

impl PasswordLogin {
    pub(crate) fn new(fast: bool) -> Result<Self, Failure> {
        let builder = Argon2id::builder().max_concurrent(1);
        let builder = if fast { builder.backend(FastArgon2::new()) } else { builder };
        let (verifier, password) = (builder.build()?, Password::new(PASSWORD));
        let mut user = User::new(TenantId::new("acme")?, UserId::new("u-1")?);
        user.password_hash = Some(block_on(verifier.hash(&password))?);
        Ok(Self { verifier, name: LoginName::new("alice")?, user, password })
    }

    pub(crate) fn check(&self) -> Result<(), Failure> {
        let Self { verifier, name, user, password } = self;
        let attempt = PasswordAttempt::new(&user.tenant, name, Some(user), password);
        match block_on(verifier.verify(&attempt))? {
            PasswordCheck::Match => Ok(()),
            other => Err(format!("{other:?}").into()),
        }
    }
}

/// Keeps the newest code, as a mailbox does.
#[derive(Clone, Default)]
struct Mailbox(Arc<Mutex<String>>);

#[async_trait]
impl CodeSender for Mailbox {
    async fn send_code(&self, message: &CodeMessage) -> Result<SendStatus, SendError> {
        message
            .code
            .expose()
            .clone_into(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(SendStatus::Sent)
    }

    async fn notify(&self, _: &Notice) -> Result<SendStatus, SendError> {
        Ok(SendStatus::Sent)
    }
}

/// Logins after a password that was checked, in memory.
pub(crate) struct CodeLogins {
    flow: LoginFlow,
    tenant: TenantId,
    users: Vec<UserId>,
    mailbox: Mailbox,
    clock: ManualClock,
}

impl CodeLogins {
    pub(crate) fn new() -> Result<Self, Failure> {
        let (tenant, table) = (TenantId::new("acme")?, MemoryUsers::new());
        let (mut users, mailbox) = (Vec::new(), Mailbox::default());
        for number in 0..100 {
            let id = UserId::new(&format!("0a1b2c3d-0000-4000-8000-{number:012}"))?;
            let mut user = User::new(tenant.clone(), id.clone());
            user.email = Some(EmailAddress::new("alice@acme.example")?);
            user.security_stamp = Some("1".to_owned());
            table.insert(&LoginName::new(id.as_str())?, user);
            users.push(id);
        }
        let clock = ManualClock::new(OffsetDateTime::now_utc());
        let flow = LoginFlow::builder(table, MemoryFactors::new(), mailbox.clone())
            .clock(clock.clone())
            .build()?;
        block_on(flow.operator("setting up")?.set_scope(&tenant, Scope::EntireTenant))?;
        Ok(Self { flow, tenant, users, mailbox, clock })
    }

    /// Each user logs in once. Of the budgets of sends, a day has passed since the last time.
    pub(crate) fn steps(&mut self, number: u32) -> Result<Duration, Failure> {
        self.clock.advance(Duration::from_secs(25 * 60 * 60));
        let users: Vec<_> = self.users.iter().take(number as usize).collect();
        let started = Instant::now();
        for user in &users {
            let pending = self.begin(user)?;
            self.submit(&pending)?;
        }
        Ok(started.elapsed().checked_div(number).unwrap_or_default())
    }

    fn begin(&self, user: &UserId) -> Result<Box<Challenge>, Failure> {
        let login = PreverifiedLogin { user, channel: Channel::Web, device: None };
        let request = self.flow.request(&self.tenant, &RequestContext::new());
        match block_on(request.begin_with_preverified_password(&login))? {
            LoginStep::CodeRequired(challenge) => Ok(challenge),
            other => Err(format!("{other:?}").into()),
        }
    }

    fn submit(&self, pending: &Challenge) -> Result<(), Failure> {
        let code =
            Code::new(self.mailbox.0.lock().unwrap_or_else(PoisonError::into_inner).as_str());
        let request = self.flow.request(&self.tenant, &RequestContext::new());
        match block_on(request.submit_code(&pending.token, &code, TrustDevice::No))? {
            LoginStep::Authenticated(_) => Ok(()),
            other => Err(format!("{other:?}").into()),
        }
    }
}
