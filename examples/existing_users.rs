//! An application that has users already: its own table, and its own old password hashes.
//!
//! The table below has iterated HMAC-SHA-256 hashes. The application plugs in its table as a
//! `UserStore` and its check as a `PasswordVerifier`; a user who logs in gets an argon2id hash on
//! the way, and nobody has to choose a new password.
//!
//! ```text
//! cargo run --example existing_users
//! ```

use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use base64ct::{Base64UrlUnpadded, Encoding};
use countersign::contact::EmailAddress;
use countersign::error::PluginError;
use countersign::memory::MemoryFactors;
use countersign::password::{
    Admission, Argon2id, Busy, PasswordAttempt, PasswordCheck, PasswordVerifier,
};
use countersign::sender::{CodeMessage, CodeSender, Notice, SendError, SendErrorKind, SendStatus};
use countersign::user::{PasswordHash, User, UserStatus, UserStore};
use countersign::{
    Channel, Login, LoginFlow, LoginName, LoginStep, Password, RequestContext, TenantId, UserId,
};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

/// A row of the application's own table.
#[derive(Clone)]
struct Row {
    company: String,
    id: u64,
    login: String,
    mail: String,
    locked_by_hr: bool,
    is_owner: bool,
    /// `None`: this user has never set one.
    password: Option<String>,
}

/// The application's own table.
#[derive(Clone)]
struct Table(Arc<Mutex<Vec<Row>>>);

impl Table {
    /// A query: always within one company.
    fn find(&self, company: &TenantId, matches: impl Fn(&Row) -> bool) -> Option<Row> {
        let rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rows.iter().find(|row| row.company == company.as_str() && matches(row)).cloned()
    }
}

impl Row {
    fn to_user(&self) -> Result<User, PluginError> {
        let mut user = User::new(TenantId::new(&self.company)?, UserId::new(&self.id.to_string())?);
        user.status = if self.locked_by_hr { UserStatus::Disabled } else { UserStatus::Active };
        user.system_administrator = self.is_owner;
        // An address in the table that is none must not become an error: it would tell strangers
        // that the name exists.
        user.email = EmailAddress::new(&self.mail).ok();
        user.password_hash = self.password.as_deref().map(PasswordHash::new);
        Ok(user)
    }
}

#[async_trait]
impl UserStore for Table {
    async fn find_by_login(
        &self,
        tenant: &TenantId,
        name: &LoginName,
    ) -> Result<Option<User>, PluginError> {
        self.find(tenant, |row| row.login.eq_ignore_ascii_case(name.as_str()))
            .map(|row| row.to_user())
            .transpose()
    }

    async fn find_by_id(
        &self,
        tenant: &TenantId,
        user: &UserId,
    ) -> Result<Option<User>, PluginError> {
        self.find(tenant, |row| row.id.to_string() == user.as_str())
            .map(|row| row.to_user())
            .transpose()
    }

    /// `UPDATE users SET password = next WHERE company = .. AND id = .. AND password = current`
    async fn replace_password_hash(
        &self,
        tenant: &TenantId,
        user: &UserId,
        current: &PasswordHash,
        next: &PasswordHash,
    ) -> Result<bool, PluginError> {
        let mut rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let row = rows.iter_mut().find(|row| {
            row.company == tenant.as_str()
                && row.id.to_string() == user.as_str()
                && row.password.as_deref() == Some(current.expose())
        });
        let found = row.is_some();
        if let Some(row) = row {
            row.password = Some(next.expose().to_owned());
        }
        Ok(found)
    }
}

/// Checks old hashes as the application did, and everything else with argon2id.
struct OldAndNew(Argon2id);

impl OldAndNew {
    const ROUNDS: u32 = 100_000;

    /// `old$salt$digest`
    fn old_hash(salt: &str, password: &Password) -> Result<String, hmac::digest::InvalidLength> {
        let mut digest = Vec::from(salt);
        for _ in 0..Self::ROUNDS {
            let mut mac = Hmac::<Sha256>::new_from_slice(password.expose().as_bytes())?;
            mac.update(&digest);
            digest = mac.finalize().into_bytes().to_vec();
        }
        Ok(format!("old${salt}${}", Base64UrlUnpadded::encode_string(&digest)))
    }
}

#[async_trait]
impl PasswordVerifier for OldAndNew {
    fn admit(&self) -> Result<Admission, Busy> {
        self.0.admit()
    }

    async fn verify(&self, attempt: &PasswordAttempt<'_>) -> Result<PasswordCheck, PluginError> {
        let saved =
            attempt.user.and_then(|user| user.password_hash.as_ref()).map(PasswordHash::expose);
        // Everybody costs one old check and one argon2id hash, so that the time does not tell who
        // is there and who has moved on.
        let Some(("old", rest)) = saved.and_then(|saved| saved.split_once('$')) else {
            Self::old_hash("no salt", attempt.password)?;
            return self.0.verify(attempt).await;
        };
        let (salt, _) =
            rest.split_once('$').ok_or_else(|| PluginError::new("an old hash has a salt"))?;
        let computed = Self::old_hash(salt, attempt.password)?;
        let right: bool = computed.as_bytes().ct_eq(saved.unwrap_or_default().as_bytes()).into();
        let _ = self.0.verify(&attempt.for_nobody()).await?;
        Ok(if right { PasswordCheck::MatchNeedsRehash } else { PasswordCheck::Mismatch })
    }

    async fn hash_password(
        &self,
        password: &Password,
    ) -> Result<Option<PasswordHash>, PluginError> {
        self.0.hash_password(password).await
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let password = Password::new("tr0ub4dor and friends");
    let table = Table(Arc::new(Mutex::new(vec![Row {
        company: "acme".into(),
        id: 4711,
        login: "Hanako".into(),
        mail: "hanako@example.com".into(),
        locked_by_hr: false,
        is_owner: true,
        password: Some(OldAndNew::old_hash("pepper&salt", &password)?),
    }])));
    let flow = LoginFlow::builder(table.clone(), MemoryFactors::new(), Nothing)
        .password_verifier(OldAndNew(Argon2id::default()))
        .build()?;
    let acme = TenantId::new("acme")?;
    let saved =
        || table.find(&acme, |row| row.id == 4711).and_then(|row| row.password).unwrap_or_default();

    println!("before: {:.16}...", saved());
    for attempt in ["wrong", "tr0ub4dor and friends", "tr0ub4dor and friends"] {
        let login = Login {
            name: "hanako",
            password: &attempt.into(),
            channel: Channel::Web,
            device: None,
        };
        match flow.request(&acme, &RequestContext::new()).begin(&login).await? {
            LoginStep::Authenticated(done) => {
                println!("user {} is in; saved now: {:.16}...", done.grant.user(), saved());
            }
            LoginStep::CodeRequired(_) => println!("a code is asked for"),
            LoginStep::Denied(denied) => println!("refused: {denied}"),
        }
    }
    if saved().starts_with("$argon2id$") {
        Ok(())
    } else {
        Err("the hash should have been replaced".into())
    }
}

/// Nothing is sent: the tenant does not use two-factor login.
struct Nothing;

#[async_trait]
impl CodeSender for Nothing {
    async fn send_code(&self, _: &CodeMessage) -> Result<SendStatus, SendError> {
        Err(SendError::new(SendErrorKind::Permanent))
    }

    async fn notify(&self, _: &Notice) -> Result<SendStatus, SendError> {
        Err(SendError::new(SendErrorKind::Permanent))
    }
}
