//! Checks of a [`SendBudget`](countersign::budget::SendBudget).

mod limits;
mod races;
mod times;

use std::time::Duration;

use countersign::budget::{Account, Charged, Limit, SendBudget};
use time::OffsetDateTime;

pub use self::limits::{
    a_limit_is_reached_and_not_passed, a_limit_of_zero_allows_nothing,
    a_refused_charge_is_made_on_none, an_account_named_twice_is_charged_once,
    no_account_is_no_limit, numbers_may_be_as_large_as_allowed,
    similar_accounts_are_different_accounts, the_first_exhausted_account_is_named,
};
pub use self::races::{
    a_dropped_charge_is_made_on_all_or_none, a_lost_answer_is_no_charge,
    charges_in_any_order_are_each_all_or_nothing, of_many_charges_as_many_as_the_limit_succeed,
};
pub use self::times::{
    a_clock_that_goes_back_frees_nothing, a_count_stays_for_a_whole_period, a_window_slides,
    only_the_callers_clock_counts, retry_after_is_the_truth, what_has_left_is_removed,
};
use crate::conformance::{Breach, ensure};

const HOUR: Duration = Duration::from_secs(60 * 60);

fn account(key: &str, most: u32) -> Account {
    Account::new(key, Limit::new(most, HOUR))
}

/// A moment within a slot of every period, and not at its beginning.
fn moment(after: Duration) -> Result<OffsetDateTime, Breach> {
    let start = OffsetDateTime::from_unix_timestamp(1_800_000_017)
        .map_err(|error| Breach::Fault(error.to_string()))?;
    start
        .checked_add(after.try_into().unwrap_or_default())
        .ok_or_else(|| Breach::Fault("no such moment".to_owned()))
}

/// A charge that nothing speaks against.
async fn charge(
    budget: &dyn SendBudget,
    accounts: &[Account],
    now: OffsetDateTime,
) -> Result<(), Breach> {
    let charged = budget.charge(accounts, now).await?;
    ensure!(
        charged == Charged::Yes,
        "a charge that all of its accounts allow was refused: {charged:?} of {accounts:?}"
    );
    Ok(())
}

/// A charge that this one of the accounts must refuse. Answers after how long it allows one.
async fn refused(
    budget: &dyn SendBudget,
    accounts: &[Account],
    position: usize,
    now: OffsetDateTime,
) -> Result<Duration, Breach> {
    match budget.charge(accounts, now).await? {
        Charged::Exhausted { account, retry_after } => {
            ensure!(
                account == position,
                "the account at {position} of {accounts:?} refuses, and {account} is named"
            );
            Ok(retry_after)
        }
        Charged::Yes => {
            Err(Breach::found(format!("charged where an account is used up: {accounts:?}")))
        }
    }
}

/// How much is charged on an account, up to 1,024, found out without charging anything: a second
/// account, which allows nothing, refuses where the first one does not.
async fn counted(budget: &dyn SendBudget, key: &str, now: OffsetDateTime) -> Result<u32, Breach> {
    let (mut low, mut high) = (0_u32, 1_024_u32);
    while low < high {
        let most = low.midpoint(high).saturating_add(1);
        match budget.charge(&[account(key, most), account("counting", 0)], now).await? {
            Charged::Exhausted { account: 0, .. } => low = most,
            Charged::Exhausted { .. } => high = most.saturating_sub(1),
            Charged::Yes => {
                return Err(Breach::found("charged with an account that allows nothing"));
            }
        }
    }
    Ok(low)
}
