//! I-35: the channel of a login has no default.
use countersign::{Login, Password, TenantId};

fn login<'a>(tenant: &'a TenantId, password: &'a Password) -> Login<'a> {
    Login { tenant, name: "alice", password, device: None }
}

fn main() {
    let _: countersign::Channel = Default::default();
}
