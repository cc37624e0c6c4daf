//! What the attacks must succeed against, or the tests do not bite: a store with one fault,
//! plug-ins that let through, and steps that meet.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use countersign::entropy::Entropy;
use countersign::error::PluginError;
use countersign::event::{Event, EventKind, EventSink};
use countersign::memory::{MemoryFactors, MemoryUsers};
use countersign::policy::{Exemption, PolicyContext, Requirement, TwoFactorPolicy};
use countersign::store::{CommitOutcome, ExpectedVersions, FactorStore, Snapshot, StoredRow};
use countersign::user::{PasswordHash, User, UserStore};
use countersign::{LoginName, TenantId, UserId};

use std::future::Future;

use serde_json::Value;
use tokio::sync::Barrier;

use crate::support::faults::Faulty;
use crate::support::wrapped::{Wrapped, Wraps};
use crate::support::*;

/// So many steps meet at one load.
pub(crate) const TASKS: usize = 64;

type Doctor = Arc<dyn Fn(&Value, &mut Value) + Send + Sync>;

/// What a store does wrong.
#[derive(Clone, Copy, PartialEq)]
enum Flaw {
    Unconditional,
    IgnoresGenerations,
    OneForAllTenants,
}

/// The store in memory, sound unless it is told otherwise.
#[derive(Clone)]
pub(crate) struct Store {
    inner: MemoryFactors,
    doctor: Option<Doctor>,
    flaws: Vec<Flaw>,
    gather: Option<(Arc<Barrier>, Arc<AtomicUsize>)>,
    stale: Arc<Mutex<Option<(Snapshot, usize)>>>,
}

impl Store {
    pub(crate) fn over(world: &World) -> Self {
        Self {
            inner: world.factors.clone(),
            doctor: None,
            flaws: Vec::new(),
            gather: None,
            stale: Arc::default(),
        }
    }

    /// Writes what this makes of the record as it was and the record as it is to be.
    pub(crate) fn doctored(
        mut self,
        doctor: impl Fn(&Value, &mut Value) + Send + Sync + 'static,
    ) -> Self {
        self.doctor = Some(Arc::new(doctor));
        self
    }

    /// Writes whatever was read before: check, then act.
    pub(crate) fn unconditional(self) -> Self {
        self.with(Flaw::Unconditional)
    }

    /// Takes records of every generation for records of this one.
    pub(crate) fn without_generations(self) -> Self {
        self.with(Flaw::IgnoresGenerations)
    }

    pub(crate) fn without_tenants(self) -> Self {
        self.with(Flaw::OneForAllTenants)
    }

    /// The first loads of [`TASKS`] steps wait for each other, so that all of them have read the
    /// same.
    pub(crate) fn gathering(mut self) -> Self {
        self.gather = Some((Arc::new(Barrier::new(TASKS)), Arc::new(AtomicUsize::new(TASKS))));
        self
    }

    /// The next loads are answered by what was there at that time, as a replica that lags does.
    pub(crate) fn lag(&self, snapshot: Snapshot, loads: usize) {
        *self.stale.lock().unwrap() = Some((snapshot, loads));
    }

    fn with(mut self, flaw: Flaw) -> Self {
        self.flaws.push(flaw);
        self
    }

    fn has(&self, flaw: Flaw) -> bool {
        self.flaws.contains(&flaw)
    }

    fn tenant<'a>(&self, tenant: &'a TenantId, one: &'a TenantId) -> &'a TenantId {
        if self.has(Flaw::OneForAllTenants) { one } else { tenant }
    }
}

#[async_trait]
impl Wraps for Store {
    type Inner = MemoryFactors;

    fn inner(&self) -> &MemoryFactors {
        &self.inner
    }

    async fn load(&self, tenant: &TenantId, user: &UserId) -> Result<Snapshot, PluginError> {
        let one = crate::support::tenant("acme");
        let mut snapshot = self.inner.load(self.tenant(tenant, &one), user).await?;
        if let Some((barrier, left)) = &self.gather
            && left
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1))
                .is_ok()
        {
            barrier.wait().await;
        }
        if let Some((stale, left)) = &mut *self.stale.lock().unwrap()
            && *left > 0
        {
            *left -= 1;
            return Ok(stale.clone());
        }
        if self.has(Flaw::IgnoresGenerations)
            && let (Some(settings), Some(record)) = (&snapshot.settings, &mut snapshot.record)
        {
            record.generation = settings.generation;
        }
        Ok(snapshot)
    }

    async fn commit(
        &self,
        tenant: &TenantId,
        user: &UserId,
        expected: &ExpectedVersions,
        next: &StoredRow,
    ) -> Result<CommitOutcome, PluginError> {
        let one = crate::support::tenant("acme");
        let tenant = self.tenant(tenant, &one);
        let mut next = next.clone();
        loop {
            let there = self.inner.load(tenant, user).await?;
            if let Some(doctor) = &self.doctor {
                let before =
                    there.record.as_ref().map_or(Value::Null, |saved| read(&saved.document));
                let mut after = read(&next.document);
                doctor(&before, &mut after);
                next.document = after.to_string();
            }
            if !self.has(Flaw::Unconditional) {
                return self.inner.commit(tenant, user, expected, &next).await;
            }
            let found = ExpectedVersions {
                settings: there.settings.map(|saved| saved.version),
                record: there.record.map(|saved| saved.version),
            };
            if self.inner.commit(tenant, user, &found, &next).await? == CommitOutcome::Written {
                return Ok(CommitOutcome::Written);
            }
        }
    }

    async fn remove(&self, tenant: &TenantId, user: &UserId) -> Result<bool, PluginError> {
        let one = crate::support::tenant("acme");
        self.inner.remove(self.tenant(tenant, &one), user).await
    }
}

fn read(document: &str) -> Value {
    serde_json::from_str(document).unwrap()
}

/// The world's flow over this store.
pub(crate) fn over(world: &mut World, store: &Store) {
    let users = world.users.clone();
    world.rewire(users, Wrapped(store.clone()), world.outbox.clone(), |b| {
        b.trusted_devices(30 * DAY, 3)
    });
}

/// Puts one field back as it was.
pub(crate) fn keep(before: &Value, next: &mut Value, field: &str) {
    let fields = next.as_object_mut().unwrap();
    match before.get(field) {
        Some(value) => fields.insert(field.to_owned(), value.clone()),
        None => fields.remove(field),
    };
}

/// The logins under way.
pub(crate) fn pending_of(record: &mut Value) -> impl Iterator<Item = &mut Value> {
    record.get_mut("pending").and_then(Value::as_array_mut).into_iter().flatten()
}

/// Forgets every wrong code.
pub(crate) fn forget_wrong_codes(record: &mut Value) {
    record.as_object_mut().unwrap().remove("code_failures");
    for pending in pending_of(record) {
        pending["wrong"] = 0.into();
    }
}

/// How many logins are pending, and how many codes were sent for them.
pub(crate) fn logins_and_sends(record: &Value) -> (usize, u64) {
    let pending = record["pending"].as_array().map_or(&[][..], Vec::as_slice);
    (pending.len(), pending.iter().filter_map(|pending| pending["sends"].as_u64()).sum())
}

/// A policy that takes a failure for "not needed".
pub(crate) struct FailOpen<P>(pub(crate) Faulty<P>);

impl<P: TwoFactorPolicy> TwoFactorPolicy for FailOpen<P> {
    fn decide(&self, context: &PolicyContext<'_>) -> Result<Requirement, PluginError> {
        let failed = Requirement::Exempt(Exemption::Application("failed".into()));
        Ok(self.0.decide(context).unwrap_or(failed))
    }
}

/// A policy by which nobody needs a second factor, whatever the tenant says.
pub(crate) struct Nowhere;

impl TwoFactorPolicy for Nowhere {
    fn decide(&self, _: &PolicyContext<'_>) -> Result<Requirement, PluginError> {
        Ok(Requirement::Exempt(Exemption::Application("nowhere".into())))
    }
}

/// A generator that repeats itself.
pub(crate) struct Constant;

impl Entropy for Constant {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), PluginError> {
        bytes.fill(7);
        Ok(())
    }
}

/// A sink that loses every wrong secret.
pub(crate) struct Lossy(pub(crate) Events);

impl EventSink for Lossy {
    fn emit(&self, event: &Event) {
        if !matches!(event.kind, EventKind::SecretWrong { .. }) {
            self.0.emit(event);
        }
    }
}

/// A world with that sink.
pub(crate) async fn lossy_world() -> World {
    let kept = Events::default();
    let mut world =
        World::with(|b| b.trusted_devices(30 * DAY, 3).events(Lossy(kept.clone()))).await;
    kept.clear();
    world.events = kept;
    world
}

/// A users table in which everybody is of every tenant.
pub(crate) struct Mixed(pub(crate) MemoryUsers);

#[async_trait]
impl UserStore for Mixed {
    async fn find_by_login(
        &self,
        asked: &TenantId,
        name: &LoginName,
    ) -> Result<Option<User>, PluginError> {
        Ok(echoing(self.0.find_by_login(&tenant("acme"), name).await?, asked))
    }

    async fn find_by_id(
        &self,
        asked: &TenantId,
        user: &UserId,
    ) -> Result<Option<User>, PluginError> {
        Ok(echoing(self.0.find_by_id(&tenant("acme"), user).await?, asked))
    }

    async fn replace_password_hash(
        &self,
        _: &TenantId,
        user: &UserId,
        current: &PasswordHash,
        next: &PasswordHash,
    ) -> Result<bool, PluginError> {
        self.0.replace_password_hash(&tenant("acme"), user, current, next).await
    }
}

/// A user whose tenant is the one that was asked for, and not the one in the table: the flow cannot
/// see that it is another's.
fn echoing(user: Option<User>, asked: &TenantId) -> Option<User> {
    user.map(|mut user| {
        user.tenant = asked.clone();
        user
    })
}

/// Runs one step in each of [`TASKS`] tasks.
pub(crate) async fn max_concurrent<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
    step: impl Fn() -> F,
) -> Vec<T> {
    let tasks: Vec<_> = (0..TASKS).map(|_| tokio::spawn(step())).collect();
    let mut answers = Vec::with_capacity(TASKS);
    for task in tasks {
        answers.push(task.await.unwrap());
    }
    answers
}
