//! What is counted, and on which account.

use std::time::Duration;

use countersign::budget::{Account, Charged, Limit};
use time::OffsetDateTime;

use super::{HOUR, account, charge, counted, moment, refused};
use crate::conformance::{Breach, BudgetBackend, ensure};

/// As many messages as the limit says are charged, through whichever handle, and not one more.
///
/// # Errors
///
/// The [`Breach`] that was found.
pub async fn a_limit_is_reached_and_not_passed(backend: &dyn BudgetBackend) -> Result<(), Breach> {
    let handles = [backend.open().await?, backend.open().await?, backend.open().await?];
    let one = [account("to:somebody:3600", 7)];
    for handle in handles.iter().cycle().take(7) {
        charge(&**handle, &one, moment(Duration::ZERO)?).await?;
    }
    for handle in &handles {
        refused(&**handle, &one, 0, moment(Duration::from_secs(1))?).await?;
    }
    Ok(())
}

/// A charge that one account refuses is made on none of the others, before it in the list or after
/// it.
///
/// # Errors
///
/// The [`Breach`] that was found.
pub async fn a_refused_charge_is_made_on_none(backend: &dyn BudgetBackend) -> Result<(), Breach> {
    let (budget, now) = (backend.open().await?, moment(Duration::ZERO)?);
    charge(&*budget, &[account("full", 1), account("after", 9)], now).await?;
    for _ in 0..5 {
        refused(&*budget, &[account("before", 9), account("full", 1), account("after", 9)], 1, now)
            .await?;
    }
    for (key, expected) in [("before", 0), ("full", 1), ("after", 1)] {
        let found = counted(&*budget, key, now).await?;
        ensure!(
            found == expected,
            "{found} charges on {key:?}, of which {expected} were made: a refused one counts"
        );
    }
    Ok(())
}

/// Of several accounts that are used up, the refusal names the first.
///
/// # Errors
///
/// The [`Breach`] that was found.
pub async fn the_first_exhausted_account_is_named(
    backend: &dyn BudgetBackend,
) -> Result<(), Breach> {
    let (budget, now) = (backend.open().await?, moment(Duration::ZERO)?);
    for key in ["z", "m", "b"] {
        charge(&*budget, &[account(key, 1)], now).await?;
    }
    let list = ["x", "z", "c", "m", "a", "b"].map(|key| account(key, 1));
    for (first, position) in [(0, 1), (1, 0), (2, 1), (4, 1), (5, 0)] {
        let rest = list.get(first..).unwrap_or_default();
        refused(&*budget, rest, position, now).await?;
    }
    Ok(())
}

/// A limit of zero allows nothing, and charges nothing on the others. It gives its period as the
/// time to wait.
///
/// # Errors
///
/// The [`Breach`] that was found.
pub async fn a_limit_of_zero_allows_nothing(backend: &dyn BudgetBackend) -> Result<(), Breach> {
    let (budget, now) = (backend.open().await?, moment(Duration::ZERO)?);
    for key in ["new", "known"] {
        if key == "known" {
            charge(&*budget, &[account(key, 1)], now).await?;
        }
        let wait = refused(&*budget, &[account("other", 9), account(key, 0)], 1, now).await?;
        ensure!(
            wait == HOUR,
            "an account that allows nothing gives {wait:?} and not its period as the time to wait"
        );
    }
    let found = counted(&*budget, "other", now).await?;
    ensure!(found == 0, "{found} charges on an account whose every charge was refused");
    Ok(())
}

/// One message is one message, also where a list names an account twice. The lower of two limits
/// decides.
///
/// # Errors
///
/// The [`Breach`] that was found.
pub async fn an_account_named_twice_is_charged_once(
    backend: &dyn BudgetBackend,
) -> Result<(), Breach> {
    let (budget, now) = (backend.open().await?, moment(Duration::ZERO)?);
    let twice = [account("twice", 9), account("between", 9), account("twice", 3)];
    for made in 1..=3 {
        charge(&*budget, &twice, now).await?;
        let found = counted(&*budget, "twice", now).await?;
        ensure!(found == made, "{found} charges on an account that {made} messages named twice");
    }
    refused(&*budget, &twice, 2, now).await?;
    Ok(())
}

/// Accounts with similar names, and of other periods, have nothing to do with each other.
///
/// # Errors
///
/// The [`Breach`] that was found.
pub async fn similar_accounts_are_different_accounts(
    backend: &dyn BudgetBackend,
) -> Result<(), Breach> {
    let (budget, now) = (backend.open().await?, moment(Duration::ZERO)?);
    let long = |last: &str| format!("{}{last}", "k".repeat(199));
    let keys = [
        "to:a:3600".to_owned(),
        "to:A:3600".to_owned(),
        "to:a:360".to_owned(),
        "to:%:3600".to_owned(),
        "to:*:3600".to_owned(),
        "to:a:3600'".to_owned(),
        "to:{a}:3600".to_owned(),
        "to:a:36_0".to_owned(),
        "to:\"a\",null}:3600".to_owned(),
        long("a"),
        long("b"),
    ];
    for (made, key) in keys.iter().enumerate() {
        let found = budget.charge(&[account(key, 1)], now).await?;
        ensure!(found == Charged::Yes, "{key:?} was taken for one of {:?}", keys.get(..made));
    }
    for key in &keys {
        refused(&*budget, &[account(key, 1)], 0, now).await?;
    }
    // One destination has an account for each of its periods.
    let day = Account::new("to:a:86400", Limit::new(1, HOUR.saturating_mul(24)));
    charge(&*budget, &[day.clone(), account("to:b:3600", 1)], now).await?;
    refused(&*budget, &[account("to:c:3600", 1), day], 1, now).await?;
    Ok(())
}

/// Limits, periods and years at the ends of what their types allow.
///
/// # Errors
///
/// The [`Breach`] that was found.
pub async fn numbers_may_be_as_large_as_allowed(backend: &dyn BudgetBackend) -> Result<(), Breach> {
    let budget = backend.open().await?;
    let moments =
        [-86_400, 0, 1, 4_102_444_800, 253_402_300_799].map(OffsetDateTime::from_unix_timestamp);
    for (number, at) in moments.into_iter().enumerate() {
        let at = at.map_err(|error| Breach::Fault(error.to_string()))?;
        for seconds in [1, 59, 3_601, 366 * 24 * 60 * 60] {
            let per = Duration::from_secs(seconds);
            let key = format!("account:{number}:{seconds}");
            let unlimited = Account::new(key.as_str(), Limit::new(u32::MAX, per));
            charge(&*budget, std::slice::from_ref(&unlimited), at).await?;
            charge(&*budget, &[unlimited], at).await?;
            let wait = refused(&*budget, &[Account::new(key, Limit::new(1, per))], 0, at).await?;
            let longest = per.saturating_mul(2).saturating_add(Duration::from_secs(1));
            ensure!(wait <= longest, "{at}: {wait:?} to wait for an account of {per:?}");
        }
    }
    Ok(())
}

/// A message that is limited by nothing is allowed.
///
/// # Errors
///
/// The [`Breach`] that was found.
pub async fn no_account_is_no_limit(backend: &dyn BudgetBackend) -> Result<(), Breach> {
    let budget = backend.open().await?;
    for _ in 0..3 {
        charge(&*budget, &[], moment(Duration::ZERO)?).await?;
    }
    Ok(())
}
