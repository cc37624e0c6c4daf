//! Checks of a [`UserStore`](countersign::user::UserStore).

use std::sync::Arc;

use countersign::user::{PasswordHash, User, UserStatus};
use countersign::{TenantId, UserId};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::conformance::desk::HANDLES;
use crate::conformance::tenants::ALIKE;
use crate::conformance::{Breach, UserBackend, ensure, login_name, person, tenant, user};

/// Adds somebody, who is then called as the application decided.
async fn insert(
    backend: &dyn UserBackend,
    tenant: &TenantId,
    id: &str,
    name: &str,
    hash: &str,
) -> Result<User, Breach> {
    let mut added = person(tenant, &user(id)?, hash)?;
    added.id = backend.insert(&login_name(name)?, &added).await?;
    Ok(added)
}

async fn add_tenant(backend: &dyn UserBackend, name: &str) -> Result<TenantId, Breach> {
    Ok(backend.add_tenant(&tenant(name)?).await?)
}

/// Whether it is this person who was found: tenant, id and password to the byte.
fn is(found: Option<&User>, wanted: &User) -> bool {
    let hash = |user: &User| user.password_hash.as_ref().map(|hash| hash.expose().to_owned());
    found.is_some_and(|found| {
        (&found.tenant, &found.id, hash(found)) == (&wanted.tenant, &wanted.id, hash(wanted))
    })
}

/// A user is found by name and by id in their own tenant and in no other, and is answered as saved,
/// tenant and id to the byte (`I-04`).
///
/// # Errors
///
/// The [`Breach`] that was found.
pub async fn users_are_found_in_their_tenant_only(backend: &dyn UserBackend) -> Result<(), Breach> {
    let (acme, acme2) = (add_tenant(backend, "acme").await?, add_tenant(backend, "acme2").await?);
    let (empty, name) = (add_tenant(backend, "acm").await?, login_name("alice@example.com")?);
    // The same name is another person in another tenant, and, where the application lets ids be
    // chosen, the same id too.
    let alice = insert(backend, &acme, "alice", "alice@example.com", "hash of alice").await?;
    let bob = insert(backend, &acme2, "bob", "alice@example.com", "hash of bob").await?;
    let other = insert(backend, &acme2, "alice", "another", "hash of the other alice").await?;
    let users = backend.open().await?;
    for wanted in [&alice, &bob] {
        let found = users.find_by_login(&wanted.tenant, &name).await?;
        ensure!(
            is(found.as_ref(), wanted),
            "{name:?} of {:?} is {wanted:?}, not {found:?}",
            wanted.tenant
        );
    }
    for wanted in [&alice, &bob, &other] {
        let found = users.find_by_id(&wanted.tenant, &wanted.id).await?;
        ensure!(
            is(found.as_ref(), wanted),
            "{:?} of {:?} is {wanted:?}, not {found:?}",
            wanted.id,
            wanted.tenant
        );
    }
    let found = users.find_by_id(&acme, &bob.id).await?;
    ensure!(
        found.is_none() || is(found.as_ref(), &alice),
        "{:?} of {acme2:?} was found in {acme:?}: {found:?}",
        bob.id
    );
    let found = users.find_by_login(&empty, &name).await?;
    ensure!(found.is_none(), "a user was found in a tenant that has none: {found:?}");
    Ok(())
}

/// Tenants and ids that look alike are different (`I-04`): prefixes, separators, case, Unicode
/// form, spaces, patterns. How login *names* are compared is the application's own decision, so
/// those here differ in every way.
///
/// # Errors
///
/// The [`Breach`] that was found.
pub async fn similar_ids_are_different_users(backend: &dyn UserBackend) -> Result<(), Breach> {
    let users = backend.open().await?;
    for (group_number, group) in ALIKE.iter().enumerate() {
        let mut inserted = Vec::new();
        for in_tenant in *group {
            // What is no id at all can't be mistaken for one.
            if TenantId::new(in_tenant).is_err() {
                continue;
            }
            let tenant = add_tenant(backend, in_tenant).await?;
            for (number, in_user) in
                group.iter().enumerate().filter(|(_, in_user)| UserId::new(in_user).is_ok())
            {
                // The same name in every tenant, so that one taken for another has an answer.
                let (name, hash) = (
                    format!("name{group_number}-{number}"),
                    format!("hash of {in_user} of {in_tenant}"),
                );
                inserted.push((
                    insert(backend, &tenant, in_user, &name, &hash).await?,
                    login_name(&name)?,
                ));
            }
        }
        for (wanted, name) in &inserted {
            let (tenant, user) = (&wanted.tenant, &wanted.id);
            for found in
                [users.find_by_id(tenant, user).await?, users.find_by_login(tenant, name).await?]
            {
                ensure!(
                    is(found.as_ref(), wanted),
                    "{user:?} of {tenant:?} was taken for another: {found:?}"
                );
            }
        }
    }
    Ok(())
}

/// Other ways to write an id, which a column that compares loosely, or code that reads a number or
/// a UUID out of it, takes for the same: case, what nobody sees, spaces, width, accents in one
/// character or two, zeros and signs before a number, a UUID without its hyphens.
fn other_spellings(id: &str) -> Vec<String> {
    let (half, rest) =
        id.split_at(id.char_indices().nth(id.chars().count() / 2).map_or(0, |(at, _)| at));
    let wide = |letter: char| match letter {
        '!'..='~' => char::from_u32(u32::from(letter).saturating_add(0xFEE0)).unwrap_or(letter),
        letter => letter,
    };
    let swap = |letter: char| {
        if letter.is_uppercase() {
            letter.to_lowercase().to_string()
        } else {
            letter.to_uppercase().to_string()
        }
    };
    let mut spellings = vec![
        id.to_uppercase(),
        id.to_lowercase(),
        id.chars().map(swap).collect(),
        id.chars().map(wide).collect(),
        id.replace('-', ""),
        id.replace('\u{eb}', "e\u{308}"),
        id.replace('\u{eb}', "e"),
        id.replace('\u{fc}', "u\u{308}"),
        id.replace('\u{fc}', "u"),
        format!("{{{id}}}"),
        format!("urn:uuid:{id}"),
    ];
    for invisible in
        ["\u{ad}", "\u{200b}", "\u{200c}", "\u{200d}", "\u{2060}", "\u{feff}", "\u{fe0f}"]
    {
        spellings.extend([
            format!("{invisible}{id}"),
            format!("{half}{invisible}{rest}"),
            format!("{id}{invisible}"),
        ]);
    }
    for before in ["0", "00", "+", " ", "\u{3000}"] {
        spellings.push(format!("{before}{id}"));
    }
    for after in [" ", "  ", "\u{a0}", "\u{3000}", ".", ".0", "e0", "%"] {
        spellings.push(format!("{id}{after}"));
    }
    spellings.retain(|spelling| spelling != id);
    spellings.sort_unstable();
    spellings.dedup();
    spellings
}

/// A tenant or an id that is spelled otherwise than it is saved is nobody's, in every look-up and
/// in a replacement of a hash (`I-04`).
///
/// *A table that compares loosely finds a user under a second spelling of the tenant, of which no
/// settings are saved: the second factor is off there, and each spelling has a budget of its own.*
/// A store that answers with the tenant and the id that it was asked for, and not with those of the
/// row, hides that from the flow: so it must find nobody.
///
/// # Errors
///
/// The [`Breach`] that was found.
pub async fn another_spelling_is_nobody(backend: &dyn UserBackend) -> Result<(), Breach> {
    let users = backend.open().await?;
    let (acme, second) =
        (add_tenant(backend, "acme").await?, add_tenant(backend, "Grün-AG").await?);
    let mut inserted = Vec::new();
    for tenant in [&acme, &second] {
        for (id, name) in [("alice", "first"), ("Zoë", "second")] {
            inserted.push((insert(backend, tenant, id, name, "hash").await?, login_name(name)?));
        }
    }
    let (hash, other) = (PasswordHash::new("hash"), PasswordHash::new("another"));
    let mut asked: u32 = 0;
    for (saved, name) in &inserted {
        for spelling in other_spellings(saved.tenant.as_str()) {
            let Ok(tenant) = TenantId::new(&spelling) else { continue };
            asked = asked.saturating_add(1);
            let by_name = users.find_by_login(&tenant, name).await?;
            let by_id = users.find_by_id(&tenant, &saved.id).await?;
            for found in [by_name, by_id] {
                ensure!(found.is_none(), "{:?} was found in {spelling:?}: {found:?}", saved.tenant);
            }
            let replaced = users.replace_password_hash(&tenant, &saved.id, &hash, &other).await?;
            ensure!(!replaced, "a hash of {:?} was replaced in {spelling:?}", saved.tenant);
        }
        for spelling in other_spellings(saved.id.as_str()) {
            let Ok(id) = UserId::new(&spelling) else { continue };
            // An application that counts its users may have somebody else by this number.
            if inserted.iter().any(|(saved, _)| saved.id == id) {
                continue;
            }
            asked = asked.saturating_add(1);
            let found = users.find_by_id(&saved.tenant, &id).await?;
            ensure!(found.is_none(), "{:?} was found as {spelling:?}: {found:?}", saved.id);
            let replaced = users.replace_password_hash(&saved.tenant, &id, &hash, &other).await?;
            ensure!(!replaced, "a hash of {:?} was replaced as {spelling:?}", saved.id);
        }
        let found = users.find_by_id(&saved.tenant, &saved.id).await?;
        ensure!(is(found.as_ref(), saved), "{saved:?} is {found:?} now");
    }
    ensure!(asked > 40, "only {asked} spellings are ids at all");
    Ok(())
}

/// An unknown name or id is no error.
///
/// # Errors
///
/// The [`Breach`] that was found.
pub async fn unknown_users_are_none(backend: &dyn UserBackend) -> Result<(), Breach> {
    let acme = add_tenant(backend, "acme").await?;
    let alice = insert(backend, &acme, "alice", "alice", "hash").await?;
    let users = backend.open().await?;
    let long = "x".repeat(256);
    for name in ["alic", "alice2", "%", "*", "' OR '1'='1", "nobody", long.as_str()] {
        let found = users.find_by_login(&acme, &login_name(name)?).await?;
        ensure!(found.is_none(), "{name:?} is nobody, and {found:?} was found");
    }
    let unknown = [
        "alic",
        "alice2",
        "%",
        "' OR '1'='1",
        "nobody",
        "0",
        "-1",
        "987654321",
        "99999999999999999999999999",
        "00000000-0000-0000-0000-000000000000",
    ];
    for id in unknown.map(user) {
        let id = id?;
        let found = users.find_by_id(&acme, &id).await?;
        ensure!(found.is_none() || id == alice.id, "{id:?} is nobody, and {found:?} was found");
    }
    Ok(())
}

/// A password hash is replaced only where it is still the one that was read, so that no re-hash
/// undoes a change of password.
///
/// # Errors
///
/// The [`Breach`] that was found.
pub async fn a_hash_is_replaced_only_if_it_is_current(
    backend: &dyn UserBackend,
) -> Result<(), Breach> {
    let (acme, other) = (add_tenant(backend, "acme").await?, add_tenant(backend, "other").await?);
    let alice = insert(backend, &acme, "alice", "alice", "first").await?.id;
    let the_other = insert(backend, &other, "alice", "alice", "first").await?.id;
    let users = backend.open().await?;
    let [first, second, third] = ["first", "second", "third"].map(PasswordHash::new);
    ensure!(
        users.replace_password_hash(&acme, &alice, &first, &second).await?,
        "a current hash was not replaced"
    );
    let stale = users.replace_password_hash(&acme, &alice, &first, &third).await?;
    ensure!(!stale, "a replacement for a hash that is not current says that it was written");
    let wrong = users.replace_password_hash(&acme, &user("nobody")?, &second, &third).await?;
    ensure!(!wrong, "the hash of nobody was replaced");
    for (tenant, alice, hash) in [(&acme, &alice, "second"), (&other, &the_other, "first")] {
        let found = users.find_by_id(tenant, alice).await?.and_then(|found| found.password_hash);
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
    let acme = add_tenant(backend, "acme").await?;
    let alice = insert(backend, &acme, "alice", "alice", "0").await?.id;
    let barrier = Arc::new(Barrier::new(HANDLES));
    let mut current = "0".to_owned();
    for round in 1..=10 {
        let mut racing = JoinSet::new();
        for handle in 0..HANDLES {
            let (users, barrier) = (backend.open().await?, Arc::clone(&barrier));
            let (acme, alice, before) =
                (acme.clone(), alice.clone(), PasswordHash::new(current.clone()));
            let next = format!("{round}-{handle}");
            racing.spawn(async move {
                barrier.wait().await;
                let hash = PasswordHash::new(next.clone());
                users
                    .replace_password_hash(&acme, &alice, &before, &hash)
                    .await
                    .map(|done| done.then_some(next))
            });
        }
        let mut winners = Vec::new();
        while let Some(finished) = racing.join_next().await {
            winners.extend(finished??);
        }
        ensure!(
            winners.len() == 1,
            "{} of {HANDLES} replacements of the same hash were written",
            winners.len()
        );
        current = winners.pop().unwrap_or_default();
        let found = backend
            .open()
            .await?
            .find_by_id(&acme, &alice)
            .await?
            .and_then(|found| found.password_hash);
        let found = found.as_ref().map(PasswordHash::expose);
        ensure!(found == Some(current.as_str()), "{current:?} won, and {found:?} was read");
    }
    Ok(())
}

/// A change of status, role, address, password or security stamp is seen by every look-up that
/// begins after it (`I-25`).
///
/// # Errors
///
/// The [`Breach`] that was found.
pub async fn changed_users_are_seen_at_once(backend: &dyn UserBackend) -> Result<(), Breach> {
    let (acme, name) = (add_tenant(backend, "acme").await?, login_name("alice")?);
    let mut expected = insert(backend, &acme, "alice", "alice", "hash").await?;
    let alice = expected.id.clone();
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
        for found in
            [users.find_by_login(&acme, &name).await?, users.find_by_id(&acme, &alice).await?]
        {
            let Some(found) = found else {
                return Err(Breach::found("a user who was changed is gone"));
            };
            ensure!(found.status == expected.status, "a change of status was not seen");
            ensure!(
                found.system_administrator == expected.system_administrator,
                "a change of role was not seen"
            );
            ensure!(found.email == expected.email, "a change of address was not seen");
            let stamp = expected.security_stamp.as_ref().filter(|_| backend.has_security_stamps());
            ensure!(
                found.security_stamp.as_ref() == stamp,
                "a change of the security stamp was not seen"
            );
            ensure!(
                !backend.has_roles() || found.roles == expected.roles,
                "a change of the other roles was not seen"
            );
            let (now, wanted) = (found.password_hash.as_ref(), expected.password_hash.as_ref());
            let (now, wanted) = (now.map(PasswordHash::expose), wanted.map(PasswordHash::expose));
            ensure!(now == wanted, "a change of password was not seen");
        }
    }
    Ok(())
}
