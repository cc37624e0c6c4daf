//! Finds the page for a request.

use bytes::Bytes;
use countersign::UserId;
use countersign::ids::{DeviceId, LoginId};
use http::request::Parts;
use http::{Method, Response, StatusCode, Uri, header};
use http_body::Body;
use http_body_util::Full;

use super::form::{Query, local_path, with_query};
use super::visit::{Visit, harden_page, redirect};
use crate::answer::{Answering, Failure, Refusal};
use crate::body::read;
use crate::exchange::{Answered, Inner};
use crate::hosts::host_of;

/// What a request asks for.
pub(super) enum Page {
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
    AskForCode,
    ConfirmMethod,
    RemoveDevices,
    RemoveDevice(DeviceId),
    NewBackupCode,
    Settings,
    EditSettings,
    SaveSettings,
    User,
    ConfirmReset,
    Reset,
    Unlock,
    /// The address of a form's answer. Its page is the one with the form.
    Parent,
}

/// The first path segments that belong to the pages.
const OWN: [&str; 6] = ["assets", "sign-in", "sign-out", "me", "settings", "users"];

fn page(method: &Method, segments: &[&str]) -> Option<Result<Page, Refusal>> {
    use Page as P;
    let is_read = matches!(*method, Method::GET | Method::HEAD);
    let is_post = *method == Method::POST;
    let both = |read: Page, post: Page| match (is_read, is_post) {
        (true, _) => Ok(read),
        (_, true) => Ok(post),
        _ => Err(Refusal::Method("GET, HEAD, POST")),
    };
    let read = |page: Page| if is_read { Ok(page) } else { Err(Refusal::Method("GET, HEAD")) };
    // Somebody loads the address of a form's answer.
    let post = |page: Page| both(P::Parent, page);
    let login = |text: &str| text.parse::<LoginId>().ok();
    Some(match segments {
        ["sign-in"] => both(P::SignIn, P::Begin),
        ["sign-in", id] => both(P::Code(login(id)?), P::SubmitCode(login(id)?)),
        ["sign-in", id, "backup-code"] => post(P::SubmitBackupCode(login(id)?)),
        ["sign-in", id, "resend"] => post(P::Resend(login(id)?)),
        ["sign-in", id, "cancel"] => post(P::Cancel(login(id)?)),
        ["sign-out"] => post(P::SignOut),
        ["me"] => read(P::Account),
        ["me", "method"] => post(P::SetMethod),
        ["me", "method", "confirm"] => both(P::AskForCode, P::ConfirmMethod),
        ["me", "devices", "remove"] => post(P::RemoveDevices),
        ["me", "devices", id, "remove"] => post(P::RemoveDevice(id.parse().ok()?)),
        ["me", "backup-code"] => post(P::NewBackupCode),
        ["settings"] => read(P::Settings),
        ["settings", "edit"] => both(P::EditSettings, P::SaveSettings),
        ["users"] => read(P::User),
        ["users", "reset"] => both(P::ConfirmReset, P::Reset),
        ["users", "unlock"] => post(P::Unlock),
        _ => return None,
    })
}

/// The page with the form whose answer is at this address. `more`: what else is in its query.
pub(super) fn parent(base: &str, parts: &Parts, more: &[(&str, &str)]) -> String {
    let own = parts.uri.path().strip_prefix(base).unwrap_or_default();
    let mut segments = own.split('/').skip(1);
    let page = match (segments.next().unwrap_or_default(), segments.next()) {
        ("sign-in", Some(login)) => format!("{base}/sign-in/{login}"),
        ("settings", _) => format!("{base}/settings/edit"),
        (first @ ("me" | "users"), _) => format!("{base}/{first}"),
        _ => format!("{base}/sign-in"),
    };
    let query = Query::of(parts);
    // Of the query what the pages themselves put there.
    let kept = ["id", "return_to", "again"].map(|name| (name, query.get(name)));
    with_query(&page, &[&kept, more].concat())
}

/// Where to return to after the login that a request requires. `""`: home.
pub(super) fn return_to(parts: &Parts, base: &str, query: &[(&str, &str)]) -> String {
    // What was sent is not sent again: the page with its form is shown.
    let place = match (parts.method == Method::POST, is_own(base, parts.uri.path())) {
        (true, true) => parent(base, parts, query),
        (true, false) => referring_path(parts).unwrap_or_default(),
        (false, _) => parts.uri.path_and_query().map_or("", |found| found.as_str()).to_owned(),
    };
    local_path(&place).unwrap_or_default().to_owned()
}

/// Whether a path belongs to the pages.
fn is_own(base: &str, path: &str) -> bool {
    let rest = path.strip_prefix(base).and_then(|rest| rest.strip_prefix('/'));
    rest.is_some_and(|rest| OWN.contains(&rest.split('/').next().unwrap_or_default()))
}

/// The page of this site that a form was on, as far as the browser says so.
fn referring_path(parts: &Parts) -> Option<String> {
    let referer: Uri = parts.headers.get(header::REFERER)?.to_str().ok()?.parse().ok()?;
    let is_own = referer.authority()?.as_str().eq_ignore_ascii_case(host_of(parts)?);
    Some(referer.path_and_query().filter(|_| is_own)?.as_str().to_owned())
}

/// The address of the login page.
pub(super) fn sign_in_at(base: &str, return_to: &str, again: bool) -> String {
    let again = if again { "1" } else { "" };
    with_query(&format!("{base}/sign-in"), &[("return_to", return_to), ("again", again)])
}

impl Inner {
    /// Responds to a request for a page. Returns the body if the path belongs to no page.
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
        let Some((_, assets)) = &self.pages else { return Err(body) };
        let path = parts.uri.path().strip_prefix(&*self.base);
        let Some(path) = path.and_then(|path| path.strip_prefix('/')) else { return Err(body) };
        let segments: Vec<&str> = path.split('/').collect();
        if !is_own(&self.base, parts.uri.path()) {
            return Err(body);
        }
        if let ["assets", version, name] = segments.as_slice()
            && matches!(parts.method, Method::GET | Method::HEAD)
            && let Some(file) = assets.file(version, name)
        {
            return Ok(file);
        }
        let answered = match page(&parts.method, &segments) {
            Some(Ok(page)) => self.show(page, parts, body, answering).await,
            Some(Err(refusal)) => Err(refusal),
            None => Err(StatusCode::NOT_FOUND.into()),
        };
        let mut response =
            answered.unwrap_or_else(|refusal| self.refused_page(parts, &refusal, answering));
        self.harden_page(&mut response);
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
        if let Page::Parent = page {
            return Ok(redirect(&parent(&self.base, parts, &[])));
        }
        let (pages, assets) = self.pages.as_ref().ok_or(StatusCode::NOT_FOUND)?;
        let body = read(body).await?;
        let exchange = self.visit(parts, body, answering).await?;
        Visit { exchange, pages, assets }.show(page).await
    }

    /// Responds to the application's own callback. `None`: pages are not in use.
    pub(crate) async fn page_after_single_sign_on(
        &self,
        parts: &Parts,
        user: &UserId,
        return_to: &str,
        answering: Answering,
    ) -> Option<Response<Full<Bytes>>> {
        let (pages, assets) = self.pages.as_ref()?;
        let answered = async {
            self.origins.check_host(parts)?;
            let exchange = self.visit(parts, Bytes::new(), answering).await?;
            Visit { exchange, pages, assets }.after_single_sign_on(user, return_to).await
        };
        let mut response =
            answered.await.unwrap_or_else(|refusal| self.refused_page(parts, &refusal, answering));
        self.harden_page(&mut response);
        Some(response)
    }

    fn harden_page(&self, response: &mut Response<Full<Bytes>>) {
        if let Some((pages, _)) = &self.pages {
            harden_page(response, &pages.policy);
        }
    }

    /// Responds to a browser that asked for one of the application's own pages. `None`: not a page
    /// request, or pages are not in use.
    pub(crate) fn page_instead(
        &self,
        parts: &Parts,
        refusal: &Refusal,
        answering: Answering,
    ) -> Option<Response<Full<Bytes>>> {
        let is_page = matches!(parts.method, Method::GET | Method::HEAD | Method::POST);
        if self.pages.is_none() || !is_page || !accepts_html(parts) {
            return None;
        }
        let mut response = self.refused_page(parts, refusal, answering);
        self.harden_page(&mut response);
        Some(response)
    }
}

fn accepts_html(parts: &Parts) -> bool {
    let accepted = parts.headers.get_all(header::ACCEPT).iter();
    let mut kinds = accepted.filter_map(|value| value.to_str().ok()).flat_map(|it| it.split(','));
    kinds.any(|kind| {
        kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("text/html")
    })
}

impl Visit<'_> {
    async fn show(self, page: Page) -> Answered {
        match page {
            Page::SignIn => self.show_sign_in().await,
            Page::Begin => self.begin().await,
            Page::Code(login) => self.show_code(login).await,
            Page::SubmitCode(login) => self.submit_code(login).await,
            Page::SubmitBackupCode(login) => self.submit_backup_code(login).await,
            Page::Resend(login) => self.resend(login).await,
            Page::Cancel(login) => self.cancel(login).await,
            Page::SignOut => self.sign_out().await,
            // The pages redirect before they come here.
            Page::Parent => Err(StatusCode::NOT_FOUND.into()),
            Page::Account
            | Page::SetMethod
            | Page::AskForCode
            | Page::ConfirmMethod
            | Page::RemoveDevices
            | Page::RemoveDevice(_)
            | Page::NewBackupCode => self.account(page).await,
            Page::Settings
            | Page::EditSettings
            | Page::SaveSettings
            | Page::User
            | Page::ConfirmReset
            | Page::Reset
            | Page::Unlock => self.administration(page).await,
        }
    }
}
