//! The pages of user management.

use askama::Template;
use countersign::administration::Person;
use countersign::contact::MaskedDestination;
use countersign::status::LockState;
use countersign::{FactorStatus, Method, UserId};

use super::Frame;
use crate::pages::form::with_query;
use crate::pages::words::PeopleWords;
use crate::people::Filter;

/// The list of the tenant's users.
#[derive(Clone, Debug, Template)]
#[template(path = "user_list.html")]
#[non_exhaustive]
pub struct UserListPage<'a> {
    /// What every page has.
    pub frame: Frame<'a>,
    /// This part of the users.
    pub people: &'a [Person],
    /// Whom the list shows, as in the query of its address: `all`, `not_set_up`, `locked`, `sms` or
    /// `administrators`.
    pub filter: &'a str,
    /// After whom this part begins, if it is not the first one.
    pub after: Option<&'a UserId>,
    /// After whom the next part begins. `None`: this is the last one.
    pub next: Option<&'a UserId>,
}

impl UserListPage<'_> {
    fn p(&self) -> &'static PeopleWords {
        PeopleWords::of(self.frame.language)
    }

    /// Address and name of each filter, and whether it is the one in use.
    fn filters(&self) -> [(String, &'static str, bool); 5] {
        Filter::ALL.map(|filter| {
            let (code, name) = (filter.code(), self.p().filter(filter));
            (self.part(code, None), name, code == self.filter)
        })
    }

    /// The address of a part of the list.
    fn part(&self, filter: &str, after: Option<&UserId>) -> String {
        let filter = if filter == Filter::All.code() { "" } else { filter };
        let after = after.map_or("", UserId::as_str);
        let path = format!("{}/users", self.frame.base);
        with_query(&path, &[("filter", filter), ("after", after)])
    }

    fn first_part(&self) -> Option<String> {
        self.after.map(|_| self.part(self.filter, None))
    }

    fn next_part(&self) -> Option<String> {
        self.next.map(|next| self.part(self.filter, Some(next)))
    }

    #[expect(clippy::unused_self, reason = "templates call it on the page")]
    fn is_open(&self, state: &LockState) -> bool {
        *state == LockState::Open
    }

    /// Where codes go.
    #[expect(clippy::unused_self, reason = "templates call it on the page")]
    fn destination<'s>(&self, status: &'s FactorStatus) -> Option<&'s MaskedDestination> {
        match status.method {
            Method::Email => status.email.as_ref(),
            Method::Sms => status.phone.as_ref(),
        }
    }

    /// What is special about a user.
    fn remarks(&self, person: &Person) -> Vec<&'static str> {
        let p = self.p();
        [
            (person.system_administrator, p.administrator),
            (!person.active, p.disabled),
            (!person.known, p.not_set_up),
        ]
        .into_iter()
        .filter_map(|(is, remark)| is.then_some(remark))
        .collect()
    }
}

/// The page that asks for the id of a user.
#[derive(Clone, Debug, Template)]
#[template(path = "find_user.html")]
#[non_exhaustive]
pub struct FindUserPage<'a> {
    /// What every page has.
    pub frame: Frame<'a>,
    /// What was asked for, if there is no such user.
    pub id: &'a str,
    /// Whether there is a list of users to go back to.
    pub has_list: bool,
}

impl FindUserPage<'_> {
    fn p(&self) -> &'static PeopleWords {
        PeopleWords::of(self.frame.language)
    }
}

/// The page of one user, for an administrator.
#[derive(Clone, Debug, Template)]
#[template(path = "user.html")]
#[non_exhaustive]
pub struct UserPage<'a> {
    /// What every page has.
    pub frame: Frame<'a>,
    /// The user.
    pub user: &'a UserId,
    /// The user's second factor.
    pub status: &'a FactorStatus,
    /// Whether there is a list of users to go back to.
    pub has_list: bool,
}

impl UserPage<'_> {
    fn p(&self) -> &'static PeopleWords {
        PeopleWords::of(self.frame.language)
    }
}

/// The page that says what a reset clears.
#[derive(Clone, Debug, Template)]
#[template(path = "confirm_reset.html")]
#[non_exhaustive]
pub struct ConfirmResetPage<'a> {
    /// What every page has.
    pub frame: Frame<'a>,
    /// The user.
    pub user: &'a UserId,
}
