//! I-01: the end of a login is not written down by hand.
use countersign::{Authenticated, Grant};

fn complete(grant: Grant) -> Authenticated {
    Authenticated { grant, device_token: None, backup_code: None }
}

fn main() {}
