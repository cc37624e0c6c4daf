//! A whole site on hyper, without a framework: the endpoints of this crate under `/auth`, and a
//! page of the application's own.
//!
//! ```text
//! cargo run -p countersign-http --example hyper
//! ```
//!
//! Codes are printed instead of sent. Then, with the address and the code that it prints:
//!
//! ```text
//! curl -c jar -b jar -H 'content-type: application/json' http://127.0.0.1:PORT/auth/login \
//!   -d '{"name": "alice", "password": "correct horse battery staple"}'
//! curl -c jar -b jar -H 'content-type: application/json' \
//!   http://127.0.0.1:PORT/auth/login/LOGIN/code -d '{"code": "123456"}'
//! curl -b jar http://127.0.0.1:PORT/
//! ```

use std::convert::Infallible;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use countersign::contact::EmailAddress;
use countersign::error::report;
use countersign::memory::{MemoryFactors, MemoryUsers};
use countersign::sender::{CodeMessage, CodeSender, Notice, SendError, SendStatus};
use countersign::user::User;
use countersign::{LoginFlow, LoginName, Scope, TenantId, UserId};
use countersign_http::memory::MemorySessions;
use countersign_http::{MAX_BODY, OneTenant, Web, refusal};
use countersign_tokio::BlockingPool;
use http::request::Parts;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

struct Printed;

#[async_trait]
impl CodeSender for Printed {
    async fn send_code(&self, message: &CodeMessage) -> Result<SendStatus, SendError> {
        println!("Code for {}: {}", message.user, message.code.expose());
        Ok(SendStatus::Sent)
    }

    async fn notify(&self, notice: &Notice) -> Result<SendStatus, SendError> {
        println!("Notice for {}: {:?}", notice.user, notice.kind.topic());
        Ok(SendStatus::Sent)
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let acme = TenantId::new("acme")?;
    let passwords = BlockingPool::default();
    let users = MemoryUsers::new();
    let flow = LoginFlow::builder(users.clone(), MemoryFactors::new(), Printed)
        .password_verifier(passwords)
        .build()?;
    let request = flow.request(&acme, &countersign::RequestContext::new());
    let mut alice = User::new(acme.clone(), UserId::new("alice")?);
    alice.email = Some(EmailAddress::new("alice@example.com")?);
    alice.password_hash =
        Some(request.hash_password(&"correct horse battery staple".into()).await?);
    users.insert(&LoginName::new("alice")?, alice);
    flow.operator("example")?.set_scope(&acme, Scope::EntireTenant).await?;

    let web =
        Web::browsers(&flow, OneTenant(acme), MemorySessions::new().development_on_loopback())
            .base_path("/auth")
            .development_on_loopback()
            .on_failure(|error| eprintln!("{}", report(error)))
            .build();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("http://{}/", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(serve(stream, web.clone()));
    }
}

async fn serve(stream: TcpStream, web: Web) {
    let service = service_fn(move |request: Request<Incoming>| {
        let web = web.clone();
        let (parts, body) = request.into_parts();
        let asked = parts.clone();
        // In a task of its own: a step goes on when the client hangs up.
        let task = tokio::spawn(async move { answer(parts, body, &web).await });
        async move {
            let answered = task.await.inspect_err(|panic| eprintln!("{panic}"));
            let failed = |_| refusal(&asked, StatusCode::INTERNAL_SERVER_ERROR);
            Ok::<_, Infallible>(answered.unwrap_or_else(failed))
        }
    });
    let mut server = hyper::server::conn::http1::Builder::new();
    server.timer(hyper_util::rt::TokioTimer::new()).header_read_timeout(Duration::from_secs(10));
    if let Err(error) = server.serve_connection(TokioIo::new(stream), service).await {
        eprintln!("{error}");
    }
}

async fn answer(parts: Parts, body: Incoming, web: &Web) -> Response<Full<Bytes>> {
    if parts.uri.path().starts_with("/auth/") {
        // A slow body is given up. A step is not: what it has begun, it ends.
        let body = Limited::new(body, MAX_BODY).collect();
        return match tokio::time::timeout(Duration::from_secs(10), body).await {
            Ok(Ok(body)) => {
                let body: Full<Bytes> = body.to_bytes().into();
                web.handle(Request::from_parts(parts, body)).await
            }
            Ok(Err(error)) if error.is::<LengthLimitError>() => {
                refusal(&parts, StatusCode::PAYLOAD_TOO_LARGE)
            }
            Ok(Err(_)) => refusal(&parts, StatusCode::BAD_REQUEST),
            Err(_) => refusal(&parts, StatusCode::REQUEST_TIMEOUT),
        };
    }
    match web.signed_in(&parts).await {
        Ok(grant) => Response::new(Full::from(format!("Hello, {}.\n", grant.user()))),
        Err(response) => response,
    }
}
