//! Builders for tenants and users, and a password check that costs nothing.

use async_trait::async_trait;
use countersign::contact::EmailAddress;
use countersign::error::PluginError;
use countersign::input::InvalidInput;
use countersign::memory::MemoryUsers;
use countersign::password::{Admission, Busy, PasswordAttempt, PasswordCheck, PasswordVerifier};
use countersign::user::{Language, PasswordHash, User, UserStatus};
use countersign::{LoginName, Password, TenantId, UserId};
use time::UtcOffset;

/// A user to be: active, with the address `NAME@example.com` and the password that
/// [`PlainPasswords`] compares.
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
/// # Ok::<(), countersign::input::InvalidInput>(())
/// ```
#[derive(Clone, Debug)]
pub struct Person {
    name: String,
    id: String,
    password: Option<String>,
    email: Option<String>,
    administrator: bool,
    disabled: bool,
    roles: Vec<String>,
    language: Option<String>,
    utc_offset: Option<UtcOffset>,
    security_stamp: Option<String>,
}

impl Person {
    /// The password of everybody who was given no other.
    pub const PASSWORD: &str = "correct horse battery staple";

    /// Somebody whose id and login name are both this.
    pub fn named(name: impl Into<String>) -> Self {
        let name = name.into();
        let email = Some(format!("{name}@example.com"));
        Self {
            id: name.clone(),
            name,
            password: Some(Self::PASSWORD.to_owned()),
            email,
            administrator: false,
            disabled: false,
            roles: Vec::new(),
            language: None,
            utc_offset: None,
            security_stamp: None,
        }
    }

    /// With an id that is not the login name.
    #[must_use]
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = id.into();
        self
    }

    /// Who reads messages in this language.
    #[must_use]
    pub fn language(mut self, language: impl Into<String>) -> Self {
        self.language = Some(language.into());
        self
    }

    /// Whose clock is so far from UTC.
    #[must_use]
    pub const fn utc_offset(mut self, offset: UtcOffset) -> Self {
        self.utc_offset = Some(offset);
        self
    }

    /// With this security stamp.
    #[must_use]
    pub fn security_stamp(mut self, stamp: impl Into<String>) -> Self {
        self.security_stamp = Some(stamp.into());
        self
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

    /// The user, in this tenant.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`] if id, address or language are not such.
    pub fn build(self, tenant: &TenantId) -> Result<User, InvalidInput> {
        let mut user = User::new(tenant.clone(), UserId::new(&self.id)?);
        user.email = self.email.as_deref().map(EmailAddress::new).transpose()?;
        user.password_hash = self.password.map(PasswordHash::new);
        user.system_administrator = self.administrator;
        user.roles = self.roles;
        user.language = self.language.as_deref().map(Language::new).transpose()?;
        user.utc_offset = self.utc_offset;
        user.security_stamp = self.security_stamp;
        user.status = if self.disabled { UserStatus::Disabled } else { UserStatus::Active };
        Ok(user)
    }

    /// Adds the user to a tenant, and answers with the id.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`] if name, id, address or language are not such.
    pub fn join(self, users: &MemoryUsers, tenant: &TenantId) -> Result<UserId, InvalidInput> {
        let name = LoginName::new(&self.name)?;
        let user = self.build(tenant)?;
        let id = user.id.clone();
        users.insert(&name, user);
        Ok(id)
    }
}

/// A tenant to be, with its people.
///
/// ```
/// use countersign::memory::MemoryUsers;
/// use countersign_testkit::{Person, TenantSetup};
///
/// let users = MemoryUsers::new();
/// let acme = TenantSetup::named("acme").person(Person::named("root").administrator()).person(Person::named("alice")).join(&users)?;
/// assert_eq!(acme.as_str(), "acme");
/// # Ok::<(), countersign::input::InvalidInput>(())
/// ```
#[derive(Clone, Debug)]
pub struct TenantSetup {
    name: String,
    people: Vec<Person>,
}

impl TenantSetup {
    /// A tenant with this id, and nobody yet.
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: name.into(), people: Vec::new() }
    }

    /// With one more person.
    #[must_use]
    pub fn person(mut self, person: Person) -> Self {
        self.people.push(person);
        self
    }

    /// Adds its people to the users, and answers with its id.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`] if the id or something of a person is not such. Those before that person
    /// are there.
    pub fn join(self, users: &MemoryUsers) -> Result<TenantId, InvalidInput> {
        let tenant = TenantId::new(&self.name)?;
        for person in self.people {
            person.join(users, &tenant)?;
        }
        Ok(tenant)
    }
}

/// Compares a password with the saved "hash" as it is, for tests that are not about hashing. Never
/// for anything else.
///
/// A hash from [`outdated`](Self::outdated) matches as well, and asks for a better one.
#[derive(Clone, Copy, Debug, Default)]
pub struct PlainPasswords;

const OUTDATED: &str = "outdated:";

impl PlainPasswords {
    /// The hash of a password by an older method: it matches, and the login replaces it.
    pub fn outdated(password: &str) -> PasswordHash {
        PasswordHash::new(format!("{OUTDATED}{password}"))
    }
}

#[async_trait]
impl PasswordVerifier for PlainPasswords {
    fn admit(&self) -> Result<Admission, Busy> {
        Ok(Admission::unbounded())
    }

    async fn verify(&self, attempt: &PasswordAttempt<'_>) -> Result<PasswordCheck, PluginError> {
        let saved = attempt.user.and_then(|user| user.password_hash.as_ref());
        let (saved, given) = (saved.map(PasswordHash::expose), attempt.password.expose());
        Ok(match saved {
            Some(saved) if saved == given => PasswordCheck::Match,
            Some(saved) if saved.strip_prefix(OUTDATED) == Some(given) => {
                PasswordCheck::MatchNeedsRehash
            }
            _ => PasswordCheck::Mismatch,
        })
    }

    async fn hash_password(
        &self,
        password: &Password,
    ) -> Result<Option<PasswordHash>, PluginError> {
        Ok(Some(PasswordHash::new(password.expose())))
    }
}
