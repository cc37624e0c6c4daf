//! Repeats one kind of step, so that `scripts/instructions` can count its instructions:
//! `instructions STEP ROUNDS`.
//!
//! Whole steps have fixed randomness and a clock that is set, so that each count is the same.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    reason = "a count that can't be made should stop"
)]

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use countersign_inside::clock::ManualClock;
use countersign_inside::contact::EmailAddress;
use countersign_inside::entropy::Entropy;
use countersign_inside::error::PluginError;
use countersign_inside::internals::Machine;
use countersign_inside::memory::{MemoryFactors, MemoryUsers};
use countersign_inside::sender::{CodeMessage, CodeSender, Notice, SendError, SendStatus};
use countersign_inside::user::User;
use countersign_inside::{
    Challenge, Channel, Code, LoginFlow, LoginName, LoginStep, PreverifiedLogin, RequestContext,
    Scope, TenantId, TrustDevice, UserId,
};
use futures_lite::future::block_on;
use time::OffsetDateTime;

/// Steele and Vigna's `SplitMix64`: different bytes at each draw, the same in each run.
#[derive(Default)]
struct Fixed(AtomicU64);

impl Entropy for Fixed {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), PluginError> {
        for chunk in bytes.chunks_mut(8) {
            let drawn = self.0.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed);
            let mixed = (drawn ^ (drawn >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            let mixed = (mixed ^ (mixed >> 31)).to_le_bytes();
            chunk.iter_mut().zip(mixed).for_each(|(to, from)| *to = from);
        }
        Ok(())
    }
}

#[derive(Clone, Default)]
struct Mailbox(Arc<Mutex<String>>);

#[async_trait]
impl CodeSender for Mailbox {
    async fn send_code(&self, message: &CodeMessage) -> Result<SendStatus, SendError> {
        message.code.expose().clone_into(&mut self.0.lock().expect("no poison"));
        Ok(SendStatus::Sent)
    }

    async fn notify(&self, _: &Notice) -> Result<SendStatus, SendError> {
        Ok(SendStatus::Sent)
    }
}

struct Whole {
    flow: LoginFlow,
    tenant: TenantId,
    user: UserId,
    mailbox: Mailbox,
    clock: ManualClock,
}

impl Whole {
    fn new() -> Self {
        let (users, tenant) = (MemoryUsers::new(), TenantId::new("acme").expect("an id"));
        let id = UserId::new("0a1b2c3d-0000-4000-8000-000000000001").expect("an id");
        let mut user = User::new(tenant.clone(), id.clone());
        user.email = Some(EmailAddress::new("alice@example.com").expect("an address"));
        user.security_stamp = Some("1".to_owned());
        users.insert(&LoginName::new("alice").expect("a name"), user);
        let start = OffsetDateTime::from_unix_timestamp(1_800_000_000).expect("a time");
        let (mailbox, clock) = (Mailbox::default(), ManualClock::new(start));
        let flow = LoginFlow::builder(users, MemoryFactors::new(), mailbox.clone())
            .clock(clock.clone())
            .entropy(Fixed::default())
            .build()
            .expect("defaults");
        let operator = flow.operator("setting up").expect("a reason");
        block_on(operator.set_scope(&tenant, Scope::EntireTenant)).expect("a scope");
        Self { flow, tenant, user: id, mailbox, clock }
    }

    fn begin(&self) -> Box<Challenge> {
        // So that no send budget is met, and the last login is over.
        self.clock.advance(Duration::from_secs(25 * 60 * 60));
        let login = PreverifiedLogin { user: &self.user, channel: Channel::Web, device: None };
        let request = self.flow.request(&self.tenant, &RequestContext::new());
        match block_on(request.begin_with_preverified_password(&login)).expect("a step") {
            LoginStep::CodeRequired(challenge) => challenge,
            step => panic!("{step:?}"),
        }
    }

    fn submit(&self, challenge: &Challenge) {
        let code = Code::new(self.mailbox.0.lock().expect("no poison").as_str());
        let request = self.flow.request(&self.tenant, &RequestContext::new());
        let step = block_on(request.submit_code(&challenge.token, &code, TrustDevice::No));
        assert!(matches!(step.expect("a step"), LoginStep::Authenticated(_)));
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let step = arguments.next().expect("a step");
    let rounds: u32 = arguments.next().expect("a number").parse().expect("a number");
    let (machine, whole) = (Machine::new().unwrap_or_else(|fault| panic!("{fault}")), Whole::new());
    for _ in 0..rounds {
        match step.as_str() {
            "issue" => drop(black_box(machine.issue().expect("a code"))),
            "issue and verify" => {
                let verified = machine.issue().expect("a code").verify();
                assert!(black_box(verified.expect("a verdict")));
            }
            "begin" => drop(black_box(whole.begin())),
            "begin and submit" => whole.submit(&whole.begin()),
            other => panic!("{other} is no step"),
        }
    }
}
