//! What can be checked of the documents: the tests that they name exist, no attack of the catalogue
//! is left out, links lead somewhere, and pages stay short and readable.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

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
        } else if let Some(name) =
            line.strip_prefix("pub async fn ").filter(|line| line.contains("Backend)"))
        {
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
    for (path, at_least) in
        [("docs/attacks.md", 70), ("docs/standards.md", 90), ("docs/evidence.md", 120)]
    {
        let document = read(path).unwrap();
        assert_eq!(missing(&document), Vec::<String>::new(), "{path}");
        assert!(named_in(&document).len() >= at_least, "{path}: {}", named_in(&document).len());
    }
    // Control: names that are not there, a helper that is no test, and a file that does not exist.
    let invented = "`tests/it/code.rs::a_code_works_once`, `tests/it/code.rs::a_code_works_twice`, `tests/documents.rs::missing`, `tests/none.rs::x`";
    let found =
        ["tests/documents.rs::missing", "tests/it/code.rs::a_code_works_twice", "tests/none.rs::x"];
    assert_eq!(missing(invented), found);
}

/// The items of a list, each with its continuation lines.
fn items(document: &str) -> Vec<String> {
    let mut items: Vec<String> = Vec::new();
    let mut inside = false;
    for line in document.lines() {
        if line.starts_with("- ") {
            items.push(line.to_owned());
            inside = true;
        } else if let Some(last) = items.last_mut().filter(|_| inside && line.starts_with("  ")) {
            last.push_str(line);
        } else {
            inside = false;
        }
    }
    items
}

/// Lines that are said to be met, with neither a test nor a word on what else shows it.
fn unproved(document: &str) -> Vec<String> {
    let shown = |item: &str| {
        !named_in(item).is_empty()
            || ["read, not tested", "see there"].iter().any(|by| item.contains(by))
    };
    items(document).into_iter().filter(|item| item.contains("**Met**") && !shown(item)).collect()
}

#[test]
fn what_is_said_to_be_met_names_its_test() {
    let standards = read("docs/standards.md").unwrap();
    assert_eq!(unproved(&standards), Vec::<String>::new());
    let answered = items(&standards).iter().filter(|item| item.contains("**Met**")).count();
    assert!(answered >= 70, "{answered}");
    // Control: one with a test, one that was read, one without anything, and one that is not met.
    let invented = "- a. **Met**:\n  `tests/it/code.rs::x`.\n- b. **Met** (read, not tested).\n- c. **Met**.\n- d. **Not met**.";
    assert_eq!(unproved(invented), ["- c. **Met**."]);
}

/// The numbers of the catalogue, as docs/attacks.md has them: some were given up, and stay unused.
const CLASSES: [u32; 77] = [
    1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 15, 18, 19, 20, 21, 23, 25, 26, 29, 30, 32, 33, 34, 35,
    36, 38, 40, 42, 43, 44, 45, 46, 47, 48, 49, 50, 52, 53, 54, 55, 56, 57, 58, 59, 60, 62, 63, 64,
    65, 66, 67, 68, 69, 70, 71, 72, 73, 74, 75, 76, 77, 78, 79, 80, 81, 82, 83, 84, 85, 86, 87, 88,
    89, 90, 91,
];

/// Classes whose test is not among those of `tests/it/attacks`.
const TESTED_ELSEWHERE: [u32; 17] =
    [67, 68, 70, 72, 73, 74, 75, 76, 77, 78, 79, 80, 81, 82, 83, 84, 85];

/// Out of reach of any one-time code.
const OUT_OF_REACH: u32 = 63;

#[test]
fn every_class_of_attack_has_its_row_and_every_test_of_the_catalogue_is_in_one() {
    let attacks = read("docs/attacks.md").unwrap();
    let row = |line: &str| line.strip_prefix("| ")?.split(' ').next()?.parse::<u32>().ok();
    let rows: Vec<u32> = attacks.lines().filter_map(row).collect();
    assert_eq!(rows, CLASSES);
    let mut in_catalogue = 0;
    for (line, class) in attacks.lines().filter_map(|line| Some((line, row(line)?))) {
        let tests = named_in(line);
        assert_eq!(tests.len(), usize::from(class != OUT_OF_REACH), "{line}");
        let elsewhere = tests.iter().all(|(file, _)| !file.starts_with("tests/it/attacks/"));
        assert_eq!(elsewhere, class == OUT_OF_REACH || TESTED_ELSEWHERE.contains(&class), "{line}");
        in_catalogue += usize::from(!elsewhere);
    }
    let named = named_in(&attacks);
    let mut tests = 0;
    for module in [
        "guessing",
        "codes",
        "binding",
        "bypass",
        "lifecycle",
        "disclosure",
        "robustness",
        "tenants",
    ] {
        let path = format!("tests/it/attacks/{module}.rs");
        for test in tests_of(&read(&path).unwrap()) {
            assert!(named.contains(&(path.clone(), test.clone())), "{path}::{test} is in no row");
            tests += 1;
        }
    }
    assert_eq!(tests, in_catalogue);
}

/// Email is no second factor under NIST SP 800-63B-4, and SMS a restricted one: the front page says
/// so and claims nothing.
#[test]
fn the_front_page_claims_no_standard() {
    for path in ["README.md", "SECURITY.md"] {
        let text = read(path).unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains("SP 800-63B-4") && text.contains("restricted"), "{path}");
        let lower = text.to_lowercase();
        for claim in [
            "nist compliant",
            "nist-compliant",
            "compliant with nist",
            "asvs compliant",
            "certified",
        ] {
            assert!(!lower.contains(claim), "{path}: {claim}");
        }
        for (at, _) in lower.match_indices("aal2") {
            let before = &lower[at.saturating_sub(80)..at];
            assert!(before.contains("not"), "{path}: {before}aal2");
        }
    }
}

/// The documents that a reader meets first have an end.
#[test]
fn the_front_documents_are_short() {
    for (path, kilobytes) in [("README.md", 8), ("ARCHITECTURE.md", 8), ("SECURITY.md", 10)] {
        let bytes = read(path).unwrap().len();
        assert!(bytes <= kilobytes * 1024, "{path} has {bytes} bytes, and at most {kilobytes} KB");
    }
    let readme = read("README.md").unwrap();
    let program = readme.split("```rust\n").nth(1).unwrap().split("```").next().unwrap();
    assert!(program.lines().count() <= 60, "the program has {} lines", program.lines().count());
}

/// Documents that people read, and not tables of results.
const PAGES: [&str; 20] = [
    "README.md",
    "ARCHITECTURE.md",
    "SECURITY.md",
    "CONTRIBUTING.md",
    "docs/attacks.md",
    "docs/comparison.md",
    "docs/decisions.md",
    "docs/glossary.md",
    "docs/invariants.md",
    "docs/standards.md",
    "src/manual/host_checklist.md",
    "src/manual/login.md",
    "src/manual/migrating.md",
    "src/manual/operating.md",
    "src/manual/senders.md",
    "src/manual/settings.md",
    "src/manual/start.md",
    "src/manual/storage.md",
    "src/manual/tenants.md",
    "src/manual/testing.md",
];

const COLUMNS: usize = 100;
const CELL: usize = 120;

/// Lines that are too long to read, and cells of tables that are too long for a table. A line that
/// can't be broken may be longer: one word, after the mark of an item or by itself, or a link.
fn unreadable(document: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in document.lines() {
        if line.starts_with('|') {
            found.extend(
                line.trim_matches('|')
                    .split('|')
                    .map(str::trim)
                    .filter(|cell| cell.chars().count() > CELL)
                    .map(str::to_owned),
            );
        } else if line.chars().count() > COLUMNS {
            let one_word = line.trim_start_matches(['-', ' ']).split_whitespace().count() == 1;
            let definition = line.starts_with('[') && line.contains("]: ");
            if !one_word && !definition {
                found.push(line.to_owned());
            }
        }
    }
    found
}

#[test]
fn lines_and_cells_are_short_enough_to_read() {
    for path in PAGES {
        assert_eq!(unreadable(&read(path).unwrap()), Vec::<String>::new(), "{path}");
    }
    // Control: a line, an item and a cell that are too long, beside what may be.
    let words = "word ".repeat(21);
    let word = "w".repeat(121);
    let document =
        format!("{words}\n- {words}\n| {word} | short |\n- `{word}`\n[a]: {word}\nshort");
    assert_eq!(unreadable(&document).len(), 3, "{:?}", unreadable(&document));
}

/// Comments of a source that are wider than a page and more than one long name, code in them, or
/// a line of a table.
fn wide_comments(source: &str) -> Vec<String> {
    let mut in_code = false;
    let is_wide = |line: &&str| {
        let comment = line.trim_start().starts_with("//");
        let text = line.trim_start().trim_start_matches(['/', '!', ' ', '-']);
        in_code = comment && in_code != text.starts_with("```");
        let one_word = text.split_whitespace().count() == 1;
        let exempt = in_code || one_word || text.starts_with('|');
        comment && !exempt && line.chars().count() > COLUMNS
    };
    source.lines().filter(is_wide).map(str::to_owned).collect()
}

#[test]
fn comments_are_short_enough_to_read() {
    let mut folders = ["benches", "crates", "demo", "examples", "src", "tests"]
        .map(std::path::PathBuf::from)
        .to_vec();
    let mut sources = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let source = std::fs::read_to_string(&path).unwrap();
                assert_eq!(wide_comments(&source), Vec::<String>::new(), "{}", path.display());
                sources += 1;
            }
        }
    }
    assert!(sources > 300, "{sources}");
    // Control: two lines that are too wide, beside what may be.
    let (words, word) = ("word ".repeat(21), "w".repeat(121));
    let source =
        format!("/// {words}\n    //! - {words}\n/// {word}\n/// ```\n/// {words}\n/// ```");
    assert_eq!(wide_comments(&source).len(), 2, "{:?}", wide_comments(&source));
}

/// The anchor that GitHub and rustdoc give to a heading.
fn anchor(heading: &str) -> String {
    let kept = |c: char| c.is_alphanumeric() || c == '-' || c == '_' || c == ' ';
    heading.to_lowercase().chars().filter(|&c| kept(c)).collect::<String>().replace(' ', "-")
}

/// Links to files of the repository that lead nowhere: no such file, or no such heading in it.
fn dead_links(path: &str, document: &str) -> Vec<String> {
    let inline = document
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')'))
        .map(|(target, _)| target);
    let defined = document
        .lines()
        .filter(|line| line.starts_with('['))
        .filter_map(|line| line.split_once("]: "));
    let mut dead = Vec::new();
    for target in inline.chain(defined.map(|(_, target)| target)) {
        if target.contains("://") {
            continue;
        }
        let (file, fragment) =
            target.split_once('#').map_or((target, None), |(file, part)| (file, Some(part)));
        let folder = Path::new(path).parent().unwrap();
        let file = if file.is_empty() { Path::new(path).to_owned() } else { folder.join(file) };
        let found = Path::new(env!("CARGO_MANIFEST_DIR")).join(&file);
        let there = match fragment {
            None => found.exists(),
            Some(fragment) => std::fs::read_to_string(found).is_ok_and(|text| {
                text.lines()
                    .filter(|line| line.starts_with('#'))
                    .any(|line| anchor(line.trim_matches(['#', ' '])) == fragment)
            }),
        };
        if !there {
            dead.push(target.to_owned());
        }
    }
    dead
}

#[test]
fn links_lead_somewhere() {
    for path in PAGES.into_iter().chain(["CHANGELOG.md", "docs/evidence.md", "benches/README.md"]) {
        assert_eq!(dead_links(path, &read(path).unwrap()), Vec::<String>::new(), "{path}");
    }
    // Control: no such file, no such heading, and links that are good.
    let document = "[a](none.md) [b](attacks.md#none) [c](attacks.md) [d](https://example.com/x)\n[e]: invariants.md#i-01\n[f]: x.md";
    assert_eq!(dead_links("docs/glossary.md", document), ["none.md", "attacks.md#none", "x.md"]);
}

/// The pages that are documentation of the crate too, and so read in two places.
const DOCUMENTATION: [&str; 17] = [
    "README.md",
    "SECURITY.md",
    "docs/attacks.md",
    "docs/comparison.md",
    "docs/glossary.md",
    "docs/invariants.md",
    "docs/standards.md",
    "src/manual/host_checklist.md",
    "src/manual/login.md",
    "src/manual/migrating.md",
    "src/manual/operating.md",
    "src/manual/senders.md",
    "src/manual/settings.md",
    "src/manual/start.md",
    "src/manual/storage.md",
    "src/manual/tenants.md",
    "src/manual/testing.md",
];

/// Links of a page that would lead to a file where there is only documentation.
fn lead_to_files_only(document: &str, links: &BTreeSet<&str>) -> Vec<String> {
    let inline = document
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')'))
        .map(|(target, _)| target.to_owned());
    let undefined = defined(document).filter(|label| !links.contains(label)).map(str::to_owned);
    inline.filter(|target| !target.contains("://")).chain(undefined).collect()
}

/// The labels that a document defines.
fn defined(document: &str) -> impl Iterator<Item = &str> {
    document.lines().filter_map(|line| Some(line.strip_prefix('[')?.split_once("]: ")?.0))
}

/// A link works in both places if the page defines it for the repository, and `links.md`, which
/// stands before the page in the documentation, for the documentation. rustdoc checks that what it
/// says there exists.
#[test]
fn links_lead_somewhere_in_the_documentation_too() {
    let definitions = read("src/manual/links.md").unwrap();
    let links: BTreeSet<&str> = defined(&definitions).collect();
    let modules = read("src/manual/mod.rs").unwrap() + &read("src/lib.rs").unwrap();
    for path in DOCUMENTATION {
        assert_eq!(
            lead_to_files_only(&read(path).unwrap(), &links),
            Vec::<String>::new(),
            "{path}"
        );
        let name = Path::new(path).file_name().unwrap().to_str().unwrap();
        let include = modules
            .split("include_str!(\"")
            .find(|rest| rest.split('"').next().unwrap().ends_with(name));
        assert!(include.is_some(), "{path} is not included");
    }
    let included = modules.matches("include_str!(").count();
    assert_eq!(modules.matches("links.md\")]").count(), DOCUMENTATION.len());
    assert_eq!(included, 2 * DOCUMENTATION.len());
    // Control: a link to a file beside the text, and a definition that the documentation has not.
    let document = "[a](SECURITY.md) [b] [security] [c](https://example.com)\n\n[b]: x.md\n[security]: SECURITY.md";
    assert_eq!(lead_to_files_only(document, &links), ["SECURITY.md", "b"]);
}

/// Every number of an invariant that a page links to is defined in it, and leads to that invariant.
#[test]
fn numbers_of_invariants_are_links() {
    let invariants = read("docs/invariants.md").unwrap();
    let numbers: Vec<&str> =
        invariants.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    let expected: Vec<String> =
        (1..=46).chain([50, 52]).map(|number| format!("I-{number:02}")).collect();
    assert_eq!(numbers, expected);
    for path in PAGES {
        let page = read(path).unwrap();
        assert!(!page.contains("`I-"), "{path} has a number that is no link");
        for (at, _) in page.match_indices("[I-") {
            let number = &page[at + 1..at + 5];
            let rest = &page[at + 6..];
            let anchor = format!("invariants.md#{}", number.to_lowercase());
            let linked = rest.starts_with('(')
                || rest.starts_with(": ")
                || page.contains(&format!("\n[{number}]: "));
            assert!(linked, "{path}: {number} is no link");
            assert!(page.contains(&anchor), "{path}: {number} leads elsewhere");
        }
    }
}

/// What one copies from has an end, too: without seed data, inbox, the stand-in for an identity
/// provider, templates, tests, comments and empty lines. What leads to that provider and back is
/// counted by itself.
#[test]
fn the_demo_is_short() {
    let files = ["lib", "main", "options", "site", "users", "log"];
    let lines = |file: &str| {
        let source = read(&format!("demo/src/{file}.rs")).unwrap();
        let is_code = |line: &&str| !line.trim().is_empty() && !line.trim().starts_with("//");
        source.lines().take_while(|line| *line != "#[cfg(test)]").filter(is_code).count()
    };
    let all: usize = files.into_iter().map(lines).sum();
    assert!(all <= 400, "{all}");
    assert!(lines("single_sign_on") <= 45, "{}", lines("single_sign_on"));
    let example = read("crates/countersign-axum/examples/axum.rs").unwrap();
    assert!(example.lines().count() < 150, "{}", example.lines().count());
}
