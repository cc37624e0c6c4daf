//! Builders for tenants and users, and a password check that costs nothing.

use async_trait::async_trait;
use countersign::memory::MemoryUsers;
use countersign::{
    EmailAddress, Fault, InvalidInput, LoginName, Password, PasswordAttempt, PasswordHash, PasswordVerifier, TenantId,
    User, UserId, UserStatus, Verdict,
};

/// A user to be: active, with the address `NAME@example.com` and the password that [`PlainPasswords`] compares.
///
/// ```
/// use countersign::TenantId;
/// use countersign::memory::MemoryUsers;
/// use countersign_testkit::Person;
///
/// let (acme, users) = (TenantId::new("acme")?, MemoryUsers::new());
/// let root = Person::named("root").administrator().join(&users, &acme)?;
/// let alice = Person::named("alice").password("correct horse").join(&users, &acme)?;
/// # let _ = (root, alice);
/// # Ok::<(), countersign::InvalidInput>(())
/// ```
#[derive(Clone, Debug)]
pub struct Person {
    name: String,
    password: Option<String>,
    email: Option<String>,
    administrator: bool,
    disabled: bool,
    roles: Vec<String>,
}

impl Person {
    /// The password of whoever was given no other.
    pub const PASSWORD: &str = "correct horse battery staple";

    /// Somebody whose id and login name are both this.
    pub fn named(name: impl Into<String>) -> Self {
        let name = name.into();
        let email = Some(format!("{name}@example.com"));
        Self {
            name,
            password: Some(Self::PASSWORD.to_owned()),
            email,
            administrator: false,
            disabled: false,
            roles: Vec::new(),
        }
    }

    /// With the tenant's built-in system-administrator role.
    #[must_use]
    pub fn administrator(mut self) -> Self {
        self.administrator = true;
        self
    }

    /// Who may not log in.
    #[must_use]
    pub fn disabled(mut self) -> Self {
        self.disabled = true;
        self
    }

    /// With this password.
    #[must_use]
    pub fn password(mut self, password: impl Into<String>) -> Self {
        self.password = Some(password.into());
        self
    }

    /// With this address.
    #[must_use]
    pub fn email(mut self, address: impl Into<String>) -> Self {
        self.email = Some(address.into());
        self
    }

    /// To whom nothing can be sent.
    #[must_use]
    pub fn without_email(mut self) -> Self {
        self.email = None;
        self
    }

    /// With one more of the application's own roles.
    #[must_use]
    pub fn role(mut self, role: impl Into<String>) -> Self {
        self.roles.push(role.into());
        self
    }

    /// The user.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`] if name or address are not such.
    pub fn build(self) -> Result<User, InvalidInput> {
        let mut user = User::new(UserId::new(&self.name)?);
        user.email = self.email.as_deref().map(EmailAddress::new).transpose()?;
        user.password_hash = self.password.map(PasswordHash::new);
        user.system_administrator = self.administrator;
        user.roles = self.roles;
        user.status = if self.disabled { UserStatus::Disabled } else { UserStatus::Active };
        Ok(user)
    }

    /// Adds the user to a tenant, and answers with the id.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`] if name or address are not such.
    pub fn join(self, users: &MemoryUsers, tenant: &TenantId) -> Result<UserId, InvalidInput> {
        let name = LoginName::new(&self.name)?;
        let user = self.build()?;
        let id = user.id.clone();
        users.insert(tenant, &name, user);
        Ok(id)
    }
}

/// Compares a password with the saved "hash" as it is, for tests that are not about hashing. Never for anything else.
#[derive(Clone, Copy, Debug, Default)]
pub struct PlainPasswords;

#[async_trait]
impl PasswordVerifier for PlainPasswords {
    async fn verify(&self, attempt: &PasswordAttempt<'_>) -> Result<Verdict, Fault> {
        let saved = attempt.user.and_then(|user| user.password_hash.as_ref());
        Ok(match saved {
            Some(saved) if saved.expose() == attempt.password.expose() => Verdict::Right,
            _ => Verdict::Wrong,
        })
    }

    async fn rehash(&self, password: &Password) -> Result<Option<PasswordHash>, Fault> {
        Ok(Some(PasswordHash::new(password.expose())))
    }
}
