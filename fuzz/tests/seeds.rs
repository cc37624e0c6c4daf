//! Every committed seed plays without a finding.

use std::fs;
use std::path::Path;

use arbitrary::{Arbitrary as _, Unstructured};
use countersign_fuzz::actions::{Action, play};

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target);
    let seeds: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap()).collect();
    assert!(!seeds.is_empty(), "{target}");
    seeds
}

#[test]
fn bytes() {
    let targets: [(&str, fn(&[u8])); 8] = [
        ("argon2", countersign_fuzz::argon2),
        ("code", countersign_fuzz::code),
        ("backup_code", countersign_fuzz::backup_code),
        ("token", countersign_fuzz::token),
        ("record", countersign_fuzz::record),
        ("settings", countersign_fuzz::settings),
        ("contact", countersign_fuzz::contact),
        ("password_hash", countersign_fuzz::password_hash),
    ];
    for (target, play) in targets {
        seeds(target).iter().for_each(|seed| play(seed));
    }
}

#[test]
fn actions() {
    for seed in seeds("actions") {
        play(&Vec::<Action>::arbitrary(&mut Unstructured::new(&seed)).unwrap());
    }
}
