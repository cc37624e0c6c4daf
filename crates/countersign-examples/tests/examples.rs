//! Each example runs, on each store.
#![allow(clippy::unwrap_used)]

use std::process::Command;

use test_servers::servers;

fn run(example: &str, address: &str) {
    let built = std::env::current_exe()
        .unwrap()
        .parent()
        .unwrap()
        .parent()
        .unwrap()
        .join("examples")
        .join(example);
    let output = Command::new(&built).arg(address).output().unwrap();
    let printed = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{example} {address}: {printed}");
    assert!(printed.contains("is signed in"), "{printed}");
}

fn run_all(address: &str) {
    run("any_store", address);
    run("two_nodes", address);
}

#[test]
fn memory() {
    run("any_store", "memory:");
}

#[test]
fn sqlite() {
    let directory = tempfile::tempdir().unwrap();
    run_all(&format!("sqlite:{}", directory.path().join("countersign.db").display()));
}

#[test]
fn postgres() {
    if let Some(url) = servers::postgres_url().unwrap() {
        run_all(&url);
    }
}

#[test]
fn redis() {
    if let Some(url) = servers::redis_url().unwrap() {
        run_all(&url);
    }
}
