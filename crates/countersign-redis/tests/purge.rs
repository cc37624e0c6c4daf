//! What a purge leaves to others.
#![allow(clippy::arithmetic_side_effects, clippy::unwrap_used)]

mod support;

use countersign::store::{CommitOutcome, ExpectedVersions, FactorStore, Generation};
use countersign::{TenantId, UserId};
use support::calls::{client, options, row, server};

/// I-27: Redis does nothing else while a script runs, so a purge is cut into scripts of 500
/// records.
#[tokio::test(flavor = "multi_thread")]
async fn a_purge_is_cut_into_scripts() {
    let Some(server) = server(&["--appendonly", "yes"]) else { return };
    let store = options().initialise_if_empty().connect(server.url()).await.unwrap();
    let (acme, none) =
        (TenantId::new("acme").unwrap(), ExpectedVersions { settings: None, record: None });
    for number in 0..2_100 {
        let user = UserId::new(&format!("user-{number}")).unwrap();
        assert_eq!(
            store.commit(&acme, &user, &none, &row(1)).await.unwrap(),
            CommitOutcome::Written
        );
    }
    let mut client = client(&server).await;
    let mut scripts = async || -> u64 {
        let stats: String =
            redis::cmd("INFO").arg("commandstats").query_async(&mut client).await.unwrap();
        let calls =
            stats.split_once("cmdstat_evalsha:calls=").unwrap().1.split(',').next().unwrap();
        calls.parse().unwrap()
    };
    // Known to the server from here on.
    assert_eq!(store.purge(&acme, Generation::new(1), 100).await.unwrap(), 100);
    let before = scripts().await;
    assert_eq!(store.purge(&acme, Generation::new(1), 2_000).await.unwrap(), 2_000);
    assert_eq!(scripts().await - before, 4);
    assert_eq!(store.count(&acme, Generation::new(1)).await.unwrap(), 0);
}
