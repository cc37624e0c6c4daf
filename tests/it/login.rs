//! A login, from the password to the grant.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use crate::support::*;
use countersign::policy::Exemption;
use countersign::{Channel, DeliveryStatus, LoginStep, Method, Reason, SecondFactor};

#[tokio::test]
async fn a_password_and_the_code_from_the_message_complete_a_login() {
    let world = World::new().await;
    let challenge = world.begin("alice").await;
    let sent = world.outbox.last_code().unwrap();
    let code = challenge.delivery.sent().unwrap();
    assert!(matches!(challenge.delivery, DeliveryStatus::Sent(_)));
    assert_eq!(code.method, Method::Email);
    assert_eq!(code.destination.as_str(), "a***@example.com");
    assert_eq!(code.reference, sent.reference);
    assert_eq!(challenge.attempts_left, 5);

    let done = authenticated(world.submit(&challenge.token, &sent.code).await);
    assert_eq!(done.grant.user(), &world.alice);
    assert_eq!(done.grant.tenant(), &world.acme);
    assert_eq!(done.grant.second_factor(), &SecondFactor::Code { method: Method::Email });
    assert_eq!(done.grant.amr(), ["pwd", "otp", "mfa"]);
    assert!(world.request().revalidate(&done.grant, Channel::Web).await.is_ok());
    // I-05, I-36: neither the code nor the token serves again.
    assert_eq!(reason(&world.submit(&challenge.token, &sent.code).await), Reason::LoginOver);
    assert_eq!(world.record(&world.alice)["pending"], serde_json::Value::Null);
}

#[tokio::test]
async fn a_tenant_that_does_not_use_it_lets_people_in_with_the_password() {
    let world = World::off();
    let LoginStep::Authenticated(done) = world.try_begin("alice", PASSWORD).await else { panic!() };
    assert_eq!(
        done.grant.second_factor(),
        &SecondFactor::Exempt { exemption: Exemption::ScopeOff }
    );
    assert_eq!(done.grant.amr(), ["pwd"]);
    assert_eq!(world.factors.records(&world.acme), 0);
}
