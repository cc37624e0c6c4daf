//! I-01: there is no way from a saved grant to a grant but revalidation.
use countersign::{Grant, SavedGrant};

fn promote(saved: SavedGrant) -> Grant {
    saved.into()
}

fn main() {}
