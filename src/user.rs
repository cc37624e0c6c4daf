//! The application's users, as countersign sees them.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use time::{OffsetDateTime, UtcOffset};
use zeroize::Zeroizing;

use crate::contact::EmailAddress;
use crate::error::PluginError;
use crate::ids::{LoginName, TenantId, UserId};

pub use crate::ids::Language;

/// The application's own users table.
///
/// # Contract
///
/// - Tenants and ids match only if every byte does (`I-04`). `ACME` is not `acme`, and an id with
///   an invisible character in it is another id. MySQL, MariaDB, SQL Server and `citext` fold case
///   by default, and collations of ICU pass over U+200D and U+00AD: give the two columns a binary
///   collation (`utf8mb4_bin`, `Latin1_General_100_BIN2_UTF8`, `COLLATE "C"`), or compare what was
///   found. An id that is read as a number or as a UUID first must be spelled as it is printed:
///   `01` is not user 1. *Under another spelling of a tenant no settings are saved, so that the
///   password alone would let people in; and each spelling of an id would have a budget of guesses
///   of its own.* The flow takes an answer whose tenant or id is not the one that it asked for as a
///   fault. It can't do that where the argument is answered in place of what the row has; only
///   [`require_known_tenants`](crate::LoginFlowBuilder::require_known_tenants) stops that, for
///   tenants.
/// - Every look-up is within one tenant (`I-04`). A user of another tenant MUST NOT be found: that
///   would be a login across tenants.
/// - No look-up may be answered from a cache that outlives a change of status, role or password: an
///   old answer lets a disabled user in or keeps a promotion from taking effect (`I-25`, `I-28`).
/// - An unknown name is `Ok(None)`. An error fails the step (`I-23`), but it must not depend on
///   whether the user exists (`I-17`).
/// - Cancellation: a dropped future must leave the table as it was or as it would have been.
#[async_trait]
pub trait UserStore: Send + Sync {
    /// The user who logs in under this name, in this tenant.
    ///
    /// Whether names match by case or Unicode form is decided here. A look-alike name that finds
    /// somebody else's account is harmless as far as codes go: they are sent to what
    /// [`User::email`] holds, never to what was typed (`I-33`).
    async fn find_by_login(
        &self,
        tenant: &TenantId,
        name: &LoginName,
    ) -> Result<Option<User>, PluginError>;

    /// The user with this id, in this tenant.
    async fn find_by_id(
        &self,
        tenant: &TenantId,
        user: &UserId,
    ) -> Result<Option<User>, PluginError>;

    /// Replaces the saved password hash by one of the same password under newer parameters.
    ///
    /// Called after a right password only. MUST write only if the saved hash is still `current`,
    /// and say whether it wrote: a replacement without that condition undoes a password change that
    /// happens at the same time. `Ok(false)` is harmless.
    async fn replace_password_hash(
        &self,
        tenant: &TenantId,
        user: &UserId,
        current: &PasswordHash,
        next: &PasswordHash,
    ) -> Result<bool, PluginError>;
}

#[async_trait]
impl<T: UserStore + ?Sized> UserStore for Arc<T> {
    async fn find_by_login(
        &self,
        tenant: &TenantId,
        name: &LoginName,
    ) -> Result<Option<User>, PluginError> {
        (**self).find_by_login(tenant, name).await
    }

    async fn find_by_id(
        &self,
        tenant: &TenantId,
        user: &UserId,
    ) -> Result<Option<User>, PluginError> {
        (**self).find_by_id(tenant, user).await
    }

    async fn replace_password_hash(
        &self,
        tenant: &TenantId,
        user: &UserId,
        current: &PasswordHash,
        next: &PasswordHash,
    ) -> Result<bool, PluginError> {
        (**self).replace_password_hash(tenant, user, current, next).await
    }
}

/// The application's list of users, for pages that show everybody of a tenant and for rehearsals.
/// No login asks it.
///
/// # Contract
///
/// - Every user that it answers is of this tenant, in the spelling of the application's own table.
///   *Anything else shows one tenant's people to another.*
/// - A user who is there from before the first page until after the last is listed exactly once.
/// - Cancellation: nothing changes.
#[async_trait]
pub trait UserDirectory: Send + Sync {
    /// The users of this tenant in the order of the bytes of their ids, at most `at_most` of them,
    /// from the first one after `after` on. `after` need not exist any more. An answer of less than
    /// `at_most` is the last page.
    async fn page(
        &self,
        tenant: &TenantId,
        after: Option<&UserId>,
        at_most: u32,
    ) -> Result<Vec<User>, PluginError>;

    /// The active built-in system administrators of this tenant. They are notified of changes of
    /// its settings, at most 20 of them.
    async fn administrators(&self, tenant: &TenantId) -> Result<Vec<User>, PluginError>;
}

#[async_trait]
impl<T: UserDirectory + ?Sized> UserDirectory for Arc<T> {
    async fn page(
        &self,
        tenant: &TenantId,
        after: Option<&UserId>,
        at_most: u32,
    ) -> Result<Vec<User>, PluginError> {
        (**self).page(tenant, after, at_most).await
    }

    async fn administrators(&self, tenant: &TenantId) -> Result<Vec<User>, PluginError> {
        (**self).administrators(tenant).await
    }
}

/// A user as the application knows one at this moment. Make one with [`User::new`] and set what is
/// known.
#[derive(Clone)]
#[non_exhaustive]
pub struct User {
    /// The tenant that this user belongs to, as the application's own table spells it.
    ///
    /// Read it from the row. A copy of the argument of the look-up hides a table that compares
    /// ids loosely, and that lets people in without a second factor (`I-04`).
    pub tenant: TenantId,
    /// The id within the tenant, as the table spells it.
    pub id: UserId,
    /// Whether this user may log in.
    pub status: UserStatus,
    /// Whether this user has the tenant's *built-in* system-administrator role. A custom role with
    /// the same rights is not it.
    pub system_administrator: bool,
    /// Other roles, for an application's own [`TwoFactorPolicy`](crate::policy::TwoFactorPolicy).
    /// The standard policy does not look at them.
    pub roles: Vec<String>,
    /// The registered email address. Without one, and without a proved phone number, no code can be
    /// sent. An address in the table that is no address is `None`, not an error: an error here
    /// would tell which names exist.
    pub email: Option<EmailAddress>,
    /// The saved password hash, for the default verifier: a PHC string. A user who has no password,
    /// such as one who comes in by single sign-on only, has `None`, not a placeholder.
    pub password_hash: Option<PasswordHash>,
    /// The language of messages to this user.
    pub language: Option<Language>,
    /// How far this user's clock is from UTC at this moment. Messages say times by it, such as
    /// `19:00 (UTC+9)`; without one they say them in UTC. An application that knows the time zone
    /// looks the offset up each time it reads the user: it changes with daylight saving time.
    pub utc_offset: Option<UtcOffset>,
    /// Any text that the application changes whenever trusted devices, sessions and logins under
    /// way of this user must end: when it disables and re-enables the account, or when a password
    /// changes that is checked elsewhere (LDAP). Compared, never interpreted.
    pub security_stamp: Option<String>,
}

impl User {
    /// An active user of this tenant with this id, and nothing else: no role, no address, no
    /// password.
    pub fn new(tenant: TenantId, id: UserId) -> Self {
        Self {
            tenant,
            id,
            status: UserStatus::Active,
            system_administrator: false,
            roles: Vec::new(),
            email: None,
            password_hash: None,
            language: None,
            utc_offset: None,
            security_stamp: None,
        }
    }
}

impl User {
    /// A moment as this user's clock shows it, or in UTC.
    pub(crate) fn local(&self, at: OffsetDateTime) -> OffsetDateTime {
        self.utc_offset.and_then(|offset| at.checked_to_offset(offset)).unwrap_or(at)
    }
}

/// Without the password hash and the security stamp.
impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User")
            .field("tenant", &self.tenant)
            .field("id", &self.id)
            .field("status", &self.status)
            .field("system_administrator", &self.system_administrator)
            .field("roles", &self.roles)
            .field("email", &self.email)
            .field("language", &self.language)
            .field("utc_offset", &self.utc_offset)
            .finish_non_exhaustive()
    }
}

/// Whether a user may log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UserStatus {
    /// May log in.
    Active,
    /// May not, and the answer to a login is the same as to a wrong password (`I-17`). A step of a
    /// login that sees one ends logins under way and trusted devices (`I-30`); a page that only
    /// refuses does not.
    Disabled,
}

/// A saved password hash: a PHC string where the default verifier made it, else whatever the
/// application's verifier understands.
#[derive(Clone)]
pub struct PasswordHash(Zeroizing<String>);

impl PasswordHash {
    /// Wraps a saved hash. It is checked when it is used: a damaged one is a fault, not a wrong
    /// password (`I-37`).
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The hash in clear, to save it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(redacted)")
    }
}
