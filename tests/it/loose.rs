//! A users table that compares tenants and ids loosely, as many databases do unless they are told
//! otherwise.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use async_trait::async_trait;
use countersign::error::PluginError;
use countersign::memory::MemoryUsers;
use countersign::user::{PasswordHash, User, UserStore};
use countersign::{LoginFlowBuilder, LoginName, TenantId, UserId};
use unicode_normalization::UnicodeNormalization;

use crate::support::*;

/// What a table takes for the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Collation {
    /// Letters of ASCII in capitals and small ones.
    AsciiCase,
    /// All letters that have the same capital.
    Case,
    /// Compatible forms: full width, ligatures, numerals.
    Width,
    /// With and without spaces at the end.
    TrailingSpaces,
    /// With and without what is shown as nothing.
    Ignorable,
}

impl Collation {
    pub const ALL: [Self; 5] =
        [Self::AsciiCase, Self::Case, Self::Width, Self::TrailingSpaces, Self::Ignorable];

    /// A tenant as it is saved, and other spellings of it.
    pub fn tenants(self) -> (&'static str, &'static [&'static str]) {
        match self {
            Self::AsciiCase => ("acme", &["ACME", "Acme", "acmE"]),
            Self::Case => ("kölsch", &["KÖLSCH", "\u{212A}ölsch", "köl\u{17F}ch"]),
            Self::Width => ("acme", &["ａｃｍｅ", "ac\u{217F}e", "\u{AA}cme"]),
            Self::TrailingSpaces => ("acme", &["acme ", "acme   "]),
            Self::Ignorable => ("acme", &["ac\u{200D}me", "ac\u{AD}me", "acme\u{AD}\u{200D}"]),
        }
    }

    /// Other spellings of `alice`, and one of `root`.
    pub const fn users(self) -> (&'static [&'static str], &'static str) {
        match self {
            Self::AsciiCase => (&["ALICE", "Alice"], "Root"),
            Self::Case => (&["ALICE", "al\u{131}ce"], "rOOt"),
            Self::Width => (&["ａｌｉｃｅ", "al\u{2170}\u{217D}e"], "ｒoot"),
            Self::TrailingSpaces => (&["alice ", "alice  "], "root "),
            Self::Ignorable => (&["al\u{AD}ice", "alice\u{200D}"], "ro\u{200D}ot"),
        }
    }

    /// The same for all spellings that the table takes for one.
    fn key(self, text: &str) -> String {
        match self {
            Self::AsciiCase => text.to_ascii_lowercase(),
            Self::Case => text.to_uppercase().to_lowercase(),
            Self::Width => text.nfkc().collect(),
            Self::TrailingSpaces => text.trim_end_matches(' ').to_owned(),
            Self::Ignorable => text.replace(['\u{AD}', '\u{200D}'], ""),
        }
    }

    pub fn takes_for_one(self, one: &str, other: &str) -> bool {
        self.key(one) == self.key(other)
    }
}

/// The table: `root`, `alice` and `bob` of these tenants, found under any spelling of tenant and
/// id.
#[derive(Clone)]
pub struct Loose {
    pub users: MemoryUsers,
    pub tenants: Vec<TenantId>,
    pub collation: Collation,
    /// Whether it answers the arguments of the look-up in place of what its row has: the flow can't
    /// see then that another spelling was found.
    pub echoes: bool,
}

impl Loose {
    fn stored<'a>(&'a self, tenant: &'a TenantId) -> &'a TenantId {
        let same =
            |stored: &&TenantId| self.collation.takes_for_one(stored.as_str(), tenant.as_str());
        self.tenants.iter().find(same).unwrap_or(tenant)
    }

    fn stored_id(&self, user: &UserId) -> UserId {
        let same = |stored: &&str| self.collation.takes_for_one(stored, user.as_str());
        ["root", "alice", "bob"].into_iter().find(same).map_or_else(|| user.clone(), user_id)
    }

    fn answer(&self, found: Option<User>, tenant: &TenantId, id: Option<&UserId>) -> Option<User> {
        found.map(|mut user| {
            if self.echoes {
                user.tenant = tenant.clone();
                user.id = id.unwrap_or(&user.id).clone();
            }
            user
        })
    }
}

#[async_trait]
impl UserStore for Loose {
    async fn find_by_login(
        &self,
        tenant: &TenantId,
        name: &LoginName,
    ) -> Result<Option<User>, PluginError> {
        Ok(self.answer(self.users.find_by_login(self.stored(tenant), name).await?, tenant, None))
    }

    async fn find_by_id(
        &self,
        tenant: &TenantId,
        user: &UserId,
    ) -> Result<Option<User>, PluginError> {
        let found = self.users.find_by_id(self.stored(tenant), &self.stored_id(user)).await?;
        Ok(self.answer(found, tenant, Some(user)))
    }

    async fn replace_password_hash(
        &self,
        tenant: &TenantId,
        user: &UserId,
        current: &PasswordHash,
        next: &PasswordHash,
    ) -> Result<bool, PluginError> {
        self.users
            .replace_password_hash(self.stored(tenant), &self.stored_id(user), current, next)
            .await
    }
}

impl World {
    /// The same world over a users table that compares loosely.
    pub fn over_a_loose_table(
        &mut self,
        collation: Collation,
        echoes: bool,
        configure: impl FnOnce(LoginFlowBuilder) -> LoginFlowBuilder,
    ) {
        let tenants = vec![self.acme.clone(), self.other.clone()];
        let users = Loose { users: self.users.clone(), tenants, collation, echoes };
        let factors = Counting::new(self.factors.clone(), &self.calls);
        self.rewire(Counting::new(users, &self.calls), factors, self.outbox.clone(), configure);
    }
}
