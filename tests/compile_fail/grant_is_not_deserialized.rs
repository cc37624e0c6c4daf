//! I-01: what comes out of a session is a claim, not a grant.
use countersign::Grant;

fn read(text: &str) -> Grant {
    serde_json::from_str(text).unwrap()
}

fn main() {}
