//! Building [`Messages`], which refuses what would mislead people.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use time::{OffsetDateTime, UtcOffset};

use super::check::{self, BadText};
use super::{CodeFacts, NoticeFacts, Origin, Wording};
use super::{ENGLISH, English, Japanese, Messages, Segments, Spoken, bind, shown_device};
use countersign::DeviceLabel;
use countersign::Method;
use countersign::RequestContext;
use countersign::TenantId;
use countersign::sender::{NoticeKind, Purpose, Reference};
use countersign::user::Language;

/// Configures [`Messages`].
///
/// | setting | default |
/// |---|---|
/// | [`application`](Self::application) | the name that the builder was made with |
/// | [`origin_host`](Self::origin_host) | none: a code by SMS is not bound to a web origin |
/// | [`language`](Self::language) | English and Japanese |
/// | [`default_language`](Self::default_language) | `en` |
/// | [`code_digits`](Self::code_digits) | 6, to count the length of an SMS with |
/// | [`allow_several_sms`](Self::allow_several_sms) | no |
#[derive(Clone)]
#[must_use]
pub struct MessagesBuilder {
    application: String,
    origin_host: Option<String>,
    languages: Vec<Spoken>,
    default_language: Option<Language>,
    code_digits: usize,
    several_sms: bool,
}

/// Why [`Messages`] can't be built.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MessagesError {
    /// The application's name.
    #[error("application name {0}")]
    Application(BadText),
    /// The web origin's host is no host name as it stands in a URL: lower case, international
    /// labels as `xn--`, no scheme, no port.
    #[error("origin host is not a host name in lower-case ascii")]
    OriginHost,
    /// Nobody has words for the default language.
    #[error("default language `{language}` has no wording")]
    DefaultLanguage {
        /// Its tag.
        language: String,
    },
    /// A message in one language.
    #[error("{part} in `{language}` {problem}")]
    Wording {
        /// The language's tag.
        language: String,
        /// Which message.
        part: Part,
        /// What is wrong with it.
        problem: BadText,
    },
}

/// The messages of a language.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum Part {
    /// A code by email.
    #[error("code by email")]
    CodeEmail,
    /// A code by SMS.
    #[error("code by sms")]
    CodeSms,
    /// A notice by email.
    #[error("notice by email")]
    NoticeEmail,
    /// A notice by SMS.
    #[error("notice by sms")]
    NoticeSms,
}

impl MessagesBuilder {
    pub(super) fn new(application: String) -> Self {
        let spoken = |tag: &str, wording: Arc<dyn Wording>| Spoken { tag: tag.to_owned(), wording };
        Self {
            application,
            origin_host: None,
            languages: vec![spoken(ENGLISH, Arc::new(English)), spoken("ja", Arc::new(Japanese))],
            default_language: None,
            code_digits: 6,
            several_sms: false,
        }
    }

    /// Replaces the application's name, so that one configured builder can be cloned for each
    /// tenant ([`TenantMessages`](super::TenantMessages)).
    pub fn application(mut self, name: impl Into<String>) -> Self {
        self.application = name.into();
        self
    }

    /// The host of the web origin on which codes are entered, such as `login.example.com`: a code
    /// by SMS then ends with `@login.example.com #123456`. The origin is `https` on its standard
    /// port; the format knows no other.
    pub fn origin_host(mut self, host: impl Into<String>) -> Self {
        self.origin_host = Some(host.into());
        self
    }

    /// Adds a language, or replaces the words of one.
    pub fn language(mut self, language: &Language, wording: impl Wording + 'static) -> Self {
        let tag = language.as_str().to_ascii_lowercase();
        self.languages.retain(|spoken| spoken.tag != tag);
        self.languages.push(Spoken { tag, wording: Arc::new(wording) });
        self
    }

    /// Takes a language away: its users get the default language, and its texts need not fit into
    /// one SMS.
    pub fn without_language(mut self, language: &Language) -> Self {
        self.languages.retain(|spoken| !spoken.tag.eq_ignore_ascii_case(language.as_str()));
        self
    }

    /// The language of users who have none, or one that nobody has words for.
    pub fn default_language(mut self, language: Language) -> Self {
        self.default_language = Some(language);
        self
    }

    /// How many digits a code has, as in
    /// [`LoginFlowBuilder::code_digits`](countersign::LoginFlowBuilder::code_digits).
    pub const fn code_digits(mut self, digits: usize) -> Self {
        self.code_digits = digits;
        self
    }

    /// Allows texts that take several SMS. Each is billed, and a phone shows the code only when all
    /// have arrived.
    pub const fn allow_several_sms(mut self) -> Self {
        self.several_sms = true;
        self
    }

    /// # Errors
    ///
    /// [`MessagesError`] says what to change: a name or host that could mislead, a text in one of
    /// the languages that breaks the contract of [`Wording`], or one that takes several SMS.
    pub fn build(self) -> Result<Messages, MessagesError> {
        check::name(&self.application).map_err(MessagesError::Application)?;
        if self.origin_host.as_deref().is_some_and(|host| !check::host(host)) {
            return Err(MessagesError::OriginHost);
        }
        // English stands in for whatever a wording leaves out, so it is checked even if nobody
        // speaks it.
        self.rehearse(&Spoken { tag: ENGLISH.to_owned(), wording: Arc::new(English) })?;
        self.languages.iter().try_for_each(|spoken| self.rehearse(spoken))?;
        let default_language = self.find_default()?;
        Ok(Messages {
            application: self.application.into(),
            origin_host: self.origin_host.map(Into::into),
            languages: self.languages.into(),
            default_language,
        })
    }

    /// The place of the default language. Where there is none, it is English.
    fn find_default(&self) -> Result<Option<usize>, MessagesError> {
        let position = |tag: &str| {
            self.languages.iter().position(|spoken| spoken.tag.eq_ignore_ascii_case(tag))
        };
        match &self.default_language {
            Some(language) => position(language.as_str())
                .map(Some)
                .ok_or_else(|| MessagesError::DefaultLanguage { language: language.to_string() }),
            None => Ok(position(ENGLISH)),
        }
    }

    /// Says everything once, with the longest facts that there are.
    fn rehearse(&self, spoken: &Spoken) -> Result<(), MessagesError> {
        let refused =
            |part, problem| MessagesError::Wording { language: spoken.tag.clone(), part, problem };
        let tenant =
            TenantId::new("example").map_err(|_| refused(Part::CodeEmail, BadText::Empty))?;
        for facts in self.every_code(&tenant) {
            if let Some(words) = spoken.wording.code_email(&facts) {
                check::code_email(&words).map_err(|problem| refused(Part::CodeEmail, problem))?;
            }
            self.one_sms(|short| {
                let template = spoken.wording.code_sms(&CodeFacts { short, ..facts })?;
                let bound =
                    bind(&template, &"0".repeat(self.code_digits), self.origin_host.as_deref());
                Some(check::code_sms(&template).map(|()| Segments::of(&bound)))
            })
            .map_err(|problem| refused(Part::CodeSms, problem))?;
        }
        let surroundings = [
            (0, Origin::default()),
            (999, Origin::default()),
            (0, Origin::of(&longest_request())),
            (0, Origin { address: Some(LONGEST_IPV4), ..Origin::default() }),
        ];
        for (kind, (held_back, from)) in every_kind()
            .into_iter()
            .flat_map(|kind| surroundings.map(|around| (kind.clone(), around)))
        {
            let device = shown_device(&kind);
            let facts = NoticeFacts {
                application: &self.application,
                tenant: &tenant,
                kind: &kind,
                at: late(),
                device: device.as_deref(),
                held_back,
                from,
                short: false,
            };
            if let Some(words) = spoken.wording.notice_email(&facts) {
                check::notice_email(&words, &from)
                    .map_err(|problem| refused(Part::NoticeEmail, problem))?;
            }
            let say = |short| {
                let text = spoken.wording.notice_sms(&NoticeFacts { short, ..facts })?;
                Some(check::notice_sms(&text, &from).map(|()| Segments::of(&text)))
            };
            // Where it does not fit with the number that was held back, or with where the request
            // came from, it is sent without.
            let bare = held_back == 0 && from.is_empty();
            let checked = if bare { self.one_sms(say) } else { fit_to_be_sent(say) };
            checked.map_err(|problem| refused(Part::NoticeSms, problem))?;
        }
        Ok(())
    }

    fn every_code<'a>(&'a self, tenant: &'a TenantId) -> impl Iterator<Item = CodeFacts<'a>> {
        // The longest in seconds and in minutes: more than 600 s there is not (I-07).
        let longest = [Purpose::Login, Purpose::MethodSetup]
            .into_iter()
            .flat_map(|purpose| [(purpose, 599), (purpose, 600)]);
        longest.map(|(purpose, seconds)| CodeFacts {
            application: &self.application,
            tenant,
            purpose,
            reference: Reference::from_random(0),
            valid_for: Duration::from_secs(seconds),
            short: false,
        })
    }

    /// Both forms of a text must be fit to be sent, and one of them must fit into one SMS.
    fn one_sms(
        &self,
        say: impl Fn(bool) -> Option<Result<Segments, BadText>>,
    ) -> Result<(), BadText> {
        let (full, short) = (say(false).transpose()?, say(true).transpose()?);
        match full.into_iter().chain(short).min_by_key(|segments| segments.count) {
            Some(least) if !least.is_one() && !self.several_sms => {
                let units = short.map_or(least.units, |short| short.units);
                Err(BadText::SeveralSms { units })
            }
            _ => Ok(()),
        }
    }
}

/// Both forms of a text must be fit to be sent, whatever they take.
fn fit_to_be_sent(say: impl Fn(bool) -> Option<Result<Segments, BadText>>) -> Result<(), BadText> {
    say(false).transpose()?;
    say(true).transpose()?;
    Ok(())
}

const LONGEST_IPV4: IpAddr = IpAddr::V4(Ipv4Addr::new(223, 255, 255, 254));

/// As much as can be said of where a request came from.
fn longest_request() -> RequestContext {
    let address = [0x2001, 0xdb8, 0x1234, 0x1234, 0x1234, 0x1234, 0x1234, 0x1234];
    RequestContext::new()
        .with_client_address(IpAddr::from(address))
        .with_user_agent("SamsungBrowser/ CrOS")
}

/// 28 September 2026, 23:59 by a clock that is 12 hours and 45 minutes ahead: as long as a date can
/// be.
fn late() -> OffsetDateTime {
    let utc =
        OffsetDateTime::from_unix_timestamp(1_790_639_940).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    UtcOffset::from_hms(12, 45, 0).map_or(utc, |offset| utc.replace_offset(offset))
}

/// One notice of each kind. The `match` makes sure that a new kind is added here too.
fn every_kind() -> Vec<NoticeKind> {
    let kinds = vec![
        NoticeKind::MethodChanged { to: Method::Email },
        NoticeKind::MethodChanged { to: Method::Sms },
        NoticeKind::Reset,
        NoticeKind::BackupCodeUsed,
        NoticeKind::BackupCodeMade,
        NoticeKind::AddressChanged,
        NoticeKind::SettingsChanged { weakens: true },
        NoticeKind::SettingsChanged { weakens: false },
        NoticeKind::Locked { until: Some(late()) },
        NoticeKind::Locked { until: None },
        NoticeKind::DeviceTrusted { label: DeviceLabel::new(&"x".repeat(64)), dropped: None },
    ];
    for kind in &kinds {
        match kind {
            NoticeKind::MethodChanged { .. }
            | NoticeKind::Reset
            | NoticeKind::BackupCodeUsed
            | NoticeKind::BackupCodeMade
            | NoticeKind::AddressChanged
            | NoticeKind::SettingsChanged { .. }
            | NoticeKind::DeviceTrusted { .. }
            | NoticeKind::Locked { .. } => {}
        }
    }
    kinds
}

impl fmt::Debug for MessagesBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessagesBuilder")
            .field("application", &self.application)
            .finish_non_exhaustive()
    }
}
