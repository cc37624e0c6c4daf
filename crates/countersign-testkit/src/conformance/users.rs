//! Checks of a [`UserStore`](countersign::UserStore).

use std::sync::Arc;

use countersign::{PasswordHash, TenantId, UserId, UserStatus};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::conformance::desk::HANDLES;
use crate::conformance::tenants::ALIKE;
use crate::conformance::{Breach, UserBackend, ensure, login_name, person, tenant, user};

/// A user is found by name and by id in their own tenant and in no other (`I-04`).
///
/// # Errors
///
/// The [`Breach`] that was found.
pub async fn users_are_found_in_their_tenant_only(backend: &dyn UserBackend) -> Result<(), Breach> {
    let (acme, acme2, empty) = (tenant("acme")?, tenant("acme2")?, tenant("acm")?);
    let (alice, name) = (user("alice")?, login_name("alice@example.com")?);
    let bob = user("bob")?;
    // The same id is another person in another tenant, and the same name too.
    backend.insert(&name, &person(&acme, &alice, "hash of alice")?).await?;
    backend.insert(&name, &person(&acme2, &bob, "hash of bob")?).await?;
    backend.insert(&login_name("another")?, &person(&acme2, &alice, "hash of the other alice")?).await?;
    let users = backend.open().await?;
    for (tenant, id, hash) in [(&acme, &alice, "hash of alice"), (&acme2, &bob, "hash of bob")] {
        let found = users.find_by_login(tenant, &name).await?;
        ensure!(found.as_ref().is_some_and(|found| found.id == *id), "{name:?} of {tenant:?} is {id:?}, not {found:?}");
        let found = found.and_then(|found| found.password_hash);
        ensure!(found.is_some_and(|found| found.expose() == hash), "{id:?} of {tenant:?} has another's password");
    }
    let found = users.find_by_id(&acme2, &alice).await?.and_then(|found| found.password_hash);
    ensure!(
        found.is_some_and(|found| found.expose() == "hash of the other alice"),
        "{alice:?} of {acme2:?} was taken for the one of {acme:?}"
    );
    let found = users.find_by_id(&acme, &bob).await?;
    ensure!(found.is_none(), "{bob:?} of {acme2:?} was found in {acme:?}");
    let found = users.find_by_login(&empty, &name).await?;
    ensure!(found.is_none(), "a user was found in a tenant that has none: {found:?}");
    Ok(())
}

/// Tenants and ids that look alike are different (`I-04`): prefixes, separators, case, Unicode form, spaces, patterns. How login *names* are compared is
/// the application's own decision, so those here differ in every way.
///
/// # Errors
///
/// The [`Breach`] that was found.
pub async fn similar_ids_are_different_users(backend: &dyn UserBackend) -> Result<(), Breach> {
    let users = backend.open().await?;
    for (group_number, group) in ALIKE.iter().enumerate() {
        let mut inserted = Vec::new();
        for in_tenant in *group {
            for (number, in_user) in group.iter().enumerate() {
                // What is no id at all can't be mistaken for one.
                let (Ok(tenant), Ok(user)) = (TenantId::new(in_tenant), UserId::new(in_user)) else { continue };
                // The same name in every tenant, so that one taken for another has an answer.
                let name = login_name(&format!("name{group_number}-{number}"))?;
                let hash = format!("hash of {in_user} of {in_tenant}");
                backend.insert(&name, &person(&tenant, &user, &hash)?).await?;
                inserted.push((tenant, user, name, hash));
            }
        }
        for (tenant, user, name, hash) in &inserted {
            for found in [users.find_by_id(tenant, user).await?, users.find_by_login(tenant, name).await?] {
                let found = found.filter(|found| found.id == *user).and_then(|found| found.password_hash);
                ensure!(
                    found.is_some_and(|found| found.expose() == hash),
                    "{user:?} of {tenant:?} was taken for another"
                );
            }
        }
    }
    Ok(())
}

/// An unknown name or id is no error.
///
/// # Errors
///
/// The [`Breach`] that was found.
pub async fn unknown_users_are_none(backend: &dyn UserBackend) -> Result<(), Breach> {
    let acme = tenant("acme")?;
    backend.insert(&login_name("alice")?, &person(&acme, &user("alice")?, "hash")?).await?;
    let users = backend.open().await?;
    let long = "x".repeat(256);
    for name in ["alic", "alice2", "%", "*", "' OR '1'='1", "nobody", long.as_str()] {
        let found = users.find_by_login(&acme, &login_name(name)?).await?;
        ensure!(found.is_none(), "{name:?} is nobody, and {found:?} was found");
    }
    for id in ["alic", "alice2", "%", "' OR '1'='1", "nobody"] {
        let found = users.find_by_id(&acme, &user(id)?).await?;
        ensure!(found.is_none(), "{id:?} is nobody, and {found:?} was found");
    }
    Ok(())
}

/// A password hash is replaced only where it is still the one that was read, so that no re-hash undoes a change of password.
///
/// # Errors
///
/// The [`Breach`] that was found.
pub async fn a_hash_is_replaced_only_if_it_is_current(backend: &dyn UserBackend) -> Result<(), Breach> {
    let (acme, other, alice) = (tenant("acme")?, tenant("other")?, user("alice")?);
    for tenant in [&acme, &other] {
        backend.insert(&login_name("alice")?, &person(tenant, &alice, "first")?).await?;
    }
    let users = backend.open().await?;
    let [first, second, third] = ["first", "second", "third"].map(PasswordHash::new);
    ensure!(users.replace_password_hash(&acme, &alice, &first, &second).await?, "a current hash was not replaced");
    let stale = users.replace_password_hash(&acme, &alice, &first, &third).await?;
    ensure!(!stale, "a replacement for a hash that is not current says that it was written");
    let wrong = users.replace_password_hash(&acme, &user("nobody")?, &second, &third).await?;
    ensure!(!wrong, "the hash of nobody was replaced");
    for (tenant, hash) in [(&acme, "second"), (&other, "first")] {
        let found = users.find_by_id(tenant, &alice).await?.and_then(|found| found.password_hash);
        let found = found.as_ref().map(PasswordHash::expose);
        ensure!(found == Some(hash), "the hash in {tenant:?} must be {hash:?} and is {found:?}");
    }
    Ok(())
}

/// Of many replacements of the same hash one is written.
///
/// # Errors
///
/// The [`Breach`] that was found.
pub async fn of_many_replacements_one_wins(backend: &dyn UserBackend) -> Result<(), Breach> {
    let (acme, alice) = (tenant("acme")?, user("alice")?);
    backend.insert(&login_name("alice")?, &person(&acme, &alice, "0")?).await?;
    let barrier = Arc::new(Barrier::new(HANDLES));
    let mut current = "0".to_owned();
    for round in 1..=10 {
        let mut racing = JoinSet::new();
        for handle in 0..HANDLES {
            let (users, barrier) = (backend.open().await?, Arc::clone(&barrier));
            let (acme, alice, before) = (acme.clone(), alice.clone(), PasswordHash::new(current.clone()));
            let next = format!("{round}-{handle}");
            racing.spawn(async move {
                barrier.wait().await;
                let hash = PasswordHash::new(next.clone());
                users.replace_password_hash(&acme, &alice, &before, &hash).await.map(|done| done.then_some(next))
            });
        }
        let mut winners = Vec::new();
        while let Some(finished) = racing.join_next().await {
            winners.extend(finished??);
        }
        ensure!(winners.len() == 1, "{} of {HANDLES} replacements of the same hash were written", winners.len());
        current = winners.pop().unwrap_or_default();
        let found = backend.open().await?.find_by_id(&acme, &alice).await?.and_then(|found| found.password_hash);
        let found = found.as_ref().map(PasswordHash::expose);
        ensure!(found == Some(current.as_str()), "{current:?} won, and {found:?} was read");
    }
    Ok(())
}

/// A change of status, role, address, password or security stamp is seen by every look-up that begins after it (`I-25`).
///
/// # Errors
///
/// The [`Breach`] that was found.
pub async fn changed_users_are_seen_at_once(backend: &dyn UserBackend) -> Result<(), Breach> {
    let (acme, alice, name) = (tenant("acme")?, user("alice")?, login_name("alice")?);
    let mut expected = person(&acme, &alice, "hash")?;
    backend.insert(&name, &expected).await?;
    let users = backend.open().await?;
    for round in 0..8 {
        match round {
            0 => {}
            1 => expected.system_administrator = true,
            2 => expected.status = UserStatus::Disabled,
            3 => expected.password_hash = Some(PasswordHash::new("another")),
            4 => expected.email = None,
            5 => expected.security_stamp = Some("2".to_owned()),
            6 => expected.roles = vec!["auditor".to_owned()],
            _ => expected.password_hash = None,
        }
        backend.update(&expected).await?;
        for found in [users.find_by_login(&acme, &name).await?, users.find_by_id(&acme, &alice).await?] {
            let Some(found) = found else { return Err(Breach::found("a user who was changed is gone")) };
            ensure!(found.status == expected.status, "a change of status was not seen");
            ensure!(found.system_administrator == expected.system_administrator, "a change of role was not seen");
            ensure!(found.email == expected.email, "a change of address was not seen");
            let stamp = expected.security_stamp.as_ref().filter(|_| backend.has_security_stamps());
            ensure!(found.security_stamp.as_ref() == stamp, "a change of the security stamp was not seen");
            ensure!(!backend.has_roles() || found.roles == expected.roles, "a change of the other roles was not seen");
            let (now, wanted) = (found.password_hash.as_ref(), expected.password_hash.as_ref());
            let (now, wanted) = (now.map(PasswordHash::expose), wanted.map(PasswordHash::expose));
            ensure!(now == wanted, "a change of password was not seen");
        }
    }
    Ok(())
}
