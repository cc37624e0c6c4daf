//! I-34: the administrator's handle comes from a check, and names its tenant by it.
use countersign::{Administration, LoginFlow, SavedGrant};

fn seize<'a>(flow: &'a LoginFlow, grant: &'a SavedGrant) -> Administration<'a> {
    Administration { flow, grant }
}

fn main() {}
