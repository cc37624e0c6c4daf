//! One whole login, at either kind of site.

use std::error::Error;
use std::time::{Duration, Instant};

use hyper::StatusCode;
use serde_json::{Value, json};

use crate::client::{Answer, Client};

const PASSWORD: &str = "correct horse battery staple";

/// Whose endpoints a site has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Countersign,
    BetterAuth,
}

/// How a client's wish to log in went.
pub(crate) struct Attempt {
    /// How often the first step was refused because the site was busy.
    pub(crate) busy: usize,
    /// `None`: the site asked to wait until after the end.
    pub(crate) done: Option<Done>,
}

/// How one login went. Times are those that the client waited.
pub(crate) struct Done {
    /// From the name to the session, without the time that a busy site asks to wait.
    pub(crate) whole: Duration,
    /// The step that checks the code.
    pub(crate) second_step: Duration,
    /// Whether the same code was accepted once more. It must not be.
    pub(crate) twice: bool,
    /// The login as the site's events name it.
    pub(crate) id: Option<String>,
}

impl Kind {
    /// Logs a person in who never did before. It gives up where a busy site asks to wait until
    /// after this time.
    pub(crate) async fn log_in(
        self,
        client: &mut Client,
        number: u32,
        until: Instant,
    ) -> Result<Attempt, Failed> {
        client.forget();
        match self {
            Self::Countersign => countersign(client, number, until).await,
            Self::BetterAuth => better_auth(client, number).await,
        }
    }
}

type Failed = Box<dyn Error>;

async fn countersign(client: &mut Client, number: u32, until: Instant) -> Result<Attempt, Failed> {
    let name = format!("person-{number}");
    let (mut busy, mut started) = (0, Instant::now());
    let begun = loop {
        let begun =
            client.post("/auth/login", &json!({"name": name, "password": PASSWORD})).await?;
        if begun.status != StatusCode::SERVICE_UNAVAILABLE {
            break ok(begun)?;
        }
        busy += 1;
        let wait = Duration::from_secs(begun.retry_after.ok_or("no Retry-After")?);
        if Instant::now() + wait > until {
            return Ok(Attempt { busy, done: None });
        }
        tokio::time::sleep(wait).await;
        started = Instant::now();
    };
    let login = text(&begun, "login")?;
    let code = inbox(client, &name).await?;
    let (path, code) = (format!("/auth/login/{login}/code"), json!({"code": code}));
    let submitted = Instant::now();
    let done = ok(client.post(&path, &code).await?)?;
    let (second_step, whole) = (submitted.elapsed(), started.elapsed());
    if text(&done, "step")? != "authenticated" {
        return Err(format!("no session: {done}").into());
    }
    let twice = client.post(&path, &code).await?.status.is_success();
    Ok(Attempt { busy, done: Some(Done { whole, second_step, twice, id: Some(login) }) })
}

async fn better_auth(client: &mut Client, number: u32) -> Result<Attempt, Failed> {
    let name = format!("person-{number}");
    let email = format!("{name}@acme.example");
    let started = Instant::now();
    let begun = json!({"email": email, "password": PASSWORD});
    let begun = ok(client.post("/api/auth/sign-in/email", &begun).await?)?;
    if begun["twoFactorRedirect"] != true {
        return Err(format!("no second factor: {begun}").into());
    }
    ok(client.post("/api/auth/two-factor/send-otp", &json!({})).await?)?;
    let code = json!({"code": inbox(client, &name).await?});
    let submitted = Instant::now();
    let done = ok(client.post("/api/auth/two-factor/verify-otp", &code).await?)?;
    let (second_step, whole) = (submitted.elapsed(), started.elapsed());
    text(&done, "token")?;
    let twice = client.post("/api/auth/two-factor/verify-otp", &code).await?.status.is_success();
    Ok(Attempt { busy: 0, done: Some(Done { whole, second_step, twice, id: None }) })
}

/// The code that was sent to a person.
async fn inbox(client: &mut Client, name: &str) -> Result<String, Failed> {
    text(&ok(client.get(&format!("/inbox.json?user={name}")).await?)?, "code")
}

fn ok(answer: Answer) -> Result<Value, Failed> {
    if answer.status == StatusCode::OK {
        return Ok(answer.body);
    }
    Err(format!("{}: {}", answer.status, answer.body).into())
}

fn text(body: &Value, field: &str) -> Result<String, Failed> {
    Ok(body[field].as_str().ok_or_else(|| format!("no {field}: {body}"))?.to_owned())
}
