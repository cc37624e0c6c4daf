//! A site with two people and an administrator, and a browser that keeps cookies as browsers do.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use countersign::memory::MemoryFactors;
use countersign::operator::Operator;
use countersign::{LoginFlowBuilder, Scope, TenantId, TenantSettings};
use countersign_http::memory::MemorySessions;
use countersign_http::{TenantsByHost, Web, WebBuilder};
use countersign_testkit::{Counting, Person, World};
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use indexmap::IndexMap;
use serde_json::{Value, json};

use crate::described::ask;

pub const PASSWORD: &str = "correct horse battery staple";
pub const HOST: &str = "acme.example.com";
pub const DAY: Duration = Duration::from_secs(24 * 60 * 60);

pub struct Site {
    pub world: World,
    pub web: Web,
    pub sessions: MemorySessions,
    pub failures: Arc<Mutex<Vec<String>>>,
}

/// With trusted devices, and with a wide range of lockouts for tenants to choose from.
fn offering(flow: LoginFlowBuilder) -> LoginFlowBuilder {
    flow.trusted_devices(30 * DAY, 3).tenant_lockout(3..=10, Duration::from_secs(300)..=DAY)
}

impl Site {
    /// Everybody needs the second factor.
    pub async fn new() -> Self {
        Self::with(|builder| builder, |builder| builder).await
    }

    pub async fn with(
        flow: impl FnOnce(LoginFlowBuilder) -> LoginFlowBuilder,
        web: impl FnOnce(WebBuilder) -> WebBuilder,
    ) -> Self {
        let configure = |builder: LoginFlowBuilder| flow(offering(builder));
        let world = World::with(MemoryFactors::new(), "acme", configure).unwrap();
        Self::of(world, web).await
    }

    /// The same, of an application that has a list of its users.
    pub async fn with_people(
        flow: impl FnOnce(LoginFlowBuilder) -> LoginFlowBuilder,
        web: impl FnOnce(WebBuilder) -> WebBuilder,
    ) -> Self {
        let factors = MemoryFactors::new();
        let mut world = World::with(factors.clone(), "acme", |builder| builder).unwrap();
        let (users, factors) = (world.users.clone(), Counting::new(factors, &world.calls));
        let configure = |builder: LoginFlowBuilder| flow(offering(builder).directory(users));
        let with_people = world.flow_over(factors, configure).unwrap();
        world.flow = with_people;
        Self::of(world, web).await
    }

    async fn of(world: World, web: impl FnOnce(WebBuilder) -> WebBuilder) -> Self {
        world.set_scope(Scope::EntireTenant).await.unwrap();
        world.clock.advance(DAY);
        world.events.clear();
        let (sessions, failures) = (MemorySessions::new(), Arc::<Mutex<Vec<String>>>::default());
        let reported = Arc::clone(&failures);
        let builder = Web::browsers(&world.flow, tenants(), sessions.clone())
            .clock(world.clock.clone())
            .on_failure(move |error| reported.lock().unwrap().push(error.to_string()));
        Self { web: web(builder).build(), world, sessions, failures }
    }

    pub fn browser(&self) -> Browser<'_> {
        Browser {
            site: self,
            host: HOST,
            cookies: IndexMap::new(),
            headers: vec![("sec-fetch-site", "same-origin")],
        }
    }

    /// Adds users with these ids to the tenant.
    pub fn join(&self, ids: impl IntoIterator<Item = String>) {
        for id in ids {
            let person = Person::named(&id).email("x@example.com");
            person.join(&self.world.users, &self.world.tenant).unwrap();
        }
    }

    /// What the tenant has decided, and changes that are made to it elsewhere.
    pub fn operator(&self) -> Operator {
        self.world.flow.operator("test").unwrap()
    }

    pub async fn settings(&self) -> TenantSettings {
        self.operator().settings(&self.world.tenant).await.unwrap().settings
    }

    pub async fn set(&self, change: impl FnOnce(&mut TenantSettings)) {
        let shown = self.operator().settings(&self.world.tenant).await.unwrap();
        let (mut settings, version) = (shown.settings, shown.version);
        change(&mut settings);
        let operator = self.operator();
        let changed = operator.change_settings(&self.world.tenant, version, &settings);
        let _before = changed.await.unwrap();
    }

    /// Signs somebody in, in this browser.
    pub async fn sign_in(&self, browser: &mut Browser<'_>, name: &str) {
        self.world.wait_for_the_spacing();
        let login = browser.begin(name).await;
        let answer = browser.code(&login, &self.world.last_code()).await;
        assert_eq!((answer.status, answer.step()), (StatusCode::OK, "authenticated"));
    }
}

pub fn tenants() -> TenantsByHost {
    TenantsByHost::new()
        .with(HOST, TenantId::new("acme").unwrap())
        .with("other.example.com", TenantId::new("other").unwrap())
}

pub struct Browser<'a> {
    pub site: &'a Site,
    pub host: &'static str,
    /// In the order in which they were first set, which is how browsers send them.
    pub cookies: IndexMap<String, String>,
    pub headers: Vec<(&'static str, &'static str)>,
}

#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub json: Value,
    pub text: String,
}

impl Answer {
    pub async fn of(response: Response<Full<Bytes>>) -> Self {
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let text = String::from_utf8(body.to_vec()).unwrap();
        let json = serde_json::from_str(&text).unwrap_or(Value::Null);
        Self { status: parts.status, headers: parts.headers, json, text }
    }

    pub fn step(&self) -> &str {
        self.json["step"].as_str().unwrap_or("none")
    }

    pub fn reason(&self) -> &str {
        self.json["reason"].as_str().unwrap_or("none")
    }

    pub fn cookies(&self) -> Vec<&str> {
        self.headers
            .get_all(header::SET_COOKIE)
            .iter()
            .map(|value| value.to_str().unwrap())
            .collect()
    }
}

impl Browser<'_> {
    pub async fn send(&mut self, method: &str, path: &str, body: &Value) -> Answer {
        let mut request = Request::builder().method(method).uri(path).header("host", self.host);
        for (name, value) in &self.headers {
            request = request.header(*name, *value);
        }
        let cookies: Vec<_> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        if !cookies.is_empty() {
            request = request.header("cookie", cookies.join("; "));
        }
        let body = if body.is_null() {
            String::new()
        } else {
            request = request.header("content-type", "application/json");
            body.to_string()
        };
        let answer = ask(&self.site.web, request.body(body).unwrap()).await;
        self.keep(&answer);
        answer
    }

    /// Keeps the cookies of a response, and forgets those that it clears.
    pub fn keep(&mut self, answer: &Answer) {
        for cookie in answer.cookies() {
            let (pair, attributes) = cookie.split_once("; ").unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            if attributes.contains("Max-Age=0") {
                self.cookies.shift_remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }

    pub async fn post(&mut self, path: &str, body: Value) -> Answer {
        self.send("POST", path, &body).await
    }

    pub async fn get(&mut self, path: &str) -> Answer {
        self.send("GET", path, &Value::Null).await
    }

    pub async fn password(&mut self, name: &str) -> Answer {
        self.post("/login", json!({"name": name, "password": PASSWORD})).await
    }

    /// The first step, which asks for a code. Answers the login.
    pub async fn begin(&mut self, name: &str) -> String {
        let answer = self.password(name).await;
        assert_eq!((answer.status, answer.step()), (StatusCode::OK, "code_required"));
        answer.json["login"].as_str().unwrap().to_owned()
    }

    pub async fn code(&mut self, login: &str, code: &str) -> Answer {
        self.post(&format!("/login/{login}/code"), json!({"code": code})).await
    }

    pub fn named(&self, part: &str) -> Vec<&str> {
        self.cookies.keys().map(String::as_str).filter(|name| name.contains(part)).collect()
    }

    pub fn session(&self) -> Option<&str> {
        self.cookies.get("__Host-session").map(String::as_str)
    }
}
