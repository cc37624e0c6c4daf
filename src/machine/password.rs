//! The user's password: whether it is still the same one, what ends when it changes, and typing it
//! once more in a session.

use crate::epoch::Epoch;
use crate::error::Error;
use crate::event::{EventKind, SecretKind};
use crate::grant::SavedGrant;
use crate::machine::access::{as_an_administrator, refuse_account};
use crate::machine::{Decision, Draft, Gate, epoch_of};
use crate::password::PasswordVerified;
use crate::policy::TwoFactorPolicy;
use crate::reason::{Denied, Reason};
use crate::user::{PasswordHash, User};

/// What a password was checked against, some time ago. Nothing, if there was no user.
#[derive(Default)]
pub(crate) struct Checked {
    hash: Option<PasswordHash>,
    /// The security stamp that the user had then.
    stamp: Option<String>,
}

impl From<Option<User>> for Checked {
    fn from(user: Option<User>) -> Self {
        let (hash, stamp) =
            user.map_or((None, None), |user| (user.password_hash, user.security_stamp));
        Self { hash, stamp }
    }
}

/// How many re-hashes of one password are remembered; more than can be under way at once.
const REHASHED: usize = 8;

impl Draft<'_> {
    /// The epoch that grants are bound to now.
    pub(super) fn epoch(&self) -> Epoch {
        if self.same_password() { self.record.password.epoch } else { self.user_epoch }
    }

    pub(super) fn is_of_this_password(&self, epoch: Epoch) -> bool {
        let state = &self.record.password;
        epoch == state.epoch || state.rehashed.contains(&epoch)
    }

    /// Whether the user's password is the one that everything in the record belongs to.
    ///
    /// Every hash that is known to be of that password counts: a re-hash is noted here before it is
    /// saved with the user, so that whichever of them a step has read, and whatever was
    /// interrupted, it is the same password.
    pub(crate) fn same_password(&self) -> bool {
        self.is_of_this_password(self.user_epoch)
    }

    /// Whether a password that was right for the hash that it was checked against is right for the
    /// user as they are now (`I-25`): the hash is the same, or another one of the same password,
    /// and so is the security stamp, which stands for a password that is kept elsewhere.
    pub(in crate::machine) fn still_right(&self, user: &User, checked: &Checked) -> bool {
        if user.security_stamp != checked.stamp {
            return false;
        }
        let now = user.password_hash.as_ref().map(PasswordHash::expose);
        if now == checked.hash.as_ref().map(PasswordHash::expose) {
            return true;
        }
        let mut then = user.clone();
        then.password_hash.clone_from(&checked.hash);
        self.is_of_this_password(epoch_of(self.rules, self.call.tenant, &then))
            && self.same_password()
    }

    /// Makes the record belong to the password that the user has now. If that is another than
    /// before, what hung on the earlier one dies (`I-30`), its failures and its lock too: they
    /// counted guesses at a password that nobody can log in with any more.
    pub(in crate::machine) fn adopt_password(&mut self) {
        if !self.same_password() {
            let epoch = self.user_epoch;
            self.record.edit_if(|record| {
                record.password.epoch = epoch;
                record.password.rehashed.clear();
                record.password.failures.succeed() | record.password.device_failures.succeed()
            });
            self.end_all();
        }
    }

    /// Ends what would let the user in without a new password and a new code: logins under way,
    /// trusted devices, and a method that is being proved. For a user who is disabled or gone, and
    /// for another password or registered address (`I-30`).
    pub(in crate::machine) fn end_all(&mut self) {
        self.record.edit_if(|record| {
            let any =
                !(record.pending.is_empty() && record.devices.is_empty() && record.setup.is_none());
            record.pending.clear();
            record.devices.clear();
            record.setup = None;
            any
        });
    }

    /// Notes another hash of the password that was just right, before it is saved with the user.
    pub(in crate::machine) fn note_rehash(&mut self, user: &User, rehashed: Option<&PasswordHash>) {
        let Some(hash) = rehashed else { return };
        let mut renewed = user.clone();
        renewed.password_hash = Some(hash.clone());
        let epoch = epoch_of(self.rules, self.call.tenant, &renewed);
        if !self.is_of_this_password(epoch) {
            let known = &mut self.record.edit().password.rehashed;
            // The hash that the user has now stays known, however many others were made and never
            // saved.
            if known.len() >= REHASHED
                && let Some(oldest) = known.iter().position(|epoch| *epoch != self.user_epoch)
            {
                known.remove(oldest);
            }
            known.push(epoch);
        }
        self.noted = true;
    }

    /// Whether this step let the person's password in and noted its better hash, which may be saved
    /// with the user once this is written.
    pub(crate) const fn has_noted(&self) -> bool {
        self.noted
    }

    /// Decides on a password that was checked for the holder of this grant: the same budget and the
    /// same lock as at a first step (`I-16`). Nothing is charged while passwords are locked, and
    /// nothing to a session that does not hold.
    pub(crate) fn confirm_password(
        &mut self,
        policy: &dyn TwoFactorPolicy,
        user: Option<&User>,
        grant: &SavedGrant,
        password: Option<&PasswordVerified>,
        checked: &Checked,
    ) -> Result<Decision<Result<(), Denied>>, Error> {
        let standing = self.standing(policy, user, grant, as_an_administrator(grant.channel()))?;
        let (Ok(_), Some(user)) = (standing, user) else {
            return Ok(refuse_account(Denied::new(Reason::SessionStale)));
        };
        self.adopt_password();
        match self.password_gate(false) {
            Gate::Open => {}
            Gate::LockedUntil(until) => {
                return Ok(refuse_account(Denied::until(Reason::PasswordsLocked, until.to_time())));
            }
            Gate::Suspended => return Ok(refuse_account(Denied::new(Reason::PasswordsLocked))),
        }
        if password.is_some() && self.still_right(user, checked) {
            self.record.edit_if(|record| record.password.failures.succeed());
            return Ok(Decision::new(
                Ok(()),
                EventKind::PasswordConfirmed { login: grant.login() },
            ));
        }
        let (now, rule) = (self.now, &self.limits().passwords);
        let failures = &mut self.record.edit().password.failures;
        failures.charge(now, rule);
        let locked_until = failures.gate(now, rule).locked_until();
        let denied = Denied::wrong(Reason::WrongPassword, failures.left(now, rule), locked_until);
        let (login, secret) = (grant.login(), SecretKind::Password);
        Ok(Decision::new(
            Err(denied),
            EventKind::SecretWrong { login, secret, locked_until, suspended: false },
        ))
    }
}
