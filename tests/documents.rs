//! What the documents say of the tests: that they are there, and that none of the catalogue is left out.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::collections::BTreeSet;
use std::path::Path;

fn read(path: &str) -> Option<String> {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).ok()
}

/// Every `file.rs::name` between backticks.
fn named_in(document: &str) -> BTreeSet<(String, String)> {
    document
        .split('`')
        .skip(1)
        .step_by(2)
        .filter_map(|span| span.split_once(".rs::"))
        .map(|(file, name)| (format!("{file}.rs"), name.to_owned()))
        .collect()
}

/// The tests of a file: functions under `#[test]`, and the checks of the suite for stores.
fn tests_of(source: &str) -> BTreeSet<String> {
    let mut tests = BTreeSet::new();
    let mut marked = false;
    for line in source.lines() {
        let line = line.trim_start();
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            marked = true;
        } else if let Some(name) = line.strip_prefix("pub async fn ").filter(|line| line.contains("dyn Backend")) {
            tests.insert(name.split('(').next().unwrap().to_owned());
        } else if let Some((_, name)) = line.split_once("fn ").filter(|_| marked) {
            tests.insert(name.split('(').next().unwrap().to_owned());
            marked = false;
        }
    }
    tests
}

/// The tests that a document names and that are not there.
fn missing(document: &str) -> Vec<String> {
    named_in(document)
        .into_iter()
        .filter(|(file, name)| !read(file).is_some_and(|source| tests_of(&source).contains(name)))
        .map(|(file, name)| format!("{file}::{name}"))
        .collect()
}

#[test]
fn every_test_that_a_document_names_is_there() {
    for (path, at_least) in [("SECURITY.md", 45), ("docs/standards.md", 90)] {
        let document = read(path).unwrap();
        assert_eq!(missing(&document), Vec::<String>::new(), "{path}");
        assert!(named_in(&document).len() >= at_least, "{path}: {}", named_in(&document).len());
    }
    // Control: names that are not there, a helper that is no test, and a file that does not exist.
    let invented = "`tests/it/code.rs::a_code_works_once`, `tests/it/code.rs::a_code_works_twice`, `tests/documents.rs::missing`, `tests/none.rs::x`";
    let found = ["tests/documents.rs::missing", "tests/it/code.rs::a_code_works_twice", "tests/none.rs::x"];
    assert_eq!(missing(invented), found);
}

/// The numbers of the catalogue, as SECURITY.md has them: some were given up, and stay unused.
const CLASSES: [u32; 53] = [
    1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 15, 18, 19, 20, 21, 23, 25, 26, 29, 30, 32, 33, 34, 35, 36, 38, 40, 42, 43,
    44, 45, 46, 47, 48, 49, 50, 52, 53, 54, 55, 56, 57, 58, 59, 60, 62, 63, 65, 66, 69, 71,
];

#[test]
fn every_class_of_attack_has_its_row_and_every_test_of_the_catalogue_is_in_one() {
    let security = read("SECURITY.md").unwrap();
    let rows: Vec<u32> =
        security.lines().filter_map(|line| line.strip_prefix("| ")?.split(' ').next()?.parse().ok()).collect();
    assert_eq!(rows, CLASSES);
    let named = named_in(&security);
    let mut tests = 0;
    for module in ["guessing", "codes", "binding", "bypass", "lifecycle", "disclosure", "robustness"] {
        let path = format!("tests/it/attacks/{module}.rs");
        for test in tests_of(&read(&path).unwrap()) {
            assert!(named.contains(&(path.clone(), test.clone())), "{path}::{test} is in no row");
            tests += 1;
        }
    }
    assert_eq!(tests, CLASSES.len() - 1, "63 is out of reach of any code");
}

/// Email is no second factor under NIST SP 800-63B-4, and SMS a restricted one: the front page says so and claims nothing.
#[test]
fn the_front_page_claims_no_standard() {
    for path in ["README.md", "SECURITY.md"] {
        let text = read(path).unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains("SP 800-63B-4") && text.contains("restricted"), "{path}");
        let lower = text.to_lowercase();
        for claim in ["nist compliant", "nist-compliant", "compliant with nist", "asvs compliant", "certified"] {
            assert!(!lower.contains(claim), "{path}: {claim}");
        }
        for (at, _) in lower.match_indices("aal2") {
            let before = &lower[at.saturating_sub(80)..at];
            assert!(before.contains("not"), "{path}: {before}aal2");
        }
    }
}
