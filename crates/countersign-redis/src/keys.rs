//! Where what is kept.
//!
//! On a cluster a script reaches the keys of one slot only, so all keys that a commit touches share
//! a hash tag. One tag for each tenant would do; here tenants share 1,024 of them. Each tag then
//! has a key of its own from the day the store was made, the marker, and every script looks at it
//! first: where it is missing, the node has lost what it had, and the call fails instead of taking
//! the tenant for one that never switched the second factor on. A tag for each tenant could not
//! tell the two apart.

use countersign::{TenantId, UserId};

/// How many hash tags there are. Part of the format: another number would look for everything in
/// another place.
pub(crate) const TAGS: u16 = 1_024;

/// What a marker holds: the format of the keys.
pub(crate) const FORMAT: &str = "1";

/// The keys of one tenant.
pub(crate) struct Keys {
    /// Prefix and hash tag.
    stem: String,
    tenant: String,
}

impl Keys {
    pub(crate) fn of(prefix: &str, tenant: &TenantId) -> Self {
        Self { stem: stem(prefix, tag(tenant.as_str())), tenant: tenant.as_str().to_owned() }
    }

    pub(crate) fn marker(&self) -> String {
        marker(&self.stem)
    }

    pub(crate) fn settings(&self) -> String {
        format!("{}:s:{}", self.stem, self.tenant)
    }

    /// The users of this tenant, by the generation of their record.
    pub(crate) fn generations(&self) -> String {
        format!("{}:g:{}", self.stem, self.tenant)
    }

    /// What the key of every record of this tenant begins with. The length keeps two names from
    /// running into each other.
    pub(crate) fn records(&self) -> String {
        format!("{}:r:{}:{}:", self.stem, self.tenant.len(), self.tenant)
    }

    pub(crate) fn record(&self, user: &UserId) -> String {
        format!("{}{}", self.records(), user.as_str())
    }
}

/// The keys of the budget of messages. They share one hash tag, so that one script reaches the
/// account of a destination, of a tenant and of a country.
pub(crate) struct BudgetKeys {
    stem: String,
}

impl BudgetKeys {
    pub(crate) fn of(prefix: &str) -> Self {
        Self { stem: stem(prefix, 0) }
    }

    pub(crate) fn marker(&self) -> String {
        marker(&self.stem)
    }

    /// The accounts, by when they hold nothing any more.
    pub(crate) fn leaving(&self) -> String {
        format!("{}:bl", self.stem)
    }

    pub(crate) fn account(&self, key: &str) -> String {
        format!("{}:b:{key}", self.stem)
    }
}

/// The markers of a store.
pub(crate) fn markers(prefix: &str) -> impl Iterator<Item = String> {
    (0..TAGS).map(move |tag| marker(&stem(prefix, tag)))
}

fn marker(stem: &str) -> String {
    format!("{stem}:m")
}

fn stem(prefix: &str, tag: u16) -> String {
    format!("{prefix}:{{{tag:03x}}}")
}

/// FNV-1a over the tenant's bytes. It spreads tenants over tags; nothing secret rests on it.
fn tag(tenant: &str) -> u16 {
    let hash = tenant.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let folded = hash ^ hash.rotate_right(32);
    u16::try_from(folded.checked_rem(u64::from(TAGS)).unwrap_or_default()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_of_a_tenant_never_changes() {
        // Pinned: another answer would lose every record that was written before.
        let places: Vec<_> = ["acme", "", "テナント", "a{b}c"].map(tag).into();
        assert_eq!(places, [396, 961, 839, 538]);
    }

    #[test]
    fn tenants_are_spread_evenly() {
        let mut load = vec![0_u32; usize::from(TAGS)];
        for number in 0..102_400 {
            load[usize::from(tag(&format!("tenant-{number}")))] += 1;
        }
        assert!(
            load.iter().all(|tenants| (50..170).contains(tenants)),
            "{:?} {:?}",
            load.iter().min(),
            load.iter().max()
        );
    }
}
