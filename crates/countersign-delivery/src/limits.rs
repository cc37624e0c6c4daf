//! What is limited, and by how much.

use std::time::Duration;

use base64ct::{Base64UrlUnpadded, Encoding};
use countersign::TenantId;
use countersign::budget::{Account, Limit};
use countersign::contact::Destination;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::fold::{folded, folded_number};

/// A calling code or other beginning of a number that is not 1 to 7 digits, the first of them 1 to
/// 9.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("prefix is not 1 to 7 digits without a plus sign")]
pub struct BadPrefix;

/// The limits of an application. Each counts codes and notices apart, so that asking for codes does
/// not keep a person from being told.
///
/// | limit | default |
/// |---|---|
/// | [`per_destination`](Self::per_destination) | 10 an hour and 30 a day |
/// | [`per_tenant`](Self::per_tenant) | none |
/// | [`per_calling_code`](Self::per_calling_code) | none |
/// | [`allow_calling_codes`](Self::allow_calling_codes) | every country: **name those that your users live in** |
/// | [`deny_prefixes`](Self::deny_prefixes) | none |
#[derive(Clone, Debug)]
#[must_use]
pub struct SendLimits {
    destination: Vec<Limit>,
    tenant: Vec<Limit>,
    calling_code: Vec<Limit>,
    only: Option<Vec<String>>,
    never: Vec<String>,
}

/// Which limit refused a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LimitKind {
    /// The number's calling code or prefix is not sent to.
    Prefix,
    /// The limit of one destination.
    Destination,
    /// The limit of the tenant.
    Tenant,
    /// The limit of one country's numbers.
    CallingCode,
}

impl Default for SendLimits {
    fn default() -> Self {
        Self::new()
    }
}

impl SendLimits {
    /// The default limits: those in the table of [`SendLimits`].
    pub fn new() -> Self {
        const HOUR: u64 = 60 * 60;
        Self {
            destination: vec![
                Limit::new(10, Duration::from_secs(HOUR)),
                Limit::new(30, Duration::from_secs(24 * HOUR)),
            ],
            tenant: Vec::new(),
            calling_code: Vec::new(),
            only: None,
            never: Vec::new(),
        }
    }

    /// Replaces the limits on one address or number, whichever user it belongs to: two users with
    /// one number share them.
    ///
    /// Spellings that reach one mailbox or phone share them too. Of an address, case, a tag
    /// (`alice+1@`), invisible characters and compatibility forms such as full-width letters do not
    /// count, and its domain counts in the form in which it is sent: `bücher.example` and
    /// `xn--bcher-kva.example` are one. Of a number, zeros after the calling code do not count
    /// where the country's plan has none there (`+44 0 7911`), nor does a trunk prefix such as
    /// Russia's 8 or Mexico's former 1.
    ///
    /// Not folded, since only the provider of the mailbox or the network knows: dots in the local
    /// part (Gmail ignores them), tags after another sign (`alice-1@`), several names of one mail
    /// domain, domains that only older software takes for one (`faß.de` and `fass.de`), aliases and
    /// forwarding, carrier selection codes, zeros where numbers may begin with one (Italy), and
    /// several numbers of one phone.
    pub fn per_destination(mut self, limits: impl Into<Vec<Limit>>) -> Self {
        self.destination.clear();
        limits.into().into_iter().for_each(|limit| add(&mut self.destination, limit));
        self
    }

    /// Adds a limit on one tenant's messages.
    pub fn per_tenant(mut self, limit: Limit) -> Self {
        add(&mut self.tenant, limit);
        self
    }

    /// Adds a limit on the messages to each country calling code, over all tenants. Email is not
    /// counted.
    pub fn per_calling_code(mut self, limit: Limit) -> Self {
        add(&mut self.calling_code, limit);
        self
    }

    /// Sends to numbers under these calling codes and no others. The strongest means against SMS
    /// pumping.
    ///
    /// # Errors
    ///
    /// [`BadPrefix`] if one of them is not 1 to 7 digits.
    pub fn allow_calling_codes(mut self, codes: &[&str]) -> Result<Self, BadPrefix> {
        self.only = Some(prefixes(codes)?);
        Ok(self)
    }

    /// Never sends to numbers that begin so, even under a calling code that is allowed: `1876` for
    /// Jamaica within `1`. A number that is written with a zero or another trunk prefix in it (`+1
    /// 0 876...`) begins so too.
    ///
    /// # Errors
    ///
    /// [`BadPrefix`] if one of them is not 1 to 7 digits.
    pub fn deny_prefixes(mut self, beginnings: &[&str]) -> Result<Self, BadPrefix> {
        self.never = prefixes(beginnings)?;
        Ok(self)
    }

    pub(crate) fn allows(&self, to: &Destination) -> bool {
        let Destination::Sms(number) = to else { return true };
        let (digits, folded) = (number.expose().trim_start_matches('+'), folded_number(number));
        let begins = |digits: &str, prefixes: &[String]| {
            prefixes.iter().any(|prefix| digits.starts_with(prefix))
        };
        self.only.as_deref().is_none_or(|only| begins(&folded, only))
            && !begins(digits, &self.never)
            && !begins(&folded, &self.never)
    }

    /// The accounts that a message is charged on, narrowest first, so that the refusal names the
    /// narrowest limit.
    pub(crate) fn accounts(
        &self,
        what: &str,
        tenant: &TenantId,
        to: &Destination,
    ) -> Vec<(LimitKind, Account)> {
        let mut accounts = Vec::new();
        let mut charge = |kind, name: String, limits: &[Limit]| {
            accounts.extend(limits.iter().map(|limit| {
                let key = format!("{what}:{name}:{}", limit.per().as_secs());
                (kind, Account::new(key, *limit))
            }));
        };
        charge(LimitKind::Destination, format!("to:{}", hashed(&folded(to))), &self.destination);
        charge(LimitKind::Tenant, format!("tenant:{}", hashed(tenant.as_str())), &self.tenant);
        if let Destination::Sms(number) = to {
            charge(
                LimitKind::CallingCode,
                format!("code:{}", number.calling_code()),
                &self.calling_code,
            );
        }
        accounts
    }
}

/// One limit for each period, the lowest: an account is named by its period.
fn add(limits: &mut Vec<Limit>, limit: Limit) {
    match limits.iter_mut().find(|known| known.per() == limit.per()) {
        Some(known) => *known = Limit::new(known.most().min(limit.most()), limit.per()),
        None => limits.push(limit),
    }
}

fn prefixes(texts: &[&str]) -> Result<Vec<String>, BadPrefix> {
    let well_formed = |text: &&str| {
        (1..=7).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_digit())
            && !text.starts_with('0')
    };
    if texts.iter().all(well_formed) {
        Ok(texts.iter().map(|text| (*text).to_owned()).collect())
    } else {
        Err(BadPrefix)
    }
}

/// A name of bounded length, whatever it is made from.
fn hashed(text: &str) -> String {
    Base64UrlUnpadded::encode_string(&Sha256::digest(text.as_bytes()))
}
