//! I-34: the administrator's handle comes from a check, and names its tenant by it.
use countersign::{Administration, RequestFlow, SavedGrant};

fn seize(request: RequestFlow, grant: SavedGrant) -> Administration {
    Administration { request, grant }
}

fn main() {}
