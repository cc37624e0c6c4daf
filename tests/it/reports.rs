//! What an operator reads of a fault: the whole chain in one line, bounded, without secrets.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use std::error::Error as StdError;
use std::fmt;

use countersign::Error;
use countersign::error::{Document, report};

/// One link of a chain.
#[derive(Debug)]
struct Link(String, Option<Box<dyn StdError + Send + Sync>>);

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl StdError for Link {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.1.as_deref().map(|source| source as _)
    }
}

/// A fault of the factor store with this chain behind it, outermost first.
fn store_failed<'a>(
    chain: impl IntoIterator<Item = &'a str, IntoIter: DoubleEndedIterator>,
) -> Error {
    let link = |source: Option<Box<dyn StdError + Send + Sync>>,
                text: &str|
     -> Option<Box<dyn StdError + Send + Sync>> {
        Some(Box::new(Link(text.to_owned(), source)))
    };
    Error::FactorStore { source: chain.into_iter().rev().fold(None, link).unwrap() }
}

#[test]
fn a_report_says_the_whole_chain_in_one_line() {
    let error =
        store_failed(["no connection", "tls failed\nto start", "certificate\thas expired\u{85}"]);
    assert_eq!(error.to_string(), "factor store failed");
    assert_eq!(
        error.report(),
        "factor store failed: no connection: tls failed to start: certificate has expired"
    );
    assert_eq!(Error::Corrupt(Document::Record).report(), "saved record is damaged");
    assert_eq!(Error::Contended.report(), Error::Contended.to_string());
}

/// An error that prints its source is not said twice.
#[test]
fn a_report_says_nothing_twice() {
    let error = store_failed(["no connection: refused", "refused"]);
    assert_eq!(error.report(), "factor store failed: no connection: refused");
}

/// I-37, I-40: neither a long text nor an endless chain makes a long line.
#[test]
fn a_report_is_bounded() {
    let long = "x y ".repeat(1 << 18);
    assert!(store_failed([long.as_str()]).report().chars().count() <= 200);
    let texts: Vec<String> = (0..1000).map(|n| format!("cause {n} {long:.200}")).collect();
    let report = store_failed(texts.iter().map(String::as_str)).report();
    assert!((1500..2200).contains(&report.chars().count()), "{}", report.len());
}

/// I-22: what plug-ins must not put into an error, and some do.
#[test]
fn a_report_repeats_no_secret() {
    for (canary, text) in [
        ("hunter2", "connecting to postgres://app:hunter2@db.example/app failed"),
        (
            "canary-key-of-the-provider-0123456789",
            "401 for Bearer canary_key_of_the_provider_0123456789",
        ),
        ("sig=", "GET https://provider.example/send?sig=abc failed"),
        ("alice", "550 no such user <alice@example.com>"),
    ] {
        let report = store_failed(["query failed", text, "and after it"]).report();
        assert!(!report.contains(canary) && !report.contains("canary"), "{report}");
        assert!(report.starts_with("factor store failed: query failed: (withheld"), "{report}");
        assert!(report.ends_with(": and after it"), "{report}");
    }
}

/// I-22, I-37: nor the error that a plug-in returns itself, or a panic, as adapters hand it over.
#[test]
fn what_is_said_first_is_bounded_and_withheld_too() {
    let secret = Link("postgres://app:hunter2@db.example\nfailed".to_owned(), None);
    let outer = Link("no connection\nto the server".to_owned(), Some(Box::new(secret)));
    assert!(report(&outer).starts_with("no connection to the server: (withheld"));
    let secret = Link("postgres://app:hunter2@db.example\nfailed".to_owned(), Some(outer.into()));
    let line = report(&secret);
    assert!(line.starts_with("(withheld") && !line.contains("hunter2"), "{line}");
    let long = Link("x y\n".repeat(1 << 18), None);
    let line = report(&long);
    assert!(line.chars().count() <= 200 && !line.contains('\n'), "{line}");
}
