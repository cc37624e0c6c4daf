//! Jobs that run on an interval, on tokio's paused time.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use countersign::error::PluginError;
use countersign::memory::MemoryFactors;
use countersign::store::{CommitOutcome, ExpectedVersions, FactorStore, Generation};
use countersign::store::{Snapshot, StoredRow};
use countersign::{LoginFlow, Scope, TenantId, UserId};
use countersign_axum::{Maintenance, MaintenanceError, TenantList};
use countersign_testkit::{
    Failing, InjectedFault, Intercepted, Mishaps, Person, TenantSetup, World,
};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::site::{DAY, Hold, Site};

const HOUR: Duration = Duration::from_secs(60 * 60);

/// How many users of the tenant have a record of any generation.
async fn records(factors: &MemoryFactors, tenant: &TenantId) -> u64 {
    factors.count(tenant, Generation::new(1_000)).await.unwrap()
}

/// A tenant of seven people, each with a record that can be deleted.
async fn seven(hold: &Hold) -> (World, MemoryFactors) {
    let factors = MemoryFactors::new();
    let mut people = TenantSetup::named("acme");
    for number in 0..7 {
        people = people.person(Person::named(format!("u{number}")));
    }
    let world = World::of(Intercepted::new(factors.clone(), hold), people, |it| it).unwrap();
    let operator = world.flow.operator("test").unwrap();
    operator.set_scope(&world.tenant, Scope::EntireTenant).await.unwrap();
    for number in 0..7 {
        let _ = world.sign_in(&format!("u{number}")).await.unwrap();
    }
    assert_eq!(records(&factors, &world.tenant).await, 7);
    (world, factors)
}

async fn switch_off(world: &World) {
    let operator = world.flow.operator("test").unwrap();
    operator.set_scope(&world.tenant, Scope::DoNotUse).await.unwrap();
    world.calls.clear();
}

/// Runs it until the test stops it.
fn run(maintenance: Maintenance) -> (oneshot::Sender<()>, tokio::task::JoinHandle<()>) {
    let (stop, stopped) = oneshot::channel();
    let running = tokio::spawn(async move {
        maintenance.run(async { _ = stopped.await }).await;
    });
    (stop, running)
}

/// I-27: what a switched-off tenant has left is deleted in batches, to the end.
#[tokio::test(start_paused = true)]
async fn a_round_purges_to_the_end() {
    let (world, factors) = seven(&Hold::default()).await;
    switch_off(&world).await;
    let tenants = vec![TenantId::new("other").unwrap(), world.tenant.clone()];
    let (stop, running) = run(Maintenance::new(&world.flow, tenants).batch(2));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(records(&factors, &world.tenant).await, 0);
    assert_eq!(world.calls.of("purge"), 4);
    let operator = world.flow.operator("test").unwrap();
    let progress = operator.purge_progress(&world.tenant).await.unwrap().unwrap();
    assert_eq!((progress.deleted, progress.finished_at.is_some()), (7, true));
    drop(stop);
    running.await.unwrap();
}

/// A sweep goes through all pages, and comes again after the pause.
#[tokio::test(start_paused = true)]
async fn a_round_sweeps_every_page_and_comes_again() {
    let (world, factors) = seven(&Hold::default()).await;
    world.calls.clear();
    let maintenance = Maintenance::new(&world.flow, vec![world.tenant.clone()]).batch(3);
    let (stop, running) = run(maintenance.every(2 * HOUR));
    tokio::time::sleep(HOUR).await;
    assert_eq!(world.calls.of("users"), 3);
    assert_eq!(records(&factors, &world.tenant).await, 7, "they are worth something");
    world.clock.advance(400 * DAY);
    tokio::time::sleep(Duration::from_secs(3_599)).await;
    assert_eq!(world.calls.of("users"), 3, "it is not time yet");
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(world.calls.of("users"), 6);
    assert_eq!(records(&factors, &world.tenant).await, 0);
    drop(stop);
    running.await.unwrap();
}

/// A stop finishes the batch that is under way, and begins no other.
#[tokio::test(start_paused = true)]
async fn a_stop_finishes_the_batch_under_way() {
    let hold = Hold::default();
    let (world, factors) = seven(&hold).await;
    switch_off(&world).await;
    let (reached, go) = hold.after("purge");
    let maintenance = Maintenance::new(&world.flow, vec![world.tenant.clone()]).batch(2);
    let (stop, mut running) = run(maintenance);
    reached.await.unwrap();
    drop(stop);
    tokio::task::yield_now().await;
    assert!(futures_lite::future::poll_once(&mut running).await.is_none());
    let _ = go.send(());
    running.await.unwrap();
    assert_eq!((world.calls.of("purge"), world.calls.of("users")), (1, 0));
    assert_eq!(records(&factors, &world.tenant).await, 5);
    let operator = world.flow.operator("test").unwrap();
    let progress = operator.purge_progress(&world.tenant).await.unwrap().unwrap();
    assert_eq!(progress.deleted, 2, "the batch is noted");

    // Between two pages of a sweep, too.
    let (world, _) = seven(&hold).await;
    world.calls.clear();
    let (reached, go) = hold.after("users");
    let (stop, running) = run(Maintenance::new(&world.flow, vec![world.tenant.clone()]).batch(2));
    reached.await.unwrap();
    drop(stop);
    let _ = go.send(());
    running.await.unwrap();
    assert_eq!(world.calls.of("users"), 1);
    assert_eq!(world.calls.of("load"), 2, "the page was finished");
}

/// A stop that was there before begins nothing, and one during the pause ends it.
#[tokio::test(start_paused = true)]
async fn a_stop_does_not_wait_for_the_next_round() {
    let (world, _) = seven(&Hold::default()).await;
    world.calls.clear();
    let tenants = vec![world.tenant.clone()];
    Maintenance::new(&world.flow, tenants.clone()).run(async {}).await;
    assert_eq!(world.calls.all(), Vec::<&str>::new());
    let (stop, running) = run(Maintenance::new(&world.flow, tenants));
    tokio::time::sleep(Duration::from_secs(60)).await;
    let before = Instant::now();
    drop(stop);
    running.await.unwrap();
    assert_eq!(before.elapsed(), Duration::ZERO);
}

/// A list that fails the first time.
struct Flaky(Mutex<u32>, Vec<TenantId>);

#[async_trait]
impl TenantList for Flaky {
    async fn tenants(&self) -> Result<Vec<TenantId>, PluginError> {
        let mut asked = self.0.lock().unwrap();
        *asked += 1;
        if *asked == 1 { Err(PluginError::new("no list today")) } else { Ok(self.1.clone()) }
    }
}

fn reporting(flow: &LoginFlow, list: impl TenantList + 'static) -> (Maintenance, Reported) {
    let reported = Reported::default();
    let reports = Arc::clone(&reported);
    let report = move |error: &MaintenanceError| reports.lock().unwrap().push(error.to_string());
    (Maintenance::new(flow, list).on_error(report), reported)
}

type Reported = Arc<Mutex<Vec<String>>>;

/// An error stops neither the other tenants nor the rounds that follow.
#[tokio::test(start_paused = true)]
async fn errors_are_reported_and_the_job_goes_on() {
    let (factors, failures) = (MemoryFactors::new(), Mishaps::new());
    let world = World::on(Failing::new(factors.clone(), &failures)).unwrap();
    let operator = world.flow.operator("test").unwrap();
    operator.set_scope(&world.tenant, Scope::EntireTenant).await.unwrap();
    let _ = world.sign_in("alice").await.unwrap();
    switch_off(&world).await;
    let tenants = vec![TenantId::new("first").unwrap(), world.tenant.clone()];
    let (maintenance, reported) = reporting(&world.flow, Flaky(Mutex::new(0), tenants));
    // In the second round: the purge of one tenant, and the sweep of the other one.
    let (stop, running) = run(maintenance);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(*reported.lock().unwrap(), ["list of tenants failed"]);
    assert_eq!(records(&factors, &world.tenant).await, 1);
    for method in ["settings", "users", "purge"] {
        failures.next_of(method, InjectedFault::Before);
    }
    reported.lock().unwrap().clear();
    tokio::time::sleep(HOUR).await;
    assert_eq!(
        *reported.lock().unwrap(),
        [
            "purge of tenant first failed",
            "sweep of tenant first failed",
            "purge of tenant acme failed"
        ]
    );
    assert_eq!(records(&factors, &world.tenant).await, 1);
    reported.lock().unwrap().clear();
    tokio::time::sleep(HOUR).await;
    assert_eq!(*reported.lock().unwrap(), [""; 0]);
    assert_eq!(records(&factors, &world.tenant).await, 0);
    drop(stop);
    running.await.unwrap();
}

/// I-37: records that cannot be read are left, and are an alarm.
#[tokio::test(start_paused = true)]
async fn unreadable_records_are_reported() {
    let site = Site::new().await;
    let _ = site.world.sign_in("alice").await.unwrap();
    let alice = UserId::new("alice").unwrap();
    let tenant = site.world.tenant.clone();
    let Snapshot { settings, record } = site.factors.load(&tenant, &alice).await.unwrap();
    let record = record.unwrap();
    let expected = ExpectedVersions {
        settings: settings.map(|settings| settings.version),
        record: Some(record.version),
    };
    let damaged = StoredRow { document: "{".to_owned(), ..record };
    let outcome = site.factors.commit(&tenant, &alice, &expected, &damaged).await.unwrap();
    assert_eq!(outcome, CommitOutcome::Written);
    let (maintenance, reported) = reporting(&site.world.flow, vec![tenant.clone()]);
    let (stop, running) = run(maintenance);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(*reported.lock().unwrap(), ["1 records of tenant acme cannot be read"]);
    drop(stop);
    running.await.unwrap();
}
