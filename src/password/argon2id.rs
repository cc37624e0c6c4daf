//! The default password check: argon2id as RFC 9106 has it, at the cost that OWASP asks for.

mod arena;
mod backend;
mod builder;
mod cost;
mod pace;
mod phc;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use async_lock::Semaphore;
use async_trait::async_trait;
use rand::TryRng;
use rand::rngs::SysRng;
use subtle::ConstantTimeEq;
use thiserror::Error;
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};
use zeroize::Zeroizing;

use super::{Admission, Busy, PASSWORD_BYTES, PasswordAttempt, PasswordCheck, PasswordVerifier};
use crate::error::{Error, PluginError};
use crate::ids::LoginName;
use crate::secret::{Password, Pepper};
use crate::tag::sha256_tag;
use crate::user::PasswordHash;

use arena::{Arena, Arenas, Input};
use cost::Cost;
use pace::Pace;
use phc::Saved;

pub use backend::{Argon2Arena, Argon2Backend, Argon2Input};
pub use builder::{Argon2idBuilder, Argon2idError};

/// Bytes of salt in a new hash (RFC 9106 section 3.1: 16 bytes for passwords).
const SALT_BYTES: usize = 16;

type Salt = [u8; SALT_BYTES];

/// Bytes of output in a new hash.
const OUTPUT_BYTES: usize = 32;

/// Stands in for the saved hash of a user without a usable one. It protects nothing.
const DECOY_OUTPUT: [u8; OUTPUT_BYTES] = [0; OUTPUT_BYTES];

/// The default [`PasswordVerifier`]: argon2id version 19 over PHC strings.
///
/// [`Argon2id::default`] hashes with 19 MiB and 2 passes, the second of the settings that the OWASP
/// Password Storage Cheat Sheet gives as equal. [`Argon2id::builder`] changes the cost, adds a
/// [`Pepper`] and says how many hashes run concurrently. Make one, and share it in an
/// [`Arc`](std::sync::Arc).
///
/// # What counts as the same password
///
/// Every byte of the text in Unicode form NFC, and nothing else: nothing is trimmed, cut, folded or
/// mapped to compatibility forms (NIST SP 800-63B-4 section 3.1.1.2). A NUL byte is a character
/// like any other. More than 4,096 bytes are a fault; the flow refuses them before.
///
/// # The same work for everybody (`I-17`)
///
/// A check costs one hash under the current parameters, whatever the user is: unknown, without a
/// password, or with one.
///
/// - A saved hash that is *cheaper* than the current parameters is made up for by a second, shorter
///   hash, so that memory times passes come to the same. Otherwise a strengthened configuration
///   would show for every name whether it belongs to an old account (Django's CVE-2016-2513). This
///   is done for right passwords too, because the flow answers a right password of a locked or
///   disabled user with "wrong", and the time must not contradict it. What this can't make equal is
///   the speed of a smaller memory, which stays in a faster cache: 0.88x of the time, measured
///   after a change from 19 to 46 MiB. It ends for each user at the next login.
/// - A saved hash that is *more expensive* costs what it costs: after parameters have been lowered,
///   the time shows which names belong to older accounts, until their passwords are set anew. Such
///   hashes are not replaced at login, since that would weaken them.
/// - A saved hash that can't be used is a fault, and is answered after one hash like everything
///   else. The outcome differs, as it must (`I-37`), but its time says nothing more.
///
/// # What is accepted
///
/// `$argon2id$v=19$m=..,t=..,p=..[,keyid=..]$salt$output` with 1 MiB to 256 MiB, 1 to 10 passes, 1
/// to 255 lanes of at least 8 KiB, 8 to 48 bytes of salt and 16 to 64 bytes of output. The
/// parameters may stand in any order, each once. Everything else is refused before anything is
/// computed from it (`I-37`, `I-40`).
///
/// The lower bounds are below the floor of the builder so that the hashes of other software can be
/// taken over: PHP and Laravel, argon2-cffi, npm's argon2, Ory Kratos and Go's argon2id are read as
/// they write them; Django's without its prefix `argon2`. Those below the current parameters are
/// right but outdated, and replaced at the first login.
///
/// # Memory
///
/// At most [`max_concurrent`](Argon2idBuilder::max_concurrent) hashes run at a time; more wait, in
/// no particular order, without blocking a thread. Each has an arena of `memory_kib` that is kept
/// for the next one and wiped when the hash is done: from what is left in it, a guess is tested at
/// next to no cost. With a [`backend`](Argon2idBuilder::backend), the wiping is the backend's. So
/// the process holds up to `max_concurrent * memory_kib` once it has been busy. Only a saved hash
/// that needs more than `memory_kib` gets more, for that one check, up to 256 MiB.
///
/// # Queue
///
/// At most [`queue`](Argon2idBuilder::queue) first steps wait, from before they look anybody up;
/// further ones are refused with [`Reason::Busy`](crate::Reason::Busy) and the time that the
/// queue takes to drain, by the pace of the last hashes.
///
/// # Blocking
///
/// **A hash keeps the thread that polls it busy** for its whole time, some 10 to 30 ms with the
/// default parameters, on an asynchronous runtime one of its workers. So the default leaves one
/// processor to everything else. Where the runtime has one worker, or other tasks must not wait at
/// all, wrap this in a pool of threads: `BlockingPool` of the crate `countersign-tokio` hashes on
/// all processors, and no task of the runtime waits for it. The wait for a turn does not block.
///
/// In a debug build without optimisation a hash takes a second and more: the front page has the two
/// lines for `Cargo.toml`.
///
/// # Cancel safety
///
/// A future that is dropped while it waits has no effect and gives its turn back. There is no await
/// after that.
// Without `Clone`: a second set of arenas would double the bound on memory.
pub struct Argon2id {
    cost: Cost,
    pepper: Option<Pepper>,
    previous: Vec<Pepper>,
    /// Gives each name without a saved hash a salt of its own. `None`: the operating system gave no
    /// randomness.
    decoy_key: Option<Zeroizing<[u8; 32]>>,
    max_concurrent: usize,
    queue: usize,
    /// Those who wait and those whose hash runs.
    places: Arc<Semaphore>,
    turns: Semaphore,
    pace: Pace,
    arenas: Arenas,
}

impl Argon2id {
    /// The most concurrent hashes that can be asked for.
    pub const MAX_AT_ONCE: usize = 256;

    /// 19 MiB, 2 passes, 1 lane, no pepper, and as many concurrent hashes as there are processors
    /// but one, at least one.
    pub fn new() -> Self {
        let max_concurrent = builder::default_at_once();
        Self::assemble(
            Cost::DEFAULT,
            None,
            Vec::new(),
            max_concurrent,
            builder::default_queue(max_concurrent),
            None,
        )
    }

    /// For other parameters.
    pub fn builder() -> Argon2idBuilder {
        Argon2idBuilder::new()
    }

    fn assemble(
        cost: Cost,
        pepper: Option<Pepper>,
        previous: Vec<Pepper>,
        max_concurrent: usize,
        queue: usize,
        backend: Option<Box<dyn Argon2Backend>>,
    ) -> Self {
        let of = |pepper: &Pepper| {
            Some(Zeroizing::new(sha256_tag(pepper.key(), b"countersign/1/decoy-key", &[])))
        };
        let decoy_key = pepper.as_ref().map_or_else(random_key, of);
        Self {
            cost,
            pepper,
            previous,
            decoy_key,
            max_concurrent,
            queue,
            places: Arc::new(Semaphore::new(max_concurrent.saturating_add(queue))),
            turns: Semaphore::new(max_concurrent),
            pace: Pace::new(),
            arenas: Arenas::new(max_concurrent, cost.arena_blocks(), backend),
        }
    }

    /// Hashes a password that is being set, under the current parameters and with a fresh salt from
    /// the operating system: a PHC string for
    /// [`User::password_hash`](crate::user::User::password_hash).
    ///
    /// Whether the password is good enough (its length, a list of known ones) is for the
    /// application to decide before. Blocks and can be cancelled as described at [`Argon2id`]. It
    /// waits for its turn however many do; requests of people go through
    /// [`RequestFlow::hash_password`](crate::RequestFlow::hash_password), whose queue has a bound.
    ///
    /// # Errors
    ///
    /// [`Error::PasswordVerifier`] if the password is longer than 4,096 bytes, if the operating
    /// system's generator fails (`I-19`), or if there is no memory.
    pub async fn hash(&self, password: &Password) -> Result<PasswordHash, Error> {
        self.fresh_hash(password).await.map_err(Error::password_verifier)
    }

    async fn fresh_hash(&self, password: &Password) -> Result<PasswordHash, PluginError> {
        bounded(password)?;
        let _turn = self.turns.acquire().await;

        let mut salt = [0; SALT_BYTES];
        SysRng.try_fill_bytes(&mut salt)?;
        let mut output = Zeroizing::new([0; OUTPUT_BYTES]);
        let password = Nfc::of(password);
        let input = Input { password: password.bytes(), salt: &salt, key: self.current_key() };
        self.arenas.borrow().hash(self.cost, input, output.as_mut_slice())?;
        Ok(phc::write(self.cost, self.pepper.as_ref().map(Pepper::id), &salt, output.as_slice()))
    }

    fn check(
        &self,
        arena: &mut Arena<'_>,
        password: &[u8],
        saved: &Saved,
        key: Option<&[u8]>,
        decoy_salt: &Salt,
    ) -> Result<PasswordCheck, PluginError> {
        let mut output = Zeroizing::new(vec![0; saved.output.len()]);
        arena.hash(saved.cost, Input { password, salt: &saved.salt, key }, &mut output)?;
        if let Some(filler) = self.cost.missing_after(saved.cost) {
            let mut unused = Zeroizing::new(DECOY_OUTPUT);
            arena.hash(filler, Input { password, salt: decoy_salt, key }, unused.as_mut_slice())?;
        }
        if !bool::from(output.ct_eq(&saved.output)) {
            return Ok(PasswordCheck::Mismatch);
        }
        Ok(if self.is_outdated(saved) {
            PasswordCheck::MatchNeedsRehash
        } else {
            PasswordCheck::Match
        })
    }

    /// What a name without a usable saved hash is checked against, by the same call as everybody's
    /// (`I-17`).
    fn dummy(&self, salt: &Salt) -> Saved {
        let output = Zeroizing::new(DECOY_OUTPUT.to_vec());
        Saved { cost: self.cost, key_id: None, salt: salt.to_vec(), output }
    }

    /// A saved hash within the bounds, and the key that it was made with.
    fn read(&self, hash: &PasswordHash) -> Result<(Saved, Option<&[u8]>), PluginError> {
        let saved = phc::read(hash)?;
        let key = self.key_of(&saved)?;
        Ok((saved, key))
    }

    /// The salt of a name that has no saved hash. Which memory a hash reads depends on password and
    /// salt: unknown names must not share it, since no two users share theirs (`I-17`).
    fn decoy_salt(&self, attempt: &PasswordAttempt<'_>) -> Result<Salt, NoRandomness> {
        let key = self.decoy_key.as_ref().ok_or(NoRandomness)?;
        let name = attempt.name.map(LoginName::as_str).unwrap_or_default();
        let name = [attempt.tenant.as_str().as_bytes(), name.as_bytes()];
        let mut salt = [0; SALT_BYTES];
        let tag = sha256_tag(key.as_slice(), b"countersign/1/decoy-salt", &name);
        salt.iter_mut().zip(tag).for_each(|(to, from)| *to = from);
        Ok(salt)
    }

    /// Weaker than a new hash in any respect, or under a key other than the one that new hashes
    /// get.
    fn is_outdated(&self, saved: &Saved) -> bool {
        saved.cost.is_weaker_than(self.cost)
            || saved.salt.len() < SALT_BYTES
            || saved.output.len() < OUTPUT_BYTES
            || saved.key_id.as_deref() != self.pepper.as_ref().map(|pepper| pepper.id().as_bytes())
    }

    fn current_key(&self) -> Option<&[u8]> {
        self.pepper.as_ref().map(Pepper::key)
    }

    fn key_of(&self, saved: &Saved) -> Result<Option<&[u8]>, UnknownKey> {
        let Some(id) = saved.key_id.as_deref() else { return Ok(None) };
        let mut known = self.pepper.iter().chain(&self.previous);
        known
            .find(|pepper| pepper.id().as_bytes() == id)
            .map(|pepper| Some(pepper.key()))
            .ok_or(UnknownKey)
    }
}

impl Default for Argon2id {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl PasswordVerifier for Argon2id {
    fn admit(&self) -> Result<Admission, Busy> {
        match self.places.try_acquire_arc() {
            Some(place) => Ok(Admission::holding(place)),
            None => Err(Busy::new(
                self.pace
                    .time_for(self.max_concurrent.saturating_add(self.queue), self.max_concurrent),
            )),
        }
    }

    async fn verify(&self, attempt: &PasswordAttempt<'_>) -> Result<PasswordCheck, PluginError> {
        bounded(attempt.password)?;
        let _turn = self.turns.acquire().await;
        let _timed = self.pace.start();

        // No await from here on, so that nothing secret is kept in a future that may never be
        // polled again.
        let text = Nfc::of(attempt.password);
        let decoy_salt = self.decoy_salt(attempt)?;
        let mut arena = self.arenas.borrow();
        let hash = attempt.user.and_then(|user| user.password_hash.as_ref());
        let (saved, key, answer) = match hash.map(|hash| self.read(hash)) {
            Some(Ok((saved, key))) => (saved, key, None),
            Some(Err(fault)) => (self.dummy(&decoy_salt), self.current_key(), Some(Err(fault))),
            None => {
                (self.dummy(&decoy_salt), self.current_key(), Some(Ok(PasswordCheck::Mismatch)))
            }
        };
        // The only call, for known and unknown names and for hashes that can't be used: the same
        // work at the same depth of the stack, and no answer before it (I-17).
        let verdict = self.check(&mut arena, text.bytes(), &saved, key, &decoy_salt)?;
        answer.unwrap_or(Ok(verdict))
    }

    async fn hash_password(
        &self,
        password: &Password,
    ) -> Result<Option<PasswordHash>, PluginError> {
        self.fresh_hash(password).await.map(Some)
    }
}

/// The parameters, and no pepper.
impl fmt::Debug for Argon2id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Argon2id")
            .field("cost", &self.cost)
            .field("max_concurrent", &self.max_concurrent)
            .field("queue", &self.queue)
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Error)]
#[error("saved password hash names a pepper that is not configured")]
struct UnknownKey;

fn random_key() -> Option<Zeroizing<[u8; 32]>> {
    let mut key = Zeroizing::new([0; 32]);
    SysRng.try_fill_bytes(key.as_mut_slice()).is_ok().then_some(key)
}

#[derive(Debug, Error)]
#[error("operating system gave no randomness when this was made")]
struct NoRandomness;

#[derive(Debug, Error)]
#[error("password is longer than {PASSWORD_BYTES} bytes")]
struct PasswordTooLong;

/// Before any work, and without looking at who it is for.
fn bounded(password: &Password) -> Result<(), PasswordTooLong> {
    if password.expose().len() > PASSWORD_BYTES { Err(PasswordTooLong) } else { Ok(()) }
}

/// A password in Unicode form NFC: as it came if it is in that form already, which most are, else
/// in a copy that is wiped.
enum Nfc<'a> {
    AsItCame(&'a str),
    Copy(Zeroizing<String>),
}

impl<'a> Nfc<'a> {
    /// NFC makes no text longer than this, in UTF-8.
    const LONGEST_EXPANSION: usize = 3;

    fn of(password: &'a Password) -> Self {
        let text = password.expose();
        if is_nfc_quick(text.chars()) == IsNormalized::Yes {
            return Self::AsItCame(text);
        }
        // Room for all of it at once: growing would leave pieces of the password behind.
        let room = text.len().saturating_mul(Self::LONGEST_EXPANSION);
        let mut copy = Zeroizing::new(String::with_capacity(room));
        copy.extend(text.nfc());
        Self::Copy(copy)
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::AsItCame(text) => text.as_bytes(),
            Self::Copy(text) => text.as_bytes(),
        }
    }
}
