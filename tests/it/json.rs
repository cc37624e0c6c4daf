//! What pages get as JSON: pinned by golden files, and without secrets.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

use crate::support::*;
use countersign::contact::PhoneNumber;
use countersign::sender::SendErrorKind;
use countersign::{Code, LoginStep, Method, MethodChange, ResendTo, TrustDevice};

/// The shapes as one text, each with its name, as pages get them.
#[derive(Default)]
struct Shapes {
    text: String,
    secrets: Vec<String>,
}

impl Shapes {
    fn add(&mut self, name: &str, shape: &impl Serialize) {
        let json = serde_json::to_string_pretty(shape).unwrap();
        writeln!(self.text, "// {name}\n{json}\n").unwrap();
    }
}

async fn shapes() -> Shapes {
    let mut shapes = Shapes::default();
    let world = World::with(|b| b.trusted_devices(Duration::from_secs(86_400), 3)).await;
    let step = world.try_begin("alice", "wrong").await;
    shapes.add("a wrong password", &step);
    let step = world.try_begin("alice", PASSWORD).await;
    shapes.add("a code was sent", &step);
    let challenge = challenge(step);
    let code = world.last_code();
    shapes.secrets.extend([challenge.token.expose().to_owned(), code.clone()]);
    let step = world.request().challenge(&challenge.token).await.unwrap();
    shapes.add("the same page, read again", &step);
    let step = world.submit(&challenge.token, &other_code(&code)).await;
    shapes.add("a wrong code", &step);
    let code = Code::new(&code);
    let trust = TrustDevice::Named("Office laptop");
    let step = world.request().submit_code(&challenge.token, &code, trust).await.unwrap();
    shapes.add("the right code, on a device to trust", &step);
    let done = authenticated(step);
    shapes.secrets.push(done.device_token.unwrap().expose().to_owned());
    let step = world.submit(&challenge.token, code.expose()).await;
    shapes.add("a login that is over", &step);

    world.wait_for_the_spacing();
    let account = world.request().account(&done.grant);
    let number = PhoneNumber::new("+819012345634").unwrap();
    let setup = account.use_sms(&number).await.unwrap();
    shapes.secrets.push(setup.token.expose().to_owned());
    let code = world.last_code();
    shapes.secrets.push(code.clone());
    let prove = MethodChange::Prove(setup);
    shapes.add("a number to prove", &prove);
    let MethodChange::Prove(setup) = prove else { panic!() };
    account.confirm_method(&setup.token, &Code::new(&code)).await.unwrap();
    shapes.add("a method that is changed", &MethodChange::Done(Method::Email));
    let backup = account.new_backup_code().await.unwrap();
    shapes.secrets.push(backup.expose().to_owned());
    shapes.add("the account page", &account.status().await.unwrap());

    world.wait_for_the_spacing();
    world.outbox.always(None, Delivered::Failed(SendErrorKind::Transient));
    let step = world.try_begin("alice", PASSWORD).await;
    shapes.add("a code that could not be sent", &step);
    let LoginStep::CodeRequired(challenge) = step else { panic!() };
    shapes.secrets.push(challenge.token.expose().to_owned());
    let step = world.submit_backup(&challenge.token, backup.expose()).await;
    shapes.add("the backup code", &step);
    shapes.secrets.push(authenticated(step).backup_code.unwrap().expose().to_owned());
    drop(world.try_begin("alice", PASSWORD).await);
    let step = world.try_begin("alice", PASSWORD).await;
    shapes.add("no code was made: two were sent a moment ago", &step);
    for to in [ResendTo::Same, ResendTo::Email, ResendTo::Sms] {
        shapes.add("where another code goes", &to);
        let text = serde_json::to_string(&to).unwrap();
        assert_eq!(serde_json::from_str::<ResendTo>(&text).unwrap(), to);
    }
    shapes
}

/// Changing a shape breaks pages that read it. With `UPDATE_GOLDEN` set the file is written
/// instead.
#[tokio::test]
async fn each_shape_is_the_one_of_the_golden_file() {
    let shapes = shapes().await;
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/pages.json5");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(golden, &shapes.text).unwrap();
    }
    assert_eq!(shapes.text, std::fs::read_to_string(golden).unwrap());
}

/// I-22: no token, no code and no whole destination is in any of them.
#[tokio::test]
async fn no_shape_holds_a_secret() {
    let shapes = shapes().await;
    assert_eq!(shapes.secrets.len(), 8);
    for secret in shapes.secrets.iter().map(String::as_str).chain(["9012345634", "alice@"]) {
        assert!(!shapes.text.contains(secret), "{secret}");
    }
    // Control: what is in them is found.
    assert!(shapes.text.contains("u-alice") || shapes.text.contains("alice"));
}
