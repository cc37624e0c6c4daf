//! What a person reads about a refusal, in English and Japanese.

use countersign::input::Field;
use countersign::{Denied, Reason};
use http::{HeaderMap, header};
use time::OffsetDateTime;

#[cfg(feature = "pages")]
pub(crate) use self::settings::span;

mod settings;

/// A language of [`refusal_text`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Language {
    /// English. The default for clients that ask for neither language.
    #[default]
    English,
    /// Japanese.
    Japanese,
}

impl Language {
    /// The language that `Accept-Language` prefers; English if it names neither.
    pub fn of(headers: &HeaderMap) -> Self {
        let asked = headers.get_all(header::ACCEPT_LANGUAGE).iter();
        let choices = asked.filter_map(|value| value.to_str().ok()).flat_map(|it| it.split(','));
        let mut best = (Self::English, 0.0);
        for choice in choices.take(16) {
            let mut parts = choice.split(';').map(str::trim);
            let tag = parts.next().unwrap_or_default();
            let language = match tag.split('-').next().unwrap_or_default() {
                tag if tag.eq_ignore_ascii_case("en") => Self::English,
                tag if tag.eq_ignore_ascii_case("ja") => Self::Japanese,
                _ => continue,
            };
            let weight = parts
                .find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")))
                .map_or(1.0, |weight| weight.parse().unwrap_or(0.0));
            if weight > best.1 {
                best = (language, weight);
            }
        }
        best.0
    }

    /// The tag, for `lang` and `Content-Language`.
    pub const fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Japanese => "ja",
        }
    }
}

/// The text of a refusal for the user: what happened, and what they can do. `now` is what times are
/// counted from, such as in "Try again in 15 minutes."
pub fn refusal_text(denied: &Denied, language: Language, now: OffsetDateTime) -> String {
    if let Reason::InvalidSettings(error) = denied.reason() {
        return settings::refused(&error, language);
    }
    let sentence = sentence(denied.reason(), language);
    let left = denied.attempts_left().filter(|left| *left > 0 && denied.retry_at().is_none());
    let wait = denied.retry_at().map(|at| wait(at, language, now));
    let rest = match (language, left) {
        (Language::English, Some(1)) => Some("One attempt is left.".to_owned()),
        (Language::English, Some(left)) => Some(format!("{left} attempts are left.")),
        (Language::Japanese, Some(left)) => Some(format!("あと{left}回入力できます。")),
        (_, None) => wait,
    };
    let space = if language == Language::English { " " } else { "" };
    let mut text = sentence.to_owned();
    // The backup code does not have to wait, so that it comes last.
    for more in rest.as_deref().into_iter().chain(way_out(denied.reason(), language)) {
        text.push_str(space);
        text.push_str(more);
    }
    text
}

/// What works although codes do not.
const fn way_out(reason: Reason, language: Language) -> Option<&'static str> {
    match (reason, language) {
        (Reason::CodesLocked | Reason::Suspended, Language::English) => {
            Some("If you have a backup code, you can use it now.")
        }
        (Reason::CodesLocked | Reason::Suspended, Language::Japanese) => {
            Some("バックアップコードがある場合は、すぐにログインできます。")
        }
        _ => None,
    }
}

/// Says that the user of an identity provider is nobody here, or may not log in.
pub(crate) const fn not_by_single_sign_on(language: Language) -> &'static str {
    match language {
        Language::English => {
            "You could not be logged in with single sign-on. Please ask an administrator."
        }
        Language::Japanese => {
            "シングルサインオンでログインできませんでした。管理者にお問い合わせください。"
        }
    }
}

/// What happened, without a time or a number of attempts.
pub(crate) const fn sentence(reason: Reason, language: Language) -> &'static str {
    match language {
        Language::English => english(reason),
        Language::Japanese => japanese(reason),
    }
}

/// Why a request is refused before anything is looked at, or what broke.
#[derive(Clone, Copy)]
pub(crate) enum Plain {
    SignedOut,
    ForeignOrigin,
    ForeignHost,
    JsonExpected,
    BodyTooLarge,
    BodyTooSlow,
    Malformed,
    NoSuchPage,
    Method,
    Failed,
}

impl Plain {
    pub(crate) const fn code(self) -> &'static str {
        match self {
            Self::SignedOut => "signed_out",
            Self::ForeignOrigin => "foreign_origin",
            Self::ForeignHost => "foreign_host",
            Self::JsonExpected => "json_expected",
            Self::BodyTooLarge => "body_too_large",
            Self::BodyTooSlow => "body_too_slow",
            Self::Malformed => "malformed_request",
            Self::NoSuchPage => "no_such_page",
            // `method_not_allowed` is about how a code travels.
            Self::Method => "http_method_not_allowed",
            Self::Failed => "failed",
        }
    }

    pub(crate) const fn text(self, language: Language) -> &'static str {
        match (language, self) {
            (Language::English, Self::SignedOut) => "Please log in.",
            (Language::English, Self::ForeignOrigin) => {
                "This request came from another site, so it was not carried out."
            }
            (Language::English, Self::ForeignHost) => {
                "In development, this site answers this machine only."
            }
            (Language::English, Self::BodyTooLarge) => "What you entered is too long.",
            (Language::English, Self::BodyTooSlow) => "Sending took too long. Please try again.",
            (Language::English, Self::JsonExpected | Self::Malformed) => {
                "What was sent could not be processed. Please go back and try again."
            }
            (Language::English, Self::NoSuchPage) => "Page not found.",
            (Language::English, Self::Method) => {
                "This page cannot be opened directly. Please go back."
            }
            (Language::English, Self::Failed) => "Something went wrong. Please try again later.",
            (Language::Japanese, Self::SignedOut) => "ログインしてください。",
            (Language::Japanese, Self::ForeignOrigin) => {
                "ほかのサイトから送信された操作のため、実行しませんでした。"
            }
            (Language::Japanese, Self::ForeignHost) => {
                "開発モードでは、このコンピューターからのみ表示できます。"
            }
            (Language::Japanese, Self::BodyTooLarge) => "入力内容が長すぎます。",
            (Language::Japanese, Self::BodyTooSlow) => {
                "送信に時間がかかりすぎました。もう一度お試しください。"
            }
            (Language::Japanese, Self::JsonExpected | Self::Malformed) => {
                "送信された内容を処理できませんでした。前の画面に戻って、もう一度お試しください。"
            }
            (Language::Japanese, Self::NoSuchPage) => "ページが見つかりません。",
            (Language::Japanese, Self::Method) => {
                "このページは直接開けません。前の画面に戻ってください。"
            }
            (Language::Japanese, Self::Failed) => {
                "エラーが発生しました。しばらくしてからもう一度お試しください。"
            }
        }
    }
}

/// Whole seconds from now on, at least one: trying again then is not too early.
pub(crate) fn seconds_until(at: OffsetDateTime, now: OffsetDateTime) -> u64 {
    const SECOND: i128 = 1_000_000_000;
    let left = at.unix_timestamp_nanos().saturating_sub(now.unix_timestamp_nanos());
    u64::try_from(left.saturating_add(SECOND - 1).div_euclid(SECOND)).unwrap_or(0).max(1)
}

fn wait(at: OffsetDateTime, language: Language, now: OffsetDateTime) -> String {
    let seconds = seconds_until(at, now);
    let (number, english, japanese) = match seconds {
        ..120 => (seconds, "second", "秒"),
        // A lock of 15 minutes is not one of 16 because its last second has begun.
        120..7_200 => (seconds.saturating_sub(2).div_ceil(60), "minute", "分"),
        7_200..172_800 => (seconds.div_ceil(3_600), "hour", "時間"),
        _ => (seconds.div_ceil(86_400), "day", "日"),
    };
    match language {
        Language::English if number == 1 => format!("Try again in 1 {english}."),
        Language::English => format!("Try again in {number} {english}s."),
        Language::Japanese => format!("{number}{japanese}後にもう一度お試しください。"),
    }
}

const fn english(reason: Reason) -> &'static str {
    match reason {
        Reason::InvalidCredentials => {
            "You could not be logged in. Check your login name and password. After \
             several wrong passwords, wait a while before you try again."
        }
        Reason::Busy => "Many people are logging in right now.",
        Reason::WrongPassword => "This is not your current password.",
        Reason::PasswordsLocked => "Too many wrong passwords were entered.",
        Reason::LoginOver => "This login has expired or has ended. Please log in again.",
        Reason::WrongCode => "This code is wrong.",
        Reason::NoLiveCode => "There is no valid code at the moment. Get a new one.",
        Reason::CodesLocked => "Too many wrong codes were entered.",
        Reason::WrongBackupCode => "This backup code is wrong.",
        Reason::LoginBackupCodeLimit => {
            "Too many wrong backup codes were entered. Enter a code instead, or start again."
        }
        Reason::NoBackupCode => "You have no backup code. Please enter a code.",
        Reason::BackupCodesOff => "Backup codes are not available.",
        Reason::Suspended => {
            "Codes are blocked because too many wrong ones were entered. Ask an \
             administrator to reset your two-factor authentication."
        }
        Reason::SendLimit => "A new code cannot be sent yet.",
        Reason::LoginSendLimit => "No more codes can be sent for this login. Please start again.",
        Reason::TooManyLogins => "You have reached the limit of unfinished logins.",
        Reason::NoDestination => {
            "You have no email address or phone number that codes can go to. Please ask an administrator."
        }
        Reason::NoPhoneNumber => "No phone number is set up. Get the code by email.",
        Reason::NotInteractive => "A code is required, but cannot be entered here.",
        Reason::TrustedDevicesOff => "Trusted devices are not available.",
        Reason::NotInUse => "Two-factor authentication is not in use for this account.",
        Reason::SessionStale => "Your session has ended. Please log in again.",
        Reason::ReauthenticationRequired => {
            "Your last login with a code was too long ago for this change. Please log in again \
             with a code."
        }
        Reason::SetupOver => "This code no longer works. Please start the change again.",
        Reason::NotFound => {
            "This was not found. It may have been deleted, or you may not have access."
        }
        Reason::OwnAccount => {
            "You cannot do this to your own account. Please ask another administrator."
        }
        Reason::ResetRequired => {
            "Unlocking does not help here. Reset this user's two-factor authentication."
        }
        Reason::MethodNotAllowed => "Codes cannot be sent this way. Choose another way.",
        Reason::RequestRefused => {
            "You cannot log in from where you are now. Please ask an administrator."
        }
        Reason::SettingsChanged => {
            "The settings have changed since they were shown. Check them and try again."
        }
        Reason::InvalidSettings(_) => "These settings are not allowed.",
        Reason::WouldLockOut => {
            "This change can lock users out. Check who is affected, and confirm the change."
        }
        Reason::InvalidInput(invalid) => match invalid.field() {
            Field::PhoneNumber => "This is not a valid phone number. Include the country code.",
            Field::Code => "Enter the digits of the code that you received.",
            Field::BackupCode => "This is not a valid backup code.",
            _ => "Please check what you entered.",
        },
        _ => "This did not work.",
    }
}

const fn japanese(reason: Reason) -> &'static str {
    match reason {
        Reason::InvalidCredentials => {
            "ログインできませんでした。ログイン名とパスワードを確認してください。パスワードを何度も間違えた場合は、しばらくしてからお試しください。"
        }
        Reason::Busy => "ただいまログインが集中しています。",
        Reason::WrongPassword => "現在のパスワードと一致しません。",
        Reason::PasswordsLocked => {
            "パスワードの入力を複数回間違えたため、一時的にロックされています。"
        }
        Reason::LoginOver => {
            "このログイン操作は、有効期限が切れたか、終了しています。もう一度ログインしてください。"
        }
        Reason::WrongCode => "確認コードが正しくありません。",
        Reason::NoLiveCode => "有効な確認コードがありません。再送信してください。",
        Reason::CodesLocked => "確認コードの入力を複数回間違えたため、ロックされています。",
        Reason::WrongBackupCode => "バックアップコードが正しくありません。",
        Reason::LoginBackupCodeLimit => {
            "バックアップコードの入力を複数回間違えました。確認コードを使用するか、最初からやり直してください。"
        }
        Reason::NoBackupCode => {
            "使用できるバックアップコードがありません。確認コードを入力してください。"
        }
        Reason::BackupCodesOff => "バックアップコードは利用できません。",
        Reason::Suspended => {
            "確認コードの入力を何度も間違えたため、確認コードを使用できません。管理者に2段階認証のリセットを依頼してください。"
        }
        Reason::SendLimit => "新しい確認コードはまだ送信できません。",
        Reason::LoginSendLimit => {
            "このログインではこれ以上確認コードを送信できません。最初からやり直してください。"
        }
        Reason::TooManyLogins => "完了していないログインの数が上限に達しています。",
        Reason::NoDestination => {
            "確認コードを送信できる宛先がありません。管理者にお問い合わせください。"
        }
        Reason::NoPhoneNumber => {
            "電話番号が設定されていません。メールで確認コードを受け取ってください。"
        }
        Reason::NotInteractive => "確認コードの入力が必要ですが、この方法ではログインできません。",
        Reason::TrustedDevicesOff => "信頼できる端末の機能は利用できません。",
        Reason::NotInUse => "このアカウントでは2段階認証を使用していません。",
        Reason::SessionStale => "セッションが終了しました。もう一度ログインしてください。",
        Reason::ReauthenticationRequired => {
            "確認コードによる前回のログインから時間が経過しています。この変更を行うには、確認コードを使用してもう一度ログインしてください。"
        }
        Reason::SetupOver => {
            "この確認コードは使用できなくなりました。変更を最初からやり直してください。"
        }
        Reason::NotFound => {
            "見つかりませんでした。削除されたか、アクセス権がない可能性があります。"
        }
        Reason::OwnAccount => {
            "ご自身のアカウントには実行できません。別の管理者に依頼してください。"
        }
        Reason::ResetRequired => {
            "ロックの解除では解決しません。このユーザーの2段階認証をリセットしてください。"
        }
        Reason::MethodNotAllowed => {
            "この方法では確認コードを送信できません。別の方法を選択してください。"
        }
        Reason::RequestRefused => {
            "現在の接続元からはログインできません。管理者にお問い合わせください。"
        }
        Reason::SettingsChanged => {
            "表示後に設定が変更されています。現在の設定を確認して、もう一度お試しください。"
        }
        Reason::InvalidSettings(_) => "この設定は使用できません。",
        Reason::WouldLockOut => {
            "この変更により、ログインできなくなるユーザーがいる可能性があります。影響を確認したうえで、変更に同意してください。"
        }
        Reason::InvalidInput(invalid) => match invalid.field() {
            Field::PhoneNumber => "電話番号が正しくありません。国番号から入力してください。",
            Field::Code => "届いた確認コードの数字を入力してください。",
            Field::BackupCode => "バックアップコードの形式が正しくありません。",
            _ => "入力内容を確認してください。",
        },
        _ => "実行できませんでした。",
    }
}

#[cfg(test)]
mod tests {
    use countersign::Reason;

    use super::{Language, sentence};

    /// Every reason that the core has today says something of its own, in both languages.
    #[test]
    fn every_reason_has_its_sentence() {
        let invalid = countersign::contact::PhoneNumber::new("").unwrap_err();
        let all = [
            Reason::InvalidCredentials,
            Reason::Busy,
            Reason::WrongPassword,
            Reason::PasswordsLocked,
            Reason::LoginOver,
            Reason::WrongCode,
            Reason::NoLiveCode,
            Reason::CodesLocked,
            Reason::WrongBackupCode,
            Reason::LoginBackupCodeLimit,
            Reason::NoBackupCode,
            Reason::Suspended,
            Reason::SendLimit,
            Reason::LoginSendLimit,
            Reason::TooManyLogins,
            Reason::NoDestination,
            Reason::NoPhoneNumber,
            Reason::NotInteractive,
            Reason::TrustedDevicesOff,
            Reason::BackupCodesOff,
            Reason::NotInUse,
            Reason::SessionStale,
            Reason::ReauthenticationRequired,
            Reason::SetupOver,
            Reason::NotFound,
            Reason::OwnAccount,
            Reason::ResetRequired,
            Reason::MethodNotAllowed,
            Reason::RequestRefused,
            Reason::SettingsChanged,
            Reason::InvalidSettings(countersign::ConfigError::NoMethod),
            Reason::WouldLockOut,
            Reason::InvalidInput(invalid),
        ];
        // The manual lists as many.
        let manual = include_str!("../../../src/manual/login.md");
        for reason in all.iter().filter(|reason| !matches!(reason, Reason::InvalidInput(_))) {
            assert!(manual.contains(&format!("`{}`", reason.code())), "{}", reason.code());
        }
        for language in [Language::English, Language::Japanese] {
            let mut texts: Vec<_> = all.iter().map(|reason| sentence(*reason, language)).collect();
            texts.sort_unstable();
            let number = texts.len();
            texts.dedup();
            assert_eq!(texts.len(), number, "{language:?}");
            let fallback = ["This did not work.", "実行できませんでした。"];
            assert!(!texts.iter().any(|text| fallback.contains(text)), "{language:?}");
        }
    }
}
