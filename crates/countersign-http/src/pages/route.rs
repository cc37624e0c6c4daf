//! Which page a request is for, and what it gets when it cannot have it.

use bytes::Bytes;
use countersign::error::PluginError;
use countersign::ids::{DeviceId, LoginId};
use countersign::{Reason, UserId};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use http_body::Body;
use http_body_util::Full;
use percent_encoding::percent_decode_str;

use super::assets::Assets;
use super::form::{Query, local_path};
use super::screens::{Alert, Frame, MessagePage};
use super::words::Words;
use super::{Pages, Screens};
use crate::answer::{Answering, Failure, Refusal, status};
use crate::body::read;
use crate::exchange::{Answered, Exchange, Inner, append};
use crate::origin::Foreign;

/// What a request asks for.
pub(super) enum Page {
    Style,
    Script,
    SignIn,
    Begin,
    Code(LoginId),
    SubmitCode(LoginId),
    SubmitBackupCode(LoginId),
    Resend(LoginId),
    Cancel(LoginId),
    SignOut,
    Account,
    SetMethod,
    ConfirmMethod,
    RemoveDevices,
    RemoveDevice(DeviceId),
    NewBackupCode,
    Settings,
    EditSettings,
    SaveSettings,
    FindUser,
    User(UserId),
    ConfirmReset(UserId),
    Reset(UserId),
    Unlock(UserId),
}

/// The first parts of the paths of pages.
const OWN: [&str; 6] = ["assets", "sign-in", "sign-out", "me", "settings", "users"];

/// The page at a path. `None`: no page has such a path.
fn page(method: &Method, path: &str, assets: &Assets) -> Option<Result<Page, Refusal>> {
    let segments: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
    if !segments.first().is_some_and(|first| OWN.contains(first)) {
        return None;
    }
    let found = page_at(method, &segments, assets);
    Some(found.unwrap_or_else(|| Err(StatusCode::NOT_FOUND.into())))
}

fn page_at(method: &Method, segments: &[&str], assets: &Assets) -> Option<Result<Page, Refusal>> {
    use Page as P;
    let is_read = matches!(*method, Method::GET | Method::HEAD);
    let is_post = *method == Method::POST;
    let read = |page: Page| if is_read { Ok(page) } else { Err(Refusal::Method("GET, HEAD")) };
    let post = |page: Page| if is_post { Ok(page) } else { Err(Refusal::Method("POST")) };
    let both = |read: Page, post: Page| match (is_read, is_post) {
        (true, _) => Ok(read),
        (_, true) => Ok(post),
        _ => Err(Refusal::Method("GET, HEAD, POST")),
    };
    let login = |text: &str| text.parse::<LoginId>().ok();
    let user = |text: &str| {
        let id = percent_decode_str(text).decode_utf8().ok()?;
        UserId::new(&id).ok()
    };
    Some(match segments {
        ["assets", version, "pages.css"] if *version == assets.style_version => read(P::Style),
        ["assets", version, "pages.js"] if *version == assets.script_version => read(P::Script),
        ["sign-in"] => both(P::SignIn, P::Begin),
        ["sign-in", id] => both(P::Code(login(id)?), P::SubmitCode(login(id)?)),
        ["sign-in", id, "backup-code"] => post(P::SubmitBackupCode(login(id)?)),
        ["sign-in", id, "resend"] => post(P::Resend(login(id)?)),
        ["sign-in", id, "cancel"] => post(P::Cancel(login(id)?)),
        ["sign-out"] => post(P::SignOut),
        ["me"] => read(P::Account),
        ["me", "method"] => post(P::SetMethod),
        ["me", "method", "confirm"] => post(P::ConfirmMethod),
        ["me", "devices", "remove"] => post(P::RemoveDevices),
        ["me", "devices", id, "remove"] => post(P::RemoveDevice(id.parse().ok()?)),
        ["me", "backup-code"] => post(P::NewBackupCode),
        ["settings"] => read(P::Settings),
        ["settings", "edit"] => both(P::EditSettings, P::SaveSettings),
        ["users"] => read(P::FindUser),
        ["users", id] => read(P::User(user(id)?)),
        ["users", id, "reset"] => both(P::ConfirmReset(user(id)?), P::Reset(user(id)?)),
        ["users", id, "unlock"] => post(P::Unlock(user(id)?)),
        _ => return None,
    })
}

/// The page to see after a login that the request turned out to need.
fn seen_again(parts: &Parts, base: &str) -> String {
    let path = parts.uri.path();
    let place = if parts.method == Method::POST {
        // What was sent is not sent again; its page is shown.
        let own = path.strip_prefix(base).unwrap_or_default();
        match own.split('/').nth(1).unwrap_or_default() {
            "settings" => format!("{base}/settings/edit"),
            "users" => {
                let user = own.split('/').nth(2).unwrap_or_default();
                format!("{base}/users/{user}")
            }
            _ => format!("{base}/me"),
        }
    } else {
        parts.uri.path_and_query().map_or(path, |found| found.as_str()).to_owned()
    };
    local_path(&place).unwrap_or("/").to_owned()
}

/// A query for the login page.
pub(super) fn sign_in_at(base: &str, return_to: &str, again: bool) -> String {
    let mut query = form_query();
    if !return_to.is_empty() {
        query.append_pair("return_to", return_to);
    }
    if again {
        query.append_pair("again", "1");
    }
    let query = query.finish();
    let mark = if query.is_empty() { "" } else { "?" };
    format!("{base}/sign-in{mark}{query}")
}

fn form_query() -> form_urlencoded::Serializer<'static, String> {
    form_urlencoded::Serializer::new(String::new())
}

impl Inner {
    /// Answers a request for a page, or gives the body back of one that is for none.
    pub(crate) async fn page<B>(
        &self,
        parts: &Parts,
        body: B,
        answering: Answering,
    ) -> Result<Response<Full<Bytes>>, B>
    where
        B: Body,
        B::Error: Into<Failure>,
    {
        let Some((pages, assets)) = &self.pages else { return Err(body) };
        let Some(path) = parts.uri.path().strip_prefix(&*self.base) else { return Err(body) };
        let Some(page) = page(&parts.method, path, assets) else { return Err(body) };
        let answered = match page {
            Ok(Page::Style) => return Ok(assets.style()),
            Ok(Page::Script) => return Ok(Assets::script()),
            Ok(page) => self.show(page, parts, body, answering).await,
            Err(refusal) => Err(refusal),
        };
        let mut response = answered
            .unwrap_or_else(|refusal| self.refused_page(pages, assets, parts, &refusal, answering));
        harden_page(&mut response);
        Ok(response)
    }

    async fn show<B>(&self, page: Page, parts: &Parts, body: B, answering: Answering) -> Answered
    where
        B: Body,
        B::Error: Into<Failure>,
    {
        if parts.method == Method::POST {
            self.origins.check(parts, false)?;
        } else {
            // From a link in another site's page, too.
            self.origins.check_host(parts)?;
        }
        let body = read(body).await?;
        let exchange = self.visit(parts, body, answering).await?;
        exchange.show(page).await
    }

    /// What a browser gets that asked for a page of the application's own. `None`: it asked for
    /// something else, or there are no pages.
    pub(crate) fn page_instead(
        &self,
        parts: &Parts,
        refusal: &Refusal,
        answering: Answering,
    ) -> Option<Response<Full<Bytes>>> {
        let (pages, assets) = self.pages.as_ref()?;
        if !matches!(parts.method, Method::GET | Method::HEAD) || !accepts_html(parts) {
            return None;
        }
        let mut response = self.refused_page(pages, assets, parts, refusal, answering);
        harden_page(&mut response);
        Some(response)
    }

    /// What is shown instead of a page.
    fn refused_page(
        &self,
        pages: &Pages,
        assets: &Assets,
        parts: &Parts,
        refusal: &Refusal,
        answering: Answering,
    ) -> Response<Full<Bytes>> {
        let w = Words::of(answering.language);
        let again = |again: bool| {
            let place = sign_in_at(&self.base, &seen_again(parts, &self.base), again);
            redirect(&place, &HeaderMap::new())
        };
        let mut headers = HeaderMap::new();
        let (status, text) = match refusal {
            Refusal::SignedOut => return again(false),
            Refusal::NotRecent => return again(true),
            Refusal::Denied(denied) => match denied.reason() {
                Reason::SessionStale => return again(false),
                Reason::ReauthenticationRequired => return again(true),
                reason => {
                    headers = answering.denied_headers(denied);
                    (status(reason), answering.message(denied))
                }
            },
            Refusal::Foreign(Foreign::Host) => {
                (StatusCode::MISDIRECTED_REQUEST, w.foreign_host.to_owned())
            }
            Refusal::Foreign(_) => (StatusCode::FORBIDDEN, w.foreign.to_owned()),
            Refusal::Method(allowed) => {
                headers.insert(header::ALLOW, HeaderValue::from_static(allowed));
                (StatusCode::METHOD_NOT_ALLOWED, w.malformed.to_owned())
            }
            Refusal::Status(StatusCode::NOT_FOUND) => {
                (StatusCode::NOT_FOUND, w.no_such_page.to_owned())
            }
            Refusal::Status(StatusCode::PAYLOAD_TOO_LARGE) => {
                (StatusCode::PAYLOAD_TOO_LARGE, w.too_large.to_owned())
            }
            Refusal::Status(status) => (*status, w.malformed.to_owned()),
            Refusal::Failed(error) => {
                (self.on_failure)(&**error);
                (StatusCode::INTERNAL_SERVER_ERROR, w.failed.to_owned())
            }
        };
        let mut frame = self.frame(pages, assets, answering);
        frame.alert = Some(Alert::refusal(text, None));
        let page = MessagePage { frame, next: &pages.home };
        match pages.screens.message(&page) {
            Ok(text) => html(status, text, headers),
            Err(error) => {
                (self.on_failure)(error.cause());
                html(StatusCode::INTERNAL_SERVER_ERROR, String::new(), headers)
            }
        }
    }

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
            style: &assets.style_path,
            script: &assets.script_path,
            user: None,
            is_administrator: false,
            alert: None,
        }
    }
}

impl<'a> Exchange<'a> {
    async fn show(self, page: Page) -> Answered {
        match page {
            Page::Style | Page::Script => Err(StatusCode::NOT_FOUND.into()),
            Page::SignIn => self.show_sign_in().await,
            Page::Begin => self.begin_at_page().await,
            Page::Code(login) => self.show_code(login).await,
            Page::SubmitCode(login) => self.submit_code_at_page(login).await,
            Page::SubmitBackupCode(login) => self.submit_backup_code_at_page(login).await,
            Page::Resend(login) => self.resend_at_page(login).await,
            Page::Cancel(login) => self.cancel_at_page(login).await,
            Page::SignOut => self.sign_out().await,
            Page::Account
            | Page::SetMethod
            | Page::ConfirmMethod
            | Page::RemoveDevices
            | Page::RemoveDevice(_)
            | Page::NewBackupCode => self.account_page(page).await,
            Page::Settings
            | Page::EditSettings
            | Page::SaveSettings
            | Page::FindUser
            | Page::User(_)
            | Page::ConfirmReset(_)
            | Page::Reset(_)
            | Page::Unlock(_) => self.administration_page(page).await,
        }
    }

    pub(super) fn frame(&self) -> Result<Frame<'a>, Refusal> {
        let (pages, assets) = self.inner.pages.as_ref().ok_or(StatusCode::NOT_FOUND)?;
        Ok(self.inner.frame(pages, assets, self.answering))
    }

    pub(super) fn screens(&self) -> Result<&'a dyn Screens, Refusal> {
        let (pages, _) = self.inner.pages.as_ref().ok_or(StatusCode::NOT_FOUND)?;
        Ok(&*pages.screens)
    }

    /// A page, with what is handed out beside it.
    pub(super) fn html(
        &mut self,
        status: StatusCode,
        page: Result<String, PluginError>,
    ) -> Answered {
        let headers = std::mem::take(&mut self.handed.headers);
        Ok(html(status, page?, headers))
    }

    pub(super) fn redirect(&mut self, place: &str) -> Response<Full<Bytes>> {
        redirect(place, &std::mem::take(&mut self.handed.headers))
    }

    pub(super) fn query(&self) -> Query {
        Query::of(self.parts)
    }
}

fn accepts_html(parts: &Parts) -> bool {
    let accepted = parts.headers.get_all(header::ACCEPT).iter();
    let mut kinds = accepted.filter_map(|value| value.to_str().ok()).flat_map(|it| it.split(','));
    kinds.any(|kind| {
        kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("text/html")
    })
}

fn html(status: StatusCode, page: String, headers: HeaderMap) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(page));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    let media = HeaderValue::from_static("text/html; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, media);
    response
}

/// To a path of this site, by `GET`.
fn redirect(place: &str, headers: &HeaderMap) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::SEE_OTHER;
    append(response.headers_mut(), headers);
    let place = HeaderValue::try_from(place).unwrap_or(HeaderValue::from_static("/"));
    response.headers_mut().insert(header::LOCATION, place);
    response
}

/// What every page says: it is for this person only, it may use files of this site and nothing
/// else, and no other page may frame it.
fn harden_page(response: &mut Response<Full<Bytes>>) {
    crate::answer::harden(response);
    let policy = "default-src 'none'; style-src 'self'; script-src 'self'; form-action 'self'; \
        base-uri 'none'; frame-ancestors 'none'";
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::X_FRAME_OPTIONS, "DENY"),
        // Without any, browsers do not say where a form comes from.
        (header::REFERRER_POLICY, "same-origin"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
}
