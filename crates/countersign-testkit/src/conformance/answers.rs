//! Checks of answers that get lost, and of writes that are held up between their comparison and
//! their end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign::error::PluginError;
use countersign::store::{CommitOutcome, ExpectedVersions, FactorStore, Snapshot, StoredRow};
use countersign::{TenantId, UserId};
use tokio::task::JoinHandle;

use crate::conformance::desk::{expecting, must_be, note, set, write};
use crate::conformance::{Backend, Breach, Line, ensure, tenant, user};

/// How many answers a store may need for one call. One after the other gets lost, until a call is
/// not disturbed any more.
const MOST_ANSWERS: u32 = 64;

/// How long a call may go on after its connection has ended.
const END: Duration = Duration::from_secs(60);

/// How long a change of settings may wait for a commit that is held. One that does not wait needs a
/// moment.
const PATIENCE: Duration = Duration::from_secs(5);

/// What gets lost.
#[derive(Clone, Copy, Debug)]
pub(super) enum Loss {
    /// The answers after so many. What was asked for is done.
    Answers(u32),
    /// What is asked for.
    Requests,
}

impl Loss {
    /// What is asked for, and then each answer.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        [Self::Requests].into_iter().chain((0..MOST_ANSWERS).map(Self::Answers))
    }

    pub(super) async fn begin(self, line: &dyn Line) -> Result<(), PluginError> {
        match self {
            Self::Answers(after) => line.lose_answers(after).await,
            Self::Requests => line.lose_requests().await,
        }
    }
}

/// Waits until something got lost, or until the call has ended because it was not disturbed, and
/// says whether it was.
pub(super) async fn lost<T>(line: &dyn Line, call: &JoinHandle<T>) -> Result<bool, Breach> {
    let started = Instant::now();
    while line.lost().await? == 0 {
        if call.is_finished() {
            return Ok(line.lost().await? > 0);
        }
        if started.elapsed() > END {
            return Err(Breach::Fault(
                "a call neither ends nor sends anything over its line".to_owned(),
            ));
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(true)
}

/// What a call said once its connection had ended.
pub(super) async fn end<T>(
    call: JoinHandle<Result<T, PluginError>>,
) -> Result<Result<T, PluginError>, Breach> {
    match tokio::time::timeout(END, call).await {
        Ok(ended) => Ok(ended?),
        Err(_) => Err(Breach::found("a call whose answer got lost does not end")),
    }
}

/// The calls that write with a condition, or delete.
#[derive(Clone, Copy, Debug)]
enum Call {
    FirstCommit,
    Commit,
    FirstSettings,
    Settings,
    Remove,
    RemoveIf,
}

impl Call {
    const ALL: [Self; 6] = [
        Self::FirstCommit,
        Self::Commit,
        Self::FirstSettings,
        Self::Settings,
        Self::Remove,
        Self::RemoveIf,
    ];

    fn is_of_settings(self) -> bool {
        matches!(self, Self::FirstSettings | Self::Settings)
    }

    /// Whether it answers that it was done.
    async fn make(
        self,
        store: &dyn FactorStore,
        (tenant, user): (&TenantId, &UserId),
        before: Option<&StoredRow>,
        next: &StoredRow,
    ) -> Result<bool, PluginError> {
        let version = before.map(|row| row.version);
        match self {
            Self::FirstCommit | Self::Commit => {
                let expected = ExpectedVersions { settings: None, record: version };
                Ok(store.commit(tenant, user, &expected, next).await? == CommitOutcome::Written)
            }
            Self::FirstSettings | Self::Settings => {
                Ok(store.change_settings(tenant, version, next).await? == CommitOutcome::Written)
            }
            Self::Remove => store.remove(tenant, user).await,
            Self::RemoveIf => match version {
                Some(version) => store.remove_if(tenant, user, version).await,
                None => Ok(false),
            },
        }
    }
}

/// When the answer to a call gets lost, the call says what is true, or that it does not know: never
/// that a write was made or was refused where it was not (`I-09`).
///
/// # Errors
///
/// The [`Breach`] that was found.
pub async fn a_lost_answer_is_no_verdict(backend: &dyn Backend) -> Result<(), Breach> {
    let sound = backend.open().await?;
    for call in Call::ALL {
        for (number, loss) in Loss::all().enumerate() {
            let Some((store, line)) = backend.open_on_a_line().await? else { return Ok(()) };
            let (acme, alice) = (tenant(&format!("{call:?}-{number}"))?, user("alice")?);
            let before = prepare(&*sound, call, &acme, &alice).await?;
            // The connection is there, and whatever a store asks once is known.
            let _warm = store.load(&acme, &alice).await?;
            let next = note(0, "lost")?;
            loss.begin(&*line).await?;
            let made = {
                let (acme, alice, before, next) =
                    (acme.clone(), alice.clone(), before.clone(), next.clone());
                tokio::spawn(async move {
                    call.make(&*store, (&acme, &alice), before.as_ref(), &next).await
                })
            };
            let disturbed = lost(&*line, &made).await?;
            line.cut().await?;
            let said = end(made).await?;
            let done = settle(&*sound, call, (&acme, &alice), &next).await?;
            ensure!(
                said.as_ref().is_ok_and(|said| *said == done) || said.is_err(),
                "{call:?} answered {said:?} where {loss:?} got lost, and {}",
                if done { "it was done" } else { "nothing was done" }
            );
            if !disturbed {
                break;
            }
        }
    }
    Ok(())
}

/// What is there before a call.
async fn prepare(
    store: &dyn FactorStore,
    call: Call,
    tenant: &TenantId,
    user: &UserId,
) -> Result<Option<StoredRow>, Breach> {
    let before = note(0, "before")?;
    match call {
        Call::FirstCommit | Call::FirstSettings => return Ok(None),
        Call::Settings => set(store, tenant, None, &before).await?,
        Call::Commit | Call::Remove | Call::RemoveIf => {
            write(store, tenant, user, expecting(None, None), &before).await?;
        }
    }
    Ok(Some(before))
}

/// Whether the call was done. A write of one's own on what is there sees to it that it can't be
/// done any more.
async fn settle(
    store: &dyn FactorStore,
    call: Call,
    (tenant, user): (&TenantId, &UserId),
    next: &StoredRow,
) -> Result<bool, Breach> {
    loop {
        let Snapshot { settings, record } = store.load(tenant, user).await?;
        let after = note(0, "settled")?;
        let (done, settled) = if call.is_of_settings() {
            let version = settings.as_ref().map(|row| row.version);
            (settings.as_ref() == Some(next), store.change_settings(tenant, version, &after).await?)
        } else {
            let done = match call {
                Call::Remove | Call::RemoveIf => record.is_none(),
                _ => record.as_ref() == Some(next),
            };
            (done, store.commit(tenant, user, &expecting(None, record.as_ref()), &after).await?)
        };
        if settled == CommitOutcome::Written {
            return Ok(done);
        }
    }
}

/// A call whose answer gets lost is not sent again: a record that was reset in the meantime does
/// not come back (`I-26`), and one that was made anew is not deleted.
///
/// # Errors
///
/// The [`Breach`] that was found.
pub async fn a_write_is_sent_once(backend: &dyn Backend) -> Result<(), Breach> {
    let sound = backend.open().await?;
    for call in [Call::FirstCommit, Call::Remove] {
        for after in 0..MOST_ANSWERS {
            let Some((store, line)) = backend.open_on_a_line().await? else { return Ok(()) };
            let (acme, alice) = (tenant(&format!("{call:?}-{after}"))?, user("alice")?);
            let before = prepare(&*sound, call, &acme, &alice).await?;
            let _warm = store.load(&acme, &alice).await?;
            let (next, anew) = (note(0, "lost")?, note(0, "made anew")?);
            line.lose_answers(after).await?;
            let made = {
                let (acme, alice, before, next) =
                    (acme.clone(), alice.clone(), before.clone(), next.clone());
                tokio::spawn(async move {
                    call.make(&*store, (&acme, &alice), before.as_ref(), &next).await
                })
            };
            let disturbed = lost(&*line, &made).await?;
            let record = sound.load(&acme, &alice).await?.record;
            // Somebody else undoes it before its connection ends: a reset, or a login after a
            // reset.
            let expected = match call {
                Call::Remove if record.is_none() => {
                    write(&*sound, &acme, &alice, expecting(None, None), &anew).await?;
                    Some(&anew)
                }
                Call::FirstCommit if record.as_ref() == Some(&next) => {
                    ensure!(
                        sound.remove(&acme, &alice).await?,
                        "an existing record was not removed"
                    );
                    None
                }
                // The answer to something before it got lost.
                _ => {
                    line.cut().await?;
                    let _either = end(made).await?;
                    if disturbed {
                        continue;
                    }
                    break;
                }
            };
            line.cut().await?;
            let said = end(made).await?;
            let found = sound.load(&acme, &alice).await?.record;
            ensure!(
                found.as_ref() == expected,
                "{call:?}, which answered {said:?}, was done once more after what somebody else did since: {found:?}"
            );
            if !disturbed {
                break;
            }
        }
    }
    Ok(())
}

/// A change of settings and a commit that has compared the earlier ones and has not written yet
/// exclude each other, also where there were no settings that could be locked: once the change is
/// acknowledged, the commit writes nothing (`I-27`).
///
/// # Errors
///
/// The [`Breach`] that was found.
pub async fn a_held_commit_and_a_change_of_settings_exclude_each_other(
    backend: &dyn Backend,
) -> Result<(), Breach> {
    let (store, administrator) = (backend.open().await?, backend.open().await?);
    for there in [false, true] {
        let (acme, alice) = (tenant(&format!("acme-{there}"))?, user("alice")?);
        let (settings, next) = (note(0, "in use")?, note(1, "switched off")?);
        let settings = there.then_some(settings);
        if let Some(settings) = &settings {
            set(&*administrator, &acme, None, settings).await?;
        }
        let Some(hold) = backend.hold_writes().await? else { return Ok(()) };
        let commit = {
            let (store, acme, alice, record) =
                (Arc::clone(&store), acme.clone(), alice.clone(), note(0, "held")?);
            let expected = expecting(settings.as_ref(), None);
            tokio::spawn(async move { store.commit(&acme, &alice, &expected, &record).await })
        };
        let started = Instant::now();
        while hold.waiting().await? == 0 {
            if commit.is_finished() || started.elapsed() > END {
                return Err(Breach::Fault("no write was held".to_owned()));
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let change = {
            let (administrator, acme) = (Arc::clone(&administrator), acme.clone());
            let version = settings.as_ref().map(|row| row.version);
            tokio::spawn(async move { administrator.change_settings(&acme, version, &next).await })
        };
        let started = Instant::now();
        while !change.is_finished() && started.elapsed() < PATIENCE {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        // A store that makes the change wait for the commit acknowledges it later, or gives up.
        let first = change.is_finished();
        hold.release().await?;
        let (commit, change) = (end(commit).await?, end(change).await?);
        if first && matches!(change, Ok(CommitOutcome::Written)) {
            ensure!(
                !matches!(commit, Ok(CommitOutcome::Written)),
                "a commit that had compared the {} was written after a change of them was acknowledged",
                if there { "settings" } else { "absence of settings" }
            );
            must_be(&*store, &acme, &alice, None).await?;
        }
    }
    Ok(())
}
