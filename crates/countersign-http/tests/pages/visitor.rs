//! A person at a browser without scripts: follows links and sends forms as they stand.

use std::collections::BTreeMap;

use countersign_http::WebBuilder;
use countersign_http::pages::Pages;
use http::{Request, StatusCode};

use crate::browser::{Answer, Browser, PASSWORD, Site};

pub async fn site() -> Site {
    site_with(|web| web).await
}

pub async fn site_with(web: impl FnOnce(WebBuilder) -> WebBuilder) -> Site {
    Site::with(|flow| flow, |builder| web(builder.pages(Pages::new("Acme")))).await
}

pub struct Visitor<'a> {
    pub browser: Browser<'a>,
    pub language: &'static str,
}

impl<'a> Visitor<'a> {
    pub fn of(site: &'a Site) -> Self {
        Self { browser: site.browser(), language: "en" }
    }

    pub async fn request(&mut self, method: &str, path: &str, body: Option<String>) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        request = request.header("host", self.browser.host);
        request = request.header("accept-language", self.language);
        for (name, value) in &self.browser.headers {
            request = request.header(*name, *value);
        }
        let pairs: Vec<_> =
            self.browser.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        if !pairs.is_empty() {
            request = request.header("cookie", pairs.join("; "));
        }
        if body.is_some() {
            request = request.header("content-type", "application/x-www-form-urlencoded");
        }
        let request = request.body(body.unwrap_or_default()).unwrap();
        let answer = Answer::of(self.browser.site.web.handle(request).await).await;
        for cookie in answer.cookies() {
            let (pair, attributes) = cookie.split_once("; ").unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            if attributes.contains("Max-Age=0") {
                self.browser.cookies.shift_remove(name);
            } else {
                self.browser.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        answer
    }

    pub async fn get(&mut self, path: &str) -> Answer {
        self.request("GET", path, None).await
    }

    pub async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.request("POST", path, Some(form)).await
    }

    /// Sends a form of this user's page.
    pub async fn post_as(&mut self, user: &str, path: &str, fields: &[(&str, &str)]) -> Answer {
        let fields: Vec<_> = fields.iter().copied().chain([("as", user)]).collect();
        self.post(path, &fields).await
    }

    /// Sends a form of a page as it stands, with these fields filled in.
    pub async fn send(&mut self, page: &Answer, action: &str, fields: &[(&str, &str)]) -> Answer {
        let form = form_of(page, action);
        let mut sent: BTreeMap<String, String> = form.hidden;
        for (name, value) in fields {
            assert!(form.names.contains(&(*name).to_owned()), "no field {name} in {}", page.text);
            sent.insert((*name).to_owned(), (*value).to_owned());
        }
        let pairs: Vec<(&str, &str)> = sent.iter().map(|(n, v)| (&**n, &**v)).collect();
        self.post(&form.action, &pairs).await
    }

    pub async fn follow(&mut self, answer: &Answer) -> Answer {
        self.get(&place(answer)).await
    }

    /// Name and password, up to the page of the code. Answers its path, and the page.
    pub async fn begin(&mut self, name: &str) -> (String, Answer) {
        let answer = self.post("/sign-in", &[("name", name), ("password", PASSWORD)]).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
        let path = place(&answer);
        let page = self.get(&path).await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.text);
        (path.split('?').next().unwrap().to_owned(), page)
    }

    pub async fn sign_in(&mut self, name: &str) {
        self.browser.site.world.wait_for_the_spacing();
        let (path, _) = self.begin(name).await;
        let code = self.browser.site.world.last_code();
        let done = self.post(&path, &[("code", &code)]).await;
        assert_eq!((done.status, &*place(&done)), (StatusCode::SEE_OTHER, "/"), "{}", done.text);
    }
}

pub fn place(answer: &Answer) -> String {
    answer.headers.get("location").map_or("", |place| place.to_str().unwrap()).to_owned()
}

/// The sentence on top of a page, as a reader sees it.
pub fn alert(page: &Answer) -> String {
    between(&page.text, "<p id=\"alert\"", "</p>")
        .split_once('>')
        .map_or("", |(_, text)| text)
        .to_owned()
}

pub fn between<'t>(text: &'t str, start: &str, end: &str) -> &'t str {
    text.split_once(start).and_then(|(_, rest)| rest.split_once(end)).map_or("", |(part, _)| part)
}

struct Form {
    action: String,
    hidden: BTreeMap<String, String>,
    names: Vec<String>,
}

/// The form for this path, whatever is in the query of its address.
fn form_of(page: &Answer, path: &str) -> Form {
    let forms =
        page.text.split("<form ").skip(1).filter(|form| form.starts_with("method=\"post\""));
    let (action, form) = forms
        .map(|form| (unescaped(between(form, "action=\"", "\"")), form))
        .find(|(action, _)| action.split('?').next() == path.split('?').next())
        .unwrap_or_else(|| panic!("no form for {path} in {}", page.text));
    let form = form.split("</form>").next().unwrap();
    let (mut hidden, mut names) = (BTreeMap::new(), Vec::new());
    for tag in form.split('<').filter(|tag| tag.starts_with("input") || tag.starts_with("button")) {
        let name = between(tag, " name=\"", "\"").to_owned();
        if tag.contains("type=\"hidden\"") {
            hidden.insert(name.clone(), unescaped(between(tag, " value=\"", "\"")));
        }
        names.push(name);
    }
    Form { action, hidden, names }
}

fn unescaped(text: &str) -> String {
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&#34;", "\"")
        .replace("&quot;", "\"")
        .replace("&#39;", "'")
        .replace("&#38;", "&")
        .replace("&amp;", "&")
        .replace("&#60;", "<")
        .replace("&#62;", ">")
}
