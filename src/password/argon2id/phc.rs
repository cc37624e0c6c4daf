//! The saved form of a hash: `$argon2id$v=19$m=19456,t=2,p=1,keyid=YQ$salt$output`, after the PHC
//! string format.

use base64ct::{Base64Unpadded, Encoding};
use thiserror::Error;
use zeroize::Zeroizing;

use super::cost::Cost;
use crate::user::PasswordHash;

/// Longer than any string within the bounds.
const TEXT_BYTES: usize = 256;
const SALT_BYTES: std::ops::RangeInclusive<usize> = 8..=48;
const OUTPUT_BYTES: std::ops::RangeInclusive<usize> = 16..=64;
const KEY_ID_BYTES: std::ops::RangeInclusive<usize> = 1..=8;

/// A saved hash within the bounds.
// Without `Debug`: it holds the hash.
pub(super) struct Saved {
    pub(super) cost: Cost,
    pub(super) key_id: Option<Vec<u8>>,
    pub(super) salt: Vec<u8>,
    pub(super) output: Zeroizing<Vec<u8>>,
}

/// Why a saved hash can't be used. Says nothing of what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(super) enum Unusable {
    #[error("saved password hash is not argon2id version 19 in a PHC string")]
    Foreign,
    #[error("saved password hash is damaged")]
    Damaged,
    #[error("saved password hash has a cost, salt or output outside the bounds")]
    OutOfBounds,
}

pub(super) fn write(cost: Cost, key_id: Option<&str>, salt: &[u8], output: &[u8]) -> PasswordHash {
    let Cost { memory_kib, iterations, lanes } = cost;
    let key_id = key_id.map(|id| format!(",keyid={}", encode(id.as_bytes()))).unwrap_or_default();
    let (salt, output) = (encode(salt), Zeroizing::new(encode(output)));
    PasswordHash::new(format!(
        "$argon2id$v=19$m={memory_kib},t={iterations},p={lanes}{key_id}${salt}${}",
        *output
    ))
}

/// Reads exactly what the format allows for argon2id: these fields, each once, in their one
/// spelling. The parameters may stand in any order, since common software does not keep to that of
/// the specification.
///
/// Nothing is computed, and what is allocated is bounded by the bound on the text.
pub(super) fn read(hash: &PasswordHash) -> Result<Saved, Unusable> {
    let text = hash.expose();
    if text.len() > TEXT_BYTES {
        return Err(Unusable::OutOfBounds);
    }
    let fields = text.strip_prefix("$argon2id$v=19$").ok_or(Unusable::Foreign)?;
    let [parameters, salt, output] = exactly(fields.split('$'))?;

    let (mut m, mut t, mut p, mut key_id) = (None, None, None, None);
    for parameter in parameters.split(',') {
        let (name, value) = parameter.split_once('=').ok_or(Unusable::Damaged)?;
        match name {
            "m" => once(&mut m, number(value)?)?,
            "t" => once(&mut t, number(value)?)?,
            "p" => once(&mut p, number(value)?)?,
            "keyid" => once(&mut key_id, decode(value)?)?,
            _ => return Err(Unusable::Damaged),
        }
    }
    let (Some(memory_kib), Some(iterations), Some(lanes)) = (m, t, p) else {
        return Err(Unusable::Damaged);
    };
    let cost = Cost { memory_kib, iterations, lanes };
    let salt = decode(salt)?;
    let output = Zeroizing::new(decode(output)?);

    let bounded = cost.is_acceptable()
        && SALT_BYTES.contains(&salt.len())
        && OUTPUT_BYTES.contains(&output.len())
        && key_id.as_ref().is_none_or(|id| KEY_ID_BYTES.contains(&id.len()));
    if bounded { Ok(Saved { cost, key_id, salt, output }) } else { Err(Unusable::OutOfBounds) }
}

fn exactly<'a, const N: usize>(
    mut parts: impl Iterator<Item = &'a str>,
) -> Result<[&'a str; N], Unusable> {
    let mut found = [""; N];
    for part in &mut found {
        *part = parts.next().ok_or(Unusable::Damaged)?;
    }
    if parts.next().is_some() { Err(Unusable::Damaged) } else { Ok(found) }
}

/// A parameter that stands there twice says two things.
fn once<T>(place: &mut Option<T>, value: T) -> Result<(), Unusable> {
    if place.replace(value).is_some() { Err(Unusable::Damaged) } else { Ok(()) }
}

/// A decimal number without sign and leading zeros. One that is too large for 32 bits is out of
/// bounds, not damaged.
fn number(digits: &str) -> Result<u32, Unusable> {
    let canonical = !digits.is_empty()
        && digits.bytes().all(|b| b.is_ascii_digit())
        && (digits == "0" || !digits.starts_with('0'));
    if canonical {
        digits.parse().map_err(|_| Unusable::OutOfBounds)
    } else {
        Err(Unusable::Damaged)
    }
}

fn encode(bytes: &[u8]) -> String {
    Base64Unpadded::encode_string(bytes)
}

fn decode(text: &str) -> Result<Vec<u8>, Unusable> {
    Base64Unpadded::decode_vec(text).map_err(|_| Unusable::Damaged)
}
