//! I-01: a grant has no constructor, and a saved one is no proof.
use countersign::{Grant, SavedGrant};

fn promote(saved: SavedGrant) -> Grant {
    Grant(saved)
}

fn main() {}
