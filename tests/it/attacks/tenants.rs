//! Attacks on what a tenant decides: its settings, single sign-on, rehearsals, and where requests
//! come from.

use async_trait::async_trait;
use countersign::administration::LockOuts;
use countersign::error::PluginError;
use countersign::memory::MemoryUsers;
use countersign::policy::{
    Exemption, PolicyContext, RequestPolicy, Requirement, Restriction, StandardPolicy,
    TwoFactorPolicy,
};
use countersign::tenant::{Lockout, Methods, SingleSignOn};
use countersign::user::{User, UserDirectory};
use countersign::{
    Channel, Login, LoginStep, Method, Reason, Rehearsal, RequestContext, Scope, TenantId,
    TenantSettings, UserId,
};

use crate::support::*;

/// Attack 86. I-42: two administrators save at the same time, and the one who saw less takes back
/// what the other has just made stricter.
#[tokio::test]
async fn settings_race() {
    let world = World::new().await;
    let desk = desk(&world).await;
    let shown = desk.settings().await.unwrap();
    let stricter = |settings: &mut TenantSettings| {
        settings.single_sign_on = SingleSignOn::SystemAdministrators;
    };
    let mut theirs = shown.settings;
    theirs.lockout = Some(Lockout { wrong_codes: 3, first: MINUTE * 60, longest: DAY });
    world.change_settings(stricter).await;
    let refused = desk.change_settings(shown.version, &theirs, LockOuts::Accept).await;
    assert_eq!(refusal(refused), Reason::SettingsChanged);
    let now = || async { desk.settings().await.unwrap().settings.single_sign_on };
    assert_eq!(now().await, SingleSignOn::SystemAdministrators);
    // Control: a host that takes the version at the moment of saving loses the other's change.
    let version = desk.settings().await.unwrap().version;
    desk.change_settings(version, &theirs, LockOuts::Accept).await.unwrap();
    assert_eq!(now().await, SingleSignOn::Exempt);
}

/// Attack 87. I-34, I-42: an attacker with an administrator's old session weakens the settings, one
/// by one, until nothing protects anybody.
#[tokio::test]
async fn settings_downgrade() {
    let weaken = |settings: &mut TenantSettings| {
        settings.lockout =
            Some(Lockout { wrong_codes: 10, first: MINUTE * 5, longest: MINUTE * 5 });
    };
    for (window, expected) in [(MINUTE * 10, Some(Reason::ReauthenticationRequired)), (DAY, None)] {
        // Control: where a login counts as recent for a day, the same session does it.
        let world = World::with(|b| any_lockout(b).recent_login(window)).await;
        let desk = desk(&world).await;
        world.clock.advance(MINUTE * 30);
        let before = world.settings_row(&world.acme);
        let shown = desk.settings().await.unwrap();
        let mut next = shown.settings;
        weaken(&mut next);
        let changed = desk.change_settings(shown.version, &next, LockOuts::Accept).await;
        assert_eq!(changed.err().map(|error| error.denied().unwrap().reason()), expected);
        assert_eq!(world.settings_row(&world.acme) == before, expected.is_some());
    }
}

/// A policy under which single sign-on exempts a user on every channel.
struct Lenient;

impl TwoFactorPolicy for Lenient {
    fn decide(&self, context: &PolicyContext<'_>) -> Result<Requirement, PluginError> {
        match StandardPolicy.decide(context)? {
            Requirement::Required if context.user.roles.iter().any(|role| role == "sso") => {
                Ok(Requirement::Exempt(Exemption::SingleSignOn))
            }
            requirement => Ok(requirement),
        }
    }
}

/// Attack 88. I-35: single sign-on, which asks for no code, as a way to the pages that a password
/// login needs a code for.
#[tokio::test]
async fn single_sign_on_around_the_scope() {
    for lenient in [false, true] {
        let world = if lenient {
            // Control: a policy that lets such people in everywhere opens the page.
            World::with(|b| b.policy(Lenient)).await
        } else {
            World::new().await
        };
        world.change(&world.root, |user| user.roles = vec!["sso".into()]);
        let request = world.request();
        let step = request.begin_after_single_sign_on(&world.root).await.unwrap();
        let grant = authenticated(step).grant;
        let opened = request.administration(&grant).await;
        assert_eq!(opened.is_ok(), lenient);
        assert_eq!(request.revalidate(&grant, Channel::Web).await.is_ok(), lenient);
    }
}

/// Attack 89. I-50: the tenant forbids SMS after a wave of stolen SIM cards, and the thief has a
/// login under way whose code was sent before.
#[tokio::test]
async fn method_forbidden_mid_login() {
    for forbidden in [true, false] {
        let world = World::new().await;
        world.choose_sms("alice", "+819012345634").await;
        world.wait_for_the_spacing();
        let pending = world.begin("alice").await;
        let stolen = world.last_code();
        let methods = if forbidden { Methods::only(Method::Email) } else { Methods::default() };
        world.change_settings(|settings| settings.methods = methods).await;
        let step = world.submit(&pending.token, &stolen).await;
        // Control: without the change the same code completes the login.
        assert_eq!(matches!(step, LoginStep::Authenticated(_)), !forbidden);
        assert_eq!(world.saved_wrong_codes(&world.alice), 0);
    }
}

/// Lets the office's address alone in without a code. One variant believes what a client says.
struct Office {
    believes_the_client: bool,
}

const OFFICE: &str = "203.0.113.77";

impl RequestPolicy for Office {
    fn restrict(
        &self,
        _: &PolicyContext<'_>,
        request: &RequestContext,
    ) -> Result<Restriction, PluginError> {
        let said = [request.user_agent(), request.request_id()];
        let claims = said.into_iter().flatten().any(|text| text.contains(OFFICE));
        let inside = request.client_address() == Some(OFFICE.parse()?)
            || (self.believes_the_client && claims);
        Ok(if inside { Restriction::None } else { Restriction::RequireSecondFactor })
    }
}

/// Attack 90. I-45: a client writes the office's address into whatever it can choose: its user
/// agent, its request's id.
#[tokio::test]
async fn spoofed_context() {
    for believes_the_client in [false, true] {
        let world = World::off_with(|b| b.request_policy(Office { believes_the_client }));
        let spoofed = RequestContext::new()
            .with_client_address("198.51.100.9".parse().unwrap())
            .with_user_agent(&format!("Firefox (X-Forwarded-For: {OFFICE})"))
            .with_request_id(OFFICE);
        let request = world.flow.request(&world.acme, &spoofed);
        let password = PASSWORD.into();
        let login =
            Login { name: "alice", password: &password, channel: Channel::Web, device: None };
        let step = request.begin(&login).await.unwrap();
        // Control: a policy that reads these lets the spoofer in.
        assert_eq!(matches!(step, LoginStep::Authenticated(_)), believes_the_client);
    }
}

/// Attack 91. I-04, I-34, I-44: a rehearsal that tells an administrator of one tenant who there is
/// in another, and what protects them.
#[tokio::test]
async fn rehearsal_as_an_oracle() {
    let world = World::with_directory().await;
    let foreign = authenticated(
        world.begin_as(&world.other, "root", PASSWORD, Channel::Web, None).await.unwrap(),
    )
    .grant;
    // Their desk is that of their own tenant, whatever they ask for.
    let own = world.request_for(&world.other).administration(&foreign).await.unwrap();
    let mut next = own.settings().await.unwrap().settings;
    next.scope = Scope::EntireTenant;
    world.users.remove(&world.other, &world.bob);
    let found = own.rehearse(&next, Rehearsal::default(), 100).await.unwrap();
    assert_eq!((found.people, found.newly_asked.count), (2, 2));
    assert_eq!(refusal(world.request().administration(&foreign).await), Reason::NotFound);
    // An application whose list mixes tenants up gets an error, and shows nobody. Control: one that
    // also writes the asking tenant's name on everybody in it tells of all three.
    for relabels in [false, true] {
        let mixed = MixedUp { users: world.users.clone(), listed: world.acme.clone(), relabels };
        let flow = world.flow_over(world.factors.clone(), |b| b.directory(mixed)).unwrap();
        let request = flow.request(&world.other, &RequestContext::new());
        let desk = request.administration(&foreign).await.unwrap();
        match desk.rehearse(&next, Rehearsal::default(), 100).await {
            Err(error) => assert!(!relabels && error.denied().is_none(), "{error:?}"),
            Ok(found) => assert_eq!((relabels, found.newly_asked.count), (true, 3)),
        }
    }
}

/// A list that answers with another tenant's people, whoever asks.
struct MixedUp {
    users: MemoryUsers,
    listed: TenantId,
    /// As a view that overwrites the column does.
    relabels: bool,
}

#[async_trait]
impl UserDirectory for MixedUp {
    async fn page(
        &self,
        asking: &TenantId,
        after: Option<&UserId>,
        at_most: u32,
    ) -> Result<Vec<User>, PluginError> {
        let mut users = self.users.page(&self.listed, after, at_most).await?;
        if self.relabels {
            for user in &mut users {
                user.tenant.clone_from(asking);
            }
        }
        Ok(users)
    }

    async fn administrators(&self, _: &TenantId) -> Result<Vec<User>, PluginError> {
        Ok(Vec::new())
    }
}
