//! What a tenant's saved settings may say, from the outside (`I-42`): the saved numbers against
//! those that the application was built with. Nothing here asks the function that refuses a change.

use serde::Deserialize;

use super::stand_ins::{MONTH, REFILLS, ROLLING};
use crate::limits::Limits;

/// What a settings row says, read without the machine.
#[derive(Deserialize)]
struct Saved {
    #[serde(default)]
    lockout: Option<SavedLockout>,
    #[serde(default = "all_methods")]
    methods: SavedMethods,
    #[serde(default)]
    trusted_devices: SavedDevices,
    #[serde(default)]
    backup_codes_off: bool,
}

#[derive(Deserialize)]
struct SavedLockout {
    wrong_codes: u32,
    first_seconds: u64,
    longest_seconds: u64,
}

#[derive(Deserialize)]
struct SavedMethods {
    email: bool,
    sms: bool,
}

#[derive(Default, Deserialize)]
#[serde(tag = "use", rename_all = "snake_case")]
enum SavedDevices {
    #[default]
    AsApplication,
    Off,
    AtMost {
        lifetime_seconds: u64,
        per_user: u32,
    },
}

const fn all_methods() -> SavedMethods {
    SavedMethods { email: true, sms: true }
}

/// Whether a saved document stays within the application's numbers, and what holds by it does too.
pub(super) fn is_within(document: &str, holds: &Limits, application: &Limits) -> bool {
    let saved: Saved = serde_json::from_str(document).unwrap();
    says_no_more(&saved, application) && leaves_no_more(&saved, holds, application)
}

/// No more wrong codes than the application allows its tenants, no shorter and no longer locks, at
/// least one method that it offers, and no more or longer trust than it offers.
fn says_no_more(saved: &Saved, application: &Limits) -> bool {
    let (least, most) = application.tenant.wrong_codes;
    let (shortest, longest) = application.tenant.lock;
    let lockout = saved.lockout.as_ref().is_none_or(|lockout| {
        let SavedLockout { wrong_codes, first_seconds, longest_seconds } = *lockout;
        wrong_codes >= least
            && wrong_codes <= most
            && first_seconds >= shortest.as_secs()
            && longest_seconds >= first_seconds
            && longest_seconds >= application.tenant.least_longest.as_secs()
            && longest_seconds <= longest.as_secs()
    });
    let (email, sms) = (saved.methods.email, saved.methods.sms);
    let a_method = (email && application.methods.email) || (sms && application.methods.sms);
    let devices = match saved.trusted_devices {
        SavedDevices::AsApplication | SavedDevices::Off => true,
        SavedDevices::AtMost { lifetime_seconds, per_user } => {
            application.devices.is_some_and(|offered| {
                lifetime_seconds <= offered.lifetime.as_secs()
                    && u64::from(per_user) <= offered.per_user as u64
            })
        }
    };
    lockout && a_method && devices
}

/// What then holds for the tenant's users: nothing beyond what was saved, nothing that the
/// application does not offer, and no more guesses than its numbers leave an attacker.
fn leaves_no_more(saved: &Saved, holds: &Limits, application: &Limits) -> bool {
    let codes = &holds.codes;
    let lockout = match &saved.lockout {
        None => codes == &application.codes,
        Some(SavedLockout { wrong_codes, first_seconds, longest_seconds }) => {
            codes.lock_after <= *wrong_codes
                && codes.lock.as_secs() >= *first_seconds
                && codes.lock_at_most.as_secs() >= *longest_seconds
                && codes.suspend_after == application.codes.suspend_after
        }
    };
    let methods = (!holds.methods.email || (saved.methods.email && application.methods.email))
        && (!holds.methods.sms || (saved.methods.sms && application.methods.sms));
    let backup = !holds.backup_enabled || (!saved.backup_codes_off && application.backup_enabled);
    let devices = match (holds.devices, application.devices, &saved.trusted_devices) {
        (None, ..) => true,
        (Some(_), None, _) | (Some(_), _, SavedDevices::Off) => false,
        (Some(holds), Some(offered), SavedDevices::AsApplication) => holds == offered,
        (Some(holds), Some(_), SavedDevices::AtMost { lifetime_seconds, per_user }) => {
            holds.lifetime.as_secs() <= *lifetime_seconds
                && holds.per_user as u64 <= u64::from(*per_user)
        }
    };
    lockout && methods && backup && devices && leaves_few_guesses(holds)
}

/// A year touches 14 windows of 30 days, and each refill fills the budget of one again. In all that
/// time at most one code in a thousand may be tried.
fn leaves_few_guesses(holds: &Limits) -> bool {
    let in_a_window = holds.codes.rolling.map(|(most, window)| (most as usize, window));
    let in_a_year = 14 * ROLLING * (1 + REFILLS);
    let codes = 10_usize.pow(holds.digits.into());
    in_a_window == Some((ROLLING, MONTH))
        && holds.refills as usize == REFILLS
        && in_a_year * 1_000 <= codes
}
