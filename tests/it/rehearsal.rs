//! What a change of settings would do, and what a login would meet: foretold, and held against what
//! then happens.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use std::collections::BTreeSet;

use crate::support::steps::flow_over;
use crate::support::*;
use countersign::administration::Affected;
use countersign::contact::EmailAddress;
use countersign::event::{CredentialsCause, EventKind};
use countersign::memory::MemoryFactors;
use countersign::operator::Expected;
use countersign::policy::Exemption;
use countersign::store::{ExpectedVersions, FactorStore};
use countersign::tenant::{Lockout, Methods, SingleSignOn, TrustedDevices};
use countersign::user::{User, UserStatus};
use countersign::{
    Channel, LoginFlow, LoginName, LoginStep, Method, Reason, Rehearsal, RequestContext, Scope,
    SecondFactor, TenantSettings, UserId,
};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

type Edit = fn(&mut TenantSettings);

/// Changes that are rehearsed: what holds before, and what is changed.
const CHANGES: [(Edit, Edit); 10] = [
    (|now| now.scope = Scope::DoNotUse, |next| next.scope = Scope::EntireTenant),
    (|now| now.scope = Scope::EntireTenant, |next| next.scope = Scope::SystemAdministratorsOnly),
    (|now| now.scope = Scope::EntireTenant, |next| next.scope = Scope::DoNotUse),
    (
        |now| now.scope = Scope::EntireTenant,
        |next| {
            next.methods = Methods::only(Method::Email);
            next.backup_codes = false;
        },
    ),
    (|now| now.scope = Scope::EntireTenant, |next| next.methods = Methods::only(Method::Sms)),
    (
        |now| now.scope = Scope::SystemAdministratorsOnly,
        |next| next.single_sign_on = SingleSignOn::SystemAdministrators,
    ),
    (
        |now| {
            now.scope = Scope::EntireTenant;
            now.single_sign_on = SingleSignOn::SystemAdministrators;
        },
        |next| next.single_sign_on = SingleSignOn::Exempt,
    ),
    (|now| now.scope = Scope::EntireTenant, |next| next.trusted_devices = TrustedDevices::Off),
    (
        |now| now.scope = Scope::EntireTenant,
        |next| {
            next.trusted_devices = TrustedDevices::AtMost { lifetime: MINUTE * 360, per_user: 1 };
        },
    ),
    (
        |now| now.scope = Scope::EntireTenant,
        |next| {
            next.lockout = Some(Lockout { wrong_codes: 3, first: MINUTE * 60, longest: DAY });
        },
    ),
];

/// A tenant in which people have done all kinds of things: names from `user-0000` on.
async fn populated(people: usize, seed: u64) -> World {
    let mut random = StdRng::seed_from_u64(seed);
    let world = World::with_directory_and(|b| {
        b.trusted_devices(30 * DAY, 3).send_spacing(std::time::Duration::from_secs(10))
    })
    .await;
    for number in 0..people {
        let name = format!("user-{number:05}");
        let mut user = person(&world.acme, &name);
        user.system_administrator = random.random_range(0..5) == 0;
        world.users.insert(&LoginName::new(&name).unwrap(), user);
        let done: u32 = random.random_range(0..10);
        let minute = || world.clock.advance(MINUTE);
        match done {
            0 | 1 => {}
            2 => {
                let _ = world.make_backup_code(&name).await;
            }
            3 => world.choose_sms(&name, "+819012345634").await,
            4 => {
                let _ = world.sign_in_and_trust(&name, "laptop").await;
                minute();
                let _ = world.sign_in_and_trust(&name, "tablet").await;
            }
            5 => {
                world.choose_sms(&name, "+819012345634").await;
                minute();
                let _ = world.make_backup_code(&name).await;
                minute();
                let _ = world.sign_in_and_trust(&name, "phone").await;
            }
            6 => {
                let _ = world.lock_codes(&name).await;
            }
            7 => {
                for _ in 0..10 {
                    let _ = world.try_begin(&name, "wrong").await;
                }
            }
            8 => {
                let _ = world.sign_in(&name).await;
            }
            _ => {
                let _ = world.begin(&name).await;
            }
        }
        let id = user_id(&name);
        match random.random_range(0..12) {
            0 => world.change(&id, |user| user.status = UserStatus::Disabled),
            1 => world.change(&id, |user| user.email = None),
            2 => world.change(&id, |user| {
                user.email = Some(EmailAddress::new("new@example.com").unwrap());
            }),
            3 => world.change(&id, |user| user.security_stamp = Some("2".into())),
            _ => {}
        }
    }
    world.clock.advance(MINUTE);
    // Some are locked at this moment.
    let locked = ["locked-a", "locked-b", "locked-c", "locked-d"];
    for name in locked {
        world.users.insert(&LoginName::new(name).unwrap(), person(&world.acme, name));
    }
    for name in &locked[..2] {
        let _ = world.lock_codes(name).await;
    }
    for name in &locked[2..] {
        for _ in 0..10 {
            let _ = world.try_begin(name, "wrong").await;
        }
    }
    world
}

/// Whether the copy of a record keeps what locks its user.
#[derive(Clone, Copy)]
enum Locks {
    Kept,
    Lifted,
}

/// A copy of what is saved, to play in.
async fn copy_of(world: &World, users: &[User], locks: Locks) -> MemoryFactors {
    let copy = MemoryFactors::new();
    let settings = world.settings_row(&world.acme).unwrap();
    let _ = copy.change_settings(&world.acme, None, &settings).await.unwrap();
    for user in users {
        if let Some(mut record) = world.factors.record(&world.acme, &user.id) {
            if let Locks::Lifted = locks {
                let mut document: serde_json::Value =
                    serde_json::from_str(&record.document).unwrap();
                document.as_object_mut().unwrap().remove("code_failures");
                if let Some(password) = document["password"].as_object_mut() {
                    password.remove("failures");
                }
                record.document = document.to_string();
            }
            let expected = ExpectedVersions { settings: Some(settings.version), record: None };
            let _ = copy.commit(&world.acme, &user.id, &expected, &record).await.unwrap();
        }
    }
    copy
}

/// What one login came to.
#[derive(Clone, Debug, PartialEq)]
enum Met {
    In,
    Code(Option<Method>),
    Refused(Reason),
}

impl Met {
    fn asks(&self) -> bool {
        !matches!(self, Self::In | Self::Refused(Reason::InvalidCredentials))
    }

    fn method(&self) -> Option<Method> {
        match self {
            Self::Code(method) => *method,
            _ => None,
        }
    }
}

impl From<LoginStep> for Met {
    fn from(step: LoginStep) -> Self {
        match step {
            LoginStep::Authenticated(_) => Self::In,
            LoginStep::CodeRequired(challenge) => {
                Self::Code(challenge.delivery.sent().map(|code| code.method))
            }
            LoginStep::Denied(denied) => Self::Refused(denied.reason()),
        }
    }
}

/// The application on a copy of what is saved, after this change.
async fn changed(
    world: &World,
    store: MemoryFactors,
    settings: Option<&TenantSettings>,
) -> LoginFlow {
    let flow = flow_over(world, store, |b| {
        b.trusted_devices(30 * DAY, 3).send_spacing(std::time::Duration::from_secs(10))
    });
    if let Some(settings) = settings {
        let operator = flow.operator("test").unwrap();
        let shown = operator.settings(&world.acme).await.unwrap();
        operator.change_settings(&world.acme, shown.version, settings).await.unwrap();
    }
    flow
}

/// Plays both logins of everybody, each on a store of its own.
async fn play(
    world: &World,
    users: &[User],
    settings: Option<&TenantSettings>,
    locks: Locks,
) -> Vec<[Met; 2]> {
    let mut flows = Vec::new();
    for _ in 0..2 {
        flows.push(changed(world, copy_of(world, users, locks).await, settings).await);
    }
    let mut met = Vec::new();
    let request = |flow: &LoginFlow| flow.request(&world.acme, &RequestContext::new());
    for user in users {
        let login = countersign::Login {
            name: user.id.as_str(),
            password: &PASSWORD.into(),
            channel: Channel::Web,
            device: None,
        };
        met.push([
            request(&flows[0]).begin(&login).await.unwrap().into(),
            request(&flows[1]).begin_after_single_sign_on(&user.id).await.unwrap().into(),
        ]);
    }
    met
}

fn ids(affected: &Affected) -> BTreeSet<UserId> {
    assert_eq!(usize::try_from(affected.count).unwrap(), affected.first.len());
    affected.first.iter().cloned().collect()
}

/// What a rehearsal says of everybody, with every id: in rehearsals of a hundred people each.
async fn rehearse_all(world: &World, next: &TenantSettings) -> Vec<Rehearsal> {
    let operator = world.flow.operator("test").unwrap();
    let (mut found, mut from) = (Vec::new(), None);
    loop {
        let mut so_far = Rehearsal::default();
        so_far.next = from.take();
        let page = operator.rehearse(&world.acme, next, so_far, 100).await.unwrap();
        from.clone_from(&page.next);
        found.push(page);
        if from.is_none() {
            return found;
        }
    }
}

/// I-44: what is foretold of 10,000 people is what their logins then meet, by password and after
/// single sign-on; and a rehearsal writes nothing and tells nobody.
#[tokio::test]
async fn of_ten_thousand_people_nothing_is_foretold_wrong() {
    let mut wrong = Vec::new();
    let mut people = 0;
    // Whom each change affects, so that it foretells something: of the groups below.
    let bites: [&[usize]; 10] = [&[0], &[1], &[1, 4], &[3], &[2], &[0], &[1], &[], &[], &[]];
    for (number, (before, after)) in CHANGES.iter().enumerate() {
        let world = populated(1_000, number as u64).await;
        let now = world.change_settings(before).await;
        let mut next = now;
        after(&mut next);
        let users: Vec<User> = {
            use countersign::user::UserDirectory;
            world.users.page(&world.acme, None, 10_000).await.unwrap()
        };
        people += users.len();
        let rows = |world: &World| {
            let rows: Vec<_> =
                users.iter().map(|user| world.factors.record(&world.acme, &user.id)).collect();
            (rows, world.settings_row(&world.acme))
        };
        let saved = rows(&world);
        world.events.clear();
        world.calls.clear();
        let attempts = world.outbox.attempts();
        let found = rehearse_all(&world, &next).await;
        assert_eq!(rows(&world), saved, "a rehearsal writes nothing");
        for write in ["commit", "change_settings", "remove", "remove_if", "purge"] {
            assert_eq!(world.calls.of(write), 0, "{write}");
        }
        assert_eq!((world.events.kinds().len(), world.outbox.attempts()), (0, attempts));

        let met_now = play(&world, &users, None, Locks::Kept).await;
        let met_then = play(&world, &users, Some(&next), Locks::Kept).await;
        // The login of a person who is locked today does not show what it meets when the lock ends.
        let free_now = play(&world, &users, None, Locks::Lifted).await;
        let free_then = play(&world, &users, Some(&next), Locks::Lifted).await;
        // What is deleted is looked at where nobody has logged in since.
        let store = copy_of(&world, &users, Locks::Kept).await;
        let flow = changed(&world, store.clone(), Some(&next)).await;
        let (mut devices, mut backup_codes) = (0, 0);
        for user in users.iter().filter(|user| user.status == UserStatus::Active) {
            let [now, then] = [&world.flow, &flow].map(|flow| flow.operator("test").unwrap());
            let now = now.status(&world.acme, &user.id).await.unwrap().unwrap();
            let then = then.status(&world.acme, &user.id).await.unwrap().unwrap();
            devices += now.devices.len().saturating_sub(then.devices.len()) as u64;
            backup_codes +=
                u64::from(now.backup_code_made_at.is_some() && then.backup_code_made_at.is_none());
        }
        let _ = flow.purge(&world.acme, 5_000).await.unwrap();
        let of = |kind: fn(&Rehearsal) -> &Affected| -> BTreeSet<UserId> {
            found.iter().flat_map(|page| ids(kind(page))).collect()
        };
        let said = [
            of(|found| &found.newly_asked),
            of(|found| &found.no_longer_asked),
            of(|found| &found.locked_out),
            of(|found| &found.other_method),
            of(|found| &found.settings_deleted),
        ];
        for (index, user) in users.iter().enumerate() {
            let (now, then) = (&met_now[index], &met_then[index]);
            let (free_now, free_then) = (&free_now[index], &free_then[index]);
            if user.status != UserStatus::Active {
                assert!(said.iter().all(|group| !group.contains(&user.id)));
                continue;
            }
            let pairs = [(&now[0], &then[0]), (&now[1], &then[1])];
            let any =
                |what: fn(&Met, &Met) -> bool| pairs.iter().any(|(now, then)| what(now, then));
            let nowhere = Met::Refused(Reason::NoDestination);
            let in_force = world.settings_row(&world.acme).unwrap().generation;
            let saved = world.factors.record(&world.acme, &user.id);
            let counts = saved.is_some_and(|record| record.generation == in_force);
            let happened = [
                any(|now, then| *now == Met::In && then.asks()),
                any(|now, then| now.asks() && *then == Met::In),
                (0..2).any(|way| free_now[way] != nowhere && free_then[way] == nowhere),
                any(|now, then| {
                    now.method().is_some()
                        && then.method().is_some()
                        && now.method() != then.method()
                }),
                counts && store.record(&world.acme, &user.id).is_none(),
            ];
            let foretold = [0, 1, 2, 3, 4].map(|group: usize| said[group].contains(&user.id));
            if happened != foretold {
                wrong.push((number, user.id.clone(), foretold, happened));
            }
        }
        let sum = |count: fn(&Rehearsal) -> u64| found.iter().map(count).sum::<u64>();
        assert_eq!(sum(|found| found.backup_codes_deleted), backup_codes, "{number}");
        assert_eq!(sum(|found| found.devices_deleted), devices, "{number}");
        assert_eq!(sum(|found| found.unreadable.count), 0);
        // The change does what it is here for.
        let met: Vec<usize> = said.iter().map(BTreeSet::len).collect();
        for group in bites[number] {
            assert!(met[*group] > 10, "{number}: {met:?}");
        }
        assert!(number != 7 && number != 8 || devices > 10, "{number}: {devices}");
        // Some are locked, by a code or by a password.
        if world.settings_row(&world.acme).is_some_and(|row| row.document.contains("entire")) {
            for lock in [Reason::CodesLocked, Reason::InvalidCredentials] {
                let locked = met_now.iter().filter(|met| met[0] == Met::Refused(lock));
                assert!(locked.count() >= 2, "{number}: {lock}");
            }
        }
        if next.lockout.is_some() {
            let alice = flow.request(&world.acme, &RequestContext::new());
            let password = PASSWORD.into();
            let login = countersign::Login {
                name: "alice",
                password: &password,
                channel: Channel::Web,
                device: None,
            };
            assert_eq!(challenge(alice.begin(&login).await.unwrap()).attempts_left, 3);
        }
    }
    assert_eq!(people, 10 * 1_007);
    assert!(wrong.is_empty(), "{} wrong, such as {:?}", wrong.len(), wrong.first());
}

/// A rehearsal goes on where it stopped, and comes to the same as one in one go.
#[tokio::test]
async fn a_rehearsal_can_be_resumed() {
    let world = populated(120, 7).await;
    let operator = world.flow.operator("test").unwrap();
    let mut next = operator.settings(&world.acme).await.unwrap().settings;
    next.scope = Scope::DoNotUse;
    let whole = operator.rehearse(&world.acme, &next, Rehearsal::default(), 1_000).await.unwrap();
    assert!(whole.next.is_none());
    let mut resumed = Rehearsal::default();
    loop {
        resumed = operator.rehearse(&world.acme, &next, resumed, 7).await.unwrap();
        // It can be saved in between.
        let saved = serde_json::to_string(&resumed).unwrap();
        resumed = serde_json::from_str(&saved).unwrap();
        if resumed.next.is_none() {
            break;
        }
    }
    assert_eq!(resumed, whole);
    assert!(whole.no_longer_asked.count > 0);
    assert!(whole.settings_deleted.count > 0 && whole.devices_deleted > 0);
}

/// A tenant of these people, who all are in the same position, and its own three.
async fn alike(people: usize, prepare: impl AsyncFn(&World, &str)) -> (World, Vec<UserId>) {
    let world = World::with_directory_and(any_lockout).await;
    let mut ids = Vec::new();
    for number in 0..people {
        let name = format!("user-{number:05}");
        world.users.insert(&LoginName::new(&name).unwrap(), person(&world.acme, &name));
        prepare(&world, &name).await;
        world.clock.advance(MINUTE);
        ids.push(user_id(&name));
    }
    (world, ids)
}

/// Of each kind of affected people all are counted, and the first hundred are listed: in the order
/// of their ids, and also where the hundredth is found in a later part.
#[tokio::test]
async fn of_each_kind_the_first_hundred_are_listed() {
    type Kind = fn(&Rehearsal) -> &Affected;
    let nothing = async |_: &World, _: &str| {};
    let (world, ids) = alike(130, nothing).await;
    world.set_scope(Scope::SystemAdministratorsOnly).await;
    let mut cases: Vec<(World, Edit, Kind)> = vec![(
        world,
        |next| next.scope = Scope::EntireTenant,
        |found: &Rehearsal| &found.newly_asked,
    )];
    cases.push((
        alike(130, nothing).await.0,
        |next| next.scope = Scope::SystemAdministratorsOnly,
        |found| &found.no_longer_asked,
    ));
    cases.push((
        alike(130, nothing).await.0,
        |next| next.methods = Methods::only(Method::Sms),
        |found| &found.locked_out,
    ));
    let by_sms = async |world: &World, name: &str| world.choose_sms(name, "+819012345634").await;
    cases.push((
        alike(130, by_sms).await.0,
        |next| next.methods = Methods::only(Method::Email),
        |found| &found.other_method,
    ));
    let begun = async |world: &World, name: &str| drop(world.begin(name).await);
    cases.push((
        alike(130, begun).await.0,
        |next| next.scope = Scope::DoNotUse,
        |found| &found.settings_deleted,
    ));
    let damaged = async |world: &World, name: &str| {
        let _pending = world.begin(name).await;
        world.overwrite(&user_id(name), "damaged").await;
    };
    cases.push((
        alike(130, damaged).await.0,
        |next| next.backup_codes = false,
        |found| &found.unreadable,
    ));
    for (world, edit, kind) in cases {
        let operator = world.flow.operator("test").unwrap();
        let mut next = operator.settings(&world.acme).await.unwrap().settings;
        edit(&mut next);
        let rehearse =
            async |so_far, at_most| operator.rehearse(&world.acme, &next, so_far, at_most).await;
        let whole = rehearse(Rehearsal::default(), 1_000).await.unwrap();
        let affected = kind(&whole);
        // Sometimes `alice` and `bob`, and the administrator, who come first.
        let own = affected.first.iter().filter(|id| !ids.contains(id)).count();
        assert_eq!(usize::try_from(affected.count).unwrap(), 130 + own, "{whole:?}");
        assert_eq!(affected.first.len(), 100);
        assert_eq!(affected.first[own..], ids[..100 - own]);
        // It stops and goes on before, in and after the hundredth.
        for at_most in [1, 7, 99, 100, 101] {
            let mut parts = rehearse(Rehearsal::default(), at_most).await.unwrap();
            while parts.next.is_some() {
                parts = rehearse(parts, at_most).await.unwrap();
            }
            assert_eq!(parts, whole, "{at_most}");
        }
    }
}

/// I-34, I-04: a rehearsal is about the administrator's own tenant: a directory that mixes tenants
/// is an error, and shows nobody. Attack class: a rehearsal as an oracle on another tenant.
#[tokio::test]
async fn a_rehearsal_is_no_oracle_on_another_tenant() {
    struct Mixed(countersign::memory::MemoryUsers, countersign::TenantId);
    #[async_trait::async_trait]
    impl countersign::user::UserDirectory for Mixed {
        async fn page(
            &self,
            _: &countersign::TenantId,
            after: Option<&UserId>,
            at_most: u32,
        ) -> Result<Vec<User>, countersign::error::PluginError> {
            countersign::user::UserDirectory::page(&self.0, &self.1, after, at_most).await
        }

        async fn administrators(
            &self,
            _: &countersign::TenantId,
        ) -> Result<Vec<User>, countersign::error::PluginError> {
            countersign::user::UserDirectory::administrators(&self.0, &self.1).await
        }
    }
    let mut world = World::new().await;
    world.users.change(&world.other, &world.bob, |user| user.system_administrator = true).unwrap();
    let mixed = Mixed(world.users.clone(), world.other.clone());
    world.flow = flow_over(&world, world.factors.clone(), |b| b.directory(mixed));
    let root = world.root_grant().await;
    let desk = world.request().administration(&root).await.unwrap();
    let shown = desk.settings().await.unwrap();
    let mut next = shown.settings;
    next.backup_codes = false;
    assert!(desk.rehearse(&next, Rehearsal::default(), 10).await.unwrap_err().denied().is_none());
    assert!(desk.people(None, 10).await.unwrap_err().denied().is_none());
    // Nor is anybody of the other tenant told of a change.
    world.outbox.clear();
    desk.change_settings(shown.version, &next, countersign::LockOuts::Accept).await.unwrap();
    assert_eq!(world.told(), []);
    // A session of the other tenant opens no desk here.
    let step = world.begin_as(&world.other, "root", PASSWORD, Channel::Web, None).await.unwrap();
    let foreign = authenticated(step).grant;
    assert_eq!(refusal(world.request().administration(&foreign).await), Reason::NotFound);
}

#[tokio::test]
async fn without_a_directory_there_is_nothing_to_rehearse_on() {
    let world = World::new().await;
    let root = world.root_grant().await;
    let desk = world.request().administration(&root).await.unwrap();
    let next = desk.settings().await.unwrap().settings;
    let rehearsed = desk.rehearse(&next, Rehearsal::default(), 10).await;
    assert_eq!(refusal(rehearsed), Reason::NotFound);
    assert_eq!(refusal(desk.people(None, 10).await), Reason::NotFound);
}

#[tokio::test]
async fn people_are_listed_page_by_page() {
    let world = World::with_directory_and(|b| b.trusted_devices(30 * DAY, 3)).await;
    let _device = world.sign_in_and_trust("alice", "laptop").await;
    world.change(&world.bob, |user| user.status = UserStatus::Disabled);
    let root = world.root_grant().await;
    let desk = world.request().administration(&root).await.unwrap();
    world.calls.clear();
    let first = desk.people(None, 2).await.unwrap();
    assert_eq!((world.calls.of("load_many"), world.calls.of("load")), (1, 1));
    let names = |page: &countersign::administration::PeoplePage| {
        page.people.iter().map(|person| person.user.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(names(&first), ["alice", "bob"]);
    let [alice, bob] = &first.people[..] else { panic!("two") };
    assert!(alice.active && alice.known && !alice.system_administrator);
    assert_eq!(alice.status.as_ref().unwrap().devices.len(), 1);
    assert!(!bob.active && !bob.known);
    let second = desk.people(first.next.as_ref(), 2).await.unwrap();
    assert_eq!((names(&second), second.next), (vec!["root".to_owned()], None));
}

/// What a login would meet is explained: why, since when and until when. Nothing is written by it.
#[tokio::test]
async fn an_operator_learns_what_a_login_would_meet() {
    let world = World::new().await;
    let operator = world.flow.operator("test").unwrap();
    let explain = async |user: &UserId, channel| {
        let record = world.factors.record(&world.acme, user);
        let explained = operator.explain(&world.acme, user, channel).await.unwrap();
        assert_eq!(world.factors.record(&world.acme, user), record);
        explained
    };
    assert!(explain(&user_id("nobody"), Channel::Web).await.is_none());
    let asked = explain(&world.alice, Channel::Web).await.unwrap();
    assert!(matches!(asked.expected, Expected::Asked { method: Method::Email, .. }));
    let exempt = explain(&world.alice, Channel::SingleSignOn).await.unwrap();
    let because = SecondFactor::Exempt { exemption: Exemption::SingleSignOn };
    assert_eq!(exempt.expected, Expected::LetIn { second_factor: because });

    let locked_at = world.now();
    let _ = world.lock_codes("alice").await;
    let locked = explain(&world.alice, Channel::Web).await.unwrap();
    let Expected::Refused { denied, .. } = &locked.expected else { panic!("{locked:?}") };
    assert_eq!(denied.reason(), Reason::CodesLocked);
    assert_eq!((locked.since, locked.until), (Some(locked_at), denied.retry_at()));
    let json = serde_json::to_value(&locked).unwrap();
    assert_eq!(
        (&json["expected"], &json["denied"]["reason"]),
        (&"refused".into(), &"codes_locked".into())
    );

    // Nowhere to send a code to, and a backup code; then a code that was sent a moment ago.
    let root = world.root.clone();
    world.wait_for_the_spacing();
    world.make_backup_code("root").await;
    world.change(&root, |user| user.email = None);
    let asked = explain(&root, Channel::Web).await.unwrap();
    let Expected::AskedWithoutCode { denied } = &asked.expected else { panic!("{asked:?}") };
    assert_eq!((denied.reason(), asked.until), (Reason::NoDestination, None));
    let step = world.try_begin("root", PASSWORD).await;
    assert!(challenge(step).delivery.sent().is_none());
    world.change(&root, |user| user.email = person(&world.acme, "root").email);
    world.wait_for_the_spacing();
    let _pending = world.begin("root").await;
    let _pending = world.begin("root").await;
    let asked = explain(&root, Channel::Web).await.unwrap();
    let Expected::AskedWithoutCode { denied } = &asked.expected else { panic!("{asked:?}") };
    assert_eq!(denied.reason(), Reason::SendLimit);
    assert!(asked.until.is_some() && asked.until == denied.retry_at());

    for _ in 0..10 {
        let _ = world.try_begin("bob", "wrong").await;
    }
    let locked = explain(&world.bob, Channel::Web).await.unwrap();
    let Expected::Refused { event, .. } = &locked.expected else { panic!("{locked:?}") };
    let cause = CredentialsCause::PasswordLocked;
    assert_eq!(*event, EventKind::CredentialsRefused { cause, locked_until: None });
    assert_eq!((locked.since, locked.until), (Some(world.now()), Some(world.now() + MINUTE)));
}

/// I-42: in a tenant too large to look at nobody knows whom a change locks out, so it must be
/// accepted.
#[tokio::test]
async fn of_a_tenant_too_large_to_look_at_nobody_knows() {
    let world = World::with_directory_and(|b| b).await;
    let add = |number: u32| {
        let name = format!("user-{number:05}");
        world.users.insert(&LoginName::new(&name).unwrap(), person(&world.acme, &name));
    };
    (3..19_999).for_each(add);
    let root = world.root_grant().await;
    let desk = world.request().administration(&root).await.unwrap();
    let refuse = countersign::LockOuts::Refuse;
    for (backup_codes, more) in [(false, None), (true, None), (false, Some(19_999))] {
        more.into_iter().for_each(add);
        let shown = desk.settings().await.unwrap();
        let mut next = shown.settings;
        next.backup_codes = backup_codes;
        let changed = desk.change_settings(shown.version, &next, refuse).await;
        match more {
            None => assert!(changed.is_ok(), "{changed:?}"),
            Some(_) => assert_eq!(refusal(changed), Reason::WouldLockOut),
        }
    }
}

/// I-38: what is refused is an event, also where nothing would have been changed.
#[tokio::test]
async fn a_refused_rehearsal_and_a_refused_list_are_events() {
    let world = World::new().await;
    let root = world.root_grant().await;
    let desk = world.request().administration(&root).await.unwrap();
    let next = desk.settings().await.unwrap().settings;
    world.events.clear();
    // There is no list of users.
    let refused = desk.rehearse(&next, Rehearsal::default(), 10).await;
    assert_eq!(refusal(refused), Reason::NotFound);
    assert_eq!(refusal(desk.people(None, 10).await), Reason::NotFound);
    let names: Vec<_> = world.events.kinds().iter().map(EventKind::name).collect();
    assert_eq!(names, ["administration_refused"; 2]);
}

/// I-44: a lock hides nobody whom a change would lock out: it ends, and then they are.
#[tokio::test]
async fn a_lock_hides_nobody_who_would_be_locked_out() {
    let world = World::with_directory_and(|b| b).await;
    let _ = world.lock_codes("alice").await;
    for _ in 0..10 {
        let _ = world.try_begin("bob", "wrong").await;
    }
    let operator = world.flow.operator("test").unwrap();
    let mut next = operator.settings(&world.acme).await.unwrap().settings;
    next.methods = Methods::only(Method::Sms);
    let found = operator.rehearse(&world.acme, &next, Rehearsal::default(), 10).await.unwrap();
    let everybody = [&world.alice, &world.bob, &world.root].map(UserId::clone);
    assert_eq!(ids(&found.locked_out), BTreeSet::from(everybody));
}
