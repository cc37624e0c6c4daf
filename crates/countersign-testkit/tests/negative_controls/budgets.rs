//! The same for send budgets.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use countersign::budget::{Account, Charged, SendBudget};
use countersign::error::PluginError;
use countersign_testkit::conformance::{Breach, BudgetBackend, Line, budget_checks, run_budgets};
use time::OffsetDateTime;

use crate::line::{Then, Wire};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    None,
    CountsFromOne,
    CountsForItself,
    ChargesOneByOne,
    NamesTheLast,
    TakesZeroForNone,
    ChargesTwice,
    FoldsCase,
    ShortensNames,
    CountsMilliseconds,
    RefusesWhatHasNoAccount,
    FixedWindows,
    LeavesAllAtOnce,
    WaitsForOldest,
    WaitsForAPeriod,
    ForgetsTheFuture,
    CountsInThePast,
    OwnClock,
    KeepsAll,
    KeepsRefused,
    ChecksThenCharges,
    ChargesInHalves,
    TakesLostForCharged,
    SendsAgain,
}

/// By account: how long a slot counts, and what was counted in each.
type Slots = BTreeMap<String, (u64, BTreeMap<u64, u32>)>;

#[derive(Clone)]
struct ReferenceStore {
    flaw: Flaw,
    slots: Arc<Mutex<Slots>>,
    /// What this handle alone counted.
    own: Arc<Mutex<Slots>>,
    /// How many charges found room for exactly one more, on an account.
    last: Arc<Mutex<BTreeMap<String, u32>>>,
}

impl ReferenceStore {
    fn with(flaw: Flaw) -> Self {
        Self { flaw, slots: Arc::default(), own: Arc::default(), last: Arc::default() }
    }

    fn is(&self, flaw: Flaw) -> bool {
        self.flaw == flaw
    }

    fn slots(&self) -> &Mutex<Slots> {
        if self.is(Flaw::CountsForItself) { &self.own } else { &self.slots }
    }

    fn key(&self, account: &Account) -> String {
        match self.flaw {
            Flaw::FoldsCase => account.key.to_lowercase(),
            Flaw::ShortensNames => account.key.chars().take(100).collect(),
            _ => account.key.clone(),
        }
    }

    /// How long the account refuses another message. `None`: it does not.
    fn refusal(&self, slots: &Slots, account: &Account, now: OffsetDateTime) -> Option<Duration> {
        let (most, slot) = (u64::from(account.limit.most()), account.limit.slot(now));
        let (_, mut counts) = slots.get(&self.key(account)).cloned().unwrap_or_default();
        if self.is(Flaw::FixedWindows) {
            let period = u64::try_from(account.limit.per().as_millis()).unwrap();
            counts.retain(|start, _| start / period == slot.now / period);
        } else if self.is(Flaw::LeavesAllAtOnce) {
            if counts
                .first_key_value()
                .is_some_and(|(start, _)| start + slot.counts_for <= slot.now)
            {
                counts.clear();
            }
        } else if self.is(Flaw::OwnClock) {
            let system = u64::try_from(OffsetDateTime::now_utc().unix_timestamp() * 1_000).unwrap();
            counts.retain(|start, _| start + slot.counts_for > system);
        } else {
            counts.retain(|start, _| start + slot.counts_for > slot.now);
        }
        if self.is(Flaw::ForgetsTheFuture) {
            counts.retain(|start, _| *start <= slot.now);
        }
        let sum = counts.values().map(|count| u64::from(*count)).sum::<u64>();
        let sum = sum + u64::from(self.is(Flaw::CountsFromOne));
        if sum < most || (most == 0 && self.is(Flaw::TakesZeroForNone)) {
            return None;
        }
        let mut left = sum;
        let last = counts.iter().find(|(_, count)| {
            left -= u64::from(**count);
            left < most || self.is(Flaw::WaitsForOldest)
        });
        let wait = last.map(|(start, _)| {
            Duration::from_millis((start + slot.counts_for).saturating_sub(slot.now))
        });
        if self.is(Flaw::WaitsForAPeriod) || most == 0 {
            Some(account.limit.per())
        } else {
            wait.or(Some(Duration::ZERO))
        }
    }

    fn add(&self, slots: &mut Slots, account: &Account, now: OffsetDateTime) {
        let slot = account.limit.slot(now);
        let (counts_for, counts) = slots.entry(self.key(account)).or_default();
        *counts_for = slot.counts_for;
        if !self.is(Flaw::LeavesAllAtOnce) && !self.is(Flaw::KeepsAll) {
            counts.retain(|start, _| start + slot.counts_for > slot.now);
        } else if counts
            .first_key_value()
            .is_some_and(|(start, _)| start + slot.counts_for <= slot.now)
        {
            counts.clear();
        }
        let last = counts.last_key_value().map_or(0, |(start, _)| *start);
        let start = if self.is(Flaw::CountsInThePast) { slot.start } else { slot.start.max(last) };
        let start =
            if self.is(Flaw::CountsMilliseconds) { start & u64::from(u32::MAX) } else { start };
        *counts.entry(start).or_default() += 1;
    }

    /// Whether one more message uses the account up.
    fn takes_the_last(&self, slots: &Slots, account: &Account, now: OffsetDateTime) -> bool {
        let mut slots = slots.clone();
        self.add(&mut slots, account, now);
        self.refusal(&slots, account, now).is_some()
    }

    async fn wait_for_a_second(&self, account: String) {
        let started = Instant::now();
        *self.last.lock().unwrap().entry(account.clone()).or_default() += 1;
        while self.last.lock().unwrap()[&account] < 2 {
            assert!(started.elapsed() < Duration::from_secs(60), "nobody came in between");
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
    }

    fn first_refusal(
        &self,
        slots: &Slots,
        accounts: &[Account],
        now: OffsetDateTime,
    ) -> Option<Charged> {
        let refusals = accounts.iter().enumerate().filter_map(|(position, account)| {
            let retry_after = self.refusal(slots, account, now)?;
            Some((position, retry_after))
        });
        let mut refusals = refusals.collect::<Vec<_>>();
        if self.is(Flaw::NamesTheLast) {
            refusals.reverse();
        }
        refusals.first().map(|(account, retry_after)| Charged::Exhausted {
            account: *account,
            retry_after: *retry_after,
        })
    }
}

#[async_trait]
impl SendBudget for ReferenceStore {
    async fn charge(
        &self,
        accounts: &[Account],
        now: OffsetDateTime,
    ) -> Result<Charged, PluginError> {
        if self.is(Flaw::RefusesWhatHasNoAccount) && accounts.is_empty() {
            return Ok(Charged::Exhausted { account: 0, retry_after: Duration::ZERO });
        }
        let lock = || self.slots().lock().unwrap();
        let mut once: Vec<&Account> = Vec::new();
        for account in accounts {
            if self.is(Flaw::ChargesTwice) || !once.iter().any(|before| before.key == account.key) {
                once.push(account);
            }
        }
        match self.flaw {
            Flaw::ChargesOneByOne => {
                for (position, account) in accounts.iter().enumerate() {
                    let mut slots = lock();
                    if let Some(retry_after) = self.refusal(&slots, account, now) {
                        return Ok(Charged::Exhausted { account: position, retry_after });
                    }
                    self.add(&mut slots, account, now);
                }
            }
            Flaw::ChecksThenCharges => {
                let last = {
                    let mut slots = lock();
                    if let Some(refusal) = self.first_refusal(&slots, accounts, now) {
                        return Ok(refusal);
                    }
                    let last =
                        once.iter().find(|account| self.takes_the_last(&slots, account, now));
                    if last.is_none() {
                        for account in &once {
                            self.add(&mut slots, account, now);
                        }
                        return Ok(Charged::Yes);
                    }
                    last.map(|account| self.key(account)).unwrap()
                };
                // The last message is given to whoever has looked by the time that a second one
                // has.
                self.wait_for_a_second(last).await;
                let mut slots = lock();
                for account in once {
                    self.add(&mut slots, account, now);
                }
            }
            Flaw::ChargesInHalves => {
                let refusal = self.first_refusal(&lock(), accounts, now);
                if let Some(refusal) = refusal {
                    return Ok(refusal);
                }
                for account in once {
                    self.add(&mut lock(), account, now);
                    tokio::task::yield_now().await;
                }
            }
            _ => {
                let mut slots = lock();
                if !self.is(Flaw::KeepsAll) {
                    slots.retain(|_, (counts_for, counts)| {
                        counts.keys().any(|start| start + *counts_for > milliseconds(now))
                    });
                }
                if let Some(refusal) = self.first_refusal(&slots, accounts, now) {
                    if self.is(Flaw::KeepsRefused) {
                        for account in accounts {
                            let _kept = slots.entry(account.key.clone()).or_insert_with(forever);
                        }
                    }
                    return Ok(refusal);
                }
                for account in once {
                    self.add(&mut slots, account, now);
                }
            }
        }
        Ok(Charged::Yes)
    }
}

/// A reference store at the end of a line.
struct OnALine(ReferenceStore, Wire);

#[async_trait]
impl SendBudget for OnALine {
    async fn charge(
        &self,
        accounts: &[Account],
        now: OffsetDateTime,
    ) -> Result<Charged, PluginError> {
        let then = match self.0.flaw {
            Flaw::TakesLostForCharged => Then::Says(Charged::Yes),
            Flaw::SendsAgain => Then::Repeats,
            _ => Then::Fails,
        };
        self.1.call(|| self.0.charge(accounts, now), then).await
    }
}

fn milliseconds(now: OffsetDateTime) -> u64 {
    u64::try_from(now.unix_timestamp()).unwrap_or(0) * 1_000
}

/// An empty slot that never leaves.
fn forever() -> (u64, BTreeMap<u64, u32>) {
    (0, BTreeMap::from([(u64::from(u32::MAX) * 1_000_000, 0)]))
}

#[async_trait]
impl BudgetBackend for ReferenceStore {
    async fn open(&self) -> Result<Arc<dyn SendBudget>, PluginError> {
        Ok(Arc::new(Self { own: Arc::default(), ..self.clone() }))
    }

    async fn open_on_a_line(
        &self,
    ) -> Result<Option<(Arc<dyn SendBudget>, Box<dyn Line>)>, PluginError> {
        let wire = Wire::default();
        Ok(Some((Arc::new(OnALine(self.clone(), wire.clone())), Box::new(wire))))
    }

    async fn kept(&self) -> Result<Option<u64>, PluginError> {
        Ok(Some(self.slots.lock().unwrap().len().try_into()?))
    }

    async fn clean_up(&self) -> Result<(), PluginError> {
        Ok(())
    }
}

/// Each line: a check, and the flaws that it must find.
macro_rules! bites {
    ($($check:ident: $($flaw:ident),+;)+) => {
        $(
            #[test]
            fn $check() {
                $(
                    let verdict = run_budgets(
                        stringify!($check),
                        async { Ok(Some(ReferenceStore::with(Flaw::$flaw))) },
                        |reference| Box::pin(budget_checks::$check(reference)),
                    );
                    assert!(
                        matches!(verdict, Err(Breach::Contract(_))),
                        "a budget that is broken by {:?} is found out, not {verdict:?}",
                        Flaw::$flaw
                    );
                )+
            }
        )+

        const BITING: &[&str] = &[$(stringify!($check)),+];
    };
}

bites! {
    a_limit_is_reached_and_not_passed: CountsFromOne, CountsForItself;
    a_refused_charge_is_made_on_none: ChargesOneByOne;
    the_first_exhausted_account_is_named: NamesTheLast;
    a_limit_of_zero_allows_nothing: TakesZeroForNone;
    an_account_named_twice_is_charged_once: ChargesTwice;
    similar_accounts_are_different_accounts: FoldsCase, ShortensNames;
    numbers_may_be_as_large_as_allowed: CountsMilliseconds;
    no_account_is_no_limit: RefusesWhatHasNoAccount;
    a_count_stays_for_a_whole_period: FixedWindows;
    a_window_slides: LeavesAllAtOnce;
    retry_after_is_the_truth: WaitsForOldest, WaitsForAPeriod;
    a_clock_that_goes_back_frees_nothing: ForgetsTheFuture, CountsInThePast;
    only_the_callers_clock_counts: OwnClock;
    what_has_left_is_removed: KeepsAll, KeepsRefused;
    of_many_charges_as_many_as_the_limit_succeed: ChecksThenCharges, CountsForItself;
    charges_in_any_order_are_each_all_or_nothing: ChecksThenCharges, ChargesOneByOne;
    a_dropped_charge_is_made_on_all_or_none: ChargesInHalves;
    a_lost_answer_is_no_charge: TakesLostForCharged, SendsAgain;
}

/// The list above and the suite are the same list: each check has a budget that is broken in one
/// way, and fails it (`I-15`).
#[test]
fn every_check_of_budgets_is_known_to_bite() {
    assert_eq!(crate::suite("run_budgets, budget_checks, $backend,"), BITING);
    // The example of the manual is put to all of them.
    let manual = include_str!("../../src/manual/writing_a_send_budget.md");
    assert_eq!(crate::tried(manual), BITING);
}

/// Without a flaw the reference store passes, so that it is the flaws that are found.
mod sound {
    use super::{Flaw, ReferenceStore};

    countersign_testkit::send_budget_conformance!(async {
        Ok(Some(ReferenceStore::with(Flaw::None)))
    });
}
