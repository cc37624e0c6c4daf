//! A person at a browser without scripts: follows links and sends forms as they stand.

use std::collections::BTreeMap;

use countersign::LoginFlowBuilder;
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

/// A site of an application that has a list of its users.
pub async fn site_with_people() -> Site {
    site_with_people_and(|flow| flow).await
}

pub async fn site_with_people_and(flow: impl FnOnce(LoginFlowBuilder) -> LoginFlowBuilder) -> Site {
    Site::with_people(flow, |builder| builder.pages(Pages::new("Acme"))).await
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
        self.browser.keep(&answer);
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
        self.send_without(page, action, fields, &[]).await
    }

    /// The same, with these boxes unticked.
    pub async fn send_without(
        &mut self,
        page: &Answer,
        action: &str,
        fields: &[(&str, &str)],
        unticked: &[&str],
    ) -> Answer {
        let form = form_of(page, action);
        let mut sent: BTreeMap<String, String> = form.fields;
        for name in unticked {
            assert!(sent.remove(*name).is_some(), "{name} is not ticked in {}", page.text);
        }
        for (name, value) in fields {
            assert!(form.names.contains(&(*name).to_owned()), "no field {name} in {}", page.text);
            sent.insert((*name).to_owned(), (*value).to_owned());
        }
        let pairs: Vec<(&str, &str)> = sent.iter().map(|(n, v)| (&**n, &**v)).collect();
        self.post(&form.action, &pairs).await
    }

    /// The fields of the tenant's settings as they stand, with these changes, as an administrator
    /// sends them who has reviewed the change. Without whose form it is.
    pub async fn confirmed_settings(&mut self, changes: &[(&str, &str)]) -> Vec<(String, String)> {
        let page = self.get("/settings/edit").await;
        let mut fields = form_of(&page, "/settings/edit").fields;
        for (name, value) in changes.iter().chain(&[("confirmed", "yes")]) {
            fields.insert((*name).to_owned(), (*value).to_owned());
        }
        fields.remove("as");
        fields.into_iter().collect()
    }

    /// Chooses other settings, reviews them and saves them.
    pub async fn choose(&mut self, changes: &[(&str, &str)]) -> Answer {
        let edit = self.get("/settings/edit").await;
        let review = self.send(&edit, "/settings/edit", changes).await;
        assert_eq!(review.status, StatusCode::OK, "{}", review.text);
        self.send(&review, "/settings/edit", &[("confirmed", "yes")]).await
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
    /// What it sends as it stands.
    fields: BTreeMap<String, String>,
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
    let (mut fields, mut names, mut select) = (BTreeMap::new(), Vec::new(), String::new());
    for tag in form.split('<') {
        let (name, value) = (between(tag, " name=\"", "\""), between(tag, " value=\"", "\""));
        let is_choice = tag.contains("type=\"radio\"") || tag.contains("type=\"checkbox\"");
        if tag.starts_with("option") && tag.contains(" selected") {
            fields.insert(select.clone(), unescaped(value));
        } else if tag.starts_with("input") && (!is_choice || tag.contains(" checked")) {
            fields.insert(name.to_owned(), unescaped(value));
        } else if tag.starts_with("select") {
            name.clone_into(&mut select);
        }
        if ["input", "button", "select"].iter().any(|kind| tag.starts_with(kind)) {
            names.push(name.to_owned());
        }
    }
    Form { action, fields, names }
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
