//! The list of a tenant's people, filtered.

use countersign::administration::{Administration, PeoplePage, Person};
use countersign::status::LockState;
use countersign::{Method, OperationError, UserId};
use http::StatusCode;
use http::request::Parts;

/// How many people are listed at a time, unless the client says.
pub(crate) const LIMIT: u32 = 50;
/// The most that a client can ask for.
pub(crate) const MOST_LISTED: u32 = 200;
/// How many people are looked at for one request, to find those whom a filter keeps.
const MOST_LOOKED_AT: usize = 2_000;
/// How many are looked at in one go.
const PAGE: u32 = 500;

/// Whom a list shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Filter {
    #[default]
    All,
    /// Nothing is saved for their second factor.
    NotSetUp,
    /// Their passwords or codes are not accepted at the moment.
    Locked,
    /// Their codes go by SMS.
    Sms,
    Administrators,
}

impl Filter {
    pub(crate) const ALL: [Self; 5] =
        [Self::All, Self::NotSetUp, Self::Locked, Self::Sms, Self::Administrators];

    pub(crate) const fn code(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::NotSetUp => "not_set_up",
            Self::Locked => "locked",
            Self::Sms => "sms",
            Self::Administrators => "administrators",
        }
    }

    pub(crate) fn read(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|filter| filter.code() == code)
    }

    fn keeps(self, person: &Person) -> bool {
        let status = person.status.as_ref();
        match self {
            Self::All => true,
            Self::NotSetUp => !person.known,
            Self::Locked => status.is_some_and(|status| {
                status.passwords != LockState::Open || status.codes != LockState::Open
            }),
            Self::Sms => status.is_some_and(|status| status.method == Method::Sms),
            Self::Administrators => person.system_administrator,
        }
    }
}

/// What part of the list is asked for.
pub(crate) struct Part {
    pub(crate) after: Option<UserId>,
    pub(crate) filter: Filter,
    pub(crate) limit: u32,
}

impl Part {
    /// From the query of a request. 400 for a value that is none, or one that is there twice.
    pub(crate) fn of(request: &Parts) -> Result<Self, StatusCode> {
        let query = request.uri.query().unwrap_or_default();
        let (mut after, mut filter, mut limit) = (None, None, None);
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let malformed = StatusCode::BAD_REQUEST;
            let twice = match &*name {
                "after" => after.replace(UserId::new(&value).map_err(|_| malformed)?).is_some(),
                "filter" => filter.replace(Filter::read(&value).ok_or(malformed)?).is_some(),
                "limit" => limit.replace(read_limit(&value).ok_or(malformed)?).is_some(),
                _ => false,
            };
            if twice {
                return Err(malformed);
            }
        }
        let (filter, limit) = (filter.unwrap_or_default(), limit.unwrap_or(LIMIT));
        Ok(Self { after, filter, limit })
    }
}

fn read_limit(text: &str) -> Option<u32> {
    let limit = text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())??;
    (1..=MOST_LISTED).contains(&limit).then_some(limit)
}

/// The people whom the filter keeps. Where many must be looked at to find them, it may answer fewer
/// than were asked for, or nobody, and where to go on.
pub(crate) async fn list(
    administration: &Administration,
    part: Part,
) -> Result<PeoplePage, OperationError> {
    let Part { mut after, filter, limit } = part;
    // One more than are shown says whether there are others.
    let at_most = if filter == Filter::All { limit.saturating_add(1) } else { PAGE };
    let (mut found, mut looked_at) = (PeoplePage::default(), 0_usize);
    loop {
        let PeoplePage { people, next, .. } =
            administration.people(after.as_ref(), at_most).await?;
        looked_at = looked_at.saturating_add(people.len());
        let mut people = people.into_iter();
        for person in people.by_ref().filter(|person| filter.keeps(person)) {
            found.people.push(person);
            if found.people.len() >= limit as usize {
                break;
            }
        }
        if let Some(last) = found.people.last()
            && found.people.len() >= limit as usize
        {
            let follows = people.len() > 0 || next.is_some();
            found.next = follows.then(|| last.user.clone());
            return Ok(found);
        }
        found.next = next;
        if found.next.is_none() || looked_at >= MOST_LOOKED_AT {
            return Ok(found);
        }
        after.clone_from(&found.next);
    }
}
