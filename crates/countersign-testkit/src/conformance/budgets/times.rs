//! When what was counted leaves.

use std::time::Duration;

use countersign::budget::{Account, Limit};
use time::OffsetDateTime;

use super::{HOUR, account, charge, moment, refused};
use crate::conformance::{Breach, BudgetBackend, ensure};

/// So many thousandths of it.
fn part(per: Duration, thousandths: u32) -> Duration {
    per.saturating_mul(thousandths).checked_div(1_000).unwrap_or_default()
}

/// A little, and more than the coarsest counter that is allowed needs beyond a period.
fn grain(per: Duration) -> Duration {
    part(per, 34).saturating_add(Duration::from_millis(2))
}

/// What was charged counts until it is a whole period old, and not for much longer.
///
/// # Errors
///
/// The [`Breach`] that was found.
pub async fn a_count_stays_for_a_whole_period(backend: &dyn BudgetBackend) -> Result<(), Breach> {
    let budget = backend.open().await?;
    for seconds in [1, 7, 61, 3_600, 86_400, 366 * 24 * 60 * 60] {
        let per = Duration::from_secs(seconds);
        for offset in [0, 3, 600, 999] {
            let begin = part(per, offset);
            let one = [Account::new(format!("{seconds}:{offset}"), Limit::new(1, per))];
            charge(&*budget, &one, moment(begin)?).await?;
            for thousandths in [1, 500, 999, 1_000] {
                let later = begin.saturating_add(part(per, thousandths));
                refused(&*budget, &one, 0, moment(later.saturating_sub(Duration::from_millis(1)))?)
                    .await?;
            }
            charge(&*budget, &one, moment(begin.saturating_add(per).saturating_add(grain(per)))?)
                .await?;
        }
    }
    Ok(())
}

/// The period slides: what was charged later leaves later.
///
/// # Errors
///
/// The [`Breach`] that was found.
pub async fn a_window_slides(backend: &dyn BudgetBackend) -> Result<(), Breach> {
    let budget = backend.open().await?;
    let four = [account("four", 4)];
    let (half, past) = (part(HOUR, 500), grain(HOUR));
    // Two, and two more half a period later. Then the first two leave, and half a period later the
    // others.
    for at in [
        Duration::ZERO,
        half,
        HOUR.saturating_add(past),
        HOUR.saturating_add(half).saturating_add(past),
    ] {
        charge(&*budget, &four, moment(at)?).await?;
        charge(&*budget, &four, moment(at.saturating_add(Duration::from_millis(5)))?).await?;
        if at > Duration::ZERO {
            refused(&*budget, &four, 0, moment(at.saturating_add(Duration::from_millis(9)))?)
                .await?;
        }
    }
    Ok(())
}

/// After the time that a refusal gives, and not long before, a message is allowed. Also where the
/// limit was lowered since.
///
/// # Errors
///
/// The [`Breach`] that was found.
pub async fn retry_after_is_the_truth(backend: &dyn BudgetBackend) -> Result<(), Breach> {
    let budget = backend.open().await?;
    let minutes = |minutes: u64| Duration::from_secs(minutes.saturating_mul(60));
    let early = minutes(2).saturating_add(Duration::from_millis(2));
    for most in [3, 2, 1] {
        let key = format!("lowered to {most}").replace(' ', "-");
        for at in [0, 10, 20] {
            charge(&*budget, &[account(&key, 3)], moment(minutes(at))?).await?;
        }
        let asked = minutes(30);
        let list = [account("free", 9), account(&key, most)];
        let wait = refused(&*budget, &list, 1, moment(asked)?).await?;
        let free = asked.saturating_add(wait);
        refused(&*budget, &list, 1, moment(free.saturating_sub(early))?).await?;
        charge(&*budget, &list, moment(free)?).await?;
    }
    Ok(())
}

/// Where the clock goes back, everything that was charged still counts, and what is charged then
/// leaves no earlier than what was charged before.
///
/// # Errors
///
/// The [`Breach`] that was found.
pub async fn a_clock_that_goes_back_frees_nothing(
    backend: &dyn BudgetBackend,
) -> Result<(), Breach> {
    let budget = backend.open().await?;
    let two = [account("two", 2)];
    let late = HOUR.saturating_mul(30);
    charge(&*budget, &two, moment(late)?).await?;
    charge(&*budget, &two, moment(late.saturating_sub(HOUR.saturating_mul(10)))?).await?;
    for back in [10, 20, 30, 0] {
        refused(&*budget, &two, 0, moment(late.saturating_sub(HOUR.saturating_mul(back)))?).await?;
    }
    refused(&*budget, &two, 0, OffsetDateTime::UNIX_EPOCH).await?;
    // Now it goes right again: only a moment has passed since both were charged.
    let before = late.saturating_add(HOUR).saturating_sub(Duration::from_millis(1));
    refused(&*budget, &two, 0, moment(before)?).await?;
    charge(&*budget, &two, moment(late.saturating_add(HOUR).saturating_add(grain(HOUR)))?).await?;
    Ok(())
}

/// Whatever the clock of the machine or of the server says, `now` is what counts: long ago and far
/// ahead alike.
///
/// # Errors
///
/// The [`Breach`] that was found.
pub async fn only_the_callers_clock_counts(backend: &dyn BudgetBackend) -> Result<(), Breach> {
    let budget = backend.open().await?;
    for seconds in [100_000_000_i64, 1_000_000_000, 10_000_000_000, 100_000_000_000] {
        let at = |after: Duration| {
            let seconds =
                seconds.saturating_add(i64::try_from(after.as_secs()).unwrap_or_default());
            OffsetDateTime::from_unix_timestamp(seconds)
                .map_err(|error| Breach::Fault(error.to_string()))
        };
        let two = [account(&format!("at:{seconds}"), 2)];
        charge(&*budget, &two, at(Duration::ZERO)?).await?;
        charge(&*budget, &two, at(part(HOUR, 500))?).await?;
        refused(&*budget, &two, 0, at(part(HOUR, 500))?).await?;
        refused(&*budget, &two, 0, at(HOUR.saturating_sub(Duration::from_secs(1)))?).await?;
        charge(&*budget, &two, at(HOUR.saturating_add(grain(HOUR)))?).await?;
        refused(&*budget, &two, 0, at(HOUR.saturating_add(grain(HOUR)))?).await?;
    }
    Ok(())
}

/// Accounts on which nothing counts any more are removed by the charges that follow, and those on
/// which something counts are not.
///
/// # Errors
///
/// The [`Breach`] that was found.
pub async fn what_has_left_is_removed(backend: &dyn BudgetBackend) -> Result<(), Breach> {
    const EACH: u64 = 40;
    let budget = backend.open().await?;
    for round in 0..8_u32 {
        let now = moment(HOUR.saturating_mul(round.saturating_mul(3)))?;
        for number in 0..EACH {
            let list = [account(&format!("to:{round}-{number}"), 1), account("tenant", 1_000)];
            charge(&*budget, &list, now).await?;
            // Refusals leave nothing either.
            refused(
                &*budget,
                &[account(&format!("new:{round}-{number}"), 1), account("none", 0)],
                1,
                now,
            )
            .await?;
        }
        let Some(kept) = backend.kept().await? else { continue };
        ensure!(
            kept > EACH,
            "{kept} accounts are kept where something counts on {}",
            EACH.saturating_add(1)
        );
        ensure!(
            kept <= EACH.saturating_mul(3),
            "{kept} accounts are kept where {} count",
            EACH.saturating_add(1)
        );
    }
    Ok(())
}
