//! Whether a session's grant still holds, and what it may be used for (`I-25`, `I-32`, `I-34`).

use time::OffsetDateTime;

use crate::clock::Timestamp;
use crate::contact::{Destination, Method};
use crate::error::Error;
use crate::event::EventKind;

use crate::grant::{SavedGrant, SecondFactor, Staleness};
use crate::ids::DeviceId;
use crate::limits::{FailureRule, Limits};
use crate::machine::budget::failures::Failures;
use crate::machine::record::Device;
use crate::machine::{Decision, Draft, Gate};
use crate::policy::{Channel, Requirement, Restriction, TwoFactorPolicy};
use crate::reason::{Denied, Reason};
use crate::secret::BackupCode;
use crate::sender::NoticeKind;
use crate::status::{FactorStatus, LockState, TrustedDevice};
use crate::tenant::TenantSettings;
use crate::user::{User, UserStatus};

/// What an operation needs of a grant beyond that it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// To look.
    View,
    /// A recent login with a fresh code or a backup code (`I-32`).
    Change,
}

impl Draft<'_> {
    /// What the application forbids to a request that comes from where this one does. Programs are
    /// not asked about: they come from servers.
    pub(in crate::machine) fn restriction(
        &self,
        user: &User,
        channel: Channel,
    ) -> Result<Restriction, Error> {
        match self.requests {
            Some(requests) if channel.is_of_a_person() => {
                let context = self.policy_context(&self.settings.decided(), user, channel);
                requests.restrict(&context, self.call.context).map_err(Error::policy)
            }
            Some(_) | None => Ok(Restriction::None),
        }
    }

    /// Holds a grant against the user, the policy and the record as they are now. Says whether the
    /// policy requires a second factor of a person who comes by any of these channels.
    pub(crate) fn standing(
        &self,
        policy: &dyn TwoFactorPolicy,
        user: Option<&User>,
        grant: &SavedGrant,
        channels: &[Channel],
    ) -> Result<Result<Requirement, Staleness>, Error> {
        let Some(user) = user.filter(|user| user.status == UserStatus::Active) else {
            return Ok(Err(Staleness::UserInactive));
        };
        let (at, limits) = (Timestamp::from_time(grant.at()), self.limits());
        if self.now.plus(limits.clock_tolerance) < at {
            return Ok(Err(Staleness::ClockMoved));
        }
        if at.plus(limits.session_lifetime) <= self.now {
            return Ok(Err(Staleness::Expired));
        }
        if self.epoch() != *grant.epoch() {
            return Ok(Err(Staleness::PasswordChanged));
        }
        let by_device = matches!(grant.second_factor(), SecondFactor::TrustedDevice { .. });
        let mut decided = None;
        for channel in channels {
            let context = self.policy_context(&self.settings.decided(), user, *channel);
            let mut requirement = policy.decide(&context).map_err(Error::policy)?;
            // A session of a person is one on every route.
            let of_a_person = if channel.is_of_a_person() { *channel } else { grant.channel() };
            match self.restriction(user, of_a_person)? {
                Restriction::None => {}
                Restriction::IgnoreTrustedDevices if !by_device => {}
                Restriction::IgnoreTrustedDevices => {
                    return Ok(Err(Staleness::SecondFactorRequired));
                }
                Restriction::RequireSecondFactor if by_device => {
                    return Ok(Err(Staleness::SecondFactorRequired));
                }
                Restriction::RequireSecondFactor => requirement = Requirement::Required,
                Restriction::Refuse => return Ok(Err(Staleness::RequestRefused)),
            }
            if decided != Some(Requirement::Required) {
                decided = Some(requirement);
            }
        }
        // Of no channel nothing is known, so nothing is exempt.
        let requirement = decided.unwrap_or(Requirement::Required);
        if requirement == Requirement::Required {
            let same_record = self.existed && grant.record() == Some(self.record.id);
            match grant.second_factor() {
                SecondFactor::Exempt { .. } => return Ok(Err(Staleness::SecondFactorRequired)),
                _ if !same_record => return Ok(Err(Staleness::Reset)),
                SecondFactor::TrustedDevice { device } if !self.has_device(*device) => {
                    return Ok(Err(Staleness::DeviceRevoked));
                }
                SecondFactor::TrustedDevice { .. }
                | SecondFactor::Code { .. }
                | SecondFactor::BackupCode => {}
            }
        }
        Ok(Ok(requirement))
    }

    fn has_device(&self, id: DeviceId) -> bool {
        self.trusted_devices().any(|(device, _)| device.id == id)
    }

    /// Whether a grant gives access to the account page of its user.
    pub(crate) fn authorize(
        &self,
        policy: &dyn TwoFactorPolicy,
        user: Option<&User>,
        grant: &SavedGrant,
        need: Need,
    ) -> Result<Result<(), Denied>, Error> {
        let denied = |reason| Ok(Err(Denied::new(reason)));
        match self.standing(policy, user, grant, &[as_a_person(grant.channel())])? {
            Err(_) => return denied(Reason::SessionStale),
            Ok(Requirement::Exempt(_)) => return denied(Reason::NotInUse),
            Ok(Requirement::Required) => {}
        }
        if need == Need::Change && !self.is_recent(grant) {
            return denied(Reason::ReauthenticationRequired);
        }
        Ok(Ok(()))
    }

    /// Whether a code or backup code was verified in this login, and not long ago (`I-32`).
    fn is_recent(&self, grant: &SavedGrant) -> bool {
        grant.has_second_factor() && self.is_recent_login(grant)
    }

    fn is_recent_login(&self, grant: &SavedGrant) -> bool {
        self.now < Timestamp::from_time(grant.at()).plus(self.limits().recent_login)
    }

    /// Whether this login lets its user weaken somebody's protection (`I-34`): it is recent, and a
    /// code or backup code was verified in it. Of a user whom the policy exempts there is no code
    /// to ask for; their password must be as fresh.
    pub(crate) fn may_weaken(&self, grant: &SavedGrant, requirement: &Requirement) -> bool {
        self.is_recent_login(grant)
            && (grant.has_second_factor() || *requirement != Requirement::Required)
    }

    /// Whether the policy would require a second factor of this user under those settings.
    pub(crate) fn would_be_required(
        &self,
        policy: &dyn TwoFactorPolicy,
        user: &User,
        settings: &TenantSettings,
        channels: &[Channel],
    ) -> Result<bool, Error> {
        for channel in channels {
            let context = self.policy_context(settings, user, *channel);
            if policy.decide(&context).map_err(Error::policy)? == Requirement::Required {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether there would be no way for this user to get or have a code, under these numbers.
    pub(crate) fn is_out_of_reach(&self, user: &User, limits: &Limits) -> bool {
        let reached =
            |method| limits.methods.allow(method) && self.destination(user, method).is_some();
        let has_backup_code = limits.backup_enabled && self.record.backup.is_some();
        !(reached(Method::Email) || reached(Method::Sms) || has_backup_code)
    }

    /// Everywhere that this user can be told something: the registered address and the proved
    /// number.
    pub(crate) fn places(&self, user: &User) -> Vec<Destination> {
        [Method::Email, Method::Sms]
            .into_iter()
            .filter_map(|method| self.destination(user, method))
            .collect()
    }

    /// How many devices are trusted here and not in this other draft of the same user.
    pub(crate) fn devices_lost_in(&self, other: &Draft<'_>) -> u64 {
        let is_lost = |lost: &Device| !other.trusted_devices().any(|(kept, _)| kept.id == lost.id);
        self.trusted_devices().filter(|(device, _)| is_lost(device)).count() as u64
    }

    pub(crate) fn has_backup_code(&self) -> bool {
        self.record.backup.is_some()
    }

    /// Since when and until when passwords are locked, if they are.
    pub(crate) fn password_lock(&self) -> (Option<OffsetDateTime>, Option<OffsetDateTime>) {
        let until = self.password_gate(false).locked_until();
        let since = self.record.password.failures.locked_from();
        (since.filter(|_| until.is_some()), until)
    }

    /// Since when codes are locked, if time ends that.
    pub(crate) fn code_lock(&self) -> Option<OffsetDateTime> {
        let locked = self.codes_open().is_err_and(|denied| denied.retry_at().is_some());
        self.record.code_failures.locked_from().filter(|_| locked)
    }

    /// What the account page and the administrator's page show.
    pub(crate) fn status(&self, user: &User) -> FactorStatus {
        let limits = self.limits();
        let state = |gate: Gate| match gate {
            Gate::Open => LockState::Open,
            Gate::LockedUntil(until) => LockState::LockedUntil { until: until.to_time() },
            Gate::Suspended => LockState::Suspended,
        };
        let lock = |failures: &Failures, rule: &FailureRule| state(failures.gate(self.now, rule));
        FactorStatus {
            method: self.method(),
            email: self.destination(user, Method::Email).map(|destination| destination.masked()),
            phone: self.destination(user, Method::Sms).map(|destination| destination.masked()),
            methods: limits.methods,
            backup_codes: limits.backup_enabled,
            devices: self
                .trusted_devices()
                .map(|(device, end)| TrustedDevice {
                    id: device.id,
                    label: device.label.clone(),
                    registered_at: device.registered.to_time(),
                    last_used_at: device.used.to_time(),
                    expires_at: end.to_time(),
                })
                .collect(),
            backup_code_made_at: self.record.backup.as_ref().map(|backup| backup.made.to_time()),
            passwords: state(self.password_gate(false)),
            codes: lock(&self.record.code_failures, &limits.codes),
        }
    }

    /// Deletes one trusted device.
    pub(crate) fn revoke_device(&mut self, id: DeviceId) -> Decision<Result<(), Denied>> {
        if !self.record.devices.iter().any(|device| device.id == id) {
            return refuse_account(Denied::new(Reason::NotFound));
        }
        self.record.edit().devices.retain(|device| device.id != id);
        Decision::new(Ok(()), EventKind::DeviceRevoked { device: id })
    }

    /// Deletes all trusted devices, and answers how many there were.
    pub(crate) fn revoke_devices(&mut self) -> Decision<Result<u32, Denied>> {
        let count = u32::try_from(self.record.devices.len()).unwrap_or(u32::MAX);
        self.record.edit_if(|record| {
            record.devices.clear();
            count > 0
        });
        Decision::new(Ok(count), EventKind::DevicesRevoked { count })
    }

    /// Makes the first backup code, or another in place of the one there is.
    pub(crate) fn new_backup_code(
        &mut self,
        user: &User,
    ) -> Result<Decision<Result<BackupCode, Denied>>, Error> {
        if !self.limits().backup_enabled {
            return Ok(refuse_account(Denied::new(Reason::BackupCodesOff)));
        }
        let code = self.make_backup_code()?;
        let mut decision = Decision::new(Ok(code), EventKind::BackupCodeMade);
        self.notify(&mut decision, user, &NoticeKind::BackupCodeMade);
        Ok(decision)
    }

    /// Lifts what time would lift; counters stay (`I-10`). What time does not lift takes a reset.
    pub(crate) fn unlock(&mut self) -> Result<(), Denied> {
        let (now, limits) = (self.now, self.limits());
        let mut open = true;
        self.record.edit_if(|record| {
            let mut lifted = false;
            for (failures, rule) in [
                (&mut record.password.failures, &limits.passwords),
                (&mut record.password.device_failures, &limits.passwords),
                (&mut record.code_failures, &limits.codes),
                (&mut record.setup_failures, &limits.codes),
            ] {
                lifted |= failures.unlock(now);
                open &= failures.gate(now, rule) == Gate::Open;
            }
            lifted
        });
        if open { Ok(()) } else { Err(Denied::new(Reason::ResetRequired)) }
    }
}

/// The channel to ask the policy about when somebody uses the account page: a person is there,
/// however the session began.
pub(crate) const fn as_a_person(channel: Channel) -> Channel {
    if channel.is_of_a_person() { channel } else { Channel::Web }
}

/// The same for what an administrator does: a session that began with single sign-on has what a
/// password login would need, too.
pub(crate) const fn as_an_administrator(channel: Channel) -> &'static [Channel] {
    match channel {
        Channel::Mobile => &[Channel::Mobile],
        Channel::SingleSignOn => &[Channel::Web, Channel::SingleSignOn],
        Channel::Web | Channel::ExemptApi | Channel::ExemptIntegration => &[Channel::Web],
    }
}

/// A refused change on the account page.
pub(crate) fn refuse_account<T>(denied: Denied) -> Decision<Result<T, Denied>> {
    Decision::new(Err(denied), EventKind::AccountRefused { reason: denied.reason().code().into() })
}
