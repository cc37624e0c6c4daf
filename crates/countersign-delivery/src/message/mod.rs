//! The texts of codes and notices, without I/O: for email and for SMS, in English, Japanese and
//! whatever else is plugged in.
//!
//! A sender renders with [`Messages`] and delivers. What every message keeps to, bundled or your
//! own:
//!
//! - It names the application, and says what to do if it was not you. A code comes with its
//!   reference and how long it lives.
//! - It holds no link and nothing that phones and mail programs turn into one: people who never get
//!   links in these messages are harder to lead to a false page.
//! - Beside the code there is no number that could be taken for it, and nothing in it breaks out of
//!   a line, a header or HTML (`I-33`).
//! - A code by SMS ends with the line that binds it to the application's web origin, where one is
//!   given ([WICG: Origin-bound one-time codes delivered via
//!   SMS](https://wicg.github.io/sms-one-time-codes/)): phones then offer the code on the right
//!   site only.
//!
//! ```
//! use countersign_delivery::message::Messages;
//!
//! let messages = Messages::builder("Example").origin_host("login.example.com").build()?;
//! # Ok::<(), countersign_delivery::message::MessagesError>(())
//! ```
//!
//! # A name for each tenant
//!
//! Where each tenant has a name and a web origin of its own, give the sender a [`TenantMessages`],
//! or any other [`MessageSource`]. One sender then serves all tenants: each message, its last line
//! in an SMS and the name beside the sender's address come from the tenant of the message. A tenant
//! without messages gets none, never those of another: the delivery fails for good, and its event
//! says `tenant has no messages`.

mod builder;
mod check;
mod english;
mod japanese;
mod segments;
mod source;
mod text;
mod wording;

use std::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

pub use self::builder::{MessagesBuilder, MessagesError, Part};
pub use self::check::{BadText, check_shown_name};
pub use self::english::English;
pub use self::japanese::Japanese;
pub use self::segments::{Segments, SmsEncoding};
pub use self::source::{MessageSource, NoMessages, TenantMessages, messages_of};
pub use self::text::{EmailText, EmailWords, SmsText};
pub use self::wording::{CODE, CodeFacts, NoticeFacts, Origin, Wording};

use countersign::sender::{CodeMessage, Notice, NoticeKind};
use countersign::user::Language;

/// Renders messages. Cheap to clone.
///
/// The language is the user's ([`User::language`](countersign::user::User::language)), found as
/// RFC 4647 looks languages up: `ja-JP` is served by `ja`. A user without a language, or with one
/// that nobody has words for, gets the default language.
#[derive(Clone)]
pub struct Messages {
    application: Arc<str>,
    origin_host: Option<Arc<str>>,
    languages: Arc<[Spoken]>,
    default_language: Option<usize>,
}

/// A language in lower case, and its words.
#[derive(Clone)]
struct Spoken {
    tag: String,
    wording: Arc<dyn Wording>,
}

impl Messages {
    /// Starts with the name of the application as people know it: up to 80 characters, all of them
    /// visible or spaces, no link, no number over three digits.
    pub fn builder(application: impl Into<String>) -> MessagesBuilder {
        MessagesBuilder::new(application.into())
    }

    /// The application's name.
    pub fn application(&self) -> &str {
        &self.application
    }

    /// A code as an email.
    pub fn code_email(&self, message: &CodeMessage) -> EmailText {
        let (facts, spoken) = (self.code_facts(message), self.language(message.language.as_ref()));
        let own = spoken.and_then(|it| {
            it.wording.code_email(&facts).filter(|words| check::code_email(words).is_ok())
        });
        let tag = if own.is_some() { spoken.map_or(ENGLISH, |it| &it.tag) } else { ENGLISH };
        own.unwrap_or_else(|| English::email_of_code(&facts)).render(tag, message.code.expose())
    }

    /// A code as an SMS: in full, or in short where only that fits into one.
    pub fn code_sms(&self, message: &CodeMessage) -> SmsText {
        let spoken = self.language(message.language.as_ref());
        let say = |short| {
            let facts = CodeFacts { short, ..self.code_facts(message) };
            let own = spoken.and_then(|it| {
                it.wording.code_sms(&facts).filter(|text| check::code_sms(text).is_ok())
            });
            let template = own.unwrap_or_else(|| English::sms_of_code(&facts));
            SmsText(bind(&template, message.code.expose(), self.origin_host.as_deref()))
        };
        shortest_needed(say)
    }

    /// A notice as an email.
    pub fn notice_email(&self, notice: &Notice) -> EmailText {
        let (device, spoken) =
            (shown_device(&notice.kind), self.language(notice.language.as_ref()));
        let facts = self.notice_facts(notice, device.as_deref());
        let own = spoken.and_then(|it| {
            it.wording
                .notice_email(&facts)
                .filter(|it| check::notice_email(it, &facts.from).is_ok())
        });
        let tag = if own.is_some() { spoken.map_or(ENGLISH, |it| &it.tag) } else { ENGLISH };
        own.unwrap_or_else(|| English::email_of_notice(&facts)).render(tag, "")
    }

    /// A notice as an SMS: in full, or in short where only that fits into one. It says where the
    /// request came from if one SMS has room for that. Where not even the short text fits, it does
    /// not say how many notices were held back.
    pub fn notice_sms(&self, notice: &Notice) -> SmsText {
        let (device, spoken) =
            (shown_device(&notice.kind), self.language(notice.language.as_ref()));
        let with = |from, short, held_back| {
            let known = self.notice_facts(notice, device.as_deref());
            let facts = NoticeFacts { held_back, from, short, ..known };
            let own = spoken.and_then(|it| {
                let text = it.wording.notice_sms(&facts);
                text.filter(|text| check::notice_sms(text, &from).is_ok())
            });
            SmsText(Zeroizing::new(own.unwrap_or_else(|| English::sms_of_notice(&facts))))
        };
        let from = Origin::of(&notice.from);
        if !from.is_empty() {
            let text = with(from, false, notice.held_back);
            if text.segments().is_one() {
                return text;
            }
        }
        let say = |short, held_back| with(Origin::default(), short, held_back);
        let text = shortest_needed(|short| say(short, notice.held_back));
        if notice.held_back == 0 || text.segments().is_one() {
            return text;
        }
        let without = shortest_needed(|short| say(short, 0));
        if without.segments().is_one() { without } else { text }
    }

    fn code_facts<'a>(&'a self, message: &'a CodeMessage) -> CodeFacts<'a> {
        CodeFacts {
            application: &self.application,
            tenant: &message.tenant,
            purpose: message.purpose,
            reference: message.reference,
            valid_for: message.valid_for,
            short: false,
        }
    }

    fn notice_facts<'a>(&'a self, notice: &'a Notice, device: Option<&'a str>) -> NoticeFacts<'a> {
        NoticeFacts {
            application: &self.application,
            tenant: &notice.tenant,
            kind: &notice.kind,
            at: notice.at,
            device,
            held_back: notice.held_back,
            from: Origin::of(&notice.from),
            short: false,
        }
    }

    /// RFC 4647, section 3.4: the tag, then the tag without its last part, and so on.
    fn language(&self, wanted: Option<&Language>) -> Option<&Spoken> {
        let wanted = wanted.map(|tag| tag.as_str().to_ascii_lowercase()).unwrap_or_default();
        let mut range = wanted.as_str();
        while !range.is_empty() {
            if let Some(spoken) = self.languages.iter().find(|spoken| spoken.tag == range) {
                return Some(spoken);
            }
            range = range.rsplit_once('-').map_or("", |(shorter, _)| shorter);
            // A single letter introduces what was just cut off.
            range = match range.rsplit_once('-') {
                Some((shorter, single)) if single.len() == 1 => shorter,
                _ => range,
            };
        }
        self.languages.get(self.default_language?)
    }
}

impl fmt::Debug for Messages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let languages: Vec<&str> =
            self.languages.iter().map(|spoken| spoken.tag.as_str()).collect();
        f.debug_struct("Messages")
            .field("application", &self.application)
            .field("origin_host", &self.origin_host)
            .field("languages", &languages)
            .finish_non_exhaustive()
    }
}

/// The full text if one SMS holds it, or if the short one needs several too.
fn shortest_needed(say: impl Fn(bool) -> SmsText) -> SmsText {
    let full = say(false);
    if full.segments().is_one() {
        return full;
    }
    let short = say(true);
    if short.segments().is_one() { short } else { full }
}

const ENGLISH: &str = "en";

/// Puts the code into the text, and the line below it that binds it to the web origin. Written
/// once, so that no copy of the code is left behind by a text that grows.
fn bind(template: &str, code: &str, host: Option<&str>) -> Zeroizing<String> {
    let host_line =
        host.map_or(0, |host| host.len().saturating_add(code.len()).saturating_add("\n@ #".len()));
    let room = template.len().saturating_add(code.len()).saturating_add(host_line);
    let mut text = Zeroizing::new(String::with_capacity(room));
    let (before, after) = template.split_once(CODE).unwrap_or((template, ""));
    for part in [before, code, after] {
        text.push_str(part);
    }
    if let Some(host) = host {
        for part in ["\n@", host, " #", code] {
            text.push_str(part);
        }
    }
    text
}

fn shown_device(kind: &NoticeKind) -> Option<String> {
    match kind {
        NoticeKind::DeviceTrusted { label, .. } if !label.is_unnamed() => {
            check::device_name(label.as_str())
        }
        _ => None,
    }
}
