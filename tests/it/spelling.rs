//! A users table that compares tenants and ids loosely: nobody is let in, counted or written to
//! under another spelling.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use crate::loose::Collation;
use crate::support::entries::{Came, Hands, all_came, state};
use crate::support::*;
use countersign::grant::Staleness;
use countersign::store::FactorStore;
use countersign::{Error, LoginFlowBuilder, LoginName, Reason, Scope, TenantId};

fn devices(builder: LoginFlowBuilder) -> LoginFlowBuilder {
    builder.trusted_devices(30 * DAY, 3)
}

fn devices_and_known_tenants(builder: LoginFlowBuilder) -> LoginFlowBuilder {
    devices(builder).require_known_tenants()
}

/// A tenant of this spelling that uses the second factor, with all that alice and root can have,
/// over a table that compares loosely.
async fn stage(
    collation: Collation,
    configure: fn(LoginFlowBuilder) -> LoginFlowBuilder,
) -> (World, Hands) {
    let mut world = World::off_with(devices);
    world.acme = tenant(collation.tenants().0);
    world.tenant = world.acme.clone();
    for name in ["root", "alice", "bob"] {
        world.users.insert(&LoginName::new(name).unwrap(), person(&world.acme, name));
    }
    world.set_scope(Scope::EntireTenant).await;
    let hands = Hands::full(&world).await;
    world.over_a_loose_table(collation, false, configure);
    world.calls.clear();
    world.events.clear();
    (world, hands)
}

/// None of these calls was made.
#[track_caller]
fn none_of(world: &World, calls: &[&str]) {
    for call in calls {
        assert_eq!(world.calls.of(call), 0, "{call}");
    }
}

const WRITES: [&str; 6] =
    ["commit", "change_settings", "remove", "remove_if", "replace_password_hash", "purge"];

/// Alice's login under way goes on as if nothing had happened, and all of its guesses are left.
async fn nothing_was_charged(world: &World, hands: &Hands) {
    let before = world.record(&world.alice);
    assert_eq!(before["code_failures"]["streak"].as_u64().unwrap_or(0), 0);
    assert_eq!(before["password"]["failures"]["streak"].as_u64().unwrap_or(0), 0);
    assert_eq!(hands.submit_the_code(world).await, Came::Done);
    assert_eq!(hands.administration(world, &world.acme).await, Came::Done);
}

#[test]
fn the_spellings_are_others_and_the_table_takes_them_for_one() {
    for collation in Collation::ALL {
        let (stored, aliases) = collation.tenants();
        let (users, root) = collation.users();
        let pairs = aliases.iter().map(|alias| (stored, *alias));
        let pairs =
            pairs.chain(users.iter().map(|alias| ("alice", *alias))).chain([("root", root)]);
        for (stored, alias) in pairs {
            assert_ne!(stored, alias);
            assert!(collation.takes_for_one(stored, alias), "{collation:?}: {alias}");
            assert!(!collation.takes_for_one("other", alias), "{collation:?}: {alias}");
        }
    }
}

/// I-04, I-16, attack 64: each entry point, under each spelling of a tenant that the users table
/// takes for the stored one, is a fault of the table; no grant, nothing saved or sent, no password
/// compared.
#[tokio::test]
async fn another_spelling_of_the_tenant_opens_no_entry_point() {
    for collation in Collation::ALL {
        let (world, hands) = stage(collation, devices).await;
        let before = state(&world, &world.acme).await;
        for alias in collation.tenants().1 {
            let (alias, about) = (&tenant(alias), format!("{collation:?}, {alias:?}"));
            for name in ["alice", "root"] {
                all_came(&hands.by_name(&world, alias, name).await, &[Came::UserStore], &about);
            }
            all_came(&hands.by_id(&world, alias, &world.alice).await, &[Came::UserStore], &about);
            all_came(
                &hands.operator_over(&world, alias, &world.alice).await,
                &[Came::UserStore],
                &about,
            );
            // A session of the tenant as it is stored is one of another tenant here.
            let stale = [Came::Stale(Staleness::OtherTenant), Came::Refused(Reason::SessionStale)];
            all_came(&hands.by_session(&world, alias).await, &stale, &about);
            assert_eq!(hands.administration(&world, alias).await, Came::UserStore);
            // Not even one that was saved under this spelling.
            let theirs = hands.in_tenant(alias);
            all_came(&theirs.by_session(&world, alias).await, &[Came::UserStore], &about);
            assert_eq!(theirs.administration(&world, alias).await, Came::UserStore);
            // What looks up no user finds a tenant for which nothing is saved.
            all_came(&hands.over_a_tenant(&world, alias).await, &[Came::Nothing], &about);
            none_of(
                &world,
                &[
                    "verify",
                    "commit",
                    "change_settings",
                    "remove",
                    "remove_if",
                    "replace_password_hash",
                ],
            );
            assert!(
                !world.flow.operator("T-64").unwrap().forget(alias, &world.alice).await.unwrap()
            );
            world.calls.clear();
            assert_eq!(
                state(&world, alias).await,
                (None, 0, vec![None; 3], before.3, before.4),
                "{about}"
            );
        }
        assert_eq!(state(&world, &world.acme).await, before);
        nothing_was_charged(&world, &hands).await;
    }
}

/// The same where tenants must be known. Names under another spelling are not even looked up
/// (I-17).
#[tokio::test]
async fn another_spelling_of_the_tenant_is_an_unknown_tenant_where_tenants_must_be_known() {
    for collation in Collation::ALL {
        let (world, hands) = stage(collation, devices_and_known_tenants).await;
        let before = state(&world, &world.acme).await;
        for alias in collation.tenants().1 {
            let (alias, about) = (&tenant(alias), format!("{collation:?}, {alias:?}"));
            for name in ["alice", "root", "nobody"] {
                all_came(&hands.by_name(&world, alias, name).await, &[Came::UnknownTenant], &about);
            }
            none_of(&world, &["find_by_login", "find_by_id", "verify"]);
            all_came(&hands.over_a_tenant(&world, alias).await, &[Came::UnknownTenant], &about);
            // Two reads at the same time, and both are refused: whichever is first.
            let either = [Came::UserStore, Came::UnknownTenant];
            let theirs = hands.in_tenant(alias);
            all_came(&hands.by_id(&world, alias, &world.alice).await, &either, &about);
            all_came(&hands.operator_over(&world, alias, &world.alice).await, &either, &about);
            all_came(&theirs.by_session(&world, alias).await, &either, &about);
            all_came(
                &[("administration", theirs.administration(&world, alias).await)],
                &either,
                &about,
            );
            none_of(&world, &["verify"]);
            none_of(&world, &WRITES);
            world.calls.clear();
            assert_eq!(
                state(&world, alias).await,
                (None, 0, vec![None; 3], before.3, before.4),
                "{about}"
            );
        }
        assert_eq!(state(&world, &world.acme).await, before);
        nothing_was_charged(&world, &hands).await;
    }
}

/// I-04, attack 64: no operation that is given an id, by a token, by a session, by an administrator
/// or by the operator, takes another spelling of it; and root's own id by another spelling is
/// nobody whom root may reset.
#[tokio::test]
async fn another_spelling_of_a_user_is_nobody() {
    for configure in [devices, devices_and_known_tenants] {
        for collation in Collation::ALL {
            let (world, hands) = stage(collation, configure).await;
            let before = state(&world, &world.acme).await;
            let (users, root) = collation.users();
            for alias in users.iter().map(|alias| user_id(alias)) {
                let about = format!("{collation:?}, {alias:?}");
                let theirs = hands.of_users(&alias, &user_id(root));
                all_came(
                    &theirs.by_id(&world, &world.acme, &alias).await,
                    &[Came::UserStore],
                    &about,
                );
                all_came(&theirs.by_session(&world, &world.acme).await, &[Came::UserStore], &about);
                assert_eq!(
                    theirs.administration(&world, &world.acme).await,
                    Came::UserStore,
                    "{about}"
                );
                for user in [&alias, &user_id(root)] {
                    all_came(&hands.over_a_user(&world, user).await, &[Came::UserStore], &about);
                    all_came(
                        &hands.operator_over(&world, &world.acme, user).await,
                        &[Came::UserStore],
                        &about,
                    );
                }
                none_of(&world, &["verify"]);
                none_of(&world, &WRITES);
                assert!(
                    !world
                        .flow
                        .operator("T-64")
                        .unwrap()
                        .forget(&world.acme, &alias)
                        .await
                        .unwrap()
                );
                world.calls.clear();
                assert!(world.factors.record(&world.acme, &alias).is_none(), "{about}");
            }
            assert_eq!(state(&world, &world.acme).await, before);
            nothing_was_charged(&world, &hands).await;
        }
    }
}

/// Nothing tells the operator that a tenant does not exist. Settings under another spelling let
/// nobody in all the same.
#[tokio::test]
async fn settings_under_another_spelling_open_nothing() {
    for configure in [devices, devices_and_known_tenants] {
        let (world, hands) = stage(Collation::AsciiCase, configure).await;
        let alias: TenantId = tenant("ACME");
        for scope in [Scope::DoNotUse, Scope::SystemAdministratorsOnly, Scope::EntireTenant] {
            world.flow.operator("T-64").unwrap().set_scope(&alias, scope).await.unwrap();
            all_came(&hands.by_name(&world, &alias, "alice").await, &[Came::UserStore], "set up");
            all_came(
                &hands.by_id(&world, &alias, &world.alice).await,
                &[Came::UserStore],
                "set up",
            );
            let theirs = hands.in_tenant(&alias);
            all_came(&theirs.by_session(&world, &alias).await, &[Came::UserStore], "set up");
            assert_eq!(theirs.administration(&world, &alias).await, Came::UserStore);
        }
        assert_eq!(world.factors.records(&alias), 0);
        none_of(&world, &["verify", "commit"]);
    }
}

/// A table that answers the argument in place of its row is out of the comparison's sight: the
/// password alone lets in under another spelling. Where tenants must be known, it does not (attack
/// 64).
#[tokio::test]
async fn a_table_that_echoes_is_stopped_by_known_tenants_alone() {
    for collation in Collation::ALL {
        let (mut world, hands) = stage(collation, devices).await;
        let alias = tenant(collation.tenants().1[0]);
        world.over_a_loose_table(collation, true, devices);
        let let_in = hands.by_name(&world, &alias, "alice").await;
        assert_eq!(let_in[0], ("begin", Came::Done), "control: {collation:?}");
        world.over_a_loose_table(collation, true, devices_and_known_tenants);
        let before = (state(&world, &alias).await, state(&world, &world.acme).await);
        world.calls.clear();
        let theirs = hands.in_tenant(&alias);
        let mut answers = theirs.by_name(&world, &alias, "alice").await;
        none_of(&world, &["find_by_login", "find_by_id", "verify"]);
        answers.extend(theirs.by_id(&world, &alias, &world.alice).await);
        answers.extend(theirs.by_session(&world, &alias).await);
        answers.extend(theirs.operator_over(&world, &alias, &world.alice).await);
        answers.extend(theirs.over_a_tenant(&world, &alias).await);
        answers.push(("administration", theirs.administration(&world, &alias).await));
        all_came(&answers, &[Came::UnknownTenant], "echoes");
        none_of(&world, &WRITES);
        assert_eq!((state(&world, &alias).await, state(&world, &world.acme).await), before);
        let unknown = world.flow.operator("T-64").unwrap().scope(&alias).await;
        assert!(matches!(unknown, Err(Error::UnknownTenant)));
        assert!(world.factors.settings(&alias).await.unwrap().is_none());
    }
}
