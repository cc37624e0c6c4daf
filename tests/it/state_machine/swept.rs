//! The same stories on a flow that is swept before every act. The table knows of no sweep, so
//! whatever one deletes, nobody may be able to tell.

use std::sync::atomic::Ordering;

use countersign::store::FactorStore;
use serde_json::Value;

use super::*;

/// A sweep that is broken in one way: which record it deletes all the same.
#[derive(Clone, Copy, Debug)]
enum Flaw {
    /// One in which nothing is worth keeping but this.
    Overlooks(&'static str),
    /// One in which nothing is worth keeping, whatever sessions are bound to it.
    TooEarly,
}

/// The time of a saved record, in milliseconds.
fn milliseconds(world: &World) -> i64 {
    i64::try_from(world.now().unix_timestamp_nanos() / 1_000_000).unwrap()
}

impl Flaw {
    fn takes(self, mut record: Value, now: i64, longest_session: Duration) -> bool {
        let old = |at: &Value, age: Duration| {
            at.as_i64().unwrap() + i64::try_from(age.as_millis()).unwrap() <= now
        };
        let of = record.as_object_mut().unwrap();
        let idle = old(&of["seen"], longest_session) || matches!(self, Self::TooEarly);
        if of.get("sends").is_some_and(|sends| old(sends.as_array().unwrap().last().unwrap(), DAY))
        {
            of.remove("sends");
        }
        if of
            .get("resets")
            .is_some_and(|resets| old(resets.as_array().unwrap().last().unwrap(), 30 * DAY))
        {
            of.remove("resets");
        }
        // No act shows a notice.
        of.remove("notices");
        if let Self::Overlooks(field) = self {
            of.remove(field);
        }
        let failures = of["password"].get("failures").is_some()
            && !matches!(self, Self::Overlooks("passwords"));
        let left = of
            .keys()
            .filter(|key| !["format", "id", "seen", "password", "address"].contains(&key.as_str()))
            .count();
        idle && left == 0 && !failures
    }
}

impl System<SOUND> {
    /// Looks at everybody in both tenants, two at a time, as a job of the host does.
    async fn sweep(&self) -> u64 {
        let mut removed = 0;
        for tenant in [&self.world.acme, &self.world.other] {
            let mut after = None;
            loop {
                let batch = self.world.flow.sweep(tenant, after.as_ref(), 2).await.unwrap();
                assert_eq!(batch.unreadable, 0);
                removed += batch.removed;
                after = batch.next;
                if after.is_none() {
                    break;
                }
            }
        }
        removed
    }

    async fn sweep_wrongly(&self, flaw: Flaw, longest_session: Duration) {
        for who in EVERYBODY {
            let (tenant, user) = self.ids(who);
            let Some(saved) = self.world.factors.record(tenant, user) else { continue };
            let record = serde_json::from_str(&saved.document).unwrap();
            if flaw.takes(record, milliseconds(&self.world), longest_session) {
                self.world.factors.remove(tenant, user).await.unwrap();
            }
        }
    }
}

/// Plays stories until both sides differ. Answers how many records were swept, or the story that
/// shows a difference.
fn play_swept(
    stories: u32,
    longest_session: u64,
    flaw: Option<Flaw>,
) -> Result<u64, TestError<Vec<Act>>> {
    let swept = Mutex::new(0);
    let played =
        runner(stories).run(&Stories::sequential_strategy(10..60), |(start, acts, seen)| {
            let (mut state, mut system, life) = (
                start,
                System::<SOUND>::with_sessions(Duration::from_secs(longest_session)),
                Duration::from_secs(longest_session),
            );
            for act in acts {
                // Shrinking asks how far a story was played.
                if let Some(seen) = &seen {
                    seen.fetch_add(1, Ordering::SeqCst);
                }
                // Nobody comes with a session that is over, nor with what came of an act that was
                // left out.
                let over =
                    |session: usize| state.now + 1 >= state.sessions[session].at + longest_session;
                if !state.possible(&act) || act.session().is_some_and(over) {
                    continue;
                }
                state = Stories::apply(state, &act);
                *swept.lock().unwrap() += system.runtime.block_on(system.sweep());
                if let Some(flaw) = flaw {
                    system.runtime.block_on(system.sweep_wrongly(flaw, life));
                }
                system = System::apply(system, &state, act);
                System::check_invariants(&system, &state);
            }
            Ok(())
        });
    match played {
        Ok(()) => Ok(swept.into_inner().unwrap()),
        Err(TestError::Abort(reason)) => Err(TestError::Abort(reason)),
        Err(TestError::Fail(reason, (_, acts, _))) => Err(TestError::Fail(reason, acts)),
    }
}

const TWO_DAYS: u64 = 2 * reference::DAY;

/// I-09, I-10, I-11, I-12, I-15: a sweep changes no later answer. Once with sessions of two days,
/// and once of a minute, so that everything else that keeps a record is by itself what keeps it.
#[test]
fn a_flow_that_is_swept_before_every_act_answers_alike() {
    let stories =
        std::env::var("COUNTERSIGN_STORIES").map_or(128, |number| number.parse().unwrap());
    for (longest_session, least) in [(TWO_DAYS, 10), (60, 50)] {
        match play_swept(stories, longest_session, None) {
            Ok(swept) => {
                println!(
                    "{swept} records were swept in {stories} stories with sessions of {longest_session} s"
                );
                assert!(swept > least || stories < 128, "only {swept} records were swept");
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// What keeps a record does so for a reason: a sweep that overlooks it is found out. Where no story
/// comes to a record that one thing alone keeps (a login under way has sent a code, a number takes
/// four acts), `src/machine/retention.rs` and `tests/it/sweep.rs` do.
#[test]
fn sweeps_that_take_too_much_are_told() {
    for (flaw, longest_session) in [
        (Flaw::TooEarly, TWO_DAYS),
        (Flaw::Overlooks("passwords"), TWO_DAYS),
        (Flaw::Overlooks("code_failures"), TWO_DAYS),
        (Flaw::Overlooks("sends"), 0),
    ] {
        match play_swept(2048, longest_session, Some(flaw)) {
            Err(TestError::Fail(_, acts)) => println!("{flaw:?}, {} acts: {acts:?}", acts.len()),
            other => panic!("no story shows {flaw:?}: {other:?}"),
        }
    }
}
