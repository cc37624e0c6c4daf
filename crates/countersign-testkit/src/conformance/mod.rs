//! The suite that every store must pass (`I-39`).
//!
//! A check is a public async function over a [`Backend`]: it answers `Ok(())` or a [`Breach`] that
//! says what the store did. One macro makes a test of each:
//! [`factor_store_conformance`](crate::factor_store_conformance),
//! [`user_store_conformance`](crate::user_store_conformance) and
//! [`send_budget_conformance`](crate::send_budget_conformance). The stores of this project run the
//! same list, unchanged. What a [`Backend`] says that it does not have is not checked: connections
//! that could be interrupted, transactions of the application. That the checks bite is tested too:
//! for each there is a store that is broken in one way only, and fails it.
//!
//! A check that lets calls meet does so in many rounds. With `COUNTERSIGN_STRESS_RUN` set to a
//! number, a tenth of them is made, and others with the next number: for those who run the suite
//! many times.

mod answers;
mod bounds;
mod budgets;
mod conditions;
mod desk;
mod faults;
mod generations;
mod many;
mod run;
mod saved;
mod sweeps;
mod tenants;
mod users;

use std::sync::Arc;

use async_trait::async_trait;
use countersign::budget::SendBudget;
use countersign::contact::EmailAddress;
use countersign::error::PluginError;
use countersign::store::FactorStore;
use countersign::user::{PasswordHash, User, UserStore};
use countersign::{LoginName, TenantId, UserId};
use thiserror::Error;

pub use run::run;

/// What a [`FactorStore`] saves to, in a state that is empty and belongs to one check alone.
///
/// A file in a directory of its own, a schema of its own in a database, a prefix of its own on a
/// server.
#[async_trait]
pub trait Backend: Send + Sync + 'static {
    /// Another handle onto the same saved state, with connections of its own: what a second node of
    /// the application has.
    ///
    /// A store that lives in one process answers with clones.
    async fn open(&self) -> Result<Arc<dyn FactorStore>, PluginError>;

    /// Takes away what the handles are connected to and brings it back, with everything in it that
    /// was acknowledged: a restart of the server, or at least the end of all its connections.
    ///
    /// `false`: there is nothing between a handle and its saved state that could go away.
    async fn interrupt(&self) -> Result<bool, PluginError>;

    /// Begins a transaction of the *application* on the same database, as an application does
    /// around a request.
    ///
    /// `None`: the application has no transactions there.
    async fn host_transaction(&self) -> Result<Option<Box<dyn HostTransaction>>, PluginError>;

    /// Opens another handle, and answers it with the [`Line`] between it and its saved state, so
    /// that a check can lose what is answered on it. An address in front of a server that passes on
    /// what it likes is such a line.
    ///
    /// `None`: there is no connection on which an answer could get lost.
    async fn open_on_a_line(
        &self,
    ) -> Result<Option<(Arc<dyn FactorStore>, Box<dyn Line>)>, PluginError>;

    /// Holds up each write of a record that has compared its conditions and is not done yet, as a
    /// slow disk does, until the [`Hold`] is released. In SQL that is a trigger before the write,
    /// which waits for a lock that the check holds.
    ///
    /// `None`: nothing can come between a comparison and its write, or it can't be held up there.
    async fn hold_writes(&self) -> Result<Option<Box<dyn Hold>>, PluginError>;

    /// Deletes what the check left. Called once, when the check is over.
    async fn clean_up(&self) -> Result<(), PluginError>;
}

/// What lies between a handle and its saved state, and can be disturbed.
#[async_trait]
pub trait Line: Send + Sync {
    /// Carries so many answers more. Those after them get lost; what was asked for is done all the
    /// same.
    async fn lose_answers(&self, after: u32) -> Result<(), PluginError>;

    /// Loses what is asked for from now on.
    async fn lose_requests(&self) -> Result<(), PluginError>;

    /// How much got lost so far.
    async fn lost(&self) -> Result<u64, PluginError>;

    /// Ends the connections that there are. Those that are made from now on are sound.
    async fn cut(&self) -> Result<(), PluginError>;
}

/// Writes that are held up by [`Backend::hold_writes`].
#[async_trait]
pub trait Hold: Send + Sync {
    /// How many of them there are now.
    async fn waiting(&self) -> Result<u64, PluginError>;

    /// Lets them go on, and all later ones pass.
    async fn release(self: Box<Self>) -> Result<(), PluginError>;
}

/// A transaction of the application that is going to be rolled back.
#[async_trait]
pub trait HostTransaction: Send {
    /// Undoes it.
    async fn roll_back(self: Box<Self>) -> Result<(), PluginError>;
}

/// A [`UserStore`] and the application's own way to change what it reads.
#[async_trait]
pub trait UserBackend: Send + Sync + 'static {
    /// Another handle onto the same users.
    async fn open(&self) -> Result<Arc<dyn UserStore>, PluginError>;

    /// Makes a tenant if there is none of this name, and answers its id: the name itself where the
    /// application's tenants are called by names, and otherwise whatever the application assigned.
    async fn add_tenant(&self, name: &TenantId) -> Result<TenantId, PluginError> {
        Ok(name.clone())
    }

    /// Adds a user, to the tenant that the user names, under this login name, and answers the id
    /// under which the user is saved: [`User::id`] where ids can be chosen, and otherwise the one
    /// that the application assigned, such as a number or a UUID.
    async fn insert(&self, name: &LoginName, user: &User) -> Result<UserId, PluginError>;

    /// Replaces everything known of a user, as the application does when an administrator disables
    /// or promotes one.
    async fn update(&self, user: &User) -> Result<(), PluginError>;

    /// Whether the application's users have a security stamp. Where they have none, the one that is
    /// given is dropped, and it must be `None` at every look-up.
    fn has_security_stamps(&self) -> bool {
        true
    }

    /// Whether the application tells its users' other roles, for a policy of its own. Where it does
    /// not, they are not looked at.
    fn has_roles(&self) -> bool {
        true
    }

    /// Deletes what the check left.
    async fn clean_up(&self) -> Result<(), PluginError>;
}

/// A [`SendBudget`], in a state that is empty and belongs to one check alone.
#[async_trait]
pub trait BudgetBackend: Send + Sync + 'static {
    /// Another handle onto the same counts, with connections of its own: what a second node of the
    /// application has.
    async fn open(&self) -> Result<Arc<dyn SendBudget>, PluginError>;

    /// Opens another handle, with the [`Line`] between it and its counts, as
    /// [`Backend::open_on_a_line`].
    async fn open_on_a_line(
        &self,
    ) -> Result<Option<(Arc<dyn SendBudget>, Box<dyn Line>)>, PluginError>;

    /// On how many accounts something is kept, whether or not it still counts. `None`: only the
    /// budget itself can see that.
    async fn kept(&self) -> Result<Option<u64>, PluginError>;

    /// Deletes what the check left.
    async fn clean_up(&self) -> Result<(), PluginError>;
}

/// What a store did that it must not do.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Breach {
    /// It broke its contract.
    #[error("contract broken: {0}")]
    Contract(String),
    /// It answered an error where nothing was wrong.
    #[error("the store failed: {0}")]
    Fault(String),
    /// It did not answer in time.
    #[error("no answer within {0} seconds")]
    Stuck(u64),
}

impl Breach {
    pub(crate) fn found(what: impl Into<String>) -> Self {
        Self::Contract(what.into())
    }
}

impl From<PluginError> for Breach {
    fn from(fault: PluginError) -> Self {
        Self::Fault(format!("{fault:?}"))
    }
}

impl From<tokio::task::JoinError> for Breach {
    fn from(error: tokio::task::JoinError) -> Self {
        Self::Fault(error.to_string())
    }
}

/// Ends a check with a [`Breach::Contract`] unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($found:tt)+) => {
        if !$condition {
            return Err($crate::conformance::Breach::found(format!($($found)+)));
        }
    };
}
pub(crate) use ensure;

/// The checks of a [`FactorStore`].
pub mod factors {
    pub use super::answers::{
        a_held_commit_and_a_change_of_settings_exclude_each_other, a_lost_answer_is_no_verdict,
        a_write_is_sent_once,
    };
    pub use super::bounds::{
        documents_are_kept_byte_for_byte, documents_may_be_as_large_as_the_limit,
        ids_may_be_as_long_as_allowed, numbers_may_be_as_large_as_their_type,
    };
    pub use super::conditions::{
        a_conflict_changes_nothing, a_load_is_of_one_instant,
        a_remove_and_a_commit_exclude_each_other, a_removed_version_stays_dead, no_update_is_lost,
        of_many_changes_of_settings_one_wins, of_many_commits_one_wins,
        of_many_first_commits_one_wins, of_many_first_settings_one_wins,
        users_of_a_new_tenant_do_not_conflict,
    };
    pub use super::faults::{
        a_dropped_call_writes_all_or_nothing, a_dropped_removal_removes_all_or_nothing,
        acknowledged_writes_are_seen_at_once, comes_back_after_an_interruption,
        outlives_a_rollback_of_the_application,
    };
    pub use super::generations::{
        a_purge_deletes_earlier_generations_only, a_purge_never_takes_a_later_record,
        a_purge_of_many_batches_ends_complete, changed_settings_end_commits_that_expected_others,
        first_settings_end_commits_that_expected_none, nothing_earlier_appears_after_a_purge,
    };
    pub use super::many::{
        a_thousand_records_are_read_in_one_call, many_records_are_of_one_tenant_and_its_users,
        many_records_come_in_the_order_of_the_list, many_records_show_every_acknowledged_write,
    };
    pub use super::saved::{
        nothing_saved_is_none, removing_is_exact, settings_are_read_back,
        settings_may_keep_their_version, what_is_committed_is_read_back,
        what_is_there_may_be_written_again,
    };
    pub use super::sweeps::{
        a_conditional_removal_and_commits_exclude_each_other, a_conditional_removal_is_exact,
        a_listing_goes_on_while_records_go, users_are_listed_in_the_order_of_their_bytes,
    };
    pub use super::tenants::{similar_ids_are_different_ids, tenants_are_apart};
}

/// The checks of a [`UserStore`].
pub mod user_checks {
    pub use super::users::{
        a_hash_is_replaced_only_if_it_is_current, another_spelling_is_nobody,
        changed_users_are_seen_at_once, of_many_replacements_one_wins,
        similar_ids_are_different_users, unknown_users_are_none,
        users_are_found_in_their_tenant_only,
    };
}

/// The checks of a [`SendBudget`].
pub mod budget_checks {
    pub use super::budgets::{
        a_clock_that_goes_back_frees_nothing, a_count_stays_for_a_whole_period,
        a_dropped_charge_is_made_on_all_or_none, a_limit_is_reached_and_not_passed,
        a_limit_of_zero_allows_nothing, a_lost_answer_is_no_charge,
        a_refused_charge_is_made_on_none, a_window_slides, an_account_named_twice_is_charged_once,
        charges_in_any_order_are_each_all_or_nothing, no_account_is_no_limit,
        numbers_may_be_as_large_as_allowed, of_many_charges_as_many_as_the_limit_succeed,
        only_the_callers_clock_counts, retry_after_is_the_truth,
        similar_accounts_are_different_accounts, the_first_exhausted_account_is_named,
        what_has_left_is_removed,
    };
}

/// Makes a test of each check of a [`FactorStore`](countersign::store::FactorStore).
///
/// Takes an expression for a future of `Result<Option<impl Backend>, PluginError>`, which is
/// evaluated once for each check. `None` means that there is nothing to test against on this
/// machine, and that this was said loudly ([`skip`](crate::skip)).
///
/// ```
/// # use std::sync::Arc;
/// use countersign::memory::MemoryFactors;
/// use countersign::error::PluginError;
/// use countersign::store::FactorStore;
/// use countersign_testkit::conformance::{Backend, Hold, HostTransaction, Line};
///
/// struct Memory(MemoryFactors);
///
/// #[async_trait::async_trait]
/// impl Backend for Memory {
///     async fn open(&self) -> Result<Arc<dyn FactorStore>, PluginError> {
///         Ok(Arc::new(self.0.clone()))
///     }
///
///     async fn interrupt(&self) -> Result<bool, PluginError> {
///         Ok(false)
///     }
///
///     async fn host_transaction(&self) -> Result<Option<Box<dyn HostTransaction>>, PluginError> {
///         Ok(None)
///     }
///
///     async fn open_on_a_line(&self) -> Result<Option<(Arc<dyn FactorStore>, Box<dyn Line>)>, PluginError> {
///         Ok(None)
///     }
///
///     async fn hold_writes(&self) -> Result<Option<Box<dyn Hold>>, PluginError> {
///         Ok(None)
///     }
///
///     async fn clean_up(&self) -> Result<(), PluginError> {
///         Ok(())
///     }
/// }
///
/// countersign_testkit::factor_store_conformance!(async { Ok(Some(Memory(MemoryFactors::new()))) });
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! factor_store_conformance {
    ($backend:expr) => {
        $crate::conformance_tests! { run, factors, $backend,
            nothing_saved_is_none,
            what_is_committed_is_read_back,
            settings_are_read_back,
            settings_may_keep_their_version,
            what_is_there_may_be_written_again,
            removing_is_exact,
            documents_are_kept_byte_for_byte,
            documents_may_be_as_large_as_the_limit,
            ids_may_be_as_long_as_allowed,
            numbers_may_be_as_large_as_their_type,
            a_conflict_changes_nothing,
            of_many_first_commits_one_wins,
            of_many_commits_one_wins,
            of_many_first_settings_one_wins,
            of_many_changes_of_settings_one_wins,
            users_of_a_new_tenant_do_not_conflict,
            no_update_is_lost,
            a_removed_version_stays_dead,
            a_remove_and_a_commit_exclude_each_other,
            a_load_is_of_one_instant,
            many_records_come_in_the_order_of_the_list,
            many_records_are_of_one_tenant_and_its_users,
            a_thousand_records_are_read_in_one_call,
            many_records_show_every_acknowledged_write,
            a_conditional_removal_is_exact,
            a_conditional_removal_and_commits_exclude_each_other,
            users_are_listed_in_the_order_of_their_bytes,
            a_listing_goes_on_while_records_go,
            changed_settings_end_commits_that_expected_others,
            first_settings_end_commits_that_expected_none,
            a_held_commit_and_a_change_of_settings_exclude_each_other,
            a_purge_deletes_earlier_generations_only,
            a_purge_of_many_batches_ends_complete,
            a_purge_never_takes_a_later_record,
            nothing_earlier_appears_after_a_purge,
            tenants_are_apart,
            similar_ids_are_different_ids,
            acknowledged_writes_are_seen_at_once,
            a_dropped_call_writes_all_or_nothing,
            a_dropped_removal_removes_all_or_nothing,
            a_lost_answer_is_no_verdict,
            a_write_is_sent_once,
            comes_back_after_an_interruption,
            outlives_a_rollback_of_the_application,
        }
    };
}

/// Makes a test of each check of a [`UserStore`](countersign::user::UserStore), from a future of
/// `Result<Option<impl UserBackend>, PluginError>`.
///
/// ```
/// use std::sync::Arc;
///
/// use async_trait::async_trait;
/// use countersign::error::PluginError;
/// use countersign::memory::MemoryUsers;
/// use countersign::user::{User, UserStore};
/// use countersign::{LoginName, UserId};
/// use countersign_testkit::conformance::UserBackend;
///
/// /// In place of `MemoryUsers` your own table, and what it needs to be written to.
/// struct Table(MemoryUsers);
///
/// #[async_trait]
/// impl UserBackend for Table {
///     async fn open(&self) -> Result<Arc<dyn UserStore>, PluginError> {
///         Ok(Arc::new(self.0.clone()))
///     }
///
///     async fn insert(&self, name: &LoginName, user: &User) -> Result<UserId, PluginError> {
///         self.0.insert(name, user.clone());
///         Ok(user.id.clone())
///     }
///
///     async fn update(&self, user: &User) -> Result<(), PluginError> {
///         Ok(self.0.change(&user.tenant, &user.id, |saved| *saved = user.clone())?)
///     }
///
///     async fn clean_up(&self) -> Result<(), PluginError> {
///         Ok(())
///     }
/// }
///
/// countersign_testkit::user_store_conformance!(async { Ok(Some(Table(MemoryUsers::new()))) });
/// ```
#[macro_export]
macro_rules! user_store_conformance {
    ($backend:expr) => {
        $crate::conformance_tests! { run_users, user_checks, $backend,
            users_are_found_in_their_tenant_only,
            similar_ids_are_different_users,
            another_spelling_is_nobody,
            unknown_users_are_none,
            a_hash_is_replaced_only_if_it_is_current,
            of_many_replacements_one_wins,
            changed_users_are_seen_at_once,
        }
    };
}

/// Makes a test of each check of a [`SendBudget`](countersign::budget::SendBudget), from a future
/// of `Result<Option<impl BudgetBackend>, PluginError>`.
#[macro_export]
macro_rules! send_budget_conformance {
    ($backend:expr) => {
        $crate::conformance_tests! { run_budgets, budget_checks, $backend,
            a_limit_is_reached_and_not_passed,
            a_refused_charge_is_made_on_none,
            the_first_exhausted_account_is_named,
            a_limit_of_zero_allows_nothing,
            an_account_named_twice_is_charged_once,
            similar_accounts_are_different_accounts,
            numbers_may_be_as_large_as_allowed,
            no_account_is_no_limit,
            a_count_stays_for_a_whole_period,
            a_window_slides,
            retry_after_is_the_truth,
            a_clock_that_goes_back_frees_nothing,
            only_the_callers_clock_counts,
            what_has_left_is_removed,
            of_many_charges_as_many_as_the_limit_succeed,
            charges_in_any_order_are_each_all_or_nothing,
            a_dropped_charge_is_made_on_all_or_none,
            a_lost_answer_is_no_charge,
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! conformance_tests {
    ($run:ident, $checks:ident, $backend:expr, $($check:ident),+ $(,)?) => {
        $(
            #[test]
            fn $check() -> Result<(), $crate::conformance::Breach> {
                $crate::conformance::$run(stringify!($check), $backend, |backend| {
                    ::std::boxed::Box::pin($crate::conformance::$checks::$check(backend))
                })
            }
        )+
    };
}

pub use run::{run_budgets, run_users};

fn tenant(id: &str) -> Result<TenantId, Breach> {
    TenantId::new(id).map_err(|error| Breach::Fault(error.to_string()))
}

fn user(id: &str) -> Result<UserId, Breach> {
    UserId::new(id).map_err(|error| Breach::Fault(error.to_string()))
}

fn login_name(name: &str) -> Result<LoginName, Breach> {
    LoginName::new(name).map_err(|error| Breach::Fault(error.to_string()))
}

fn person(tenant: &TenantId, id: &UserId, hash: &str) -> Result<User, Breach> {
    let mut person = User::new(tenant.clone(), id.clone());
    let address = EmailAddress::new("somebody@example.com")
        .map_err(|error| Breach::Fault(error.to_string()))?;
    person.email = Some(address);
    person.password_hash = Some(PasswordHash::new(hash));
    person.security_stamp = Some("1".to_owned());
    Ok(person)
}
