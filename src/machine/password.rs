//! The current password, typed once more in a session.

use crate::error::Error;
use crate::event::{EventKind, SecretKind};
use crate::grant::SavedGrant;
use crate::machine::access::{interactive, refuse_account};
use crate::machine::login::begin::Checked;
use crate::machine::{Decision, Draft, Gate};
use crate::password::PasswordVerified;
use crate::policy::TwoFactorPolicy;
use crate::reason::{Denied, Reason};
use crate::user::User;

impl Draft<'_> {
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
        let standing = self.standing(policy, user, grant, interactive(grant.channel()))?;
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
        let locked_until = match failures.gate(now, rule) {
            Gate::LockedUntil(until) => Some(until.to_time()),
            Gate::Open | Gate::Suspended => None,
        };
        let denied = Denied::wrong(Reason::WrongPassword, failures.left(now, rule), locked_until);
        let (login, secret) = (grant.login(), SecretKind::Password);
        Ok(Decision::new(
            Err(denied),
            EventKind::SecretWrong { login, secret, locked_until, suspended: false },
        ))
    }
}
