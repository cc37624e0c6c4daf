//! Where a client keeps its tokens: a browser in cookies that no script can read, a mobile
//! application wherever it likes, and sends them in headers.

use base64ct::{Base64UrlUnpadded, Encoding};
use cookie::{Cookie, SameSite};
use countersign::ids::LoginId;
use countersign::{
    Challenge, DeliveryStatus, DeviceToken, IssuedCode, PendingToken, SetupChallenge, SetupToken,
    TenantId,
};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use sha2::{Digest, Sha256};
use time::{Duration, OffsetDateTime};

use crate::cookies::{cookie, cookies};
use crate::texts::seconds_until;

/// Who sits at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Clients {
    Browsers,
    MobileApps,
}

/// The header in which a mobile application sends the token of a login under way.
pub const LOGIN_TOKEN: &str = "countersign-login-token";
/// The header in which a mobile application sends its trusted-device token.
pub const DEVICE_TOKEN: &str = "countersign-device-token";
/// The header in which a mobile application sends the token of a change of method.
pub const SETUP_TOKEN: &str = "countersign-setup-token";

/// As long as browsers keep a cookie. When the trust in a device ends, the flow decides.
const DEVICE_LIFETIME: Duration = Duration::days(400);
/// As long as a code that proves a method can live, where it is not known.
const SETUP_LIFETIME: Duration = Duration::minutes(10);
/// How many logins under way have a cookie in one browser; the oldest is evicted first. All of them
/// are sent with each request, and servers refuse long headers.
const MAX_LOGINS: usize = 8;
/// How many people's devices have a cookie in one browser.
const MAX_DEVICES: usize = 16;
/// How many cookies are looked at, to be evicted.
const MAX_EVICTED: usize = 64;

/// Stands in a login's cookie where the person's tag would be: nobody has typed a name. It has not
/// the length of a tag.
const AFTER_SINGLE_SIGN_ON: &str = "single-sign-on";

/// For how long after its login a cookie stays, so that the page of a login that is over can say so
/// and keep the name.
const NAME_KEPT: Duration = Duration::minutes(10);
/// The longest name that is kept, as bytes of its cookie.
const MAX_NAME: usize = 96;
/// What a cookie takes, and what parts its value.
pub(crate) const PLAIN: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'@');

/// Who logs in, as they said.
#[derive(Clone)]
pub(crate) struct Person {
    pub(crate) tag: PersonTag,
    /// The name as it was typed, for pages that start again.
    pub(crate) name: String,
}

impl Person {
    pub(crate) fn new(tenant: &TenantId, name: &str) -> Self {
        Self { tag: PersonTag::new(tenant, name), name: name.to_owned() }
    }
}

/// How a login began, as its cookie says.
pub(crate) enum CameBy {
    /// With a name.
    Name(Person),
    /// By single sign-on: no device is trusted in it (`I-43`).
    SingleSignOn,
}

impl CameBy {
    /// Whose device a trusted one becomes.
    pub(crate) const fn person(&self) -> Option<&Person> {
        match self {
            Self::Name(person) => Some(person),
            Self::SingleSignOn => None,
        }
    }
}

/// The person that a device token is for, as a name for its cookie: people who share a browser stay
/// trusted each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PersonTag(String);

impl PersonTag {
    /// From the name as it was typed; without regard to case, as most users tables compare it. A
    /// wrong guess costs a code.
    pub(crate) fn new(tenant: &TenantId, name: &str) -> Self {
        let mut hash = Sha256::new();
        for part in ["countersign-http/1/person", tenant.as_str(), &name.trim().to_lowercase()] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part.as_bytes());
        }
        let digest = hash.finalize();
        Self(Base64UrlUnpadded::encode_string(digest.get(..12).unwrap_or_default()))
    }

    fn read(text: &str) -> Option<Self> {
        let form = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        (text.len() == 16 && text.bytes().all(form)).then(|| Self(text.to_owned()))
    }
}

/// The tokens that came with a request.
pub(crate) struct Presented<'a> {
    request: &'a Parts,
    clients: Clients,
    prefix: &'static str,
}

/// A login under way, as its client presents it.
pub(crate) struct PresentedLogin {
    pub(crate) token: PendingToken,
    /// `None` for mobile applications.
    pub(crate) came_by: Option<CameBy>,
}

impl<'a> Presented<'a> {
    pub(crate) const fn new(request: &'a Parts, clients: Clients, on_loopback: bool) -> Self {
        Self { request, clients, prefix: prefix(on_loopback) }
    }

    pub(crate) fn login(&self, login: LoginId) -> Option<PresentedLogin> {
        match self.clients {
            Clients::MobileApps => {
                Some(PresentedLogin { token: self.header(LOGIN_TOKEN)?.into(), came_by: None })
            }
            Clients::Browsers => {
                let value = self.cookie(&login_cookie(self.prefix, login))?;
                let mut parts = value.split('~');
                let token = parts.next()?;
                // Without it, a device could be trusted whose token has no cookie to go to.
                let came_by = match parts.next()? {
                    AFTER_SINGLE_SIGN_ON => CameBy::SingleSignOn,
                    tag => {
                        let tag = PersonTag::read(tag)?;
                        let name = percent_decode_str(parts.next().unwrap_or_default());
                        let name = name.decode_utf8().unwrap_or_default().into_owned();
                        CameBy::Name(Person { tag, name })
                    }
                };
                Some(PresentedLogin { token: token.into(), came_by: Some(came_by) })
            }
        }
    }

    pub(crate) fn device(&self, person: Option<&Person>) -> Option<DeviceToken> {
        match self.clients {
            Clients::MobileApps => self.header(DEVICE_TOKEN).map(DeviceToken::from),
            Clients::Browsers => {
                self.cookie(&device_cookie(self.prefix, &person?.tag)).map(DeviceToken::from)
            }
        }
    }

    pub(crate) fn setup(&self) -> Option<SetupToken> {
        match self.clients {
            Clients::MobileApps => self.header(SETUP_TOKEN).map(SetupToken::from),
            Clients::Browsers => self.setup_parts()?.next().map(SetupToken::from),
        }
    }

    /// Where the code of a change of method went, masked, and its reference. Empty: nowhere.
    #[cfg(feature = "pages")]
    pub(crate) fn setup_sent_to(&self) -> Option<(String, String)> {
        let mut parts = self
            .setup_parts()?
            .skip(1)
            .map(|part| percent_decode_str(part).decode_utf8().unwrap_or_default().into_owned());
        Some((parts.next()?, parts.next()?))
    }

    fn setup_parts(&self) -> Option<std::str::Split<'a, char>> {
        Some(self.cookie(&format!("{}setup", self.prefix))?.split('~'))
    }

    fn header(&self, name: &str) -> Option<&'a str> {
        let mut values = self.request.headers.get_all(name).iter();
        match (values.next(), values.next()) {
            (Some(only), None) => only.to_str().ok(),
            _ => None,
        }
    }

    fn cookie(&self, name: &str) -> Option<&'a str> {
        cookie(&self.request.headers, name)
    }

    /// Of the cookies that begin with this: the rest of their names, oldest first.
    fn rests<T: 'a>(&self, start: &str, read: impl Fn(&str) -> Option<T>) -> Vec<T> {
        cookies(&self.request.headers)
            .filter_map(|(name, _)| std::str::from_utf8(name).ok()?.strip_prefix(start))
            .filter_map(read)
            .take(MAX_EVICTED)
            .collect()
    }
}

/// What a response hands to the client, and what it makes it forget.
pub(crate) struct Handed {
    clients: Clients,
    on_loopback: bool,
    /// Whether there are pages, which start a login again with its name.
    keeps_names: bool,
    pub(crate) headers: HeaderMap,
    /// For mobile applications.
    pub(crate) login_token: Option<String>,
    pub(crate) device_token: Option<String>,
    pub(crate) setup_token: Option<String>,
}

impl Handed {
    pub(crate) fn new(clients: Clients, on_loopback: bool, keeps_names: bool) -> Self {
        Self {
            clients,
            on_loopback,
            keeps_names,
            headers: HeaderMap::new(),
            login_token: None,
            device_token: None,
            setup_token: None,
        }
    }

    /// The token of a login under way, until the login ends.
    pub(crate) fn login(
        &mut self,
        challenge: &Challenge,
        came_by: Option<&CameBy>,
        now: OffsetDateTime,
    ) {
        match (self.clients, came_by) {
            (Clients::MobileApps, _) => {
                self.login_token = Some(challenge.token.expose().to_owned());
            }
            (Clients::Browsers, Some(came_by)) => {
                let person = came_by.person();
                let tag = person.map_or(AFTER_SINGLE_SIGN_ON, |person| &person.tag.0);
                let mut value = format!("{}~{tag}", challenge.token.expose());
                let left = seconds_until(challenge.login_expires_at, now);
                let mut max_age = Duration::seconds(i64::try_from(left).unwrap_or(i64::MAX));
                if self.keeps_names {
                    let name = person.map_or("", |person| &person.name);
                    let name = utf8_percent_encode(name, PLAIN).to_string();
                    if (1..=MAX_NAME).contains(&name.len()) {
                        value = format!("{value}~{name}");
                    }
                    max_age = max_age.saturating_add(NAME_KEPT);
                }
                let name = login_cookie(self.prefix(), challenge.login);
                // From a link in another site's page the page of the login shows, too.
                self.set(name, value, max_age, SameSite::Lax);
            }
            (Clients::Browsers, None) => {}
        }
    }

    /// Makes room for the cookie of another login.
    pub(crate) fn evict_logins(&mut self, presented: &Presented<'_>) {
        let start = format!("{}login-", self.prefix());
        let logins = presented.rests(&start, |rest| rest.parse::<LoginId>().ok());
        for login in logins.iter().take(logins.len().saturating_add(1).saturating_sub(MAX_LOGINS)) {
            self.forget_login(*login);
        }
    }

    /// Makes room for the cookie of another person's device.
    fn evict_devices(&mut self, presented: &Presented<'_>, keep: &PersonTag) {
        let start = format!("{}device-", self.prefix());
        let mut people = presented.rests(&start, PersonTag::read);
        people.retain(|person| person != keep);
        for person in people.iter().take(people.len().saturating_add(1).saturating_sub(MAX_DEVICES))
        {
            self.forget_tag(person);
        }
    }

    pub(crate) fn forget_login(&mut self, login: LoginId) {
        if self.clients == Clients::Browsers {
            self.forget(login_cookie(self.prefix(), login), SameSite::Lax);
        }
    }

    pub(crate) fn device(
        &mut self,
        token: &DeviceToken,
        person: Option<&Person>,
        presented: &Presented<'_>,
    ) {
        match (self.clients, person) {
            (Clients::MobileApps, _) => self.device_token = Some(token.expose().to_owned()),
            (Clients::Browsers, Some(Person { tag, .. })) => {
                self.evict_devices(presented, tag);
                let name = device_cookie(self.prefix(), tag);
                self.set(name, token.expose().to_owned(), DEVICE_LIFETIME, SameSite::Strict);
            }
            (Clients::Browsers, None) => {}
        }
    }

    /// A device token that was presented and did not help is dead.
    pub(crate) fn forget_device(&mut self, person: Option<&Person>) {
        if let (Clients::Browsers, Some(Person { tag, .. })) = (self.clients, person) {
            self.forget_tag(tag);
        }
    }

    fn forget_tag(&mut self, tag: &PersonTag) {
        self.forget(device_cookie(self.prefix(), tag), SameSite::Strict);
    }

    /// The token of a change of method, for as long as its code lives.
    pub(crate) fn setup(&mut self, setup: &SetupChallenge, now: OffsetDateTime) {
        let SetupChallenge { token, delivery, .. } = setup;
        match self.clients {
            Clients::MobileApps => self.setup_token = Some(token.expose().to_owned()),
            Clients::Browsers => {
                let lifetime = issued(delivery).map_or(SETUP_LIFETIME, |code| {
                    let left = seconds_until(code.expires_at, now);
                    Duration::seconds(i64::try_from(left).unwrap_or(i64::MAX))
                });
                let mut value = token.expose().to_owned();
                if self.keeps_names {
                    // Not in an address, which another site could make up and logs keep.
                    let sent = issued(delivery).map_or(["", ""], |code| {
                        [code.destination.as_str(), code.reference.as_str()]
                    });
                    let [to, reference] = sent.map(|part| utf8_percent_encode(part, PLAIN));
                    value = format!("{value}~{to}~{reference}");
                }
                let name = format!("{}setup", self.prefix());
                self.set(name, value, lifetime, SameSite::Strict);
            }
        }
    }

    pub(crate) fn forget_setup(&mut self) {
        if self.clients == Clients::Browsers {
            self.forget(format!("{}setup", self.prefix()), SameSite::Strict);
        }
    }

    const fn prefix(&self) -> &'static str {
        prefix(self.on_loopback)
    }

    fn forget(&mut self, name: String, same_site: SameSite) {
        self.set(name, String::new(), Duration::ZERO, same_site);
    }

    fn set(&mut self, name: String, value: String, max_age: Duration, same_site: SameSite) {
        let cookie = Cookie::build((name, value))
            .path("/")
            .secure(!self.on_loopback)
            .http_only(true)
            .same_site(same_site)
            .max_age(max_age.max(Duration::ZERO));
        if let Ok(mut value) = HeaderValue::try_from(cookie.to_string()) {
            // So that no `Debug` of a response prints it.
            value.set_sensitive(true);
            self.headers.append(header::SET_COOKIE, value);
        }
    }
}

/// The code that was issued, if there is one.
pub(crate) const fn issued(delivery: &DeliveryStatus) -> Option<&IssuedCode> {
    match delivery {
        DeliveryStatus::Sent(code)
        | DeliveryStatus::Queued(code)
        | DeliveryStatus::PerhapsSent(code)
        | DeliveryStatus::MadeEarlier(code) => Some(code),
        _ => None,
    }
}

/// With `__Host-`, browsers take a cookie only over https, from this very host, for all its paths.
/// Not every browser takes such a cookie from plain http on this machine.
const fn prefix(on_loopback: bool) -> &'static str {
    if on_loopback { "countersign-" } else { "__Host-countersign-" }
}

fn login_cookie(prefix: &str, login: LoginId) -> String {
    format!("{prefix}login-{login}")
}

fn device_cookie(prefix: &str, PersonTag(person): &PersonTag) -> String {
    format!("{prefix}device-{person}")
}
