//! What happens at the same time, and what is dropped.

use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign::budget::Charged;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::{account, charge, counted, moment};
use crate::conformance::answers::{Loss, end, lost};
use crate::conformance::desk::{HANDLES, rounds};
use crate::conformance::faults::Point;
use crate::conformance::{Breach, BudgetBackend, ensure};

/// How many charges each handle makes concurrently.
const EACH: usize = 8;

/// Of many charges at the same moment, as many succeed as the limit allows.
///
/// # Errors
///
/// The [`Breach`] that was found.
pub async fn of_many_charges_as_many_as_the_limit_succeed(
    backend: &dyn BudgetBackend,
) -> Result<(), Breach> {
    let now = moment(Duration::ZERO)?;
    let mut handles = Vec::new();
    for _ in 0..HANDLES {
        handles.push(backend.open().await?);
    }
    for (round, most) in [1_u32, 5, 20, 63].into_iter().enumerate() {
        let barrier = Arc::new(Barrier::new(handles.len().saturating_mul(EACH)));
        let mut charges = JoinSet::new();
        for (number, handle) in
            handles.iter().cycle().take(handles.len().saturating_mul(EACH)).enumerate()
        {
            let (budget, barrier) = (Arc::clone(handle), Arc::clone(&barrier));
            let list = [
                account(&format!("to:{round}-{number}"), 9),
                account(&format!("tenant:{round}"), most),
            ];
            charges.spawn(async move {
                barrier.wait().await;
                budget.charge(&list, now).await
            });
        }
        let mut succeeded: u32 = 0;
        while let Some(charged) = charges.join_next().await {
            succeeded = succeeded.saturating_add(u32::from(charged?? == Charged::Yes));
        }
        ensure!(succeeded == most, "{succeeded} concurrent charges succeeded, the limit is {most}");
    }
    Ok(())
}

/// Charges that name the same accounts in different orders all end, none above a limit, and each on
/// all of its accounts or on none.
///
/// # Errors
///
/// The [`Breach`] that was found.
pub async fn charges_in_any_order_are_each_all_or_nothing(
    backend: &dyn BudgetBackend,
) -> Result<(), Breach> {
    const ORDERS: [[&str; 3]; 6] = [
        ["a", "b", "c"],
        ["a", "c", "b"],
        ["b", "a", "c"],
        ["b", "c", "a"],
        ["c", "a", "b"],
        ["c", "b", "a"],
    ];
    let now = moment(Duration::ZERO)?;
    for round in rounds(4) {
        let barrier = Arc::new(Barrier::new(ORDERS.len().saturating_mul(EACH)));
        let mut charges = JoinSet::new();
        for order in ORDERS {
            let budget = backend.open().await?;
            for _ in 0..EACH {
                let (budget, barrier) = (Arc::clone(&budget), Arc::clone(&barrier));
                let list = order.map(|key| {
                    account(&format!("{key}:{round}"), if key == "b" { 30 } else { 900 })
                });
                charges.spawn(async move {
                    barrier.wait().await;
                    budget.charge(&list, now).await
                });
            }
        }
        let mut succeeded: u32 = 0;
        while let Some(charged) = charges.join_next().await {
            succeeded = succeeded.saturating_add(u32::from(charged?? == Charged::Yes));
        }
        ensure!(succeeded == 30, "{succeeded} charges succeeded, the limit is 30");
        let budget = backend.open().await?;
        for key in ["a", "b", "c"] {
            let found = counted(&*budget, &format!("{key}:{round}"), now).await?;
            ensure!(found == 30, "30 charges were made, and {found} count on {key:?}");
        }
    }
    Ok(())
}

/// A charge whose future is dropped, at whatever moment, is made on all of its accounts or on none,
/// and the handle works on.
///
/// # Errors
///
/// The [`Breach`] that was found.
pub async fn a_dropped_charge_is_made_on_all_or_none(
    backend: &dyn BudgetBackend,
) -> Result<(), Breach> {
    const DROPPED: u32 = 120;
    let (budget, other, now) =
        (backend.open().await?, backend.open().await?, moment(Duration::ZERO)?);
    let list = ["first", "second", "third"].map(|key| account(key, 1_000));
    for round in 0..DROPPED {
        Point::of(round).drop_at(budget.charge(&list, now)).await;
        if round % 10 == 9 {
            charge(&*budget, &list, now).await?;
        }
    }
    // Those that were under way when they were dropped may still be made.
    let started = Instant::now();
    loop {
        let mut found = Vec::new();
        for key in ["first", "third", "second"] {
            found.push(counted(&*other, key, now).await?);
        }
        let alike = found.iter().all(|count| Some(count) == found.first());
        if alike
            && found
                .iter()
                .all(|count| (DROPPED / 10..=DROPPED.saturating_add(DROPPED / 10)).contains(count))
        {
            return Ok(());
        }
        ensure!(
            started.elapsed() < Duration::from_secs(30),
            "charges were dropped, and on three accounts count {found:?}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// When the answer to a charge gets lost, it is not said to be made where it was not, and not made
/// twice.
///
/// # Errors
///
/// The [`Breach`] that was found.
pub async fn a_lost_answer_is_no_charge(backend: &dyn BudgetBackend) -> Result<(), Breach> {
    let (sound, now) = (backend.open().await?, moment(Duration::ZERO)?);
    for (number, loss) in Loss::all().enumerate() {
        let Some((budget, line)) = backend.open_on_a_line().await? else { return Ok(()) };
        // The connection is there, and whatever a budget asks once is known.
        charge(&*budget, &[account(&format!("warm:{number}"), 9)], now).await?;
        let list = [account(&format!("to:{number}"), 9), account(&format!("tenant:{number}"), 9)];
        loss.begin(&*line).await?;
        let charged = {
            let list = list.clone();
            tokio::spawn(async move { budget.charge(&list, now).await })
        };
        let disturbed = lost(&*line, &charged).await?;
        line.cut().await?;
        let said = end(charged).await?;
        for account in &list {
            let found = counted(&*sound, &account.key, now).await?;
            let holds = match &said {
                Ok(Charged::Yes) => found == 1,
                Ok(_) => false,
                Err(_) => found <= 1,
            };
            ensure!(
                holds,
                "a charge answered {said:?} where {loss:?} got lost, and {found} count on {:?}",
                account.key
            );
        }
        if !disturbed {
            break;
        }
    }
    Ok(())
}
