//! English.

use time::OffsetDateTime;

use super::EmailWords;
use super::wording::{CODE, CodeFacts, Life, Moment, NoticeFacts, Origin, Wording};
use countersign::Method;
use countersign::sender::{NoticeKind, Purpose};

/// The built-in English wording.
#[derive(Clone, Copy, Debug, Default)]
pub struct English;

impl English {
    pub(super) fn email_of_code(facts: &CodeFacts<'_>) -> EmailWords {
        let CodeFacts { application, reference, .. } = *facts;
        let life = life(facts);
        let (subject, what, warning) = match facts.purpose {
            Purpose::Login => (
                format!("{application}: your login code (reference {reference})"),
                format!("Your code to log in to {application}:"),
                "If you are not logging in right now, somebody else knows your password. Change it, and tell your administrator.",
            ),
            Purpose::MethodSetup => (
                format!("{application}: confirm where your login codes go (reference {reference})"),
                format!(
                    "Your code to confirm that {application} may send login codes to this address:"
                ),
                "If you did not ask for this, do not enter the code anywhere, and tell your administrator.",
            ),
        };
        EmailWords::new(subject)
            .paragraph(what)
            .code()
            .paragraph(format!("Reference: {reference}. Enter the code only on the page that shows these letters."))
            .paragraph(format!(
                "The code works for {life}. Never pass it on: nobody from {application} will ask you for it."
            ))
            .paragraph(warning)
    }

    pub(super) fn sms_of_code(facts: &CodeFacts<'_>) -> String {
        let CodeFacts { application, reference, .. } = *facts;
        if facts.short {
            let life = match Life::of(facts.valid_for) {
                Life::Minutes(minutes) => format!("{minutes} min"),
                Life::Seconds(seconds) => format!("{seconds} s"),
            };
            let what = match facts.purpose {
                Purpose::Login => "login code",
                Purpose::MethodSetup => "number check",
            };
            return format!("{application} {what} {CODE} ({reference}, {life})");
        }
        let life = life(facts);
        match facts.purpose {
            Purpose::Login => format!(
                "{CODE} is your {application} login code (ref {reference}, {life}). Never share it. Not you? Change your password."
            ),
            Purpose::MethodSetup => format!(
                "{CODE} confirms this number for {application} (ref {reference}, {life}). Never share it. Not you? Ignore this."
            ),
        }
    }

    pub(super) fn email_of_notice(facts: &NoticeFacts<'_>) -> EmailWords {
        let application = facts.application;
        let (subject, what, warning) = match facts.kind {
            NoticeKind::MethodChanged { to } => (
                format!("{application}: your login codes go elsewhere now"),
                format!("Your codes to log in to {application} are sent {} from now on.", by(*to)),
                TELL,
            ),
            NoticeKind::Reset => (
                format!("{application}: your two-factor login was reset"),
                format!(
                    "An administrator reset your two-factor login for {application}. Codes go to your registered email address again; \
                     your trusted devices and your backup code no longer work."
                ),
                "If you do not know why, contact your administrator immediately.",
            ),
            NoticeKind::BackupCodeUsed => (
                format!("{application}: your backup code was used"),
                format!(
                    "Your backup code was used to log in to {application}. It no longer works; a new one was shown."
                ),
                PASSWORD,
            ),
            NoticeKind::BackupCodeMade => (
                format!("{application}: you have a new backup code"),
                format!(
                    "A new backup code for {application} was made. An earlier one no longer works."
                ),
                TELL,
            ),
            NoticeKind::AddressChanged => (
                format!("{application}: your email address was changed"),
                format!(
                    "Another email address was registered for your {application} account. \
                     Codes no longer come to this address, and your trusted devices are asked for a code again."
                ),
                TELL,
            ),
            NoticeKind::SettingsChanged { weakens } => (
                format!("{application}: the two-factor settings were changed"),
                format!(
                    "An administrator changed the two-factor settings of your organization at {application}."
                ) + if *weakens { " Logins are protected less than before." } else { "" },
                "If you do not know why, look at the settings and talk to your other administrators.",
            ),
            NoticeKind::DeviceTrusted { dropped, .. } => (
                format!("{application}: a trusted device was added"),
                match facts.device {
                    Some(name) => {
                        format!(
                            "This device can log in to {application} without a code from now on: \"{name}\"."
                        )
                    }
                    None => format!(
                        "One more device can log in to {application} without a code from now on."
                    ),
                } + if dropped.is_some() {
                    " The device that you had not used for longest is no longer trusted."
                } else {
                    ""
                },
                "If this was not you, change your password immediately, and delete the device from your list of trusted devices.",
            ),
            NoticeKind::Locked { until } => (
                format!("{application}: too many wrong codes"),
                match until {
                    Some(until) => format!(
                        "Too many wrong codes were entered at {application} after your correct password. No more are accepted until {}.",
                        date(*until)
                    ),
                    None => format!(
                        "Too many wrong codes were entered at {application} after your correct password. No more are accepted until an \
                         administrator resets your two-factor login."
                    ),
                },
                PASSWORD,
            ),
        };
        let words = EmailWords::new(subject)
            .paragraph(what)
            .paragraph(format!("When: {}.", date(facts.at)));
        let words = match from(&facts.from) {
            Some(from) => words.paragraph(format!("From: {from}.")),
            None => words,
        };
        let words = match facts.held_back {
            0 => words,
            1 => words.paragraph("One more notice of this kind was held back since the last one."),
            many => {
                let more = format!(
                    "{} more notices of this kind were held back since the last one.",
                    number(many)
                );
                words.paragraph(more)
            }
        };
        words.paragraph(warning)
    }

    pub(super) fn sms_of_notice(facts: &NoticeFacts<'_>) -> String {
        let text = Self::sms_of_one_notice(facts);
        match facts.held_back {
            0 => text,
            many => format!("{text} ({} more)", number(many)),
        }
    }

    fn sms_of_one_notice(facts: &NoticeFacts<'_>) -> String {
        let application = facts.application;
        if facts.short {
            return format!("{application}: {}", in_short(facts.kind));
        }
        let (what, advice) = match facts.kind {
            NoticeKind::MethodChanged { to } => (
                format!("login codes are sent {} from now on", by(*to)),
                "Not you? Tell your administrator now.",
            ),
            NoticeKind::Reset => (
                "an administrator reset your two-factor login".to_owned(),
                "Unexpected? Contact your administrator now.",
            ),
            NoticeKind::BackupCodeUsed => {
                ("your backup code was used to log in".to_owned(), CHANGE_PASSWORD)
            }
            NoticeKind::BackupCodeMade => {
                ("you have a new backup code".to_owned(), "Not you? Tell your administrator now.")
            }
            NoticeKind::AddressChanged => (
                "your email address was changed".to_owned(),
                "Not you? Tell your administrator now.",
            ),
            NoticeKind::SettingsChanged { weakens: true } => {
                ("two-factor settings were weakened".to_owned(), "Unexpected? Look at them now.")
            }
            NoticeKind::SettingsChanged { weakens: false } => {
                ("two-factor settings were changed".to_owned(), "Unexpected? Look at them now.")
            }
            NoticeKind::DeviceTrusted { .. } => {
                ("a new device can log in without a code".to_owned(), CHANGE_PASSWORD)
            }
            NoticeKind::Locked { until: Some(until) } => {
                let Moment { month, day, .. } = Moment::of(*until);
                let time = time_of_day(*until);
                (
                    format!("too many wrong codes. Locked until {day} {month}, {time}"),
                    CHANGE_PASSWORD,
                )
            }
            NoticeKind::Locked { until: None } => (
                "too many wrong codes. Locked until an administrator resets your login".to_owned(),
                CHANGE_PASSWORD,
            ),
        };
        match facts.from.address {
            Some(address) => format!("{application}: {what} (IP {address}). {advice}"),
            None => format!("{application}: {what}. {advice}"),
        }
    }
}

const CHANGE_PASSWORD: &str = "Not you? Change your password now.";
const TELL: &str = "If this was not you, tell your administrator immediately.";
const PASSWORD: &str = "If this was not you, somebody else knows your password. Change it immediately, and tell your administrator.";

impl Wording for English {
    fn code_email(&self, facts: &CodeFacts<'_>) -> Option<EmailWords> {
        Some(Self::email_of_code(facts))
    }

    fn code_sms(&self, facts: &CodeFacts<'_>) -> Option<String> {
        Some(Self::sms_of_code(facts))
    }

    fn notice_email(&self, facts: &NoticeFacts<'_>) -> Option<EmailWords> {
        Some(Self::email_of_notice(facts))
    }

    fn notice_sms(&self, facts: &NoticeFacts<'_>) -> Option<String> {
        Some(Self::sms_of_notice(facts))
    }
}

const fn in_short(kind: &NoticeKind) -> &'static str {
    match kind {
        NoticeKind::MethodChanged { to: Method::Email } => {
            "codes now come by email. Not you? Tell your admin."
        }
        NoticeKind::MethodChanged { to: Method::Sms } => {
            "codes now come by SMS. Not you? Tell your admin."
        }
        NoticeKind::Reset => "two-factor login was reset. Unexpected? Tell your admin.",
        NoticeKind::BackupCodeUsed => "backup code was used. Not you? Change your password.",
        NoticeKind::BackupCodeMade => "new backup code was made. Not you? Tell your admin.",
        NoticeKind::AddressChanged => "email address was changed. Not you? Tell your admin.",
        NoticeKind::SettingsChanged { .. } => "two-factor settings changed. Look at them.",
        NoticeKind::DeviceTrusted { .. } => "new trusted device. Not you? Change your password.",
        NoticeKind::Locked { .. } => "too many wrong codes. Not you? Change your password.",
    }
}

/// `203.0.113.7, Firefox on Windows`: as much of it as is known.
fn from(origin: &Origin) -> Option<String> {
    match origin {
        Origin { address: Some(address), client } if client.is_empty() => Some(address.to_string()),
        Origin { address: Some(address), client } => Some(format!("{address}, {client}")),
        Origin { address: None, client } => (!client.is_empty()).then(|| client.to_string()),
    }
}

/// A number of notices that were held back.
fn number(held_back: u32) -> String {
    if held_back < 999 { held_back.to_string() } else { "999 or".to_owned() }
}

fn life(facts: &CodeFacts<'_>) -> String {
    match Life::of(facts.valid_for) {
        Life::Minutes(1) => "1 minute".to_owned(),
        Life::Minutes(minutes) => format!("{minutes} minutes"),
        Life::Seconds(seconds) => format!("{seconds} seconds"),
    }
}

const fn by(method: Method) -> &'static str {
    match method {
        Method::Email => "by email",
        Method::Sms => "by SMS",
    }
}

fn date(at: OffsetDateTime) -> String {
    let Moment { year, month, day, .. } = Moment::of(at);
    format!("{day} {month} {year}, {}", time_of_day(at))
}

fn time_of_day(at: OffsetDateTime) -> String {
    let moment = Moment::of(at);
    let Moment { time, zone, .. } = &moment;
    if moment.is_utc() { format!("{time} UTC") } else { format!("{time} ({zone})") }
}
