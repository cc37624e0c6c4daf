//! The same for user stores.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use countersign::error::PluginError;
use countersign::user::{PasswordHash, User, UserStore};
use countersign::{LoginName, TenantId, UserId};
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
    Loose { compares: Loose, of: Of, echoes: bool },
}

/// How a column compares that is not compared byte by byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Loose {
    /// As MySQL, MariaDB, SQL Server and citext do by default.
    ByLetter,
    /// As the collations of ICU do, for which default-ignorable characters are not there.
    ByWhatIsSeen,
}

/// Which column that is. A store that echoes answers with what it was asked for in place of what is
/// in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Of {
    Tenants,
    Ids,
}

impl Loose {
    fn folds(self, text: &str) -> String {
        match self {
            Self::ByLetter => text.to_lowercase(),
            Self::ByWhatIsSeen => text.replace(is_not_seen, ""),
        }
    }
}

fn is_not_seen(letter: char) -> bool {
    matches!(letter, '\u{ad}' | '\u{34f}' | '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}')
}

const fn loose(compares: Loose, of: Of, echoes: bool) -> Flaw {
    Flaw::Loose { compares, of, echoes }
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
    fn find(
        &self,
        key: &str,
        matches: impl Fn(&TenantId, &LoginName, &User) -> bool,
    ) -> Option<User> {
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

    fn same(&self, asked: &str, saved: &str, column: Of) -> bool {
        asked == saved
            || match self.flaw {
                Flaw::FoldsCase => asked.to_lowercase() == saved.to_lowercase(),
                Flaw::Loose { compares, of, .. } => {
                    of == column && compares.folds(asked) == compares.folds(saved)
                }
                _ => false,
            }
    }

    fn of(&self, asked: &TenantId, tenant: &TenantId) -> bool {
        self.flaw == Flaw::LooksInAllTenants
            || self.same(asked.as_str(), tenant.as_str(), Of::Tenants)
    }

    /// What is answered of the row that was found.
    fn answer(&self, mut found: User, tenant: &TenantId, id: Option<&UserId>) -> User {
        if let Flaw::Loose { echoes: true, .. } = self.flaw {
            found.tenant = tenant.clone();
            found.id = id.cloned().unwrap_or(found.id);
        }
        found
    }
}

#[async_trait]
impl UserStore for Handle {
    async fn find_by_login(
        &self,
        asked: &TenantId,
        name: &LoginName,
    ) -> Result<Option<User>, PluginError> {
        let prefixes = self.flaw == Flaw::MatchesPrefixes;
        let found = self.find(name.as_str(), |tenant, saved, _| {
            let prefix = prefixes && saved.as_str().starts_with(name.as_str());
            let folded = self.flaw == Flaw::FoldsTenantsAtLogin
                && asked.as_str().eq_ignore_ascii_case(tenant.as_str());
            (folded || self.of(asked, tenant)) && (saved == name || prefix)
        });
        Ok(found.map(|found| self.answer(found, asked, None)))
    }

    async fn find_by_id(&self, asked: &TenantId, id: &UserId) -> Result<Option<User>, PluginError> {
        let found = self.find(id.as_str(), |tenant, _, user| {
            self.of(asked, tenant) && self.same(id.as_str(), user.id.as_str(), Of::Ids)
        });
        Ok(found.map(|found| self.answer(found, asked, Some(id))))
    }

    async fn replace_password_hash(
        &self,
        asked: &TenantId,
        id: &UserId,
        current: &PasswordHash,
        next: &PasswordHash,
    ) -> Result<bool, PluginError> {
        let replace = |write: bool| {
            let mut table = self.table.lock().unwrap();
            let row = table.0.iter_mut().find(|(tenant, _, user)| {
                self.same(asked.as_str(), tenant.as_str(), Of::Tenants)
                    && self.same(id.as_str(), user.id.as_str(), Of::Ids)
            });
            let Some(hash) = row.and_then(|(.., user)| user.password_hash.as_mut()) else {
                return false;
            };
            let holds = hash.expose() == current.expose();
            if write
                && (holds || matches!(self.flaw, Flaw::ReplacesAlways | Flaw::ChecksThenReplaces))
            {
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
                        assert!(
                            started.elapsed() < Duration::from_secs(60),
                            "nobody came in between"
                        );
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
    async fn open(&self) -> Result<Arc<dyn UserStore>, PluginError> {
        Ok(Arc::new(Handle {
            flaw: self.flaw,
            table: Arc::clone(&self.table),
            looked: Arc::clone(&self.looked),
            cache: Mutex::default(),
        }))
    }

    async fn insert(&self, name: &LoginName, user: &User) -> Result<UserId, PluginError> {
        self.table.lock().unwrap().0.push((user.tenant.clone(), name.clone(), user.clone()));
        Ok(user.id.clone())
    }

    async fn update(&self, user: &User) -> Result<(), PluginError> {
        let mut table = self.table.lock().unwrap();
        let row = table
            .0
            .iter_mut()
            .find(|(saved, _, found)| *saved == user.tenant && found.id == user.id);
        row.ok_or_else(|| PluginError::new("no such user"))?.2 = user.clone();
        Ok(())
    }

    async fn clean_up(&self) -> Result<(), PluginError> {
        Ok(())
    }
}

macro_rules! bites {
    ($($check:ident: $($flaw:expr),+;)+) => {
        $(
            #[test]
            fn $check() {
                $(
                    let users = Users::with($flaw);
                    let verdict = run_users(
                        stringify!($check),
                        async { Ok(Some(users)) },
                        |users| Box::pin(user_checks::$check(users)),
                    );
                    assert!(matches!(verdict, Err(Breach::Contract(_))), "{:?} is found out, not {verdict:?}", $flaw);
                )+
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
    users_are_found_in_their_tenant_only: Flaw::LooksInAllTenants;
    similar_ids_are_different_users: Flaw::FoldsCase;
    another_spelling_is_nobody:
        loose(Loose::ByLetter, Of::Tenants, false),
        loose(Loose::ByLetter, Of::Tenants, true),
        loose(Loose::ByLetter, Of::Ids, false),
        loose(Loose::ByLetter, Of::Ids, true),
        loose(Loose::ByWhatIsSeen, Of::Tenants, false),
        loose(Loose::ByWhatIsSeen, Of::Tenants, true),
        loose(Loose::ByWhatIsSeen, Of::Ids, false),
        loose(Loose::ByWhatIsSeen, Of::Ids, true);
    unknown_users_are_none: Flaw::MatchesPrefixes;
    a_hash_is_replaced_only_if_it_is_current: Flaw::ReplacesAlways;
    of_many_replacements_one_wins: Flaw::ChecksThenReplaces;
    changed_users_are_seen_at_once: Flaw::Caches;
}

fn verdict_of(
    users: Users,
    check: impl for<'b> FnOnce(
        &'b Users,
    ) -> Pin<Box<dyn Future<Output = Result<(), Breach>> + Send + 'b>>,
) -> Result<(), Breach> {
    run_users("one more", async { Ok(Some(users)) }, check)
}

/// Nor is only the first of several fields looked at, or one of two look-ups.
#[test]
fn other_flaws_of_the_same_checks_are_found_out_too() {
    let verdict = verdict_of(Users::with(Flaw::KeepsNoStamp), |users| {
        Box::pin(user_checks::changed_users_are_seen_at_once(users))
    });
    assert!(
        matches!(&verdict, Err(Breach::Contract(what)) if what.contains("security stamp")),
        "{verdict:?}"
    );
    let verdict = verdict_of(Users::with(Flaw::FoldsTenantsAtLogin), |users| {
        Box::pin(user_checks::similar_ids_are_different_users(users))
    });
    assert!(matches!(verdict, Err(Breach::Contract(_))), "{verdict:?}");
}

/// An application without security stamps, which says so.
struct Stampless(Users);

#[async_trait]
impl UserBackend for Stampless {
    async fn open(&self) -> Result<Arc<dyn UserStore>, PluginError> {
        self.0.open().await
    }

    async fn insert(&self, name: &LoginName, user: &User) -> Result<UserId, PluginError> {
        self.0.insert(name, user).await
    }

    async fn update(&self, user: &User) -> Result<(), PluginError> {
        self.0.update(user).await
    }

    fn has_security_stamps(&self) -> bool {
        false
    }

    fn has_roles(&self) -> bool {
        false
    }

    async fn clean_up(&self) -> Result<(), PluginError> {
        Ok(())
    }
}

mod without_stamps {
    use super::*;

    countersign_testkit::user_store_conformance!(async {
        Ok(Some(Stampless(Users::with(Flaw::KeepsNoStamp))))
    });
}

mod sound {
    use super::*;

    countersign_testkit::user_store_conformance!(async { Ok(Some(Users::with(Flaw::None))) });
}

/// An application that counts its tenants and its users, and has no other ids for them.
#[derive(Clone, Default)]
struct Counted {
    /// Takes whatever can be read as the number for the number: zeros and a sign before it too.
    loosely: bool,
    tables: Arc<Mutex<(Vec<TenantId>, Vec<Row>)>>,
}

/// A row has the numbers only; the ids are made of them.
#[derive(Clone)]
struct Row {
    tenant: u64,
    name: LoginName,
    user: User,
}

impl Counted {
    fn number(&self, id: &str) -> Option<u64> {
        let number = id.parse::<u64>().ok()?;
        (self.loosely || number.to_string() == id).then_some(number)
    }

    fn find(&self, tenant: &TenantId, is: impl Fn(u64, &Row) -> bool) -> Option<User> {
        let (asked, tables) = (self.number(tenant.as_str())?, self.tables.lock().unwrap());
        let found =
            (1..).zip(&tables.1).find(|(number, row)| row.tenant == asked && is(*number, row));
        found.map(|(number, row)| {
            let mut user = row.user.clone();
            user.tenant = TenantId::new(&row.tenant.to_string()).unwrap();
            user.id = UserId::new(&number.to_string()).unwrap();
            user
        })
    }
}

#[async_trait]
impl UserStore for Counted {
    async fn find_by_login(
        &self,
        tenant: &TenantId,
        name: &LoginName,
    ) -> Result<Option<User>, PluginError> {
        Ok(self.find(tenant, |_, row| row.name == *name))
    }

    async fn find_by_id(
        &self,
        tenant: &TenantId,
        user: &UserId,
    ) -> Result<Option<User>, PluginError> {
        let Some(id) = self.number(user.as_str()) else { return Ok(None) };
        Ok(self.find(tenant, |number, _| number == id))
    }

    async fn replace_password_hash(
        &self,
        tenant: &TenantId,
        user: &UserId,
        current: &PasswordHash,
        next: &PasswordHash,
    ) -> Result<bool, PluginError> {
        let (Some(tenant), Some(user)) = (self.number(tenant.as_str()), self.number(user.as_str()))
        else {
            return Ok(false);
        };
        let mut tables = self.tables.lock().unwrap();
        let row =
            (1..).zip(&mut tables.1).find(|(number, row)| row.tenant == tenant && *number == user);
        let Some(hash) = row.and_then(|(_, row)| row.user.password_hash.as_mut()) else {
            return Ok(false);
        };
        let holds = hash.expose() == current.expose();
        if holds {
            *hash = next.clone();
        }
        Ok(holds)
    }
}

#[async_trait]
impl UserBackend for Counted {
    async fn open(&self) -> Result<Arc<dyn UserStore>, PluginError> {
        Ok(Arc::new(self.clone()))
    }

    async fn add_tenant(&self, name: &TenantId) -> Result<TenantId, PluginError> {
        let tenants = &mut self.tables.lock().unwrap().0;
        let place = tenants.iter().position(|tenant| tenant == name).unwrap_or(tenants.len());
        if place == tenants.len() {
            tenants.push(name.clone());
        }
        Ok(TenantId::new(&(place + 1).to_string())?)
    }

    async fn insert(&self, name: &LoginName, user: &User) -> Result<UserId, PluginError> {
        let rows = &mut self.tables.lock().unwrap().1;
        rows.push(Row {
            tenant: user.tenant.as_str().parse()?,
            name: name.clone(),
            user: user.clone(),
        });
        Ok(UserId::new(&rows.len().to_string())?)
    }

    async fn update(&self, user: &User) -> Result<(), PluginError> {
        let rows = &mut self.tables.lock().unwrap().1;
        let row = rows
            .get_mut(user.id.as_str().parse::<usize>()? - 1)
            .ok_or_else(|| PluginError::new("no such user"))?;
        row.user = user.clone();
        Ok(())
    }

    async fn clean_up(&self) -> Result<(), PluginError> {
        Ok(())
    }
}

mod with_numbers {
    use super::*;

    countersign_testkit::user_store_conformance!(async { Ok(Some(Counted::default())) });
}

/// I-04: `01` and `+1` are not user 1.
#[test]
fn numbers_that_are_read_loosely_are_found_out() {
    let counted = Counted { loosely: true, ..Counted::default() };
    let verdict = run_users("numbers", async { Ok(Some(counted)) }, |users| {
        Box::pin(user_checks::another_spelling_is_nobody(users))
    });
    assert!(matches!(verdict, Err(Breach::Contract(_))), "{verdict:?}");
}
