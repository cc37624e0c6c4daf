//! The bodies of the administrator's endpoints.

use serde::Serialize;
use utoipa::ToSchema;

use super::{FactorStatus, Scope};
use crate::openapi::texts::{Id, Timestamp, UserId};

/// The tenant's settings.
#[derive(Serialize, ToSchema)]
pub(crate) struct Administration {
    scope: Scope,
    /// For how many users something is saved: what `do_not_use` would delete.
    saved_users: u64,
    /// Left out: the tenant never switched off.
    #[schema(nullable = false)]
    purge: Option<PurgeProgress>,
    settings: TenantSettings,
    /// Send it back with a change: it is made only if these still are the settings.
    version: Id,
    bounds: SettingsBounds,
    /// Whether the application has a list of its users: for the list of people and rehearsals.
    directory: bool,
}

/// What the tenant has decided. It can make nothing more lenient than the application made it.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TenantSettings {
    scope: Scope,
    single_sign_on: SingleSignOn,
    /// `null`: what the application says.
    #[schema(required)]
    lockout: Option<Lockout>,
    methods: Methods,
    trusted_devices: TrustedDevices,
    /// Whether users may have a backup code.
    backup_codes: bool,
}

/// Who is asked for a code after single sign-on: nobody, or the tenant's built-in system
/// administrators, at every login and on every device.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SingleSignOn {
    Exempt,
    SystemAdministrators,
}

/// When wrong codes lock a user, and for how long.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Lockout {
    /// After how many wrong codes in a row a user is locked.
    wrong_codes: u32,
    /// How long the first lock lasts. Each further one lasts twice as long as the one before.
    first_seconds: u64,
    /// The longest lock.
    longest_seconds: u64,
}

/// The methods by which codes may travel. At least one must be allowed.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Methods {
    /// To the registered email address.
    email: bool,
    /// To the proved phone number.
    sms: bool,
}

/// Whether users may have a device trusted. Never more than the application allows.
#[derive(Serialize, ToSchema)]
#[serde(tag = "use", rename_all = "snake_case")]
pub(crate) enum TrustedDevices {
    /// As the application says.
    AsApplication,
    /// Not at all.
    Off,
    /// For a shorter time, or fewer of them.
    AtMost {
        /// How long a device is trusted.
        lifetime_seconds: u64,
        /// How many a user may have.
        per_user: u32,
    },
}

/// Between which values a tenant's settings are accepted.
#[derive(Serialize, ToSchema)]
pub(crate) struct SettingsBounds {
    /// What holds where a tenant chooses no lockout of its own.
    lockout: Lockout,
    least_wrong_codes: u32,
    most_wrong_codes: u32,
    shortest_lock_seconds: u64,
    /// How short the longest lock may be: at least the first one.
    least_longest_lock_seconds: u64,
    longest_lock_seconds: u64,
    /// The methods that the application offers.
    methods: Methods,
    /// For how long and how many at most. `off`: the application does not offer trusted devices.
    trusted_devices: TrustedDevices,
    /// The shortest time for which a device can be trusted.
    shortest_trust_seconds: u64,
    /// Whether the application offers backup codes.
    backup_codes: bool,
}

/// The settings that hold now.
#[derive(Serialize, ToSchema)]
pub(crate) struct SettingsNow {
    settings: TenantSettings,
    /// Left out: under these settings the session does not hold any more. Log in again.
    #[schema(nullable = false)]
    version: Option<Id>,
}

/// What a change of settings would do, as far as people were looked at.
#[derive(Serialize, ToSchema)]
pub(crate) struct Rehearsal {
    /// How many people were looked at who may log in.
    #[schema(format = "uint64")]
    people: u64,
    /// Those who come in without a code today, and would be asked for one.
    newly_asked: Affected,
    /// Those who are asked for a code today, and would not be.
    no_longer_asked: Affected,
    /// Those who can log in today, and could not.
    locked_out: Affected,
    /// Those whose codes would go by another method than today.
    other_method: Affected,
    /// Those whose saved settings would be deleted.
    settings_deleted: Affected,
    #[schema(format = "uint64")]
    devices_deleted: u64,
    #[schema(format = "uint64")]
    backup_codes_deleted: u64,
    /// Users whose record can't be read, so that nothing can be foretold.
    unreadable: Affected,
    /// Send this answer back as `so_far` to go on. Left out: everybody was looked at.
    next: Option<UserId>,
}

/// People who are affected in the same way.
#[derive(Serialize, ToSchema)]
pub(crate) struct Affected {
    #[schema(format = "uint64")]
    count: u64,
    /// The first 20 of them.
    first: Vec<UserId>,
}

/// A part of the tenant's people.
#[derive(Serialize, ToSchema)]
pub(crate) struct PeoplePage {
    /// In the order of the bytes of their ids. With a filter it can be empty although there are
    /// more: go on with `next`.
    people: Vec<Person>,
    /// Send it as `after` to go on. Left out: there is nobody left.
    #[schema(nullable = false)]
    next: Option<UserId>,
}

/// One user of the tenant.
#[derive(Serialize, ToSchema)]
pub(crate) struct Person {
    user: UserId,
    /// Whether this user may log in.
    active: bool,
    /// Whether this user has the built-in system-administrator role.
    system_administrator: bool,
    /// Whether anything is saved for this user's second factor.
    known: bool,
    /// Left out: what is saved cannot be read. A reset helps.
    #[schema(nullable = false)]
    status: Option<FactorStatus>,
}

/// How far the deletion is that the last switching off began.
#[derive(Serialize, ToSchema)]
pub(crate) struct PurgeProgress {
    /// When the tenant switched off.
    started_at: Timestamp,
    /// How many records were deleted since.
    deleted: u64,
    /// How many are left. Left out: not counted.
    #[schema(nullable = false)]
    remaining: Option<u64>,
    /// When none was left.
    #[schema(nullable = false)]
    finished_at: Option<Timestamp>,
}

/// What a reset did to the budgets of wrong codes and of messages.
#[derive(Serialize, ToSchema)]
#[serde(tag = "budgets", rename_all = "snake_case")]
pub(crate) enum ResetOutcome {
    /// They are full again.
    Refilled,
    /// They are full again, beyond the number of resets that refill them.
    RefilledBeyond,
    /// They stay as they were.
    BudgetsKept {
        /// When the next reset refills them. Left out: no reset does.
        #[schema(nullable = false)]
        refills_from: Option<Timestamp>,
    },
}
