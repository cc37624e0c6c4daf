//! Steps go on when the client hangs up, and begin only with a whole body.

use std::convert::Infallible;
use std::fmt::Write;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::{Body, Bytes, HttpBody, to_bytes};
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::middleware::{Next, from_fn};
use axum::routing::any;
use countersign::TenantId;
use countersign::error::PluginError;
use countersign_axum::router;
use countersign_http::memory::MemorySessions;
use countersign_http::{MAX_BODY, Tenants, Web};
use futures_lite::{StreamExt, stream};
use http_body::{Frame, SizeHint};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout};
use tower::ServiceExt;

use crate::site::{Answer, Browser, PASSWORD, Site};

/// Waits, but not for ever for what does not happen.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(60), future).await.unwrap()
}

/// Without a task of its own, a step ends where its client hangs up: the control.
fn attached(web: &Web) -> Router {
    let web = web.clone();
    let handle = move |request: Request| {
        let web = web.clone();
        async move { web.handle(request).await }
    };
    Router::new().route("/auth/{*path}", any(handle))
}

/// A person makes a backup code over a real connection, and the client hangs up when that is saved
/// and the notice is not sent. Answers when nothing of the request is left with the server.
async fn hang_up_after_the_commit(site: &Site, app: Router) {
    let mut browser = Browser::at(&site.app());
    site.sign_in(&mut browser, "alice").await;
    site.world.outbox.clear();
    site.world.calls.clear();
    let (gone, mut is_gone) = mpsc::unbounded_channel::<()>();
    let watched = app.layer(from_fn(move |request: Request, next: Next| {
        let gone = Gone(gone.clone());
        async move {
            let _gone = gone;
            next.run(request).await
        }
    }));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move { axum::serve(listener, watched).await });
    let (reached, go) = site.hold.after("commit");

    let request = browser.request("POST", "/auth/account/backup-code", &json!({}));
    let (parts, body) = request.into_parts();
    let mut text = format!("{} {} HTTP/1.1\r\ncontent-length: 2\r\n", parts.method, parts.uri);
    for (name, value) in &parts.headers {
        write!(text, "{name}: {}\r\n", value.to_str().unwrap()).unwrap();
    }
    text += "\r\n";
    text += std::str::from_utf8(&to_bytes(body, 2).await.unwrap()).unwrap();
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(text.as_bytes()).await.unwrap();
    soon(reached).await.unwrap();
    drop(client);
    soon(is_gone.recv()).await.unwrap();
    let _ = go.send(());
    soon(site.detach.idle()).await;
    server.abort();
}

struct Gone(mpsc::UnboundedSender<()>);

impl Drop for Gone {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

async fn has_backup_code(site: &Site) -> bool {
    site.world.wait_for_the_spacing();
    let grant = site.world.sign_in("alice").await.unwrap().grant;
    site.world.request().account(&grant).status().await.unwrap().backup_code_made_at.is_some()
}

/// A client that hangs up cannot keep the person from being notified.
#[tokio::test]
async fn a_client_that_hangs_up_keeps_nobody_from_being_notified() {
    let site = Site::new().await;
    hang_up_after_the_commit(&site, site.app()).await;
    assert_eq!(site.world.calls.of("commit"), 1);
    let notices = site.world.outbox.notices();
    assert_eq!(notices.len(), 1, "{notices:?}");
    assert_eq!(notices[0].user.as_str(), "alice");
    assert!(has_backup_code(&site).await);

    // Control: without the layer the change is made and nobody is notified.
    let site = Site::new().await;
    hang_up_after_the_commit(&site, attached(&site.web)).await;
    assert_eq!(site.world.calls.of("commit"), 1);
    assert_eq!(site.world.outbox.notices().len(), 0);
    assert!(has_backup_code(&site).await);
}

/// Before a runtime stops, the application waits for what is under way.
#[tokio::test]
async fn what_is_under_way_can_be_waited_for() {
    let site = Site::new().await;
    let browser = Browser::at(&site.app());
    let (reached, go) = site.hold.after("commit");
    let body = json!({"name": "alice", "password": PASSWORD});
    let request = browser.request("POST", "/auth/login", &body);
    let client = tokio::spawn(site.app().oneshot(request));
    soon(reached).await.unwrap();
    client.abort();
    assert!(client.await.unwrap_err().is_cancelled());
    let mut idle = std::pin::pin!(site.detach.idle());
    assert!(futures_lite::future::poll_once(&mut idle).await.is_none());
    assert_eq!(format!("{:?}", site.detach), "Detach { body_timeout: 10s, under_way: 1, .. }");
    let _ = go.send(());
    idle.await;
    assert_eq!(site.world.outbox.codes().len(), 1);
    soon(site.detach.idle()).await;
}

/// A request whose body never ends.
fn slow(browser: &Browser, path: &str) -> Request {
    let body = json!({"name": "alice", "password": PASSWORD}).to_string();
    let first = stream::once(Ok::<_, std::io::Error>(Bytes::from(body)));
    let (parts, _) = browser.request("POST", path, &Value::Null).into_parts();
    Request::from_parts(parts, Body::from_stream(first.chain(stream::pending())))
}

/// I-40: a client that sends its body slowly is given up, and nothing was begun.
#[tokio::test(start_paused = true)]
async fn a_slow_body_begins_no_step() {
    let site = Site::new().await;
    let browser = Browser::at(&site.app());
    for (detach, seconds) in
        [(site.detach.clone(), 10), (site.detach.clone().body_timeout(Duration::from_secs(3)), 3)]
    {
        let began = Instant::now();
        let response = router(&site.web, &detach).oneshot(slow(&browser, "/auth/login"));
        // Only a test that fails waits so long.
        let response = soon(response).await;
        let answer = Answer::of(response.unwrap()).await;
        let expected = (StatusCode::REQUEST_TIMEOUT, "body_too_slow");
        assert_eq!((answer.status, answer.reason()), expected);
        assert_eq!(answer.headers["cache-control"], "no-store");
        assert_eq!(began.elapsed().as_secs(), seconds);
    }
    assert_eq!(site.world.calls.all(), Vec::<&str>::new());
    assert_eq!(site.world.events.kinds(), []);
}

/// A body that declares its length and never arrives.
struct Announced;

impl HttpBody for Announced {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Pending
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(u64::try_from(MAX_BODY).unwrap() + 1)
    }
}

/// I-40: a body that is too long is refused, whether or not it says so, and nothing was begun.
#[tokio::test(start_paused = true)]
async fn an_oversized_body_begins_no_step() {
    let site = Site::new().await;
    let browser = Browser::at(&site.app());
    let good = json!({"name": "alice", "password": PASSWORD}).to_string();
    let padded = |length: usize| format!("{}{good}", " ".repeat(length - good.len()));
    let send = async |body: Body| {
        let (parts, _) = browser.request("POST", "/auth/login", &Value::Null).into_parts();
        let response = site.app().oneshot(Request::from_parts(parts, body));
        let response = soon(response).await;
        Answer::of(response.unwrap()).await
    };
    let chunks = |text: String, end: stream::Iter<std::vec::IntoIter<_>>| {
        let first = stream::once(Ok::<_, std::io::Error>(Bytes::from(text)));
        Body::from_stream(first.chain(end))
    };
    let one_more = stream::iter(vec![Ok(Bytes::from_static(b" "))]);
    for body in [Body::from(padded(MAX_BODY + 1)), chunks(padded(MAX_BODY), one_more)] {
        let answer = send(body).await;
        let expected = (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large");
        assert_eq!((answer.status, answer.reason()), expected);
    }
    let broken = stream::iter(vec![Err(std::io::Error::other("the connection broke"))]);
    let answer = send(chunks(good.clone(), broken)).await;
    assert_eq!((answer.status, answer.reason()), (StatusCode::BAD_REQUEST, "malformed_request"));
    // One that declares too much is refused before any of it is sent.
    let began = Instant::now();
    let announced = send(Body::new(Announced)).await;
    assert_eq!(announced.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert_eq!(site.world.calls.all(), Vec::<&str>::new());
    assert_eq!(site.world.events.kinds(), []);

    assert_eq!(send(Body::from(padded(MAX_BODY))).await.step(), "code_required");
}

/// Panics when the test lets it.
struct Panicking(Mutex<Option<(oneshot::Sender<()>, oneshot::Receiver<()>)>>);

#[async_trait]
impl Tenants for Panicking {
    async fn tenant(&self, _: &Parts) -> Result<Option<TenantId>, PluginError> {
        let held = self.0.lock().unwrap().take();
        if let Some((reached, go)) = held {
            let _ = reached.send(());
            let _ = go.await;
        }
        panic!("no tenant today")
    }
}

/// A panic is an answer without a reason, and a report, also when the client has gone.
#[tokio::test]
async fn a_panic_is_answered_and_reported() {
    let site = Site::new().await;
    let ((reached, is_reached), (let_go, go)) = (oneshot::channel(), oneshot::channel());
    let web = Web::browsers(
        &site.world.flow,
        Panicking(Mutex::new(Some((reached, go)))),
        MemorySessions::new(),
    );
    let app = router::<()>(&web.base_path("/auth").build(), &site.detach);
    let browser = Browser::at(&app);
    let request = || browser.request("GET", "/auth/session", &Value::Null);
    let client = tokio::spawn(app.clone().oneshot(request()));
    is_reached.await.unwrap();
    client.abort();
    assert!(client.await.unwrap_err().is_cancelled());
    let _ = let_go.send(());
    soon(site.detach.idle()).await;
    assert_eq!(site.reports.lock().unwrap().len(), 1);

    let answer = Answer::of(app.clone().oneshot(request()).await.unwrap()).await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    let text = "Something went wrong. Please try again later.";
    assert_eq!(answer.json, json!({"reason": "failed", "message": text}));
    let reports = site.reports.lock().unwrap();
    assert_eq!(reports.len(), 2);
    assert!(reports.iter().all(|report| report.contains("no tenant today")), "{reports:?}");
}

/// The layer serves an application's own routes too.
#[tokio::test]
async fn own_routes_can_outlive_their_connection() {
    let site = Site::new().await;
    let (entered, mut is_entered) = mpsc::unbounded_channel();
    let ((go, gone), done) = (oneshot::channel::<()>(), Arc::new(Mutex::new(Vec::new())));
    let gone = Arc::new(Mutex::new(Some(gone)));
    let noted = Arc::clone(&done);
    let own = any(move |body: String| {
        let (entered, gone, noted) = (entered.clone(), Arc::clone(&gone), Arc::clone(&noted));
        async move {
            entered.send(()).unwrap();
            let gone = gone.lock().unwrap().take().unwrap();
            gone.await.unwrap();
            noted.lock().unwrap().push(body);
        }
    });
    let app: Router = Router::new().route("/own", own).layer(site.detach.clone());
    let client = tokio::spawn(app.oneshot(Request::post("/own").body(Body::from("x")).unwrap()));
    is_entered.recv().await.unwrap();
    client.abort();
    assert!(client.await.unwrap_err().is_cancelled());
    go.send(()).unwrap();
    soon(site.detach.idle()).await;
    assert_eq!(*done.lock().unwrap(), ["x"]);
}
