//! A store in memory that can be broken in one way at a time.
//!
//! Where a flaw shows only if two calls meet, the reference store makes them meet: it holds one of
//! them until the other has done what it must come between. Nothing is left to the scheduler.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use countersign::error::PluginError;
use countersign::store::{
    CommitOutcome, ExpectedVersions, FactorStore, Generation, Snapshot, Snapshots, StoredRow,
    Version,
};
use countersign::{TenantId, UserId};
use countersign_testkit::conformance::{Backend, Hold, HostTransaction, Line};

use crate::line::{OnALine, Wire};

/// What is wrong with a reference store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    None,
    EmptyRecordForNobody,
    RecordsMakeSettings,
    KeepsFirstGeneration,
    KeepsFirstSettings,
    RefusesUnchangedVersion,
    RemovesPrefixes,
    NormalisesDocuments,
    EmptiesUnknownFormats,
    ShortensDocuments,
    ShortensIds,
    SignedNumbers,
    IgnoresSettings,
    ReplacesWhereNoneExpected,
    ChecksThenInserts,
    ChecksThenUpdates,
    ChecksThenSetsFirst,
    ChecksThenSets,
    ConflictsOverNewTenant,
    SaysWrittenAnyway,
    KeepsRemovedVersions,
    UpsertsAfterCheck,
    TornLoad,
    AnswersAsRowsCome,
    LeavesOutTheMissing,
    AnswersTheSameOnce,
    HidesEarlierRecords,
    AnswersNothingToNobody,
    AnswersOfAnyTenant,
    SplitsListsAtCommas,
    FoldsLists,
    CutsLongLists,
    CachesLists,
    CachesSettingsOfLists,
    ChecksSettingsFirst,
    LocksNothingWithoutSettings,
    NoneMeansAny,
    PurgesInclusively,
    PurgesTooMuch,
    CountsDoubly,
    EndsBatchesEarly,
    PurgesByKey,
    PurgesEverybody,
    JoinsKeys,
    FoldsCase,
    FoldsSpaces,
    ComposesAccents,
    Caches,
    WritesInHalves,
    RemovesInHalves,
    DiesWithItsConnection,
    ForgetsOnRestart,
    JoinsHostTransaction,
    RemovesAnyVersion,
    SaysRemovedAnyway,
    ChecksThenRemoves,
    ListsEveryGeneration,
    ListsFromTheCursor,
    ListsByPosition,
    ListsInTheOrderOfALocale,
    ListsTooMany,
    CountsChangedRows,
    TakesLostForWritten,
    TakesLostForConflict,
    SendsAgain,
    SendsAgainAndLooks,
}

/// Tenant and user, or a tenant alone with an empty user.
type Key = (String, String);

/// What happened to a key, for a call that waits for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Mark {
    /// A call has compared, and is about to write.
    Looked,
    Written,
    Removed,
    /// A tenant's settings, while commits are under way.
    Changed,
    /// A record was read after its tenant's settings had changed.
    LoadedAfterChange,
    /// A purge of a tenant is at its end.
    Purged,
    /// A commit that is going to be held has begun in a tenant.
    Begun,
}

#[derive(Clone, Debug, Default)]
struct Tables {
    settings: BTreeMap<String, StoredRow>,
    records: BTreeMap<Key, StoredRow>,
    removed: BTreeMap<Key, Version>,
    marks: BTreeMap<(Mark, Key), u32>,
    /// What is forced once has been forced.
    met: bool,
    /// The check holds up what has compared and has not written yet: so many by now.
    writes_are_held: bool,
    held: u64,
}

#[derive(Debug, Default)]
struct Shared {
    tables: Mutex<Tables>,
    /// What the open transaction of the application will restore.
    host: Mutex<Option<Tables>>,
    restarts: AtomicU32,
    handles: AtomicUsize,
}

pub(crate) struct ReferenceStores {
    flaw: Flaw,
    shared: Arc<Shared>,
}

impl ReferenceStores {
    pub(crate) fn with(flaw: Flaw) -> Self {
        Self { flaw, shared: Arc::default() }
    }

    fn reference(&self) -> ReferenceStore {
        ReferenceStore {
            flaw: self.flaw,
            shared: Arc::clone(&self.shared),
            cache: Mutex::default(),
            begun: Mutex::default(),
            born: self.shared.restarts.load(Ordering::SeqCst),
            met: AtomicBool::new(false),
        }
    }
}

/// Commits that are held until this is released.
struct Held(Arc<Shared>);

#[async_trait]
impl Hold for Held {
    async fn waiting(&self) -> Result<u64, PluginError> {
        Ok(self.0.tables().held)
    }

    async fn release(self: Box<Self>) -> Result<(), PluginError> {
        self.0.tables().writes_are_held = false;
        Ok(())
    }
}

#[async_trait]
impl Backend for ReferenceStores {
    async fn open(&self) -> Result<Arc<dyn FactorStore>, PluginError> {
        self.shared.handles.fetch_add(1, Ordering::SeqCst);
        Ok(Arc::new(self.reference()))
    }

    async fn open_on_a_line(
        &self,
    ) -> Result<Option<(Arc<dyn FactorStore>, Box<dyn Line>)>, PluginError> {
        let wire = Wire::default();
        let store = OnALine { reference: self.reference(), flaw: self.flaw, wire: wire.clone() };
        Ok(Some((Arc::new(store), Box::new(wire))))
    }

    async fn hold_writes(&self) -> Result<Option<Box<dyn Hold>>, PluginError> {
        self.shared.tables().writes_are_held = true;
        Ok(Some(Box::new(Held(Arc::clone(&self.shared)))))
    }

    async fn interrupt(&self) -> Result<bool, PluginError> {
        self.shared.restarts.fetch_add(1, Ordering::SeqCst);
        if self.flaw == Flaw::ForgetsOnRestart {
            self.shared.tables().records.clear();
        }
        Ok(true)
    }

    async fn host_transaction(&self) -> Result<Option<Box<dyn HostTransaction>>, PluginError> {
        *self.shared.host.lock().unwrap() = Some(self.shared.tables().clone());
        Ok(Some(Box::new(Rollback {
            joined: self.flaw == Flaw::JoinsHostTransaction,
            shared: Arc::clone(&self.shared),
        })))
    }

    async fn clean_up(&self) -> Result<(), PluginError> {
        Ok(())
    }
}

struct Rollback {
    joined: bool,
    shared: Arc<Shared>,
}

#[async_trait]
impl HostTransaction for Rollback {
    async fn roll_back(self: Box<Self>) -> Result<(), PluginError> {
        let before = self.shared.host.lock().unwrap().take();
        if let (true, Some(before)) = (self.joined, before) {
            *self.shared.tables() = before;
        }
        Ok(())
    }
}

impl Tables {
    fn mark(&mut self, mark: Mark, key: &Key) -> u32 {
        let marks = self.marks.entry((mark, key.clone())).or_default();
        *marks += 1;
        *marks
    }

    fn marks(&self, mark: Mark, key: &Key) -> u32 {
        self.marks.get(&(mark, key.clone())).copied().unwrap_or_default()
    }
}

impl Shared {
    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap()
    }

    /// Holds the caller until this holds. That it never does is a mistake of the check or of the
    /// reference store, and no verdict.
    async fn until(&self, what: &str, holds: impl Fn(&mut Tables) -> bool) {
        let started = Instant::now();
        while !holds(&mut self.tables()) {
            assert!(started.elapsed() < Duration::from_secs(60), "nobody came in between: {what}");
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
    }

    /// Holds the first caller that has compared until a second one has, on the same key. Later ones
    /// pass.
    async fn meet(&self, key: &Key) {
        if self.tables().met {
            return;
        }
        self.until("a second call that compares", |tables| {
            tables.met |= tables.marks(Mark::Looked, key) >= 2;
            tables.met
        })
        .await;
    }

    /// Where a write is held that the check holds up.
    async fn held(&self) {
        let held = {
            let mut tables = self.tables();
            let held = tables.writes_are_held;
            tables.held += u64::from(held);
            held
        };
        if held {
            self.until("the end of the hold", |tables| !tables.writes_are_held).await;
            self.tables().held -= 1;
        }
    }

    /// Whether this is the first call that asks.
    fn first(&self) -> bool {
        !std::mem::replace(&mut self.tables().met, true)
    }

    /// Whether the check has opened more handles than a check of single calls opens.
    fn crowded(&self) -> bool {
        self.handles.load(Ordering::SeqCst) > 3
    }
}

pub(crate) struct ReferenceStore {
    flaw: Flaw,
    shared: Arc<Shared>,
    cache: Mutex<BTreeMap<Key, Snapshot>>,
    /// How many commits this handle has begun in each tenant.
    begun: Mutex<BTreeMap<String, u32>>,
    born: u32,
    met: AtomicBool,
}

/// The key of a tenant itself.
fn whole(tenant: &str) -> Key {
    (tenant.to_owned(), String::new())
}

impl ReferenceStore {
    fn is(&self, flaw: Flaw) -> bool {
        self.flaw == flaw
    }

    /// A handle meets each restart once, with an error; a broken one never gets over it.
    fn connection(&self) -> Result<(), PluginError> {
        let restarted = self.shared.restarts.load(Ordering::SeqCst) != self.born;
        let first = restarted && !self.met.swap(true, Ordering::SeqCst);
        if first || (restarted && self.is(Flaw::DiesWithItsConnection)) {
            return Err(PluginError::new("connection lost"));
        }
        Ok(())
    }

    fn name(&self, id: &str) -> String {
        match self.flaw {
            Flaw::ShortensIds => id.chars().take(64).collect(),
            Flaw::FoldsCase => id.to_lowercase(),
            Flaw::FoldsSpaces => id.trim().to_owned(),
            Flaw::ComposesAccents => id.replace("e\u{301}", "\u{e9}"),
            _ => id.to_owned(),
        }
    }

    fn key(&self, tenant: &TenantId, user: &UserId) -> Key {
        let (tenant, user) = (self.name(tenant.as_str()), self.name(user.as_str()));
        if self.is(Flaw::JoinsKeys) {
            (format!("{tenant}:{user}"), String::new())
        } else {
            (tenant, user)
        }
    }

    fn of(&self, key: &Key, tenant: &TenantId) -> bool {
        let name = self.name(tenant.as_str());
        match self.flaw {
            Flaw::JoinsKeys => key.0.starts_with(&format!("{name}:")),
            Flaw::PurgesEverybody => key.0.starts_with(&name),
            _ => key.0 == name,
        }
    }

    fn below(&self, generation: Generation, below: Generation) -> bool {
        match self.flaw {
            Flaw::SignedNumbers => generation.number().cast_signed() < below.number().cast_signed(),
            Flaw::PurgesInclusively => generation <= below,
            _ => generation < below,
        }
    }

    fn document(&self, next: &StoredRow) -> StoredRow {
        let mut next = next.clone();
        match self.flaw {
            Flaw::NormalisesDocuments => next.document = next.document.trim().to_owned(),
            Flaw::EmptiesUnknownFormats if next.document.contains("\"format\":4000000000") => {
                "{}".clone_into(&mut next.document);
            }
            Flaw::ShortensDocuments => {
                next.document = next.document.chars().take(30_000).collect::<String>();
            }
            _ => {}
        }
        next
    }

    fn holds(
        &self,
        tables: &Tables,
        tenant: &TenantId,
        key: &Key,
        expected: &ExpectedVersions,
    ) -> bool {
        self.settings_hold(tables, tenant, expected) && self.record_holds(tables, key, expected)
    }

    fn settings_hold(
        &self,
        tables: &Tables,
        tenant: &TenantId,
        expected: &ExpectedVersions,
    ) -> bool {
        let found = tables.settings.get(&self.name(tenant.as_str())).map(|row| row.version);
        match self.flaw {
            Flaw::IgnoresSettings => true,
            Flaw::NoneMeansAny if expected.settings.is_none() => true,
            _ => found == expected.settings,
        }
    }

    fn record_holds(&self, tables: &Tables, key: &Key, expected: &ExpectedVersions) -> bool {
        let found = tables.records.get(key).map(|row| row.version);
        let found = match self.flaw {
            Flaw::KeepsRemovedVersions => found.or_else(|| tables.removed.get(key).copied()),
            Flaw::ReplacesWhereNoneExpected if expected.record.is_none() => return true,
            _ => found,
        };
        found == expected.record
            || (self.is(Flaw::KeepsRemovedVersions) && expected.record.is_none())
    }

    fn put(&self, tables: &mut Tables, tenant: &TenantId, key: Key, next: &StoredRow) {
        let mut next = self.document(next);
        if let (Flaw::KeepsFirstGeneration, Some(before)) = (self.flaw, tables.records.get(&key)) {
            next.generation = before.generation;
        }
        if self.is(Flaw::RecordsMakeSettings) {
            tables.settings.entry(self.name(tenant.as_str())).or_insert_with(|| next.clone());
        }
        tables.mark(Mark::Written, &key);
        tables.records.insert(key, next);
    }

    /// What must come first for a flaw of another call to show.
    async fn wait_to_commit(&self, key: &Key, expected: &ExpectedVersions, next: &StoredRow) {
        let shared = &self.shared;
        match self.flaw {
            Flaw::ChecksThenRemoves if expected.record.is_some() => {
                let looked = |tables: &mut Tables| tables.marks(Mark::Looked, key) > 0;
                shared.until("a removal that has compared", looked).await;
            }
            Flaw::PurgesByKey if next.generation > Generation::new(0) => {
                let looked = |tables: &mut Tables| tables.marks(Mark::Looked, &whole(&key.0)) > 0;
                shared.until("a purge that has listed what it deletes", looked).await;
            }
            // Once, another comes first, so that there is a conflict to be hidden.
            Flaw::SaysWrittenAnyway if shared.crowded() && shared.first() => {
                let before = shared.tables().marks(Mark::Written, key);
                let another = |tables: &mut Tables| tables.marks(Mark::Written, key) > before;
                shared.until("another commit", another).await;
            }
            _ => {}
        }
    }

    /// What a list of users is taken for.
    fn listed(&self, tenant: &TenantId, users: &[UserId]) -> Vec<Key> {
        let mut keys: Vec<Key> = users.iter().map(|user| self.key(tenant, user)).collect();
        match self.flaw {
            Flaw::AnswersAsRowsCome => keys.sort_unstable(),
            Flaw::CutsLongLists => keys.truncate(500),
            Flaw::FoldsLists => keys.iter_mut().for_each(|key| key.1 = key.1.to_lowercase()),
            Flaw::SplitsListsAtCommas => {
                let list = keys.iter().map(|key| key.1.as_str()).collect::<Vec<_>>().join(",");
                let users = list.split(',').filter(|user| !user.is_empty());
                let tenant = self.name(tenant.as_str());
                keys = users.map(|user| (tenant.clone(), user.to_owned())).collect();
            }
            _ => {}
        }
        keys
    }

    fn settings_are_compared_early(&self, expected: &ExpectedVersions) -> bool {
        match self.flaw {
            Flaw::ChecksSettingsFirst => true,
            Flaw::IgnoresSettings => self.shared.crowded(),
            Flaw::LocksNothingWithoutSettings => expected.settings.is_none(),
            _ => false,
        }
    }

    /// Compares the settings. From a handle's second commit in a tenant on, the commit is then held
    /// until the settings have changed and somebody has read what was written by then, or has
    /// purged.
    ///
    /// The first one passes, since the check waits for one before it changes anything.
    async fn compares_settings_and_waits(
        &self,
        tenant: &TenantId,
        key: &Key,
        expected: &ExpectedVersions,
    ) -> bool {
        let whole = whole(&key.0);
        let held = {
            let mut tables = self.shared.tables();
            if !self.settings_hold(&tables, tenant, expected) {
                return false;
            }
            let mut begun = self.begun.lock().unwrap();
            let begun = begun.entry(key.0.clone()).or_default();
            *begun += 1;
            tables.mark(Mark::Begun, &whole);
            let held = *begun > 1;
            if held {
                tables.mark(Mark::Looked, &whole);
            }
            held
        };
        if held {
            let over = |tables: &mut Tables| {
                tables.marks(Mark::LoadedAfterChange, key) > 0
                    || tables.marks(Mark::Purged, &whole) > 0
            };
            self.shared
                .until("a change of settings, and a look at what was written before it", over)
                .await;
        }
        self.shared.held().await;
        true
    }
}

#[async_trait]
impl FactorStore for ReferenceStore {
    async fn load(&self, tenant: &TenantId, user: &UserId) -> Result<Snapshot, PluginError> {
        self.connection()?;
        let key = self.key(tenant, user);
        if let (Flaw::Caches, Some(cached)) = (self.flaw, self.cache.lock().unwrap().get(&key)) {
            return Ok(cached.clone());
        }
        let (settings, mut record) = {
            let mut tables = self.shared.tables();
            if tables.marks(Mark::Changed, &whole(&key.0)) > 0 {
                tables.mark(Mark::LoadedAfterChange, &key);
            }
            (
                tables.settings.get(&self.name(tenant.as_str())).cloned(),
                tables.records.get(&key).cloned(),
            )
        };
        if let (Flaw::TornLoad, Some(settings)) = (self.flaw, &settings) {
            // The settings that it has read are replaced meanwhile, and the record after them.
            let later = |tables: &mut Tables| tables.records[&key].generation > settings.generation;
            self.shared.until("a record of the next cycle", later).await;
            record = self.shared.tables().records.get(&key).cloned();
        }
        if self.is(Flaw::EmptyRecordForNobody) && record.is_none() {
            let (version, generation) = (Version::from_bytes([0; 16]), Generation::new(0));
            record = Some(StoredRow { version, generation, document: "{}".to_owned() });
        }
        let snapshot = Snapshot { settings, record };
        self.cache.lock().unwrap().insert(key, snapshot.clone());
        Ok(snapshot)
    }

    async fn load_many(
        &self,
        tenant: &TenantId,
        users: &[UserId],
    ) -> Result<Snapshots, PluginError> {
        self.connection()?;
        if self.is(Flaw::AnswersNothingToNobody) && users.is_empty() {
            return Ok(Snapshots::default());
        }
        let keys = self.listed(tenant, users);
        let tables = self.shared.tables();
        let mut cache = self.cache.lock().unwrap();
        let mut settings = tables.settings.get(&self.name(tenant.as_str())).cloned();
        if self.is(Flaw::CachesSettingsOfLists) {
            let read = Snapshot { settings: settings.clone(), record: None };
            settings.clone_from(&cache.entry(whole(tenant.as_str())).or_insert(read).settings);
        }
        let mut answered = BTreeSet::new();
        let mut records = Vec::with_capacity(keys.len());
        for key in keys {
            let mut record = tables.records.get(&key).cloned();
            match self.flaw {
                Flaw::AnswersOfAnyTenant => {
                    let mut rows = tables.records.iter();
                    let found = rows.find(|((_, user), _)| *user == key.1);
                    record = record.or_else(|| found.map(|(_, row)| row.clone()));
                }
                Flaw::AnswersTheSameOnce => record = record.filter(|_| answered.insert(key)),
                Flaw::HidesEarlierRecords => {
                    let now = settings.as_ref().map(|row| row.generation).unwrap_or_default();
                    record = record.filter(|row| row.generation >= now);
                }
                Flaw::CachesLists => {
                    let read = Snapshot { settings: None, record: record.clone() };
                    record.clone_from(&cache.entry(key).or_insert(read).record);
                }
                _ => {}
            }
            if record.is_some() || !self.is(Flaw::LeavesOutTheMissing) {
                records.push(record);
            }
        }
        Ok(Snapshots { settings, records })
    }

    async fn commit(
        &self,
        tenant: &TenantId,
        user: &UserId,
        expected: &ExpectedVersions,
        next: &StoredRow,
    ) -> Result<CommitOutcome, PluginError> {
        self.connection()?;
        let key = self.key(tenant, user);
        self.wait_to_commit(&key, expected, next).await;
        let checks_first = match self.flaw {
            Flaw::ChecksThenInserts => expected.record.is_none(),
            Flaw::ChecksThenUpdates | Flaw::UpsertsAfterCheck => expected.record.is_some(),
            _ => false,
        };
        if checks_first {
            {
                let mut tables = self.shared.tables();
                if !self.holds(&tables, tenant, &key, expected) {
                    return Ok(CommitOutcome::Conflict);
                }
                tables.mark(Mark::Looked, &key);
            }
            if self.is(Flaw::UpsertsAfterCheck) {
                self.shared
                    .until("a removal", |tables| tables.marks(Mark::Removed, &key) > 0)
                    .await;
            } else {
                self.shared.meet(&key).await;
            }
            self.put(&mut self.shared.tables(), tenant, key, next);
            return Ok(CommitOutcome::Written);
        }
        if self.settings_are_compared_early(expected) {
            if !self.compares_settings_and_waits(tenant, &key, expected).await {
                return Ok(CommitOutcome::Conflict);
            }
            let mut tables = self.shared.tables();
            if !self.record_holds(&tables, &key, expected) {
                return Ok(CommitOutcome::Conflict);
            }
            self.put(&mut tables, tenant, key, next);
            return Ok(CommitOutcome::Written);
        }
        if self.is(Flaw::ConflictsOverNewTenant)
            && expected.settings.is_none()
            && self.shared.first()
        {
            // Of all commits the first: another user's comes in between.
            let known = |tables: &mut Tables| tables.records.keys().any(|(name, _)| *name == key.0);
            self.shared.until("another user's commit", known).await;
            return Ok(CommitOutcome::Conflict);
        }
        // Before it compares: what comes first is seen.
        self.shared.held().await;
        let halves = {
            let mut tables = self.shared.tables();
            if self.is(Flaw::CountsChangedRows) && tables.records.get(&key) == Some(next) {
                return Ok(CommitOutcome::Conflict);
            }
            if !self.holds(&tables, tenant, &key, expected) {
                let said = if self.is(Flaw::SaysWrittenAnyway) {
                    CommitOutcome::Written
                } else {
                    CommitOutcome::Conflict
                };
                return Ok(said);
            }
            let half = tables.records.get(&key).cloned().filter(|_| self.is(Flaw::WritesInHalves));
            match &half {
                Some(before) => {
                    let half = StoredRow { version: next.version, ..before.clone() };
                    tables.records.insert(key.clone(), half);
                }
                None => self.put(&mut tables, tenant, key.clone(), next),
            }
            half.is_some()
        };
        if halves {
            tokio::task::yield_now().await;
            self.put(&mut self.shared.tables(), tenant, key, next);
        }
        Ok(CommitOutcome::Written)
    }

    async fn settings(&self, tenant: &TenantId) -> Result<Option<StoredRow>, PluginError> {
        self.connection()?;
        Ok(self.shared.tables().settings.get(&self.name(tenant.as_str())).cloned())
    }

    async fn change_settings(
        &self,
        tenant: &TenantId,
        expected: Option<Version>,
        next: &StoredRow,
    ) -> Result<CommitOutcome, PluginError> {
        self.connection()?;
        let name = self.name(tenant.as_str());
        let found = |tables: &Tables| tables.settings.get(&name).map(|row| row.version);
        let checks_first = match self.flaw {
            Flaw::ChecksThenSetsFirst => expected.is_none(),
            Flaw::ChecksThenSets => expected.is_some(),
            _ => false,
        };
        if checks_first {
            {
                let mut tables = self.shared.tables();
                if found(&tables) != expected {
                    return Ok(CommitOutcome::Conflict);
                }
                tables.mark(Mark::Looked, &whole(&name));
            }
            self.shared.meet(&whole(&name)).await;
        }
        // Where commits have begun that are going to be held, one of them is held by now.
        let held = |tables: &mut Tables| {
            let (begun, looked) = (
                tables.marks(Mark::Begun, &whole(&name)),
                tables.marks(Mark::Looked, &whole(&name)),
            );
            begun == 0 || looked > 0 || !self.shared.crowded()
        };
        self.shared.until("a commit that has compared the settings", held).await;
        let mut tables = self.shared.tables();
        let unchanged = self.is(Flaw::RefusesUnchangedVersion) && expected == Some(next.version);
        if !checks_first && (found(&tables) != expected || unchanged) {
            return Ok(CommitOutcome::Conflict);
        }
        if self.is(Flaw::CountsChangedRows) && tables.settings.get(&name) == Some(next) {
            return Ok(CommitOutcome::Conflict);
        }
        if self.is(Flaw::KeepsFirstSettings) && expected.is_some() {
            return Ok(CommitOutcome::Written);
        }
        if tables.marks(Mark::Begun, &whole(&name)) > 0 {
            tables.mark(Mark::Changed, &whole(&name));
        }
        tables.settings.insert(name, self.document(next));
        Ok(CommitOutcome::Written)
    }

    async fn purge(
        &self,
        tenant: &TenantId,
        below: Generation,
        at_most: u32,
    ) -> Result<u64, PluginError> {
        self.connection()?;
        let at_most = match self.flaw {
            Flaw::PurgesTooMuch => usize::MAX,
            Flaw::EndsBatchesEarly => usize::try_from(at_most)? * 3 / 4,
            _ => usize::try_from(at_most)?,
        };
        let find = |tables: &Tables| -> Vec<Key> {
            let goes = |(key, row): &(&Key, &StoredRow)| {
                self.of(key, tenant) && self.below(row.generation, below)
            };
            tables.records.iter().filter(goes).map(|(key, _)| key.clone()).take(at_most).collect()
        };
        let mut found = find(&self.shared.tables());
        let gone = |tables: &mut Tables| found.iter().any(|key| !tables.records.contains_key(key));
        let later =
            |tables: &mut Tables| found.iter().any(|key| tables.records[key].generation >= below);
        match self.flaw {
            Flaw::PurgesByKey if !found.is_empty() => {
                self.shared.tables().mark(Mark::Looked, &whole(&self.name(tenant.as_str())));
                self.shared.until("a record that is written anew", later).await;
            }
            Flaw::CountsDoubly if self.shared.first() => {
                self.shared.until("another purge", gone).await;
            }
            _ => {}
        }
        let mut tables = self.shared.tables();
        // Without these flaws it looks and deletes in one.
        if !matches!(self.flaw, Flaw::PurgesByKey | Flaw::CountsDoubly) {
            found = find(&tables);
        }
        let mut deleted = 0;
        for key in &found {
            let still =
                tables.records.get(key).is_some_and(|row| self.below(row.generation, below));
            if self.is(Flaw::PurgesByKey) || still {
                tables.records.remove(key);
            }
            deleted += u64::from(still || self.is(Flaw::CountsDoubly));
        }
        if found.len() < at_most {
            tables.mark(Mark::Purged, &whole(&self.name(tenant.as_str())));
        }
        Ok(deleted)
    }

    async fn count(&self, tenant: &TenantId, below: Generation) -> Result<u64, PluginError> {
        self.connection()?;
        let tables = self.shared.tables();
        let rows = tables.records.iter().filter(|(key, _)| self.of(key, tenant));
        Ok(rows.filter(|(_, row)| self.below(row.generation, below)).count() as u64)
    }

    async fn remove(&self, tenant: &TenantId, user: &UserId) -> Result<bool, PluginError> {
        self.connection()?;
        let key = self.key(tenant, user);
        if self.is(Flaw::RemovesInHalves) {
            if let Some(record) = self.shared.tables().records.get_mut(&key) {
                record.document.clear();
            }
            tokio::task::yield_now().await;
        }
        if self.is(Flaw::UpsertsAfterCheck) {
            let looked = |tables: &mut Tables| tables.marks(Mark::Looked, &key) > 0;
            self.shared.until("a commit that has compared", looked).await;
        }
        let mut tables = self.shared.tables();
        if self.is(Flaw::RemovesPrefixes) {
            tables.records.retain(|(tenant, user), _| {
                !(*tenant == key.0 && user.len() > key.1.len() && user.starts_with(&key.1))
            });
        }
        let removed = tables.records.remove(&key);
        if let Some(removed) = &removed {
            tables.mark(Mark::Removed, &key);
            tables.removed.insert(key, removed.version);
        }
        Ok(removed.is_some())
    }

    async fn remove_if(
        &self,
        tenant: &TenantId,
        user: &UserId,
        version: Version,
    ) -> Result<bool, PluginError> {
        self.connection()?;
        let key = self.key(tenant, user);
        if self.is(Flaw::RemovesAnyVersion) && self.shared.crowded() {
            // The record was made, and a commit has been acknowledged since.
            self.shared.until("a commit", |tables| tables.marks(Mark::Written, &key) > 1).await;
        }
        let (found, written) = {
            let mut tables = self.shared.tables();
            let found = tables.records.get(&key).map(|row| row.version);
            if found == Some(version) {
                tables.mark(Mark::Looked, &key);
            }
            (found, tables.marks(Mark::Written, &key))
        };
        if found.is_none() || (found != Some(version) && !self.is(Flaw::RemovesAnyVersion)) {
            return Ok(self.is(Flaw::SaysRemovedAnyway));
        }
        if self.is(Flaw::ChecksThenRemoves) {
            self.shared
                .until("a commit", |tables| tables.marks(Mark::Written, &key) > written)
                .await;
            return Ok(self.shared.tables().records.remove(&key).is_some());
        }
        let mut tables = self.shared.tables();
        let still = self.is(Flaw::RemovesAnyVersion)
            || tables.records.get(&key).map(|row| row.version) == found;
        Ok(still && tables.records.remove(&key).is_some())
    }

    async fn users(
        &self,
        tenant: &TenantId,
        generation: Generation,
        after: Option<&UserId>,
        at_most: u32,
    ) -> Result<Vec<UserId>, PluginError> {
        self.connection()?;
        let mut found: Vec<UserId> = {
            let tables = self.shared.tables();
            let of = tables.records.iter().filter(|(key, _)| self.of(key, tenant));
            let of = of.filter(|(_, row)| {
                row.generation == generation || self.is(Flaw::ListsEveryGeneration)
            });
            of.map(|(key, _)| {
                UserId::read_back(if self.is(Flaw::JoinsKeys) { &key.0 } else { &key.1 })
            })
            .collect::<Result<_, _>>()?
        };
        if self.is(Flaw::ListsInTheOrderOfALocale) {
            found.sort_by_key(|user| user.as_str().to_lowercase());
        }
        let position = match (self.flaw, after) {
            (_, None) => 0,
            // Whoever is gone is at no position: nobody comes after.
            (Flaw::ListsByPosition, Some(after)) => {
                found.iter().position(|user| user == after).map_or(found.len(), |at| at + 1)
            }
            (Flaw::ListsFromTheCursor, Some(after)) => {
                found.iter().take_while(|user| *user < after).count()
            }
            (_, Some(after)) => found.iter().take_while(|user| *user <= after).count(),
        };
        let most = if self.is(Flaw::ListsTooMany) { usize::MAX } else { usize::try_from(at_most)? };
        Ok(found.into_iter().skip(position).take(most).collect())
    }
}
