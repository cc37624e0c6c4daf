//! I-35: the channel of a login has no default.
use countersign::{Login, Password};

fn login(password: &Password) -> Login<'_> {
    Login { name: "alice", password, device: None }
}

fn main() {
    let _: countersign::Channel = Default::default();
}
