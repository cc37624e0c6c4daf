//! The form of a tenant's settings: what it shows, and what it sends.

use std::time::Duration;

use countersign::Scope;
use countersign::administration::SettingsBounds;
use countersign::tenant::{Lockout, SettingsVersion, SingleSignOn, TenantSettings, TrustedDevices};
use serde::{Deserialize, Deserializer};

/// The fields of the settings' form: numbers as they were typed, or as they hold now.
#[derive(Clone, Debug, Deserialize)]
#[non_exhaustive]
pub struct SettingsFields {
    /// Who needs the second factor.
    pub scope: Scope,
    /// Who needs it after single sign-on.
    pub single_sign_on: SingleSignOn,
    /// Whether codes may go by email.
    #[serde(default, deserialize_with = "is_yes")]
    pub email: bool,
    /// Whether codes may go by SMS.
    #[serde(default, deserialize_with = "is_yes")]
    pub sms: bool,
    /// Whose lockout holds.
    pub lockout: LockoutChoice,
    /// The tenant's own number of wrong codes.
    pub wrong_codes: String,
    /// The tenant's own first lock, in `first_lock_unit`.
    pub first_lock: String,
    /// The unit of `first_lock`.
    pub first_lock_unit: Unit,
    /// The tenant's own longest lock, in `longest_lock_unit`.
    pub longest_lock: String,
    /// The unit of `longest_lock`.
    pub longest_lock_unit: Unit,
    /// Whether devices can be trusted.
    pub devices: DevicesChoice,
    /// For how long at most, in `lifetime_unit`.
    pub lifetime: String,
    /// The unit of `lifetime`.
    pub lifetime_unit: Unit,
    /// How many devices at most.
    pub per_user: String,
    /// Whether users may have a backup code.
    #[serde(default, deserialize_with = "is_yes")]
    pub backup_codes: bool,
}

/// Whose lockout holds, as the form sends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LockoutChoice {
    /// The application's.
    Application,
    /// The tenant's own.
    Own,
}

/// Whether devices can be trusted, as the form sends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DevicesChoice {
    /// As the application says.
    AsApplication,
    /// Not at all.
    Off,
    /// Within the tenant's own bounds.
    AtMost,
}

/// A unit of time, as the form sends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// `seconds`
    Seconds,
    /// `minutes`
    Minutes,
    /// `hours`
    Hours,
    /// `days`
    Days,
}

impl Unit {
    /// As the form sends it.
    pub const fn value(self) -> &'static str {
        match self {
            Self::Seconds => "seconds",
            Self::Minutes => "minutes",
            Self::Hours => "hours",
            Self::Days => "days",
        }
    }

    const fn seconds(self) -> u64 {
        match self {
            Self::Seconds => 1,
            Self::Minutes => 60,
            Self::Hours => 3_600,
            Self::Days => 86_400,
        }
    }

    /// How many of this unit a time is, if it is a whole number of them.
    pub(super) fn exactly(self, time: Duration) -> Option<u64> {
        let seconds = time.as_secs();
        seconds.is_multiple_of(self.seconds()).then(|| seconds.checked_div(self.seconds()))?
    }
}

/// The units of locks.
const LOCKS: [Unit; 1] = [Unit::Minutes];
/// The units of trust, the largest first.
pub(super) const TRUST: [Unit; 2] = [Unit::Days, Unit::Hours];

/// A time in the first of these units that says it exactly: seconds always do.
fn in_units(time: Duration, units: &[Unit]) -> (String, Unit) {
    let exact = units.iter().find_map(|unit| Some((unit.exactly(time)?.to_string(), *unit)));
    exact.unwrap_or_else(|| (time.as_secs().to_string(), Unit::Seconds))
}

impl SettingsFields {
    /// As the form shows settings that hold. Numbers that do not count are the application's.
    pub(super) fn of(settings: &TenantSettings, bounds: &SettingsBounds) -> Self {
        let Lockout { wrong_codes, first, longest } = settings.lockout.unwrap_or(bounds.lockout);
        let (first_lock, first_lock_unit) = in_units(first, &LOCKS);
        let (longest_lock, longest_lock_unit) = in_units(longest, &LOCKS);
        let devices = match (settings.trusted_devices, bounds.trusted_devices) {
            // What the application does not offer any more cannot be kept.
            (TrustedDevices::AtMost { .. }, TrustedDevices::Off)
            | (TrustedDevices::AsApplication, _) => DevicesChoice::AsApplication,
            (TrustedDevices::Off, _) => DevicesChoice::Off,
            (TrustedDevices::AtMost { .. }, _) => DevicesChoice::AtMost,
        };
        let numbers = match (settings.trusted_devices, bounds.trusted_devices) {
            (TrustedDevices::AtMost { lifetime, per_user }, _)
            | (_, TrustedDevices::AtMost { lifetime, per_user }) => Some((lifetime, per_user)),
            _ => None,
        };
        let (lifetime, per_user) = numbers.unwrap_or((bounds.shortest_trust, 1));
        let (lifetime, lifetime_unit) = in_units(lifetime, &TRUST);
        Self {
            scope: settings.scope,
            single_sign_on: settings.single_sign_on,
            email: settings.methods.email,
            sms: settings.methods.sms,
            lockout: match settings.lockout {
                None => LockoutChoice::Application,
                Some(_) => LockoutChoice::Own,
            },
            wrong_codes: wrong_codes.to_string(),
            first_lock,
            first_lock_unit,
            longest_lock,
            longest_lock_unit,
            devices,
            lifetime,
            lifetime_unit,
            per_user: per_user.to_string(),
            backup_codes: settings.backup_codes,
        }
    }

    /// What these fields make of the settings that hold, or the field that is no number. A number
    /// that does not count is not read.
    pub(super) fn read(
        &self,
        mut settings: TenantSettings,
    ) -> Result<TenantSettings, &'static str> {
        settings.scope = self.scope;
        settings.single_sign_on = self.single_sign_on;
        settings.lockout = match self.lockout {
            LockoutChoice::Application => None,
            LockoutChoice::Own => Some(Lockout {
                wrong_codes: count(&self.wrong_codes, "wrong_codes")?,
                first: time(&self.first_lock, self.first_lock_unit, "first_lock")?,
                longest: time(&self.longest_lock, self.longest_lock_unit, "longest_lock")?,
            }),
        };
        settings.methods.email = self.email;
        settings.methods.sms = self.sms;
        settings.trusted_devices = match self.devices {
            DevicesChoice::AsApplication => TrustedDevices::AsApplication,
            DevicesChoice::Off => TrustedDevices::Off,
            DevicesChoice::AtMost => TrustedDevices::AtMost {
                lifetime: time(&self.lifetime, self.lifetime_unit, "lifetime")?,
                per_user: count(&self.per_user, "per_user")?,
            },
        };
        settings.backup_codes = self.backup_codes;
        Ok(settings)
    }
}

/// A whole number, also in the digits of a Japanese keyboard. One that is too large for any setting
/// is the largest.
fn number(text: &str, field: &'static str) -> Result<u64, &'static str> {
    let digits: Option<String> = text
        .trim()
        .chars()
        .map(|c| match c {
            '0'..='9' => Some(c),
            '\u{ff10}'..='\u{ff19}' => u32::from(c).checked_sub(0xfee0).and_then(char::from_u32),
            _ => None,
        })
        .collect();
    let digits = digits.filter(|digits| !digits.is_empty()).ok_or(field)?;
    Ok(digits.parse().unwrap_or(u64::MAX))
}

fn count(text: &str, field: &'static str) -> Result<u32, &'static str> {
    number(text, field).map(|number| u32::try_from(number).unwrap_or(u32::MAX))
}

fn time(text: &str, unit: Unit, field: &'static str) -> Result<Duration, &'static str> {
    Ok(Duration::from_secs(number(text, field)?.saturating_mul(unit.seconds())))
}

/// The field of a setting, by the name that a refusal gives to it.
pub(super) fn field_of(setting: &str) -> Option<&'static str> {
    Some(match setting {
        "lockout.wrong_codes" => "wrong_codes",
        "lockout.first" => "first_lock",
        "lockout.longest" => "longest_lock",
        "methods" => "email",
        "trusted_devices.lifetime" => "lifetime",
        "trusted_devices.per_user" => "per_user",
        _ => return None,
    })
}

/// The settings' form, from its page or from the page on which it is reviewed.
#[derive(Deserialize)]
pub(super) struct SettingsForm {
    /// The version of the settings that the page showed.
    pub(super) version: SettingsVersion,
    #[serde(flatten)]
    pub(super) fields: SettingsFields,
    /// The person has reviewed them.
    #[serde(default, deserialize_with = "is_yes")]
    pub(super) confirmed: bool,
    #[serde(default, deserialize_with = "is_yes")]
    pub(super) accept_lock_outs: bool,
    /// Back to the form.
    #[serde(default, deserialize_with = "is_yes")]
    pub(super) back: bool,
}

fn is_yes<'de, D: Deserializer<'de>>(from: D) -> Result<bool, D::Error> {
    Ok(String::deserialize(from)? == "yes")
}

#[cfg(test)]
mod tests {
    use countersign::LoginFlow;
    use countersign::memory::{MemoryFactors, MemoryUsers};

    use super::*;

    fn bounds() -> SettingsBounds {
        let outbox = countersign_testkit::Outbox::new();
        let flow = LoginFlow::builder(MemoryUsers::new(), MemoryFactors::new(), outbox);
        let days = Duration::from_secs(30 * 86_400);
        flow.trusted_devices(days, 3).build().unwrap().settings_bounds()
    }

    /// Whatever was saved by other means, a form that is sent as it stands changes nothing.
    #[test]
    fn settings_go_through_the_form_without_loss() {
        let bounds = bounds();
        let mut settings = TenantSettings::default();
        settings.scope = Scope::SystemAdministratorsOnly;
        settings.single_sign_on = SingleSignOn::SystemAdministrators;
        for seconds in [60, 90, 301, 3_600, 5_400, 86_400, 90_000, 86_401] {
            let time = Duration::from_secs(seconds);
            settings.lockout = Some(Lockout { wrong_codes: 4, first: time, longest: time * 2 });
            settings.trusted_devices = TrustedDevices::AtMost { lifetime: time, per_user: 2 };
            for (email, sms) in [(true, true), (true, false), (false, true)] {
                (settings.methods.email, settings.methods.sms) = (email, sms);
                settings.backup_codes = email;
                let fields = SettingsFields::of(&settings, &bounds);
                assert_eq!(fields.read(TenantSettings::default()), Ok(settings));
            }
        }
        for devices in [TrustedDevices::AsApplication, TrustedDevices::Off] {
            settings.trusted_devices = devices;
            settings.lockout = None;
            let fields = SettingsFields::of(&settings, &bounds);
            assert_eq!(fields.read(TenantSettings::default()), Ok(settings));
        }
    }

    #[test]
    fn times_are_in_the_unit_that_people_think_in() {
        for (seconds, locks, trust) in [
            (300, ("5", Unit::Minutes), ("300", Unit::Seconds)),
            (330, ("330", Unit::Seconds), ("330", Unit::Seconds)),
            (86_400, ("1440", Unit::Minutes), ("1", Unit::Days)),
            (43_200, ("720", Unit::Minutes), ("12", Unit::Hours)),
        ] {
            let time = Duration::from_secs(seconds);
            assert_eq!(in_units(time, &LOCKS), (locks.0.to_owned(), locks.1));
            assert_eq!(in_units(time, &TRUST), (trust.0.to_owned(), trust.1));
        }
    }

    #[test]
    fn only_whole_numbers_are_numbers() {
        for (typed, read) in [
            ("5", Ok(5)),
            (" 15 ", Ok(15)),
            ("\u{ff11}\u{ff15}", Ok(15)),
            ("99999999999999999999999", Ok(u64::MAX)),
            ("", Err("wrong_codes")),
            (" ", Err("wrong_codes")),
            ("-5", Err("wrong_codes")),
            ("+5", Err("wrong_codes")),
            ("1.5", Err("wrong_codes")),
            ("0x5", Err("wrong_codes")),
            ("5 minutes", Err("wrong_codes")),
        ] {
            assert_eq!(number(typed, "wrong_codes"), read, "{typed}");
        }
        assert_eq!(
            time("99999999999999999999999", Unit::Days, "x"),
            Ok(Duration::from_secs(u64::MAX))
        );
    }
}
