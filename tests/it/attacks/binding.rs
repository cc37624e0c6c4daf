//! What belongs to somebody else: another tenant's token, another user's device, another browser's
//! login, an address that was typed.

use async_trait::async_trait;
use base64ct::{Base64UrlUnpadded, Encoding};
use countersign::contact::{Destination, EmailAddress};
use countersign::error::PluginError;
use countersign::memory::MemoryUsers;
use countersign::store::{FactorStore, StoredRow};
use countersign::user::{PasswordHash, User, UserStore};
use countersign::{
    Administration, Channel, DeviceToken, LoginFlowBuilder, LoginName, LoginStep, OperationError,
    Reason, RequestContext, RevalidateError, SavedGrant, Scope, SetupToken, TenantId, TrustDevice,
    UserId,
};

use crate::attacks::broken::{self, Constant, Mixed, Nowhere, Store};
use crate::loose::Collation;
use crate::support::wrapped::Wrapped;
use crate::support::*;

/// What is saved of alice in a tenant, and how often anything was written.
fn saved(world: &World, tenant: &TenantId) -> (Option<StoredRow>, usize) {
    (world.factors.record(tenant, &world.alice), world.calls.of("commit"))
}

/// A token of acme at the address of the other tenant, with the right code, at every step that
/// takes it: why each was refused, if it was.
async fn redeem_elsewhere(
    world: &World,
    tenant_of: impl Fn(&TenantId) -> TenantId,
) -> Vec<Option<Reason>> {
    let challenge = world.begin("alice").await;
    let code = world.last_code();
    let (token, other) = (&challenge.token, &tenant_of(&world.other));
    crate::attacks::each_step(world, other, token, &code).await
}

/// Attack 10. I-03, I-04: the same user id in two tenants.
#[tokio::test]
async fn tenant_confusion() {
    let mut world = World::new().await;
    world.other_uses_it_too().await;
    let theirs = world.begin_in(&world.other, "alice").await;
    let their_code = world.last_code();
    world.calls.clear();
    let before = saved(&world, &world.other);
    assert_eq!(redeem_elsewhere(&world, TenantId::clone).await, [Some(Reason::LoginOver); 3]);
    assert_eq!(saved(&world, &world.other).0, before.0, "nothing is charged there");
    // Control: a host that takes every address for one tenant's.
    world.wait_for_the_spacing();
    let lets_in = redeem_elsewhere(&world, |_| world.acme.clone()).await;
    assert_eq!(lets_in, [Some(Reason::NoBackupCode), Some(Reason::SendLimit), None]);
    // The other tenant's own do it at theirs.
    let step = world
        .request_for(&world.other)
        .submit_code(&theirs.token, &their_code.into(), TrustDevice::No)
        .await
        .unwrap();
    assert_eq!(authenticated(step).grant.tenant(), &world.other);
    // A store that mixes tenants up does not help: the token's tag names its tenant.
    let mixed = Store::over(&world).without_tenants();
    broken::over(&mut world, &mixed);
    world.wait_for_the_spacing();
    assert_eq!(redeem_elsewhere(&world, TenantId::clone).await, [Some(Reason::LoginOver); 3]);
}

/// The code of one window in another window of the same person, which is another browser.
async fn submit_in_another_window(world: &World) -> LoginStep {
    let _ = world.begin("alice").await;
    let code = world.last_code();
    world.wait_for_the_spacing();
    let mallory = world.begin("alice").await;
    world.submit(&mallory.token, &code).await
}

/// Attack 11. I-02, I-03: a code is worth nothing without the secret of the browser that asked for
/// it.
#[tokio::test]
async fn challenge_of_another_browser() {
    let world = World::new().await;
    let challenge = world.begin("alice").await;
    let code = world.last_code();
    let row = world.row(&world.alice);
    let named = |secret: &[u8]| Base64UrlUnpadded::encode_string(&[secret, b"alice"].concat());
    let id = challenge.login.to_string();
    for guess in [
        format!("csp1.{}", named(&[0; 32])),
        format!("csp1.{id}"),
        id,
        "alice".into(),
        String::new(),
    ] {
        assert_eq!(reason(&world.submit(&guess.into(), &code).await), Reason::LoginOver);
    }
    assert_eq!(world.row(&world.alice), row, "nothing is charged for a token of nobody");
    world.wait_for_the_spacing();
    assert_eq!(reason(&submit_in_another_window(&world).await), Reason::WrongCode);
    assert_eq!(world.saved_wrong_codes(&world.alice), 1);
    // With its own secret the code does it.
    let _ = authenticated(world.submit(&challenge.token, &code).await);
    // Control: a generator that repeats itself, so that every browser has the same secret.
    let weak = World::with(|b| b.entropy(Constant)).await;
    let _ = authenticated(submit_in_another_window(&weak).await);
}

/// Attack 12. I-01, I-02: the token between the two steps is no session, no device and no proof.
#[tokio::test]
async fn second_step_skipped() {
    let mut world = World::with(|b| b.trusted_devices(30 * DAY, 3)).await;
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
    let account = world.request().account(&done.grant);
    let as_setup =
        account.confirm_method(&SetupToken::new(pending), &world.last_code().into()).await;
    assert!(as_setup.is_err());
    for step in [
        world.submit(&challenge.token, pending).await,
        world.submit_backup(&challenge.token, pending).await,
    ] {
        assert!(matches!(reason(&step), Reason::InvalidInput(_)));
    }
    // As a session: neither it nor the page it came with reads as one.
    let page = serde_json::to_string(&challenge).unwrap();
    for text in [pending.to_owned(), format!("\"{pending}\""), page] {
        assert!(serde_json::from_str::<SavedGrant>(&text).is_err());
    }
    // Each kind at its own place.
    let by_device = authenticated(world.begin_with_device("alice", &device).await);
    let text = serde_json::to_string(&by_device.grant).unwrap();
    let session: SavedGrant = serde_json::from_str(&text).unwrap();
    assert!(world.request().revalidate(&session, Channel::Web).await.is_ok());
    // Control: a policy that exempts everybody, so that the pending token is as good as a device.
    world.restarted(|b| b.trusted_devices(30 * DAY, 3).policy(Nowhere));
    let _ = authenticated(world.begin_with_device("alice", &DeviceToken::new(pending)).await);
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
    assert!(matches!(
        world.begin_in_other("alice", Some(&device)).await,
        LoginStep::CodeRequired(_)
    ));
    // Nor does the saved device help where it is copied to.
    let mut bob = world.record(&world.bob);
    bob["devices"] = world.record(&world.alice)["devices"].clone();
    world.overwrite(&world.bob, &bob).await;
    world.wait_for_the_spacing();
    assert!(matches!(world.begin_with_device("bob", &device).await, LoginStep::CodeRequired(_)));
    // Where it belongs it is good, with the password of that day.
    let _ = authenticated(world.begin_with_device("alice", &device).await);
    let step =
        world.begin_as(&world.acme, "alice", "wrong", Channel::Web, Some(&device)).await.unwrap();
    assert_eq!(reason(&step), Reason::InvalidCredentials);
    // Control: a generator that repeats itself, so that bob has a device with the same token.
    let weak = World::with(|b| b.trusted_devices(30 * DAY, 3).entropy(Constant)).await;
    let device = weak.sign_in_and_trust("alice", "laptop").await.device_token.unwrap();
    let _bobs = weak.sign_in_and_trust("bob", "phone").await;
    weak.wait_for_the_spacing();
    let _ = authenticated(weak.begin_with_device("bob", &device).await);
}

/// Every operation of an administrator on this user, through a page that is open: how many were
/// done and how many refused, and whether anything changed in acme.
async fn administrate(world: &World, page: &Administration, user: &UserId) -> (usize, usize, bool) {
    let state = || async {
        (
            world.factors.record(&world.acme, user),
            world.factors.settings(&world.acme).await.unwrap(),
        )
    };
    let before = state().await;
    let (mut done, mut refused) = (0, 0);
    for outcome in [
        page.scope().await.map(drop),
        page.status(user).await.map(drop),
        page.unlock(user).await,
        page.purge_progress().await.map(drop),
        page.saved_users().await.map(drop),
        page.reset(user).await.map(drop),
        page.set_scope(Scope::SystemAdministratorsOnly).await.map(drop),
    ] {
        match outcome {
            Ok(()) => done += 1,
            Err(OperationError::Denied(denied)) => {
                assert_eq!(denied.reason(), Reason::NotFound);
                refused += 1;
            }
            Err(OperationError::Failed(_)) => {}
        }
    }
    (done, refused, before != state().await)
}

/// The administrator of the other tenant, signed in there.
async fn stranger(world: &World) -> SavedGrant {
    let pending = world.begin_in(&world.other, "root").await;
    let code = world.last_code().into();
    let step = world
        .request_for(&world.other)
        .submit_code(&pending.token, &code, TrustDevice::No)
        .await
        .unwrap();
    authenticated(step).grant.into_saved()
}

/// Attack 29. I-34: an administrator of one tenant, on a user of another; and one who is none any
/// more, on a page that was opened before.
///
/// `tests/it/administration.rs` has who else is shut out, and each right asked for again at each
/// call.
#[tokio::test]
async fn administrator_of_another_tenant() {
    let mut world = World::new().await;
    world.other_uses_it_too().await;
    let dave = user_id("dave");
    Person::named("dave").join(&world.users, &world.acme).unwrap();
    for name in ["alice", "dave"] {
        let _done = world.sign_in(name).await;
    }
    let grant = stranger(&world).await;
    // The page of acme does not open, not even with a session that was made to say so: every
    // operation begins there.
    let mut forged = serde_json::to_value(&grant).unwrap();
    forged["tenant"] = "acme".into();
    let forged: SavedGrant = serde_json::from_value(forged).unwrap();
    for grant in [&grant, &forged] {
        assert_eq!(refusal(world.request().administration(grant).await), Reason::NotFound);
    }
    // Through their own page there is no user of acme only; alice is somebody of that name in their
    // own tenant.
    let (flow, other) = (world.flow.clone(), world.other.clone());
    let page = flow.request(&other, &RequestContext::new()).administration(&grant).await.unwrap();
    assert_eq!(administrate(&world, &page, &dave).await, (4, 3, false));
    assert_eq!(administrate(&world, &page, &world.alice).await, (7, 0, false));
    // A page that was opened while its administrator was one.
    let (acme, own) = (world.acme.clone(), world.root_grant().await);
    let page = flow.request(&acme, &RequestContext::new()).administration(&own).await.unwrap();
    world.change(&world.root, |user| user.system_administrator = false);
    assert_eq!(administrate(&world, &page, &world.alice).await, (0, 7, false));
    // Control: while they are one, the same page does all of it.
    world.change(&world.root, |user| user.system_administrator = true);
    assert_eq!(administrate(&world, &page, &world.alice).await, (7, 0, true));
    // Control: users and records that are kept without their tenant.
    let mixed = Wrapped(Store::over(&world).without_tenants());
    world.rewire(Mixed(world.users.clone()), mixed, world.outbox.clone(), |b| b);
    world.wait_for_the_spacing();
    let grant = stranger(&world).await;
    let flow = world.flow.clone();
    let page = flow.request(&other, &RequestContext::new()).administration(&grant).await.unwrap();
    let (done, refused, changed) = administrate(&world, &page, &dave).await;
    assert!(done > 3 && refused == 0 && changed, "{done} done, {refused} refused");
}

/// A users table that folds full-width letters, as some collations do. An obliging one also keeps
/// the address that was typed.
struct Folding {
    users: MemoryUsers,
    obliging: bool,
}

#[async_trait]
impl UserStore for Folding {
    async fn find_by_login(
        &self,
        tenant: &TenantId,
        name: &LoginName,
    ) -> Result<Option<User>, PluginError> {
        let folded: String = name
            .as_str()
            .chars()
            .map(|c| {
                char::from_u32(u32::from(c).wrapping_sub(0xFEE0))
                    .filter(char::is_ascii)
                    .unwrap_or(c)
            })
            .collect();
        let folded = folded.split(['@', ',']).next().unwrap_or_default();
        let found = self.users.find_by_login(tenant, &LoginName::new(folded)?).await?;
        if let (true, Some(user), Ok(typed)) =
            (self.obliging, &found, EmailAddress::new(name.as_str()))
        {
            self.users.change(tenant, &user.id, |user| user.email = Some(typed)).unwrap();
        }
        Ok(found)
    }

    async fn find_by_id(
        &self,
        tenant: &TenantId,
        user: &UserId,
    ) -> Result<Option<User>, PluginError> {
        self.users.find_by_id(tenant, user).await
    }

    async fn replace_password_hash(
        &self,
        tenant: &TenantId,
        user: &UserId,
        current: &PasswordHash,
        next: &PasswordHash,
    ) -> Result<bool, PluginError> {
        self.users.replace_password_hash(tenant, user, current, next).await
    }
}

/// Attack 32. I-33: one message, to the stored address, whatever was typed.
#[tokio::test]
async fn recipient_from_the_request() {
    let mut world = World::new().await;
    let folding = |world: &World, obliging| Folding { users: world.users.clone(), obliging };
    world.rewire(folding(&world, false), Wrapped(Store::over(&world)), world.outbox.clone(), |b| b);
    for typed in ["alice", "ａｌｉｃｅ", "alice@evil.example", "alice,mallory@evil.example"] {
        world.outbox.clear();
        let _ = world.begin(typed).await;
        let sent: Vec<Destination> = world.outbox.codes().into_iter().map(|code| code.to).collect();
        let stored = Destination::Email(EmailAddress::new("alice@example.com").unwrap());
        assert_eq!(sent, [stored], "{typed}");
        world.clock.advance(10 * MINUTE);
    }
    // What does change where a code goes is the stored address.
    world.change(&world.alice, |user| {
        user.email = Some(EmailAddress::new("new@example.com").unwrap());
    });
    let _ = world.begin("alice").await;
    assert!(
        matches!(world.outbox.last_code().unwrap().to, Destination::Email(to) if to.expose() == "new@example.com")
    );
    // Control: a users table that takes the address from the request.
    world.rewire(folding(&world, true), Wrapped(Store::over(&world)), world.outbox.clone(), |b| b);
    world.wait_for_the_spacing();
    let _ = world.begin("alice@evil.example").await;
    assert!(
        matches!(world.outbox.last_code().unwrap().to, Destination::Email(to) if to.expose() == "alice@evil.example")
    );
}

/// Attack 62. I-01: what a client makes of an answer is not what the server goes by.
#[tokio::test]
async fn response_tampering() {
    let mut world = World::new().await;
    let challenge = world.begin("alice").await;
    let code = world.last_code();
    let secret = &Base64UrlUnpadded::decode_vec(&challenge.token.expose()[5..]).unwrap()[..32];
    for user in ["bob", "root", "alice2"] {
        let altered = Base64UrlUnpadded::encode_string(&[secret, user.as_bytes()].concat());
        assert_eq!(
            reason(&world.submit(&format!("csp1.{altered}").into(), &code).await),
            Reason::LoginOver
        );
    }
    // A session without a second factor that is made to claim one, or another user, where one is
    // required.
    let step =
        world.begin_as(&world.acme, "alice", PASSWORD, Channel::ExemptApi, None).await.unwrap();
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
        let Ok(forged) = serde_json::from_value::<SavedGrant>(forged) else {
            panic!("{field} is read")
        };
        assert!(
            matches!(
                world.request().revalidate(&forged, Channel::Web).await,
                Err(RevalidateError::Stale(_))
            ),
            "{field}"
        );
    }
    // The answer as it was is good.
    let done = authenticated(world.submit(&challenge.token, &code).await);
    let kept =
        serde_json::from_value::<SavedGrant>(serde_json::to_value(&done.grant).unwrap()).unwrap();
    assert!(world.request().revalidate(&kept, Channel::Web).await.is_ok());
    // Control: a policy that exempts everybody, so that whatever a session claims of its second
    // factor holds.
    world.restarted(|b| b.policy(Nowhere));
    let mut forged = exempt;
    (forged["channel"], forged["basis"]) =
        ("web".into(), serde_json::json!({ "kind": "backup_code" }));
    let forged = serde_json::from_value::<SavedGrant>(forged).unwrap();
    assert!(world.request().revalidate(&forged, Channel::Web).await.is_ok());
}

/// Wrong passwords for alice under each spelling of her tenant, and then the right one: how many
/// were compared, and under how many spellings the password alone let in.
async fn guess_under_each_spelling(world: &World, spellings: &[TenantId]) -> (usize, usize) {
    world.calls.clear();
    for tenant in spellings {
        for _ in 0..10 {
            let step = world.begin_as(tenant, "alice", "wrong", Channel::Web, None).await;
            assert!(!matches!(step, Ok(LoginStep::Authenticated(_) | LoginStep::CodeRequired(_))));
        }
    }
    let compared = world.calls.of("verify");
    world.clock.advance(MINUTE);
    let mut let_in = 0;
    for tenant in spellings {
        let step = world.begin_as(tenant, "alice", PASSWORD, Channel::Web, None).await;
        let_in += usize::from(matches!(step, Ok(LoginStep::Authenticated(_))));
    }
    (compared, let_in)
}

/// Attack 64. I-04, I-16: the users table takes sixteen spellings of a tenant for one; the store
/// knows one of them.
#[tokio::test]
async fn tenant_by_another_spelling() {
    let letters = |case: u32| -> String {
        let upper = |(at, letter): (usize, char)| {
            if case & (1 << at) == 0 { letter } else { letter.to_ascii_uppercase() }
        };
        "acme".chars().enumerate().map(upper).collect()
    };
    let spellings: Vec<TenantId> = (0..16).map(|case| tenant(&letters(case))).collect();
    let records =
        |world: &World| spellings.iter().map(|tenant| world.factors.records(tenant)).sum::<usize>();
    for known in [false, true] {
        let configure = |b: LoginFlowBuilder| if known { b.require_known_tenants() } else { b };
        let mut world = World::new().await;
        world.over_a_loose_table(Collation::AsciiCase, false, configure);
        // Ten guesses at her password, as without any spelling.
        assert_eq!(guess_under_each_spelling(&world, &spellings).await, (10, 0));
        assert_eq!((records(&world), world.outbox.codes().len()), (1, 1), "alice's, and her code");
        // Control: a table that answers what was asked for in place of what it has, so that nothing
        // can be compared.
        let mut world = World::new().await;
        world.over_a_loose_table(Collation::AsciiCase, true, configure);
        let expected = if known { (10, 0) } else { (160, 15) };
        assert_eq!(guess_under_each_spelling(&world, &spellings).await, expected);
        assert_eq!(records(&world), if known { 1 } else { 16 });
    }
}
