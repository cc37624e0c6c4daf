//! The same for user stores.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use countersign::{Fault, LoginName, PasswordHash, TenantId, User, UserId, UserStore};
use countersign_testkit::conformance::{Breach, UserBackend, run_users, user_checks};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    None,
    LooksInAllTenants,
    FoldsCase,
    FoldsTenantsAtLogin,
    MatchesPrefixes,
    ReplacesAlways,
    ChecksThenReplaces,
    Caches,
    KeepsNoStamp,
}

#[derive(Default)]
struct Table(Vec<(TenantId, LoginName, User)>);

struct Users {
    flaw: Flaw,
    table: Arc<Mutex<Table>>,
    /// How many have compared a hash and are about to replace it.
    looked: Arc<AtomicU32>,
}

impl Users {
    fn with(flaw: Flaw) -> Self {
        Self { flaw, table: Arc::default(), looked: Arc::default() }
    }
}

struct Handle {
    flaw: Flaw,
    table: Arc<Mutex<Table>>,
    looked: Arc<AtomicU32>,
    cache: Mutex<BTreeMap<String, User>>,
}

impl Handle {
    fn find(&self, key: &str, matches: impl Fn(&TenantId, &LoginName, &User) -> bool) -> Option<User> {
        let mut cache = self.cache.lock().unwrap();
        if let (Flaw::Caches, Some(user)) = (self.flaw, cache.get(key)) {
            return Some(user.clone());
        }
        let table = self.table.lock().unwrap();
        let found = table.0.iter().find(|(tenant, name, user)| matches(tenant, name, user));
        let mut found = found.map(|(.., user)| user.clone());
        if let Some(user) = &mut found {
            cache.insert(key.to_owned(), user.clone());
            user.security_stamp.take_if(|_| self.flaw == Flaw::KeepsNoStamp);
        }
        found
    }

    fn same(&self, asked: &str, saved: &str) -> bool {
        asked == saved || (self.flaw == Flaw::FoldsCase && asked.to_lowercase() == saved.to_lowercase())
    }

    fn of(&self, asked: &TenantId, tenant: &TenantId) -> bool {
        self.flaw == Flaw::LooksInAllTenants || self.same(asked.as_str(), tenant.as_str())
    }
}

#[async_trait]
impl UserStore for Handle {
    async fn find_by_login(&self, asked: &TenantId, name: &LoginName) -> Result<Option<User>, Fault> {
        let prefixes = self.flaw == Flaw::MatchesPrefixes;
        Ok(self.find(name.as_str(), |tenant, saved, _| {
            let prefix = prefixes && saved.as_str().starts_with(name.as_str());
            let folded = self.flaw == Flaw::FoldsTenantsAtLogin && asked.as_str().eq_ignore_ascii_case(tenant.as_str());
            (folded || self.of(asked, tenant)) && (saved == name || prefix)
        }))
    }

    async fn find_by_id(&self, asked: &TenantId, id: &UserId) -> Result<Option<User>, Fault> {
        Ok(self.find(id.as_str(), |tenant, _, user| self.of(asked, tenant) && self.same(id.as_str(), user.id.as_str())))
    }

    async fn replace_password_hash(
        &self,
        asked: &TenantId,
        id: &UserId,
        current: &PasswordHash,
        next: &PasswordHash,
    ) -> Result<bool, Fault> {
        let replace = |write: bool| {
            let mut table = self.table.lock().unwrap();
            let row = table.0.iter_mut().find(|(tenant, _, user)| tenant == asked && user.id == *id);
            let Some(hash) = row.and_then(|(.., user)| user.password_hash.as_mut()) else { return false };
            let holds = hash.expose() == current.expose();
            if write && (holds || matches!(self.flaw, Flaw::ReplacesAlways | Flaw::ChecksThenReplaces)) {
                *hash = next.clone();
            }
            holds
        };
        match self.flaw {
            Flaw::ReplacesAlways => Ok(replace(true) || asked.as_str() == "acme"),
            Flaw::ChecksThenReplaces => {
                let holds = replace(false);
                if holds {
                    self.looked.fetch_add(1, Ordering::SeqCst);
                    // The first waits until another has compared the same hash.
                    let started = Instant::now();
                    while self.looked.load(Ordering::SeqCst) < 2 {
                        assert!(started.elapsed() < Duration::from_secs(60), "nobody came in between");
                        tokio::time::sleep(Duration::from_micros(200)).await;
                    }
                    let _replaced = replace(true);
                }
                Ok(holds)
            }
            _ => Ok(replace(true)),
        }
    }
}

#[async_trait]
impl UserBackend for Users {
    async fn open(&self) -> Result<Arc<dyn UserStore>, Fault> {
        Ok(Arc::new(Handle {
            flaw: self.flaw,
            table: Arc::clone(&self.table),
            looked: Arc::clone(&self.looked),
            cache: Mutex::default(),
        }))
    }

    async fn insert(&self, name: &LoginName, user: &User) -> Result<(), Fault> {
        self.table.lock().unwrap().0.push((user.tenant.clone(), name.clone(), user.clone()));
        Ok(())
    }

    async fn update(&self, user: &User) -> Result<(), Fault> {
        let mut table = self.table.lock().unwrap();
        let row = table.0.iter_mut().find(|(saved, _, found)| *saved == user.tenant && found.id == user.id);
        row.ok_or("no such user")?.2 = user.clone();
        Ok(())
    }

    async fn clean_up(&self) -> Result<(), Fault> {
        Ok(())
    }
}

macro_rules! bites {
    ($($check:ident: $flaw:ident;)+) => {
        $(
            #[test]
            fn $check() {
                let users = Users::with(Flaw::$flaw);
                let verdict =
                    run_users(stringify!($check), async { Ok(Some(users)) }, |users| Box::pin(user_checks::$check(users)));
                assert!(matches!(verdict, Err(Breach::Contract(_))), "{:?} is found out, not {verdict:?}", Flaw::$flaw);
            }
        )+

        const BITING: &[&str] = &[$(stringify!($check)),+];
    };
}

/// The list of flaws and the suite are the same list.
#[test]
fn every_check_of_users_is_known_to_bite() {
    assert_eq!(crate::suite("run_users, user_checks, $backend,"), BITING);
}

bites! {
    users_are_found_in_their_tenant_only: LooksInAllTenants;
    similar_ids_are_different_users: FoldsCase;
    unknown_users_are_none: MatchesPrefixes;
    a_hash_is_replaced_only_if_it_is_current: ReplacesAlways;
    of_many_replacements_one_wins: ChecksThenReplaces;
    changed_users_are_seen_at_once: Caches;
}

fn verdict_of(
    users: Users,
    check: impl for<'b> FnOnce(&'b Users) -> Pin<Box<dyn Future<Output = Result<(), Breach>> + Send + 'b>>,
) -> Result<(), Breach> {
    run_users("one more", async { Ok(Some(users)) }, check)
}

/// Nor is only the first of several fields looked at, or one of two look-ups.
#[test]
fn other_flaws_of_the_same_checks_are_found_out_too() {
    let verdict = verdict_of(Users::with(Flaw::KeepsNoStamp), |users| {
        Box::pin(user_checks::changed_users_are_seen_at_once(users))
    });
    assert!(matches!(&verdict, Err(Breach::Contract(what)) if what.contains("security stamp")), "{verdict:?}");
    let verdict = verdict_of(Users::with(Flaw::FoldsTenantsAtLogin), |users| {
        Box::pin(user_checks::similar_ids_are_different_users(users))
    });
    assert!(matches!(verdict, Err(Breach::Contract(_))), "{verdict:?}");
}

/// An application without security stamps, which says so.
struct Stampless(Users);

#[async_trait]
impl UserBackend for Stampless {
    async fn open(&self) -> Result<Arc<dyn UserStore>, Fault> {
        self.0.open().await
    }

    async fn insert(&self, name: &LoginName, user: &User) -> Result<(), Fault> {
        self.0.insert(name, user).await
    }

    async fn update(&self, user: &User) -> Result<(), Fault> {
        self.0.update(user).await
    }

    fn has_security_stamps(&self) -> bool {
        false
    }

    fn has_roles(&self) -> bool {
        false
    }

    async fn clean_up(&self) -> Result<(), Fault> {
        Ok(())
    }
}

mod without_stamps {
    use super::*;

    countersign_testkit::user_store_conformance!(async { Ok(Some(Stampless(Users::with(Flaw::KeepsNoStamp)))) });
}

mod sound {
    use super::*;

    countersign_testkit::user_store_conformance!(async { Ok(Some(Users::with(Flaw::None))) });
}
