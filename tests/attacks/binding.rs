//! What belongs to somebody else: another tenant's token, another user's device, another browser's login, an address that was typed.

use async_trait::async_trait;
use base64ct::{Base64UrlUnpadded, Encoding};
use countersign::memory::MemoryUsers;
use countersign::{
    BackupCode, Channel, Destination, DeviceToken, EmailAddress, FactorStore, Fault, LoginName, LoginStep,
    PasswordHash, Reason, ResendTo, Saved, SavedGrant, Scope, SetupToken, TenantId, TrustDevice, User, UserId,
    UserStore, Validity,
};

use crate::broken::{self, Store};
use crate::support::steps::refusal;
use crate::support::wrapped::Wrapped;
use crate::support::*;

/// What is saved of alice in a tenant, and how often anything was written.
fn saved(world: &World, tenant: &TenantId) -> (Option<Saved>, usize) {
    (world.factors.record(tenant, &world.alice), world.calls.of("commit"))
}

/// A token of one tenant at another, with the right code, at every step that takes it.
async fn redeem_elsewhere(world: &World) -> Vec<Reason> {
    let challenge = world.begin("alice").await;
    let code = world.outbox.last_code().into();
    let (token, other) = (&challenge.token, &world.other);
    let backup = BackupCode::new("0123-4567-89AB-CDEF-GHJK-MNPQ");
    vec![
        reason(&world.flow.submit_code(other, token, &code, TrustDevice::No).await.unwrap()),
        reason(&world.flow.submit_backup_code(other, token, &backup).await.unwrap()),
        reason(&world.flow.resend(other, token, ResendTo::Same).await.unwrap()),
    ]
}

/// Attack 10. I-03, I-04: the same user id in two tenants.
#[tokio::test]
async fn tenant_confusion() {
    let mut world = World::new().await;
    world.other_uses_it_too().await;
    let theirs = world.begin_in(&world.other, "alice").await;
    let their_code = world.outbox.last_code();
    world.calls.clear();
    let before = saved(&world, &world.other);
    assert_eq!(redeem_elsewhere(&world).await, [Reason::LoginOver; 3]);
    assert_eq!(saved(&world, &world.other).0, before.0, "nothing is charged there");
    // Control: at home the same token and code do it, and so do the other tenant's at theirs.
    world.wait_for_the_spacing();
    let challenge = world.begin("alice").await;
    let _ = authenticated(world.submit(&challenge.token, &world.outbox.last_code()).await);
    let step = world.flow.submit_code(&world.other, &theirs.token, &their_code.into(), TrustDevice::No).await.unwrap();
    assert_eq!(authenticated(step).grant.tenant(), &world.other);
    // A store that mixes tenants up does not help: the token's tag names its tenant.
    let mixed = Store::over(&world).without_tenants();
    broken::over(&mut world, &mixed);
    world.wait_for_the_spacing();
    assert_eq!(redeem_elsewhere(&world).await, [Reason::LoginOver; 3]);
}

/// Attack 11. I-02, I-03: a code is worth nothing without the secret of the browser that asked for it.
#[tokio::test]
async fn challenge_of_another_browser() {
    let world = World::new().await;
    let challenge = world.begin("alice").await;
    let code = world.outbox.last_code();
    let row = world.row(&world.alice);
    let named = |secret: &[u8]| Base64UrlUnpadded::encode_string(&[secret, b"alice"].concat());
    let id = challenge.login.to_string();
    for guess in [format!("csp1.{}", named(&[0; 32])), format!("csp1.{id}"), id, "alice".into(), String::new()] {
        assert_eq!(reason(&world.submit(&guess.into(), &code).await), Reason::LoginOver);
    }
    // Another window of the same person is another browser.
    world.wait_for_the_spacing();
    let mallory = world.begin("alice").await;
    assert_eq!(reason(&world.submit(&mallory.token, &code).await), Reason::WrongCode);
    assert_ne!(world.row(&world.alice), row);
    // Control: with its own secret the code does it.
    let _ = authenticated(world.submit(&challenge.token, &code).await);
}

/// Attack 12. I-01, I-02: the token between the two steps is no session, no device and no proof.
#[tokio::test]
async fn second_step_skipped() {
    let world = World::with(|b| b.trusted_devices(30 * DAY, 3)).await;
    let done = world.sign_in_and_trust("alice", "laptop").await;
    let device = done.device_token.unwrap();
    world.wait_for_the_spacing();
    let challenge = world.begin("alice").await;
    let pending = challenge.token.expose();
    // As a trusted device.
    let as_device = world.begin_with_device("alice", &DeviceToken::new(pending)).await;
    assert!(matches!(as_device, LoginStep::CodeRequired(_)));
    let body = &pending[5..];
    assert!(matches!(
        world.begin_with_device("alice", &DeviceToken::new(format!("csd1.{body}"))).await,
        LoginStep::CodeRequired(_)
    ));
    // As a proof of a number, as a code, as a backup code.
    let account = world.flow.account(&world.acme, &done.grant);
    let as_setup = account.confirm_method(&SetupToken::new(pending), &world.outbox.last_code().into()).await;
    assert!(as_setup.is_err());
    for step in [world.submit(&challenge.token, pending).await, world.submit_backup(&challenge.token, pending).await] {
        assert!(matches!(reason(&step), Reason::InvalidInput(_)));
    }
    // As a session: neither it nor the page it came with reads as one.
    let page = serde_json::to_string(&challenge).unwrap();
    for text in [pending.to_owned(), format!("\"{pending}\""), page] {
        assert!(serde_json::from_str::<SavedGrant>(&text).is_err());
    }
    // Control: each kind at its own place.
    let by_device = authenticated(world.begin_with_device("alice", &device).await);
    let text = serde_json::to_string(&by_device.grant).unwrap();
    let session: SavedGrant = serde_json::from_str(&text).unwrap();
    assert!(matches!(world.flow.revalidate(&world.acme, &session).await.unwrap(), Validity::Valid(_)));
}

/// Attack 23. I-29.
#[tokio::test]
async fn device_of_another_user_or_tenant() {
    let world = World::with(|b| b.trusted_devices(30 * DAY, 3)).await;
    world.other_uses_it_too().await;
    let device = world.sign_in_and_trust("alice", "laptop").await.device_token.unwrap();
    let _bobs = world.sign_in_and_trust("bob", "phone").await;
    world.wait_for_the_spacing();
    assert!(matches!(world.begin_with_device("bob", &device).await, LoginStep::CodeRequired(_)));
    assert!(matches!(world.begin_in_other("alice", Some(&device)).await, LoginStep::CodeRequired(_)));
    // Nor does the saved device help where it is copied to.
    let mut bob = world.record(&world.bob);
    bob["devices"] = world.record(&world.alice)["devices"].clone();
    world.overwrite_with(&world.bob, &bob).await;
    world.wait_for_the_spacing();
    assert!(matches!(world.begin_with_device("bob", &device).await, LoginStep::CodeRequired(_)));
    // Control: where it belongs, and with the password of that day.
    let _ = authenticated(world.begin_with_device("alice", &device).await);
    let step = world.begin_as(&world.acme, "alice", "wrong", Channel::Web, Some(&device)).await.unwrap();
    assert_eq!(reason(&step), Reason::InvalidCredentials);
}

/// Every operation of an administrator on this user of this tenant: how often each was refused, and whether anything changed.
async fn administrate(world: &World, tenant: &TenantId, grant: &SavedGrant) -> (usize, bool) {
    let before = (world.factors.record(&world.acme, &world.alice), world.factors.settings(&world.acme).await.unwrap());
    let mut refused = 0;
    for operation in 0..6 {
        let outcome = match world.flow.administration(tenant, grant).await {
            Err(error) => Err(error),
            Ok(page) => match operation {
                0 => page.scope().await.map(drop),
                1 => page.status(&world.alice).await.map(drop),
                2 => page.unlock(&world.alice).await,
                3 => page.purge_progress().await.map(drop),
                4 => page.reset(&world.alice).await,
                _ => page.set_scope(Scope::SystemAdministratorsOnly).await.map(drop),
            },
        };
        if outcome.is_err() {
            assert_eq!(refusal(outcome), Reason::NotFound);
            refused += 1;
        }
    }
    let after = (world.factors.record(&world.acme, &world.alice), world.factors.settings(&world.acme).await.unwrap());
    (refused, before != after)
}

/// Attack 29. I-34: an administrator of one tenant, on a user of another.
#[tokio::test]
async fn administrator_of_another_tenant() {
    let world = World::new().await;
    world.other_uses_it_too().await;
    let _done = world.sign_in("alice").await;
    let stranger = world.begin_in(&world.other, "root").await;
    let code = world.outbox.last_code().into();
    let step = world.flow.submit_code(&world.other, &stranger.token, &code, TrustDevice::No).await.unwrap();
    let grant = authenticated(step).grant;
    assert_eq!(administrate(&world, &world.acme, &grant).await, (6, false));
    // The ids are the same in both tenants. A session that was made to say so is none either.
    let mut forged = serde_json::to_value(&grant).unwrap();
    forged["tenant"] = "acme".into();
    let forged: SavedGrant = serde_json::from_value(forged).unwrap();
    assert_eq!(administrate(&world, &world.acme, &forged).await, (6, false));
    // Control: the tenant's own administrator.
    let own = world.root_grant().await;
    assert_eq!(administrate(&world, &world.acme, &own).await, (0, true));
}

/// A users table that folds full-width letters, as some collations do.
struct Folding(MemoryUsers);

#[async_trait]
impl UserStore for Folding {
    async fn find_by_login(&self, tenant: &TenantId, name: &LoginName) -> Result<Option<User>, Fault> {
        let folded: String = name
            .as_str()
            .chars()
            .map(|c| char::from_u32(u32::from(c).wrapping_sub(0xFEE0)).filter(char::is_ascii).unwrap_or(c))
            .collect();
        let folded = folded.split(['@', ',']).next().unwrap_or_default();
        self.0.find_by_login(tenant, &LoginName::new(folded)?).await
    }

    async fn find_by_id(&self, tenant: &TenantId, user: &UserId) -> Result<Option<User>, Fault> {
        self.0.find_by_id(tenant, user).await
    }

    async fn replace_password_hash(
        &self,
        tenant: &TenantId,
        user: &UserId,
        current: &PasswordHash,
        next: &PasswordHash,
    ) -> Result<bool, Fault> {
        self.0.replace_password_hash(tenant, user, current, next).await
    }
}

/// Attack 32. I-33: one message, to the stored address, whatever was typed.
#[tokio::test]
async fn recipient_from_the_request() {
    let mut world = World::new().await;
    world.rewire(Folding(world.users.clone()), Wrapped(Store::over(&world)), world.outbox.clone(), |b| b);
    for typed in ["alice", "ａｌｉｃｅ", "alice@evil.example", "alice,mallory@evil.example"] {
        world.outbox.clear();
        world.begin(typed).await;
        let sent: Vec<Destination> = world.outbox.codes().into_iter().map(|code| code.to).collect();
        let stored = Destination::Email(EmailAddress::new("alice@example.com").unwrap());
        assert_eq!(sent, [stored], "{typed}");
        world.clock.advance(10 * MINUTE);
    }
    // Control: what does change where a code goes is the stored address.
    world.change(&world.alice, |user| user.email = Some(EmailAddress::new("new@example.com").unwrap()));
    world.begin("alice").await;
    assert!(matches!(world.outbox.last().to, Destination::Email(to) if to.expose() == "new@example.com"));
}

/// Attack 62. I-01: what a client makes of an answer is not what the server goes by.
#[tokio::test]
async fn response_tampering() {
    let world = World::new().await;
    let challenge = world.begin("alice").await;
    let code = world.outbox.last_code();
    let secret = &Base64UrlUnpadded::decode_vec(&challenge.token.expose()[5..]).unwrap()[..32];
    for user in ["bob", "root", "alice2"] {
        let altered = Base64UrlUnpadded::encode_string(&[secret, user.as_bytes()].concat());
        assert_eq!(reason(&world.submit(&format!("csp1.{altered}").into(), &code).await), Reason::LoginOver);
    }
    // A session without a second factor that is made to claim one, or another user, where one is required.
    let step = world.begin_as(&world.acme, "alice", PASSWORD, Channel::Api, None).await.unwrap();
    let exempt = serde_json::to_value(authenticated(step).grant).unwrap();
    for (field, value) in [
        ("basis", serde_json::json!({ "kind": "code", "method": "email" })),
        ("basis", serde_json::json!({ "kind": "backup_code" })),
        ("channel", "web".into()),
        ("user", "root".into()),
    ] {
        let mut forged = exempt.clone();
        forged["channel"] = "web".into();
        forged["record"] = serde_json::Value::Null;
        forged[field] = value;
        let Ok(forged) = serde_json::from_value::<SavedGrant>(forged) else { panic!("{field} is read") };
        assert!(matches!(world.flow.revalidate(&world.acme, &forged).await.unwrap(), Validity::Stale(_)), "{field}");
    }
    // Control: the answer as it was.
    let done = authenticated(world.submit(&challenge.token, &code).await);
    let kept = serde_json::from_value::<SavedGrant>(serde_json::to_value(&done.grant).unwrap()).unwrap();
    assert!(matches!(world.flow.revalidate(&world.acme, &kept).await.unwrap(), Validity::Valid(_)));
}
