//! The machine's steps without a store, for the benches of this repository. Not part of the public
//! API: anything here may change.

use crate::clock::{SystemClock, Timestamp};
use crate::contact::EmailAddress;
use crate::context::Call;
use crate::entropy::SystemEntropy;
use crate::error::{Error, PluginError};
use crate::flow::LoginFlowBuilder;
use crate::ids::{TenantId, UserId, Version};
use crate::machine::{
    Attempt, Damage, Draft, Next, Opening, READS, Rules, Seal, Settings, TokenSecret,
};
use crate::password::PasswordVerified;
use crate::policy::{Channel, Scope, StandardPolicy};
use crate::secret::Code;
use crate::store::{Generation, Snapshot, StoredRow};
use crate::tag::sha256_tag;
use crate::user::{PasswordHash, User};

/// One user of one tenant that requires codes, and the machine's rules with their defaults.
#[derive(Debug)]
pub struct Machine {
    rules: Rules,
    tenant: TenantId,
    user: User,
    snapshot: Snapshot,
}

/// A login that waits for its code, as the machine has it in memory.
pub struct Waiting<'a> {
    machine: &'a Machine,
    draft: Box<Draft<'a>>,
    token: TokenSecret,
    code: Code,
}

impl std::fmt::Debug for Waiting<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Waiting")
    }
}

impl Machine {
    /// Nothing is saved of the user yet.
    ///
    /// # Errors
    ///
    /// None that could happen.
    pub fn new() -> Result<Self, PluginError> {
        let tenant = TenantId::new("acme")?;
        let mut user =
            User::new(tenant.clone(), UserId::new("0a1b2c3d-0000-4000-8000-000000000001")?);
        user.email = Some(EmailAddress::new("alice@example.com")?);
        user.password_hash = Some(PasswordHash::new(format!(
            "$argon2id$v=19$m=19456,t=2,p=1${}${}",
            "a".repeat(22),
            "b".repeat(43)
        )));
        let mut settings = Settings::default();
        settings.scope = Scope::EntireTenant;
        let saved = StoredRow {
            version: Version::from_bytes([1; 16]),
            generation: Generation::default(),
            document: settings.encode()?,
        };
        Ok(Self {
            rules: Rules {
                limits: LoginFlowBuilder::default_limits()?,
                seal: Seal::new(sha256_tag, None, Vec::new()),
                reads: READS,
            },
            tenant: TenantId::new("acme")?,
            user,
            snapshot: Snapshot { settings: Some(saved), record: None },
        })
    }

    /// The first step after a right password, up to the code that would be sent.
    ///
    /// # Errors
    ///
    /// If the clock or the generator fails.
    pub fn issue(&self) -> Result<Waiting<'_>, Error> {
        let mut draft = Draft::open(&Opening {
            rules: &self.rules,
            entropy: &SystemEntropy,
            requests: None,
            call: Call::without_request(&self.tenant),
            user_id: &self.user.id,
            user: Some(&self.user),
            snapshot: &self.snapshot,
            now: Timestamp::now(&SystemClock)?,
            damage: Damage::Fails,
        })?;
        let attempt = Attempt {
            channel: Channel::Web,
            device: None,
            password: Some(PasswordVerified::preverified()),
            checked: Some(self.user.clone()).into(),
            rehashed: None,
            policy: &StandardPolicy,
        };
        match draft.begin(&attempt, Some(&self.user))?.outcome {
            Next::Open(open) => match open.code {
                Ok(outgoing) => {
                    Ok(Waiting { machine: self, draft, token: open.token, code: outgoing.code })
                }
                Err(_) => Err(Error::Contended),
            },
            Next::Complete(_) | Next::Denied(_) => Err(Error::Contended),
        }
    }
}

impl Waiting<'_> {
    /// The second step, with the right code.
    ///
    /// # Errors
    ///
    /// If the clock fails.
    pub fn verify(&mut self) -> Result<bool, Error> {
        let _ = Timestamp::now(&SystemClock)?;
        let decision = self.draft.submit_code(
            &self.token,
            self.code.expose(),
            None,
            Some(&self.machine.user),
        )?;
        Ok(matches!(decision.outcome, Next::Complete(_)))
    }

    /// The code that would be sent.
    pub fn code(&self) -> &str {
        self.code.expose()
    }

    /// The second step, with what is typed: digits.
    ///
    /// # Errors
    ///
    /// If the record can't take it.
    pub fn submit(&mut self, typed: &str) -> Result<bool, Error> {
        let decision =
            self.draft.submit_code(&self.token, typed, None, Some(&self.machine.user))?;
        Ok(matches!(decision.outcome, Next::Complete(_)))
    }

    /// What is written after either step: the record as JSON.
    ///
    /// # Errors
    ///
    /// If the generator fails.
    pub fn encode(&mut self) -> Result<usize, Error> {
        Ok(self.draft.prepare_commit()?.1.document.len())
    }
}
