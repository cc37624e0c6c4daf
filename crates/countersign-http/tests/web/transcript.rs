//! Requests and responses as text, the same in every run.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use countersign::UserId;
use countersign_http::{DEVICE_TOKEN, LOGIN_TOKEN, SETUP_TOKEN, Web};
use countersign_testkit::SeededEntropy;
use http::{HeaderMap, Request};
use serde_json::{Map, Value, json};

use crate::browser::{Answer, HOST, PASSWORD, Site, tenants};
use crate::described::{Exchanged, ask, operation};

/// What every response has, whatever was asked: written down once.
const ALWAYS: [&str; 7] = [
    "cache-control",
    "content-security-policy",
    "content-type",
    "cross-origin-resource-policy",
    "referrer-policy",
    "vary",
    "x-content-type-options",
];

/// All that was asked and answered.
#[derive(Default)]
pub struct Transcript {
    pub text: String,
    /// Which endpoint has answered with which status and reason.
    pub seen: BTreeSet<(String, u16, String)>,
    /// Backup codes, which are shown and typed.
    codes: Vec<String>,
}

/// A browser or a mobile application, whose requests are written down.
pub struct Client<'a> {
    transcript: &'a mut Transcript,
    pub site: Site,
    pub web: Web,
    is_mobile: bool,
    pub headers: Vec<(&'static str, &'static str)>,
    pub cookies: BTreeMap<String, String>,
    /// Of a mobile application, by their headers.
    pub tokens: BTreeMap<&'static str, String>,
}

/// A site whose ids and codes are the same in every run.
pub async fn seeded(
    flow: impl FnOnce(countersign::LoginFlowBuilder) -> countersign::LoginFlowBuilder,
) -> Site {
    Site::with(|builder| flow(builder.entropy(SeededEntropy::new(1))), |web| web).await
}

/// The same, of an application that has a list of its users.
pub async fn seeded_with_people(
    flow: impl FnOnce(countersign::LoginFlowBuilder) -> countersign::LoginFlowBuilder,
) -> Site {
    let seeded =
        |builder: countersign::LoginFlowBuilder| flow(builder.entropy(SeededEntropy::new(1)));
    Site::with_people(seeded, |web| web).await
}

impl Transcript {
    /// The browser of one person.
    pub fn browser(&mut self, site: Site) -> Client<'_> {
        let web = site.web.clone();
        let headers = vec![("sec-fetch-site", "same-origin")];
        self.client(site, web, false, headers)
    }

    /// The mobile application of one person.
    pub fn app(&mut self, site: Site) -> Client<'_> {
        let web = Web::mobile_apps(&site.world.flow, tenants(), site.sessions.clone())
            .clock(site.world.clock.clone())
            .build();
        self.client(site, web, true, Vec::new())
    }

    fn client(
        &mut self,
        site: Site,
        web: Web,
        is_mobile: bool,
        headers: Vec<(&'static str, &'static str)>,
    ) -> Client<'_> {
        let (cookies, tokens) = (BTreeMap::new(), BTreeMap::new());
        Client { transcript: self, site, web, is_mobile, headers, cookies, tokens }
    }

    fn add(&mut self, about: &str, exchanged: &[(&str, Value)]) {
        let is_empty = |value: &Value| {
            matches!(value, Value::Null) || ["{}", "\"\""].contains(&value.to_string().as_str())
        };
        let parts = exchanged.iter().filter(|(_, value)| !is_empty(value));
        let parts: Vec<_> = parts
            .map(|(name, value)| format!("  \"{name}\": {:#}", sorted(value)).replace('\n', "\n  "))
            .collect();
        let mut text = format!("{{\n{}\n}}", parts.join(",\n"));
        for code in &self.codes {
            text = text.replace(code, "BACKUP-CODE");
        }
        for kind in ["csp1.", "csd1.", "css1."] {
            let mut parts = text.split(kind).map(str::to_owned).collect::<Vec<_>>();
            for part in parts.iter_mut().skip(1) {
                let end = part.find(['~', ';', '"']).unwrap();
                part.replace_range(..end, "TOKEN");
            }
            text = parts.join(kind);
        }
        writeln!(self.text, "// {about}\n{text}\n").unwrap();
    }
}

/// The same, whatever order other crates' features give to fields.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields: BTreeMap<_, _> = fields.iter().collect();
            fields.into_iter().map(|(name, value)| (name.clone(), sorted(value))).collect()
        }
        Value::Array(many) => many.iter().map(sorted).collect(),
        other => other.clone(),
    }
}

impl Client<'_> {
    /// Sends a request, and writes down what was asked and answered.
    pub async fn send(&mut self, about: &str, method: &str, path: &str, body: Value) -> Answer {
        let typed = if body.is_null() { String::new() } else { body.to_string() };
        let content = (!body.is_null()).then_some("application/json");
        self.send_as(about, method, path, content, typed).await
    }

    /// The same with a body of any kind.
    pub async fn send_as(
        &mut self,
        about: &str,
        method: &str,
        path: &str,
        content: Option<&'static str>,
        body: String,
    ) -> Answer {
        let mut headers = self.headers.clone();
        headers.extend(content.map(|content| ("content-type", content)));
        let tokens: Vec<_> = self
            .tokens
            .iter()
            .filter(|(name, _)| match **name {
                LOGIN_TOKEN => path.starts_with("/login/"),
                DEVICE_TOKEN => path == "/login" || path.ends_with("/code"),
                _ => path.ends_with("/confirm"),
            })
            .map(|(name, token)| (*name, token.clone()))
            .collect();
        let headers =
            headers.iter().map(|(name, value)| (*name, (*value).to_owned())).chain(tokens);
        let headers: Vec<(&str, String)> = headers.collect();
        let mut request = Request::builder().method(method).uri(path).header("host", HOST);
        for (name, value) in &headers {
            request = request.header(*name, value);
        }
        if let Some(cookies) = self.sent_cookies() {
            request = request.header("cookie", cookies);
        }
        let names: Vec<_> = self.cookies.keys().cloned().collect();
        let answer = ask(&self.web, request.body(body.clone()).unwrap()).await;
        self.keep(&answer);
        self.write(about, method, path, &headers, &names, &body, &answer);
        answer
    }

    /// Comes back from the identity provider to the application's own callback, as this user. The
    /// answer is held against the description of a login's first step.
    pub async fn come_back(&mut self, about: &str, user: &str) -> Answer {
        let (method, path) = ("GET", "/sso/callback");
        let site = (!self.is_mobile).then(|| ("sec-fetch-site", "cross-site".to_owned()));
        let headers: Vec<(&str, String)> = site.into_iter().collect();
        let mut request = Request::builder().method(method).uri(path).header("host", HOST);
        for (name, value) in &headers {
            request = request.header(*name, value);
        }
        if let Some(cookies) = self.sent_cookies() {
            request = request.header("cookie", cookies);
        }
        let names: Vec<_> = self.cookies.keys().cloned().collect();
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let user = UserId::new(user).unwrap();
        let response = self.web.after_single_sign_on(&parts, &user, "/orders").await;
        let answer = Answer::of(response).await;
        let exchanged = Exchanged {
            method: "POST".to_owned(),
            path: "/login".to_owned(),
            is_json: false,
            request: String::new(),
            status: answer.status,
            headers: answer.headers.clone(),
            response: answer.text.clone(),
        };
        assert_eq!(exchanged.held(), Ok(()), "{about}: {}", answer.text);
        self.keep(&answer);
        self.write(about, method, path, &headers, &names, "", &answer);
        answer
    }

    /// The cookies that are sent, if there are any.
    fn sent_cookies(&self) -> Option<String> {
        let cookies: Vec<_> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        (!cookies.is_empty()).then(|| cookies.join("; "))
    }

    /// Keeps cookies as a browser does, and tokens as an application does.
    fn keep(&mut self, answer: &Answer) {
        for cookie in answer.cookies() {
            let (pair, attributes) = cookie.split_once("; ").unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            if attributes.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        let secrets = &answer.json["secrets"];
        for (name, header) in [
            ("login_token", LOGIN_TOKEN),
            ("device_token", DEVICE_TOKEN),
            ("setup_token", SETUP_TOKEN),
        ] {
            if let Some(token) = secrets[name].as_str() {
                assert!(self.is_mobile, "a browser got a token: {}", answer.text);
                self.tokens.insert(header, token.to_owned());
            }
        }
        self.transcript.codes.extend(secrets["backup_code"].as_str().map(str::to_owned));
    }

    #[allow(clippy::too_many_arguments)]
    fn write(
        &mut self,
        about: &str,
        method: &str,
        path: &str,
        headers: &[(&str, String)],
        cookies: &[String],
        body: &str,
        answer: &Answer,
    ) {
        let asked = path.split('?').next().unwrap();
        if let Some((_, operation)) = operation(method, asked) {
            let id = operation["operationId"].as_str().unwrap().to_owned();
            let reason = answer.json["reason"].as_str().unwrap_or_default().to_owned();
            self.transcript.seen.insert((id, answer.status.as_u16(), reason));
        }
        let typed = match serde_json::from_str(body) {
            Ok(body) => body,
            Err(_) if body.len() > 99 => json!(format!("{} bytes", body.len())),
            Err(_) => json!(body),
        };
        let usual = ["application/json", "same-origin"];
        let headers: Map<_, _> = headers
            .iter()
            .filter(|(_, value)| !usual.contains(&value.as_str()))
            .map(|(name, value)| ((*name).to_owned(), json!(value)))
            .collect();
        let exchanged = [
            ("request", json!(format!("{method} {path}"))),
            ("headers", headers.into()),
            ("cookies", json!(cookies.join("; "))),
            ("body", typed),
            ("status", json!(answer.status.to_string())),
            ("response_headers", varying(&answer.headers)),
            ("response", answer.json.clone()),
        ];
        let who = if self.is_mobile { "mobile application" } else { "browser" };
        self.transcript.add(&format!("{who}: {about}"), &exchanged);
    }

    /// The first step, which asks for a code. Answers the path of the login.
    pub async fn begin(&mut self, about: &str, name: &str) -> String {
        let body = json!({"name": name, "password": PASSWORD, "reauthenticate": true});
        let answer = self.send(about, "POST", "/login", body).await;
        assert_eq!(answer.step(), "code_required", "{}", answer.text);
        format!("/login/{}", answer.json["login"].as_str().unwrap())
    }

    /// A whole login.
    pub async fn sign_in(&mut self, about: &str, name: &str) {
        self.site.world.wait_for_the_spacing();
        let login = self.begin(about, name).await;
        let body = json!({"code": self.site.world.last_code()});
        let answer =
            self.send(&format!("{about}, by code"), "POST", &format!("{login}/code"), body).await;
        assert_eq!(answer.step(), "authenticated", "{}", answer.text);
    }

    /// Writes down what every response has.
    pub async fn always(&mut self) {
        let request = Request::get("/session").header("host", HOST).body(String::new());
        let answer = ask(&self.web, request.unwrap()).await;
        let always: Map<_, _> = ALWAYS
            .iter()
            .map(|name| ((*name).to_owned(), json!(answer.headers[*name].to_str().unwrap())))
            .collect();
        self.transcript.add(
            "the headers of every response, the type only with a body",
            &[("headers", always.into())],
        );
    }
}

/// The headers that not every response has, without the identifier of a session.
fn varying(headers: &HeaderMap) -> Value {
    let mut varying = BTreeMap::<&str, Vec<String>>::new();
    for (name, value) in headers {
        if ALWAYS.contains(&name.as_str()) {
            continue;
        }
        let value = value.to_str().unwrap();
        let value = match value.split_once(';') {
            Some((pair, rest)) if pair.len() > 20 && pair.starts_with("__Host-session=") => {
                format!("__Host-session=SESSION;{rest}")
            }
            _ => value.to_owned(),
        };
        varying.entry(name.as_str()).or_default().push(value);
    }
    json!(varying)
}
