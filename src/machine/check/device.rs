//! Trusted devices: registered after a fresh code, checked instead of one (`I-29`, `I-30`).

use crate::clock::Timestamp;
use crate::error::Error;
use crate::ids::DeviceId;
use crate::label::DeviceLabel;
use crate::limits::DeviceLimits;
use crate::machine::Draft;
use crate::machine::check::code::CodeVerified;
use crate::machine::record::Device;
use crate::machine::seal::{Label, Tag};
use crate::machine::token::{self, TokenKind, TokenSecret};
use crate::policy::Channel;
use crate::secret::DeviceToken;

/// A device token was compared and belongs to this user, record and password.
pub(crate) struct DeviceTrusted(DeviceId);

impl DeviceTrusted {
    pub(in crate::machine) const fn id(&self) -> DeviceId {
        self.0
    }
}

/// The person asks that this device be trusted.
#[derive(Clone)]
pub(crate) struct TrustRequest {
    pub(crate) label: DeviceLabel,
    /// What the browser holds of an earlier registration, which this one replaces.
    pub(crate) earlier: Option<TokenSecret>,
}

/// A device that was registered.
pub(in crate::machine) struct Registered {
    pub(in crate::machine) token: DeviceToken,
    pub(in crate::machine) id: DeviceId,
    /// The device that had to make room.
    pub(in crate::machine) dropped: Option<DeviceLabel>,
}

impl Draft<'_> {
    /// Registers the device that has just given a right code. It takes the place of its own earlier
    /// entry. Where the list is full, the one that was not used for longest goes.
    pub(in crate::machine) fn trust_device(
        &mut self,
        _fresh: &CodeVerified,
        request: &TrustRequest,
        limits: DeviceLimits,
    ) -> Result<Registered, Error> {
        let secret = self.draw_secret()?;
        let id = DeviceId::from_random(self.draw.bytes()?);
        if let Some(earlier) = &request.earlier {
            let tag = self.device_tag(earlier);
            self.record.edit().devices.retain(|device| !device.token.matches(&tag));
        }
        let mut dropped = None;
        while self.record.devices.len() >= limits.per_user {
            let Some((at, _)) =
                self.record.devices.iter().enumerate().min_by_key(|(_, device)| device.used)
            else {
                break;
            };
            dropped = Some(self.record.edit().devices.remove(at).label);
        }
        // What was registered before the tenant's settings ended it does not come back; see
        // `devices_from`.
        let registered = self.now.max(self.settings.devices_from.map_or(self.now, Timestamp::next));
        let device = Device {
            id,
            token: self.device_tag(&secret),
            label: request.label.clone(),
            registered,
            used: self.now,
            expires: self.now.plus(limits.lifetime),
        };
        self.record.edit().devices.push(device);
        Ok(Registered {
            token: DeviceToken::new(token::write(TokenKind::Device, &secret, None)),
            id,
            dropped,
        })
    }

    /// Whether this token makes a code unnecessary. Use does not prolong it.
    pub(in crate::machine) fn check_device(
        &mut self,
        token: &DeviceToken,
    ) -> Option<DeviceTrusted> {
        let now = self.now;
        let at = self.find_device(token)?;
        let device = self.record.edit().devices.get_mut(at)?;
        device.used = now;
        Some(DeviceTrusted(device.id))
    }

    /// Whether this is the token of a device that is trusted now. Nothing is noted.
    pub(in crate::machine) fn knows_device(&self, token: &DeviceToken) -> bool {
        self.find_device(token).is_some()
    }

    /// The place of the trusted device that holds this token. Every device is compared.
    fn find_device(&self, token: &DeviceToken) -> Option<usize> {
        let limits = self.device_limits()?;
        let (secret, _) = token::read(TokenKind::Device, token.expose())?;
        let tag = self.device_tag(&secret);
        let devices = self.record.devices.iter().enumerate();
        let (at, device) = devices.fold(None, |found, (at, device)| {
            if device.token.matches(&tag) { Some((at, device)) } else { found }
        })?;
        (self.now < trust_end(device, limits) && self.is_counted(device, limits)).then_some(at)
    }

    /// Whether a device is among the newest, as many as a user may have now.
    fn is_counted(&self, device: &Device, limits: DeviceLimits) -> bool {
        let newer = |other: &&Device| device.registered < other.registered;
        self.record.devices.iter().filter(newer).count() < limits.per_user
    }

    /// The devices that would be trusted now, each with the end of its trust.
    pub(in crate::machine) fn trusted_devices(&self) -> impl Iterator<Item = (&Device, Timestamp)> {
        let (now, limits) = (self.now, self.device_limits());
        let devices = self.record.devices.iter();
        devices
            .filter_map(move |device| {
                let limits = limits.filter(|limits| self.is_counted(device, *limits))?;
                Some((device, trust_end(device, limits)))
            })
            .filter(move |(_, end)| now < *end)
    }

    /// `None`: no device is trusted. The feature is off, the password or the registered address is
    /// another, or the user has neither password hash nor security stamp (`I-30`). What is then
    /// no longer trusted is deleted when a password is next verified: `adopt_password` in
    /// `machine/password.rs`, `adopt_address`.
    fn device_limits(&self) -> Option<DeviceLimits> {
        self.limits()
            .devices
            .filter(|_| self.ties.password_is_visible && self.same_password() && !self.ties.moved)
    }

    /// The numbers for a device that is registered in a login of this channel. `None`: it cannot
    /// be: the feature is off, the login came by single sign-on (`I-43`), or the user has neither
    /// password hash nor security stamp, so that nothing would end the trust when the password
    /// changes elsewhere.
    pub(in crate::machine) fn may_trust(&self, channel: Channel) -> Option<DeviceLimits> {
        let possible = self.ties.password_is_visible && channel != Channel::SingleSignOn;
        self.limits().devices.filter(|_| possible)
    }

    fn device_tag(&self, secret: &TokenSecret) -> Tag {
        let [tenant, user, secret] = self.token_parts(secret);
        self.rules.seal.tag(Label::DeviceToken, &[tenant, user, self.record.id.as_bytes(), secret])
    }
}

/// When the trust in a device ends. A lifetime that was shortened since holds for devices that were
/// registered before.
fn trust_end(device: &Device, limits: DeviceLimits) -> Timestamp {
    device.expires.min(device.registered.plus(limits.lifetime))
}
