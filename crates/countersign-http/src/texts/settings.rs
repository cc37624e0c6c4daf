//! Why a tenant's settings are refused: which setting, and its bounds.

use std::time::Duration;

use countersign::{ConfigError, Reason};

use crate::texts::{Language, sentence};

/// What is wrong with settings that were refused, and what is allowed.
pub(super) fn refused(error: &ConfigError, language: Language) -> String {
    let within = |least: &str, most: &str| {
        let name = name(error.setting(), language)?;
        Some(match language {
            Language::English => format!("{name} must be between {least} and {most}."),
            Language::Japanese => format!("{name}は、{least}から{most}の範囲で指定してください。"),
        })
    };
    let said = match *error {
        ConfigError::Count { least, most, .. } => within(&least.to_string(), &most.to_string()),
        ConfigError::Time { least, most, .. } => {
            within(&span(least, language), &span(most, language))
        }
        ConfigError::NotOffered { setting: "trusted_devices" } => {
            Some(not_offered(language).to_owned())
        }
        ConfigError::NoMethod => Some(no_method(language).to_owned()),
        _ => None,
    };
    said.unwrap_or_else(|| sentence(Reason::InvalidSettings(*error), language).to_owned())
}

const fn not_offered(language: Language) -> &'static str {
    match language {
        Language::English => "This application does not offer trusted devices.",
        Language::Japanese => "このアプリケーションでは、信頼できる端末の機能は利用できません。",
    }
}

const fn no_method(language: Language) -> &'static str {
    match language {
        Language::English => "Allow email or SMS: at least one that this application offers.",
        Language::Japanese => "確認コードの送信方法は、利用できるものを1つ以上許可してください。",
    }
}

/// A setting as the subject of a sentence.
const fn name(setting: &str, language: Language) -> Option<&'static str> {
    Some(match (setting.as_bytes(), language) {
        (b"lockout.wrong_codes", Language::English) => "The number of wrong codes before a lock",
        (b"lockout.wrong_codes", Language::Japanese) => "ロックまでの誤入力回数",
        (b"lockout.first", Language::English) => "The first lock",
        (b"lockout.first", Language::Japanese) => "最初のロック時間",
        (b"lockout.longest", Language::English) => "The longest lock",
        (b"lockout.longest", Language::Japanese) => "最長のロック時間",
        (b"trusted_devices.lifetime", Language::English) => {
            "The time for which a device is trusted"
        }
        (b"trusted_devices.lifetime", Language::Japanese) => "端末を信頼する期間",
        (b"trusted_devices.per_user", Language::English) => {
            "The number of trusted devices for each user"
        }
        (b"trusted_devices.per_user", Language::Japanese) => "信頼できる端末の台数",
        _ => return None,
    })
}

/// A time in its largest exact unit, such as "15 minutes".
pub(crate) fn span(time: Duration, language: Language) -> String {
    let seconds = time.as_secs();
    let units =
        [(86_400, "day", "日"), (3_600, "hour", "時間"), (60, "minute", "分"), (1, "second", "秒")];
    let exact = units.into_iter().find(|(unit, ..)| seconds > 0 && seconds.is_multiple_of(*unit));
    let (unit, english, japanese) = exact.unwrap_or((1, "second", "秒"));
    let number = seconds.checked_div(unit).unwrap_or(seconds);
    match language {
        Language::English if number == 1 => format!("1 {english}"),
        Language::English => format!("{number} {english}s"),
        Language::Japanese => format!("{number}{japanese}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_in_its_largest_exact_unit() {
        for (seconds, english, japanese) in [
            (0, "0 seconds", "0秒"),
            (1, "1 second", "1秒"),
            (90, "90 seconds", "90秒"),
            (300, "5 minutes", "5分"),
            (3_600, "1 hour", "1時間"),
            (86_400, "1 day", "1日"),
            (129_600, "36 hours", "36時間"),
        ] {
            let time = Duration::from_secs(seconds);
            assert_eq!(span(time, Language::English), english);
            assert_eq!(span(time, Language::Japanese), japanese);
        }
    }

    /// I-42: each setting that a tenant can get wrong is named, with its bounds.
    #[test]
    fn a_refusal_names_the_setting_and_its_bounds() {
        let (least, most) = (Duration::from_secs(300), Duration::from_secs(86_400));
        let mut seen = Vec::new();
        for setting in ["lockout.first", "lockout.longest", "trusted_devices.lifetime"] {
            let error = ConfigError::Time { setting, given: Duration::ZERO, least, most };
            let (english, japanese) =
                (refused(&error, Language::English), refused(&error, Language::Japanese));
            assert!(english.ends_with(" must be between 5 minutes and 1 day."), "{english}");
            assert!(japanese.ends_with("は、5分から1日の範囲で指定してください。"), "{japanese}");
            seen.extend([english, japanese]);
        }
        for setting in ["lockout.wrong_codes", "trusted_devices.per_user"] {
            let error = ConfigError::Count { setting, given: 0, least: 3, most: 10 };
            let (english, japanese) =
                (refused(&error, Language::English), refused(&error, Language::Japanese));
            assert!(english.ends_with(" must be between 3 and 10."), "{english}");
            assert!(japanese.ends_with("は、3から10の範囲で指定してください。"), "{japanese}");
            seen.extend([english, japanese]);
        }
        for error in [
            ConfigError::NotOffered { setting: "trusted_devices" },
            ConfigError::NoMethod,
            ConfigError::GuessingTooLikely { guesses_per_year: 1, codes: 1 },
        ] {
            let (english, japanese) = (Language::English, Language::Japanese);
            seen.extend([refused(&error, english), refused(&error, japanese)]);
        }
        let number = seen.len();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), number, "{seen:?}");
    }
}
