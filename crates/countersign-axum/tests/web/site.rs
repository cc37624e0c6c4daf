//! A tenant to log in to through axum, and a browser that keeps cookies.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use countersign::memory::MemoryFactors;
use countersign::{LoginFlowBuilder, Scope};
use countersign_axum::{Detach, router};
use countersign_http::memory::MemorySessions;
use countersign_http::{OneTenant, Sessions, Web, WebBuilder};
use countersign_testkit::{InjectedError, Intercepted, Interceptor, World};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tower::ServiceExt;

pub const PASSWORD: &str = "correct horse battery staple";
pub const DAY: Duration = Duration::from_secs(24 * 60 * 60);

pub type Reports = Arc<Mutex<Vec<String>>>;

pub struct Site {
    pub world: World,
    pub factors: MemoryFactors,
    pub hold: Hold,
    pub sessions: MemorySessions,
    pub web: Web,
    pub detach: Detach,
    pub reports: Reports,
}

impl Site {
    /// Everybody needs the second factor. The endpoints are under `/auth`.
    pub async fn new() -> Self {
        Self::with(|builder| builder).await
    }

    pub async fn with(configure: impl FnOnce(LoginFlowBuilder) -> LoginFlowBuilder) -> Self {
        let (factors, hold) = (MemoryFactors::new(), Hold::default());
        let store = Intercepted::new(factors.clone(), &hold);
        let configure = |builder: LoginFlowBuilder| configure(builder.trusted_devices(30 * DAY, 3));
        let world = World::with(store, "acme", configure).unwrap();
        let operator = world.flow.operator("test").unwrap();
        operator.set_scope(&world.tenant, Scope::EntireTenant).await.unwrap();
        world.events.clear();
        world.calls.clear();
        let (sessions, reports) = (MemorySessions::new(), Reports::default());
        let reported = Arc::clone(&reports);
        let detach =
            Detach::new().on_failure(move |error| reported.lock().unwrap().push(error.to_string()));
        let web = builder(&world, sessions.clone(), &reports).base_path("/auth").build();
        Self { world, factors, hold, sessions, web, detach, reports }
    }

    pub fn app(&self) -> Router {
        router(&self.web, &self.detach)
    }

    /// Signs somebody in, in this browser.
    pub async fn sign_in(&self, browser: &mut Browser, name: &str) -> Answer {
        self.world.wait_for_the_spacing();
        let login = browser.begin(name).await;
        let answer = browser.code(&login, &self.world.last_code()).await;
        assert_eq!((answer.status, answer.step()), (StatusCode::OK, "authenticated"), "{answer:?}");
        answer
    }
}

pub fn builder(world: &World, sessions: impl Sessions + 'static, reports: &Reports) -> WebBuilder {
    let reported = Arc::clone(reports);
    Web::browsers(&world.flow, OneTenant(world.tenant.clone()), sessions)
        .clock(world.clock.clone())
        .on_failure(move |error| reported.lock().unwrap().push(error.to_string()))
}

/// Holds one call of the store when it has done its work, until the test lets it go.
#[derive(Clone, Default)]
pub struct Hold(Arc<Mutex<Option<Held>>>);

struct Held {
    method: &'static str,
    reached: oneshot::Sender<()>,
    go: oneshot::Receiver<()>,
}

impl Hold {
    /// The next call of this method. Answers what says that it was made, and what lets it go.
    pub fn after(&self, method: &'static str) -> (oneshot::Receiver<()>, oneshot::Sender<()>) {
        let ((reached, is_reached), (let_go, go)) = (oneshot::channel(), oneshot::channel());
        *self.0.lock().unwrap() = Some(Held { method, reached, go });
        (is_reached, let_go)
    }
}

impl Interceptor for Hold {
    async fn around<T: Send, E: InjectedError>(
        &self,
        method: &'static str,
        _: Option<T>,
        call: impl Future<Output = Result<T, E>> + Send,
    ) -> Result<T, E> {
        let answer = call.await;
        let held = self.0.lock().unwrap().take_if(|held| held.method == method);
        if let Some(Held { reached, go, .. }) = held {
            let _ = reached.send(());
            let _ = go.await;
        }
        answer
    }
}

pub struct Browser {
    pub app: Router,
    pub cookies: BTreeMap<String, String>,
    pub headers: Vec<(&'static str, &'static str)>,
}

#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
    pub json: Value,
}

impl Answer {
    pub async fn of(response: Response) -> Self {
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap();
        let text = String::from_utf8(body.to_vec()).unwrap();
        let json = serde_json::from_str(&text).unwrap_or(Value::Null);
        Self { status: parts.status, headers: parts.headers, text, json }
    }

    pub fn step(&self) -> &str {
        self.json["step"].as_str().unwrap_or("none")
    }

    pub fn reason(&self) -> &str {
        self.json["reason"].as_str().unwrap_or("none")
    }

    /// The value that a cookie gets by this response. Empty: it is removed.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        let set = self.headers.get_all(header::SET_COOKIE).iter();
        set.map(|value| value.to_str().unwrap())
            .filter_map(|cookie| cookie.strip_prefix(name)?.strip_prefix('='))
            .map(|cookie| cookie.split(';').next().unwrap())
            .next()
    }
}

impl Browser {
    pub fn at(app: &Router) -> Self {
        let headers = vec![("sec-fetch-site", "same-origin")];
        Self { app: app.clone(), cookies: BTreeMap::new(), headers }
    }

    pub fn request(&self, method: &str, path: &str, body: &Value) -> Request {
        let mut request =
            Request::builder().method(method).uri(path).header("host", "acme.example.com");
        for (name, value) in &self.headers {
            request = request.header(*name, *value);
        }
        let cookies: Vec<_> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        if !cookies.is_empty() {
            request = request.header("cookie", cookies.join("; "));
        }
        let body = if body.is_null() { String::new() } else { body.to_string() };
        request.header("content-type", "application/json").body(Body::from(body)).unwrap()
    }

    pub async fn send(&mut self, method: &str, path: &str, body: &Value) -> Answer {
        let request = self.request(method, path, body);
        let answer = Answer::of(self.app.clone().oneshot(request).await.unwrap()).await;
        for cookie in answer.headers.get_all(header::SET_COOKIE) {
            let (pair, attributes) = cookie.to_str().unwrap().split_once("; ").unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            if attributes.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        answer
    }

    pub async fn post(&mut self, path: &str, body: Value) -> Answer {
        self.send("POST", path, &body).await
    }

    pub async fn get(&mut self, path: &str) -> Answer {
        self.send("GET", path, &Value::Null).await
    }

    pub async fn password(&mut self, name: &str) -> Answer {
        self.post("/auth/login", json!({"name": name, "password": PASSWORD})).await
    }

    /// The first step, which asks for a code. Answers the login.
    pub async fn begin(&mut self, name: &str) -> String {
        let answer = self.password(name).await;
        assert_eq!((answer.status, answer.step()), (StatusCode::OK, "code_required"), "{answer:?}");
        answer.json["login"].as_str().unwrap().to_owned()
    }

    pub async fn code(&mut self, login: &str, code: &str) -> Answer {
        self.post(&format!("/auth/login/{login}/code"), json!({"code": code})).await
    }
}
