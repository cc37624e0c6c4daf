//! A line on which answers and requests get lost, and stores and budgets that draw the wrong
//! conclusions from that.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use countersign::error::PluginError;
use countersign::store::{
    CommitOutcome, ExpectedVersions, FactorStore, Generation, Snapshot, Snapshots, StoredRow,
    Version,
};
use countersign::{TenantId, UserId};
use countersign_testkit::conformance::Line;

use crate::reference::{Flaw, ReferenceStore};

/// What a caller does whose answer got lost, once it knows that.
pub(crate) enum Then<T> {
    /// It says that it does not know.
    Fails,
    /// It says what it takes for true.
    Says(T),
    /// It asks again.
    Repeats,
}

#[derive(Clone, Default)]
pub(crate) struct Wire(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    answers_left: Option<u32>,
    no_requests: bool,
    lost: u64,
    cuts: u32,
}

enum Carried {
    BothWays,
    ThereOnly,
    Nothing,
}

impl Wire {
    fn carry(&self) -> Carried {
        let mut state = self.0.lock().unwrap();
        if state.no_requests {
            state.lost += 1;
            return Carried::Nothing;
        }
        match &mut state.answers_left {
            Some(0) => Carried::ThereOnly,
            Some(left) => {
                *left -= 1;
                Carried::BothWays
            }
            None => Carried::BothWays,
        }
    }

    async fn until_it_is_cut(&self) {
        let before = self.0.lock().unwrap().cuts;
        while self.0.lock().unwrap().cuts == before {
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
    }

    pub(crate) async fn call<T, F: Future<Output = Result<T, PluginError>>>(
        &self,
        call: impl Fn() -> F,
        then: Then<T>,
    ) -> Result<T, PluginError> {
        match self.carry() {
            Carried::BothWays => return call().await,
            Carried::ThereOnly => {
                let _lost = call().await?;
                self.0.lock().unwrap().lost += 1;
            }
            Carried::Nothing => {}
        }
        self.until_it_is_cut().await;
        match then {
            Then::Fails => Err(PluginError::new("connection lost")),
            Then::Says(answer) => Ok(answer),
            Then::Repeats => call().await,
        }
    }
}

#[async_trait]
impl Line for Wire {
    async fn lose_answers(&self, after: u32) -> Result<(), PluginError> {
        self.0.lock().unwrap().answers_left = Some(after);
        Ok(())
    }

    async fn lose_requests(&self) -> Result<(), PluginError> {
        self.0.lock().unwrap().no_requests = true;
        Ok(())
    }

    async fn lost(&self) -> Result<u64, PluginError> {
        Ok(self.0.lock().unwrap().lost)
    }

    async fn cut(&self) -> Result<(), PluginError> {
        let mut state = self.0.lock().unwrap();
        *state = State { lost: state.lost, cuts: state.cuts + 1, ..State::default() };
        Ok(())
    }
}

/// A reference store at the end of a line.
pub(crate) struct OnALine {
    pub(crate) reference: ReferenceStore,
    pub(crate) flaw: Flaw,
    pub(crate) wire: Wire,
}

impl OnALine {
    fn then<T>(&self, done: T, refused: T) -> Then<T> {
        match self.flaw {
            Flaw::TakesLostForWritten => Then::Says(done),
            Flaw::TakesLostForConflict => Then::Says(refused),
            Flaw::SendsAgain | Flaw::SendsAgainAndLooks => Then::Repeats,
            _ => Then::Fails,
        }
    }

    /// A caller that has found its own version there takes a conflict for its own success.
    fn looks(
        &self,
        said: CommitOutcome,
        found: Option<&StoredRow>,
        next: &StoredRow,
    ) -> CommitOutcome {
        let own = self.flaw == Flaw::SendsAgainAndLooks
            && found.is_some_and(|row| row.version == next.version);
        if own { CommitOutcome::Written } else { said }
    }
}

#[async_trait]
impl FactorStore for OnALine {
    async fn load(&self, tenant: &TenantId, user: &UserId) -> Result<Snapshot, PluginError> {
        self.wire.call(|| self.reference.load(tenant, user), Then::Fails).await
    }

    async fn load_many(
        &self,
        tenant: &TenantId,
        users: &[UserId],
    ) -> Result<Snapshots, PluginError> {
        self.wire.call(|| self.reference.load_many(tenant, users), Then::Fails).await
    }

    async fn commit(
        &self,
        tenant: &TenantId,
        user: &UserId,
        expected: &ExpectedVersions,
        next: &StoredRow,
    ) -> Result<CommitOutcome, PluginError> {
        let call = || self.reference.commit(tenant, user, expected, next);
        let said = self
            .wire
            .call(call, self.then(CommitOutcome::Written, CommitOutcome::Conflict))
            .await?;
        let found = self.reference.load(tenant, user).await?.record;
        Ok(self.looks(said, found.as_ref(), next))
    }

    async fn settings(&self, tenant: &TenantId) -> Result<Option<StoredRow>, PluginError> {
        self.wire.call(|| self.reference.settings(tenant), Then::Fails).await
    }

    async fn change_settings(
        &self,
        tenant: &TenantId,
        expected: Option<Version>,
        next: &StoredRow,
    ) -> Result<CommitOutcome, PluginError> {
        let call = || self.reference.change_settings(tenant, expected, next);
        let said = self
            .wire
            .call(call, self.then(CommitOutcome::Written, CommitOutcome::Conflict))
            .await?;
        let found = self.reference.settings(tenant).await?;
        Ok(self.looks(said, found.as_ref(), next))
    }

    async fn purge(
        &self,
        tenant: &TenantId,
        below: Generation,
        at_most: u32,
    ) -> Result<u64, PluginError> {
        self.wire.call(|| self.reference.purge(tenant, below, at_most), Then::Fails).await
    }

    async fn count(&self, tenant: &TenantId, below: Generation) -> Result<u64, PluginError> {
        self.wire.call(|| self.reference.count(tenant, below), Then::Fails).await
    }

    async fn remove(&self, tenant: &TenantId, user: &UserId) -> Result<bool, PluginError> {
        self.wire.call(|| self.reference.remove(tenant, user), self.then(true, false)).await
    }

    async fn remove_if(
        &self,
        tenant: &TenantId,
        user: &UserId,
        version: Version,
    ) -> Result<bool, PluginError> {
        self.wire
            .call(|| self.reference.remove_if(tenant, user, version), self.then(true, false))
            .await
    }

    async fn users(
        &self,
        tenant: &TenantId,
        generation: Generation,
        after: Option<&UserId>,
        at_most: u32,
    ) -> Result<Vec<UserId>, PluginError> {
        self.wire
            .call(|| self.reference.users(tenant, generation, after, at_most), Then::Fails)
            .await
    }
}
