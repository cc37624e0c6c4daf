//! The proof that a login was completed, and the only code that makes one (`I-01`).

use serde::{Serialize, Serializer};

use crate::error::Error;
use crate::first_factor::FirstFactor;
use crate::grant::{SavedGrant, SecondFactor, Staleness};
use crate::ids::{LoginId, UserId};
use crate::machine::Draft;
use crate::machine::check::backup::BackupCodeVerified;
use crate::machine::check::code::CodeVerified;
use crate::machine::check::device::DeviceTrusted;
use crate::machine::check::exempt::PolicyExempt;
use crate::policy::{Channel, TwoFactorPolicy};
use crate::secret::{BackupCode, DeviceToken};
use crate::user::User;

/// The proof that a login was completed (`I-01`).
///
/// Only [`LoginFlow`](crate::LoginFlow) makes one: there is no constructor and no `Deserialize`. It
/// is a statement about one moment; keep it in the session as a [`SavedGrant`] and ask
/// [`RequestFlow::revalidate`](crate::RequestFlow::revalidate) whether it still holds.
///
/// The host MUST issue a new session identifier when it accepts one (`I-36`).
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "let in whom the grant names, and nobody else; after a login under a new session identifier (I-36)"]
pub struct Grant(SavedGrant);

impl Grant {
    /// The form to keep in a session.
    pub fn into_saved(self) -> SavedGrant {
        self.0
    }
}

impl std::ops::Deref for Grant {
    type Target = SavedGrant;
    fn deref(&self) -> &SavedGrant {
        &self.0
    }
}

impl AsRef<SavedGrant> for Grant {
    fn as_ref(&self) -> &SavedGrant {
        &self.0
    }
}

impl Serialize for Grant {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

/// A completed login. Not `Clone`: what it hands out is handed out once.
#[derive(Debug)]
#[must_use = "issue a new session identifier for the grant (I-36), and hand out the device token and the new backup code: they are shown once"]
#[non_exhaustive]
pub struct Authenticated {
    /// Who logged in, how and when. Issue a **new session identifier** for it (`I-36`).
    pub grant: Grant,
    /// For the device that the person asked to trust. Store it there; it is not shown again.
    pub device_token: Option<DeviceToken>,
    /// The successor of the backup code that was just used. Show it now; it is not shown again.
    pub backup_code: Option<BackupCode>,
}

/// Says who is in and how, and whether there is a device token or a backup code to hand out:
/// neither of them is in it.
impl Serialize for Authenticated {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Shape<'a> {
            login: LoginId,
            user: &'a UserId,
            second_factor: &'a SecondFactor,
            amr: &'static [&'static str],
            device_token: bool,
            backup_code: bool,
        }
        Shape {
            login: self.grant.login(),
            user: self.grant.user(),
            second_factor: self.grant.second_factor(),
            amr: self.grant.amr(),
            device_token: self.device_token.is_some(),
            backup_code: self.backup_code.is_some(),
        }
        .serialize(serializer)
    }
}

/// What stood beside the password. Each variant holds a value that only the module of its check can
/// make.
pub(crate) enum FactorProof {
    Code(CodeVerified),
    BackupCode(BackupCodeVerified),
    Device(DeviceTrusted),
    Exempt(PolicyExempt),
}

impl Draft<'_> {
    /// Ends a login well: a first factor, and what stood beside it. A login that was pending is
    /// taken out of the record, so that its token makes no other grant (`I-05`).
    pub(in crate::machine) fn complete(
        &mut self,
        _first: &FirstFactor,
        user: &User,
        login: LoginId,
        channel: Channel,
        second: FactorProof,
    ) -> Grant {
        match &second {
            FactorProof::Code(_) | FactorProof::BackupCode(_) => self.end(login),
            // It was never pending.
            FactorProof::Device(_) | FactorProof::Exempt(_) => {}
        }
        let basis = match second {
            FactorProof::Code(code) => SecondFactor::Code { method: code.method() },
            FactorProof::BackupCode(_) => SecondFactor::BackupCode,
            FactorProof::Device(device) => SecondFactor::TrustedDevice { device: device.id() },
            FactorProof::Exempt(exempt) => SecondFactor::Exempt { exemption: exempt.into_reason() },
        };
        Grant(SavedGrant {
            login,
            tenant: self.call.tenant.clone(),
            user: user.id.clone(),
            channel,
            at: self.now.to_time(),
            // An exemption rests on no record: there may be none, and nothing asks which it was.
            record: (!matches!(basis, SecondFactor::Exempt { .. })).then_some(self.record.id),
            epoch: self.epoch(),
            basis,
        })
    }

    /// A saved grant that still holds.
    pub(crate) fn revalidate(
        &self,
        policy: &dyn TwoFactorPolicy,
        user: Option<&User>,
        saved: &SavedGrant,
        channel: Channel,
    ) -> Result<Result<Grant, Staleness>, Error> {
        let standing = self.standing(policy, user, saved, &[channel])?;
        Ok(standing.map(|_requirement| Grant(saved.clone())))
    }
}
