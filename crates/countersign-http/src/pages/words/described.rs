//! A tenant's settings as sentences, in English and Japanese.

use std::time::Duration;

use countersign::administration::SettingsBounds;
use countersign::tenant::{Lockout, Methods, SingleSignOn, TrustedDevices};

use crate::pages::settings_form::Unit;
use crate::pages::words::SettingsWords;
use crate::texts::{Language, span};

/// When wrong codes lock. A saved number counts only within the application's bounds of today.
pub(in crate::pages) fn lockout(
    chosen: Option<Lockout>,
    bounds: &SettingsBounds,
    language: Language,
) -> String {
    let Some(Lockout { wrong_codes, first, longest }) = chosen else {
        let text = lock(&bounds.lockout, language);
        let default = SettingsWords::of(language).application;
        return match language {
            Language::English => format!("{default}: {text}"),
            Language::Japanese => format!("{default}：{text}"),
        };
    };
    let within = |time: Duration, least: Duration| time.min(bounds.longest_lock).max(least);
    let first = within(first, bounds.shortest_lock);
    let least_longest = first.max(bounds.least_longest_lock);
    let lockout = Lockout {
        wrong_codes: wrong_codes.min(bounds.most_wrong_codes).max(bounds.least_wrong_codes),
        first,
        longest: within(longest, least_longest),
    };
    lock(&lockout, language)
}

/// The application's own lockout.
pub(in crate::pages) fn lock(lockout: &Lockout, language: Language) -> String {
    let Lockout { wrong_codes, first, longest } = lockout;
    let (lasts, most) = (span(*first, language), span(*longest, language));
    let grows = longest > first;
    match language {
        Language::English => {
            let codes = if *wrong_codes == 1 { "one" } else { "ones in a row" };
            let rest = format!(" Each further lock lasts twice as long, up to {most}.");
            let rest = if grows { &*rest } else { "" };
            format!("Codes are locked for {lasts} after {wrong_codes} wrong {codes}.{rest}")
        }
        Language::Japanese => {
            let lasts = lasting(lasts);
            let rest = format!("2回目以降のロック時間は2倍ずつ延びます（最長{most}）。");
            let rest = if grows { &*rest } else { "" };
            format!("確認コードを{wrong_codes}回続けて間違えると、{lasts}ロックされます。{rest}")
        }
    }
}

/// The methods in force.
pub(in crate::pages) const fn methods(
    chosen: Methods,
    bounds: &SettingsBounds,
    language: Language,
) -> &'static str {
    let Methods { email, sms, .. } = chosen.and(bounds.methods);
    match (email, sms, language) {
        (true, true, Language::English) => "By email or SMS",
        (true, true, Language::Japanese) => "メールまたはSMS",
        (true, false, Language::English) => "By email only",
        (true, false, Language::Japanese) => "メールのみ",
        (false, true, Language::English) => "By SMS only",
        (false, true, Language::Japanese) => "SMSのみ",
        (false, false, _) => SettingsWords::of(language).not_offered,
    }
}

pub(in crate::pages) const fn single_sign_on(
    chosen: SingleSignOn,
    language: Language,
) -> &'static str {
    let w = SettingsWords::of(language);
    match chosen {
        SingleSignOn::Exempt => w.sso_exempt,
        SingleSignOn::SystemAdministrators => w.sso_administrators,
    }
}

pub(in crate::pages) const fn backup_codes(
    allowed: bool,
    bounds: &SettingsBounds,
    language: Language,
) -> &'static str {
    let w = SettingsWords::of(language);
    match (bounds.backup_codes, allowed) {
        (false, _) => w.not_offered,
        (true, true) => w.allowed,
        (true, false) => w.not_allowed,
    }
}

/// The trust in devices, as it is in force.
pub(in crate::pages) fn devices(
    chosen: TrustedDevices,
    bounds: &SettingsBounds,
    language: Language,
) -> String {
    let w = SettingsWords::of(language);
    match (bounds.trusted_devices, chosen) {
        (_, TrustedDevices::Off) => w.not_allowed.to_owned(),
        (TrustedDevices::AtMost { lifetime, per_user }, TrustedDevices::AsApplication) => {
            trust(lifetime, per_user, language)
        }
        (
            TrustedDevices::AtMost { lifetime, per_user },
            TrustedDevices::AtMost { lifetime: time, per_user: number },
        ) => trust(lifetime.min(time), per_user.min(number), language),
        (TrustedDevices::Off | TrustedDevices::AsApplication, _) => w.not_offered.to_owned(),
    }
}

fn trust(lifetime: Duration, per_user: u32, language: Language) -> String {
    let time = span(lifetime, language);
    match language {
        Language::English if per_user == 1 => format!("1 device for each user, for {time}"),
        Language::English => format!("Up to {per_user} devices for each user, for {time} each"),
        Language::Japanese => format!("ユーザーごとに{per_user}台まで、1台につき{}", lasting(time)),
    }
}

/// A Japanese span as a duration.
fn lasting(span: String) -> String {
    if span.ends_with('間') { span } else { format!("{span}間") }
}

/// The name of a field with the unit in which its time is entered.
pub(in crate::pages) fn in_unit(name: &str, unit: Unit, language: Language) -> String {
    match language {
        Language::English => format!("{name}, in {}", unit_name(unit, language)),
        Language::Japanese => format!("{name}（{}）", unit_name(unit, language)),
    }
}

pub(in crate::pages) const fn unit_name(unit: Unit, language: Language) -> &'static str {
    match (unit, language) {
        (Unit::Seconds, Language::English) => "seconds",
        (Unit::Seconds, Language::Japanese) => "秒",
        (Unit::Minutes, Language::English) => "minutes",
        (Unit::Minutes, Language::Japanese) => "分",
        (Unit::Hours, Language::English) => "hours",
        (Unit::Hours, Language::Japanese) => "時間",
        (Unit::Days, Language::English) => "days",
        (Unit::Days, Language::Japanese) => "日",
    }
}

/// Between which numbers a field is accepted.
pub(in crate::pages) fn range(least: u32, most: u32, language: Language) -> String {
    match language {
        Language::English => format!("{least} to {most}."),
        Language::Japanese => format!("{least}～{most}の範囲で入力してください。"),
    }
}

/// The same of times.
pub(in crate::pages) fn time_range(
    least: Duration,
    most: Duration,
    unit: Unit,
    language: Language,
) -> String {
    // In the unit of the field, where that is exact.
    let (least, most) = match (unit.exactly(least), unit.exactly(most)) {
        (Some(least), Some(most)) => {
            let name = unit_name(unit, language);
            let space = if language == Language::English { " " } else { "" };
            (least.to_string(), format!("{most}{space}{name}"))
        }
        _ => (span(least, language), span(most, language)),
    };
    match language {
        Language::English => format!("{least} to {most}."),
        Language::Japanese => format!("{least}～{most}の範囲で入力してください。"),
    }
}

/// How many people were looked at. `more`: there are others.
pub(in crate::pages) fn looked_at(people: u64, more: bool, language: Language) -> String {
    match (language, people, more) {
        (Language::English, 1, false) => "Checked for the 1 user who may log in.".to_owned(),
        (Language::English, _, false) => format!("Checked for all {people} users who may log in."),
        (Language::English, _, true) => {
            format!("Checked for the first {people} users who may log in. There are more.")
        }
        (Language::Japanese, _, false) => {
            format!("ログインできるユーザー{people}人全員について確認しました。")
        }
        (Language::Japanese, _, true) => format!(
            "ログインできるユーザーのうち、最初の{people}人について確認しました。残りのユーザーについては確認していません。"
        ),
    }
}

pub(in crate::pages) fn users(number: u64, language: Language) -> String {
    match (language, number) {
        (Language::English, 1) => "1 user".to_owned(),
        (Language::English, _) => format!("{number} users"),
        (Language::Japanese, _) => format!("{number}人"),
    }
}

/// How many are not listed.
pub(in crate::pages) fn and_more(number: u64, language: Language) -> String {
    match language {
        Language::English => format!("and {number} more"),
        Language::Japanese => format!("ほか{number}人"),
    }
}
