//! Notices of changed settings: who hears of them, when, and what is an event instead.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use crate::support::steps::flow_over;
use crate::support::*;
use async_trait::async_trait;
use countersign::administration::LockOuts;
use countersign::error::PluginError;
use countersign::event::{Event, EventKind};
use countersign::memory::MemoryUsers;
use countersign::sender::{NoticeKind, SendErrorKind};
use countersign::tenant::SingleSignOn;
use countersign::user::{User, UserDirectory};
use countersign::{Scope, TenantId, TenantSettings, UserId};

/// The other administrators hear of a change, in its own time: of a weakening always, of others
/// once an hour.
#[tokio::test]
async fn other_administrators_are_notified() {
    let world = World::with_directory().await;
    world.change(&world.bob, |user| user.system_administrator = true);
    let desk = desk(&world).await;
    world.outbox.clear();
    let mut weakened = Vec::new();
    for edit in [
        (|settings: &mut TenantSettings| settings.backup_codes = false) as fn(&mut TenantSettings),
        |settings| settings.single_sign_on = SingleSignOn::SystemAdministrators,
        |settings| settings.backup_codes = true,
    ] {
        let shown = desk.settings().await.unwrap();
        let mut next = shown.settings;
        edit(&mut next);
        desk.change_settings(shown.version, &next, LockOuts::Refuse).await.unwrap();
        weakened.push(world.told().len());
    }
    assert_eq!(weakened, [1, 1, 2]);
    let held_back = |kind: &EventKind| matches!(kind, EventKind::NoticeHeldBack { .. });
    assert_eq!(world.events.kinds().iter().filter(|kind| held_back(kind)).count(), 1);
    let notices = world.outbox.notices();
    assert!(notices.iter().all(|sent| sent.user == world.bob && sent.tenant == world.acme));
    assert_eq!(
        notices.into_iter().map(|sent| sent.kind).collect::<Vec<_>>(),
        [
            NoticeKind::SettingsChanged { weakens: false },
            NoticeKind::SettingsChanged { weakens: true }
        ]
    );
    world.outbox.clear();
    world.clock.advance(MINUTE * 61);
    let operator = world.flow.operator("test").unwrap();
    operator.set_scope(&world.acme, Scope::DoNotUse).await.unwrap();
    assert_eq!(world.told().len(), 2, "both: the operator is neither");
}

/// I-38: of one change the first twenty administrators are notified, and an event says that there
/// are more.
#[tokio::test]
async fn more_administrators_than_can_be_notified_are_an_event() {
    for (more, held_back) in [(19, 0), (20, 0), (21, 1), (40, 1)] {
        let world = World::with_directory().await;
        // One without an address takes nobody's place.
        world.change(&world.bob, |user| {
            user.system_administrator = true;
            user.email = None;
        });
        for number in 0..more {
            let name = format!("admin-{number:02}");
            let mut user = person(&world.acme, &name);
            user.system_administrator = true;
            world.users.insert(&countersign::LoginName::new(&name).unwrap(), user);
        }
        let desk = desk(&world).await;
        world.outbox.clear();
        world.events.clear();
        let shown = desk.settings().await.unwrap();
        let mut next = shown.settings;
        next.backup_codes = false;
        desk.change_settings(shown.version, &next, LockOuts::Refuse).await.unwrap();
        assert_eq!(world.told().len(), more.min(20));
        let held = |event: &&Event| matches!(event.kind, EventKind::NoticeHeldBack { .. });
        let events = world.events.all();
        assert_eq!(events.iter().filter(held).count(), held_back, "{more}");
        assert!(events.iter().filter(held).all(|event| event.user.is_none()));
    }
}

/// A list of users whose administrators cannot be read.
struct NoAdministrators(MemoryUsers);

#[async_trait]
impl UserDirectory for NoAdministrators {
    async fn page(
        &self,
        tenant: &TenantId,
        after: Option<&UserId>,
        at_most: u32,
    ) -> Result<Vec<User>, PluginError> {
        self.0.page(tenant, after, at_most).await
    }

    async fn administrators(&self, _: &TenantId) -> Result<Vec<User>, PluginError> {
        Err(PluginError::new("the directory is down"))
    }
}

/// I-24, I-38: where nobody can tell who the administrators are, the change is made all the same,
/// and an event says why nobody was notified.
#[tokio::test]
async fn a_directory_that_fails_is_an_event_and_stops_no_change() {
    let mut world = World::new().await;
    let users = NoAdministrators(world.users.clone());
    world.flow = flow_over(&world, world.factors.clone(), |b| b.directory(users));
    let desk = desk(&world).await;
    world.outbox.clear();
    world.events.clear();
    let shown = desk.settings().await.unwrap();
    let mut next = shown.settings;
    next.backup_codes = false;
    desk.change_settings(shown.version, &next, LockOuts::Refuse).await.unwrap();
    assert_eq!(desk.settings().await.unwrap().settings, next);
    assert_eq!(world.told(), []);
    let kinds = world.events.kinds();
    let [EventKind::SettingsChanged { .. }, EventKind::NoticeFailed { error, causes }] = &kinds[..]
    else {
        panic!("{kinds:?}")
    };
    assert_eq!(*error, SendErrorKind::Transient);
    assert!(causes.to_string().contains("the directory is down"), "{causes}");
}

/// Attack class: notices as a flood. However often somebody weakens the settings, no more than five
/// notices go to each administrator in an hour; the events say how many were held back.
#[tokio::test]
async fn notices_of_changes_are_no_flood() {
    let world = World::with_directory().await;
    world.events.clear();
    world.outbox.clear();
    for round in 0..12 {
        world.change_settings(|settings| settings.backup_codes = round % 2 == 1).await;
    }
    let held_back = |kind: &EventKind| matches!(kind, EventKind::NoticeHeldBack { .. });
    let count = world.events.kinds().iter().filter(|kind| held_back(kind)).count();
    assert_eq!((world.told().len(), count), (5, 7));
    // An hour after the first one they go again.
    world.clock.advance(MINUTE * 60);
    world.change_settings(|settings| settings.backup_codes = false).await;
    assert_eq!(world.told().len(), 6);
}
