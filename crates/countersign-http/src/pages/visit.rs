//! One request for a page, and how responses to it are made.

use bytes::Bytes;
use countersign::error::PluginError;
use countersign::{Denied, Reason, UserId};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use http_body_util::Full;

use super::Pages;
use super::assets::Assets;
use super::form::{Query, Whose, form};
use super::route::{parent, return_to, sign_in_at};
use super::screens::{Alert, AlertKind, Frame, MessagePage};
use super::words::Words;
use crate::answer::{Answering, Refusal, harden, plain_of, status};
use crate::exchange::{Answered, Exchange, Inner, append};
use crate::origin::Foreign;
use crate::texts::Plain;

/// One request for a page.
pub(super) struct Visit<'a> {
    pub(super) exchange: Exchange<'a>,
    pub(super) pages: &'a Pages,
    pub(super) assets: &'a Assets,
}

/// What a refusal is about, in the form that was sent.
pub(super) const fn is_about_the_field(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::InvalidInput(_)
            | Reason::InvalidSettings(_)
            | Reason::MethodNotAllowed
            | Reason::InvalidCredentials
            | Reason::WrongCode
            | Reason::WrongBackupCode
    )
}

impl<'a> Visit<'a> {
    pub(super) fn frame(&self) -> Frame<'a> {
        self.exchange.inner.frame(self.pages, self.assets, self.exchange.answering)
    }

    /// The frame of a page for which somebody is signed in. It says what the step before did, which
    /// is in the query.
    pub(super) fn frame_of(&self, user: &'a UserId) -> Frame<'a> {
        let mut frame = self.frame();
        frame.user = Some(user);
        frame.alert = self.done();
        frame
    }

    pub(super) fn done(&self) -> Option<Alert> {
        // A link of another site must not make a page claim what nobody did.
        let from = self.exchange.parts.headers.get("sec-fetch-site");
        if from.is_some_and(|from| from != "same-origin") {
            return None;
        }
        let w = self.w();
        let code = self.query().get("done").to_owned();
        let (kind, text) = match &*code {
            "saved" => (AlertKind::Success, w.done_saved.to_owned()),
            "removed" => (AlertKind::Success, w.done_removed.to_owned()),
            "signed_out" => (AlertKind::Success, w.done_signed_out.to_owned()),
            "unlocked" => (AlertKind::Success, w.unlock_done.to_owned()),
            "reset" => (AlertKind::Success, w.reset_done.to_owned()),
            "reset_kept" => {
                let space = if w.reset_done.is_ascii() { " " } else { "" };
                (AlertKind::Success, format!("{}{space}{}", w.reset_done, w.reset_budgets_kept))
            }
            "repeat" => (AlertKind::Notice, w.repeat.to_owned()),
            "changed" => (AlertKind::Refusal, w.changed_meanwhile.to_owned()),
            "other" => (AlertKind::Refusal, w.other_person.to_owned()),
            _ => return None,
        };
        Some(Alert { text, field: None, kind })
    }

    /// A page, with the headers that belong to the step. What is handed out once goes out even if
    /// the page cannot be made.
    #[expect(clippy::unnecessary_wraps, reason = "each page ends with it")]
    pub(super) fn html(
        &mut self,
        status: StatusCode,
        page: Result<String, PluginError>,
    ) -> Answered {
        let Exchange { inner, parts, answering, .. } = self.exchange;
        let mut response = match page {
            Ok(page) => html(status, page),
            Err(error) => inner.refused_page(parts, &error.into(), answering),
        };
        append(response.headers_mut(), &std::mem::take(&mut self.exchange.handed.headers));
        Ok(response)
    }

    /// The response to a form of a signed-in user: another page.
    pub(super) fn redirect(&mut self, place: &str) -> Response<Full<Bytes>> {
        let mut response = redirect(place);
        append(response.headers_mut(), &std::mem::take(&mut self.exchange.handed.headers));
        response
    }

    /// Whether the form that was sent is of this user's page. Somebody else may have logged in in
    /// another tab meanwhile.
    pub(super) fn is_form_of(&self, user: &UserId) -> Result<bool, StatusCode> {
        let whose: Whose = self.form()?;
        Ok(whose.user == user.as_str())
    }

    /// Back to the page with the form, for another person.
    pub(super) fn of_somebody_else(&mut self) -> Response<Full<Bytes>> {
        let Exchange { inner, parts, .. } = &self.exchange;
        let page = parent(&inner.base, parts, &[("done", "other")]);
        self.redirect(&page)
    }

    pub(super) fn form<T: serde::de::DeserializeOwned>(&self) -> Result<T, StatusCode> {
        form(self.exchange.parts, &self.exchange.body)
    }

    pub(super) fn query(&self) -> Query<'a> {
        Query::of(self.exchange.parts)
    }

    pub(super) const fn w(&self) -> &'static Words {
        Words::of(self.exchange.answering.language)
    }

    /// What a page says of a refusal that is shown on it.
    pub(super) fn refusal(&mut self, denied: &Denied, field: Option<&'static str>) -> Alert {
        let later = self.exchange.answering.denied_headers(denied);
        append(&mut self.exchange.handed.headers, &later);
        let field = field.filter(|_| is_about_the_field(denied.reason()));
        Alert::refusal(self.exchange.answering.message(denied), field)
    }

    pub(super) fn text(&self, denied: &Denied) -> String {
        self.exchange.answering.message(denied)
    }

    pub(super) fn path(&self, rest: &str) -> String {
        format!("{}{rest}", self.exchange.inner.base)
    }
}

impl Inner {
    fn frame<'a>(
        &'a self,
        pages: &'a Pages,
        assets: &'a Assets,
        answering: Answering,
    ) -> Frame<'a> {
        Frame {
            language: answering.language,
            application: &pages.application,
            base: &self.base,
            home: &pages.home,
            style: assets.style_path(),
            script: assets.script_path(),
            user: None,
            is_administrator: false,
            alert: None,
        }
    }

    /// The page shown for a refused request.
    pub(super) fn refused_page(
        &self,
        parts: &Parts,
        refusal: &Refusal,
        answering: Answering,
    ) -> Response<Full<Bytes>> {
        let plain = |plain: Plain| plain.text(answering.language).to_owned();
        let sign_in = |again: bool| {
            // After the login nothing is done yet, and the page says so.
            let query = if again { &[("done", "repeat")][..] } else { &[] };
            redirect(&sign_in_at(&self.base, &return_to(parts, &self.base, query), again))
        };
        let mut headers = HeaderMap::new();
        let (status, text) = match refusal {
            Refusal::SignedOut => return sign_in(false),
            // With `again`, since the session may hold for the login page.
            Refusal::NotRecent => return sign_in(true),
            Refusal::Denied(denied) => match denied.reason() {
                Reason::SessionStale | Reason::ReauthenticationRequired => return sign_in(true),
                reason => {
                    headers = answering.denied_headers(denied);
                    (status(reason), answering.message(denied))
                }
            },
            Refusal::Foreign(Foreign::Host) => {
                (StatusCode::MISDIRECTED_REQUEST, plain(Plain::ForeignHost))
            }
            Refusal::Foreign(_) => (StatusCode::FORBIDDEN, plain(Plain::ForeignOrigin)),
            Refusal::Method(allowed) => {
                headers.insert(header::ALLOW, HeaderValue::from_static(allowed));
                (StatusCode::METHOD_NOT_ALLOWED, plain(Plain::Method))
            }
            Refusal::Status(status) => (*status, plain(plain_of(*status))),
            Refusal::Failed(error) => {
                (self.on_failure)(&**error);
                (StatusCode::INTERNAL_SERVER_ERROR, plain(Plain::Failed))
            }
        };
        let Some((pages, assets)) = &self.pages else { return html(status, text) };
        let mut frame = self.frame(pages, assets, answering);
        frame.alert = Some(Alert::refusal(text, None));
        let page = MessagePage { frame, next: &pages.home };
        let text = self.or_built_in(pages.screens.message(&page), || page.html());
        let mut response = html(status, text.unwrap_or_default());
        append(response.headers_mut(), &headers);
        response
    }

    /// A page that must be shown: where the application's own cannot be made, the built-in one.
    pub(super) fn or_built_in(
        &self,
        page: Result<String, PluginError>,
        built_in: impl FnOnce() -> Result<String, PluginError>,
    ) -> Result<String, PluginError> {
        page.or_else(|error| {
            (self.on_failure)(error.cause());
            built_in()
        })
    }
}

fn html(status: StatusCode, page: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(page));
    *response.status_mut() = status;
    let media = HeaderValue::from_static("text/html; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, media);
    response
}

/// To a path of this site, by `GET`.
pub(super) fn redirect(place: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::SEE_OTHER;
    let place = HeaderValue::try_from(place).unwrap_or(HeaderValue::from_static("/"));
    response.headers_mut().insert(header::LOCATION, place);
    response
}

/// Sets the security headers of a page: no caching, files of this site only, no framing.
pub(super) fn harden_page(response: &mut Response<Full<Bytes>>, policy: &HeaderValue) {
    harden(response);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, policy.clone());
    for (name, value) in [
        (header::X_FRAME_OPTIONS, "DENY"),
        // Without any, browsers do not say where a form comes from.
        (header::REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}
