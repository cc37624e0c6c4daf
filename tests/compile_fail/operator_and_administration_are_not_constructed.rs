//! I-34: the administrator's handle comes from a check, and names its tenant by it.
use countersign::{Administration, LoginFlow, SavedGrant};

fn seize(flow: LoginFlow, grant: SavedGrant) -> Administration {
    Administration { flow, grant }
}

fn main() {}
