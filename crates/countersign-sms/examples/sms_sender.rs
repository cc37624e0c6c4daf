//! A code that proves a phone number, by SMS.
//!
//! ```text
//! cargo run -p countersign-sms --features reqwest --example sms_sender
//! ```
//!
//! Without settings it talks to a server of its own on this machine that answers as Twilio does,
//! shows what that received, and types the code in by itself.
//!
//! # With your provider, step by step
//!
//! 1. Get an account, and whatever your country asks for before it lets you send: a number, a
//!    registered name, a campaign. Switch off every country that your users do not live in; the
//!    example does the same with `SMS_COUNTRIES`.
//! 2. Set the provider, whom messages come from (a number with its plus sign, or a name of up to 11
//!    letters), and a phone that you can read:
//!
//!    ```text
//!    export SMS_PROVIDER=twilio TWILIO_ACCOUNT_SID=AC... TWILIO_AUTH_TOKEN=...
//!    export SMS_PROVIDER=vonage VONAGE_API_KEY=... VONAGE_API_SECRET=...
//!    export SMS_PROVIDER=sns AWS_REGION=... AWS_ACCESS_KEY_ID=... AWS_SECRET_ACCESS_KEY=...   # and AWS_SESSION_TOKEN, if there is one
//!    export SMS_FROM=+15551234567 SMS_TO=+819012345634
//!    export SMS_LANGUAGE=ja                     # en is the default
//!    export SMS_ORIGIN_HOST=login.example.com   # the site on which phones offer the code
//!    export SMS_COUNTRIES=81,1                  # calling codes; those of SMS_TO by default
//!    ```
//!
//! 3. Run it again, and type the code that arrives.
//!
//! A failed delivery is printed with its kind and its causes, such as the provider's error code.
//! Neither numbers nor codes nor credentials are in it, so that it may be logged. `SMS_URL` is
//! another `https` address than the provider's own.

use std::env::{self, VarError};
use std::error::Error;
use std::io::{BufRead, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use countersign::clock::{Clock, ManualClock, SystemClock};
use countersign::contact::{Destination, EmailAddress, PhoneNumber};
use countersign::event::{Event, EventKind, EventSink};
use countersign::memory::MemoryBudget;
use countersign::memory::{MemoryFactors, MemoryUsers};
use countersign::sender::{CodeMessage, CodeSender, Notice, SendError, SendStatus};
use countersign::user::{Language, User};
use countersign::{
    Channel, Code, DeliveryStatus, LoginFlow, LoginName, LoginStep, PreverifiedLogin,
    RequestContext, Scope, TenantId, TrustDevice, UserId,
};
use countersign_delivery::message::Messages;
use countersign_delivery::{Budgeted, SendLimits, SendRefusal};
use countersign_sms::{
    AwsCredentials, Origin, ReqwestHttp, SmsSecret, SmsSender, Sns, Twilio, Vonage,
};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

type Failed = Box<dyn Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failed> {
    // The application chooses how TLS is computed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let to = PhoneNumber::new(&setting("SMS_TO")?.unwrap_or_else(|| "+819012345634".to_owned()))?;
    let mut words = Messages::builder("Example");
    if let Some(host) = setting("SMS_ORIGIN_HOST")? {
        words = words.origin_host(host);
    }
    let (sender, mut sink) = if let Some(provider) = setting("SMS_PROVIDER")? {
        (real(&provider, words.build()?)?, None)
    } else {
        let (sender, sink) = local(words.build()?).await?;
        (sender, Some(sink))
    };

    // Numbers of other countries are not sent to: the strongest means against SMS pumping.
    let own = to.calling_code().to_owned();
    let countries = setting("SMS_COUNTRIES")?.unwrap_or(own);
    let countries: Vec<&str> = countries.split(',').collect();
    let limits = SendLimits::new().allow_calling_codes(&countries)?;
    let sender = Budgeted::new(sender, MemoryBudget::new(), limits)
        .observer(|refusal: &SendRefusal| eprintln!("not sent: {refusal:?}"));

    // A tenant of one, who logs in by email and then proves a phone number.
    let tenant = TenantId::new("acme")?;
    let users = MemoryUsers::new();
    let mut user = User::new(tenant.clone(), UserId::new("you")?);
    user.email = Some(EmailAddress::new("you@example.com")?);
    user.language =
        Some(Language::new(&setting("SMS_LANGUAGE")?.unwrap_or_else(|| "en".to_owned()))?);
    users.insert(&LoginName::new("you")?, user);
    let mailbox = Arc::new(Mutex::new(String::new()));
    let both = MailOrSms { mailbox: Arc::clone(&mailbox), sms: sender };
    // It stands still but for one jump, so that nobody here waits until another code may be sent.
    let clock = ManualClock::new(SystemClock.now().map_err(|fault| fault.to_string())?);
    let flow = LoginFlow::builder(users, MemoryFactors::new(), both)
        .clock(clock.clone())
        .events(Failures)
        .build()?;
    flow.operator("setting up")?.set_scope(&tenant, Scope::EntireTenant).await?;
    let LoginStep::CodeRequired(page) = begin(&flow, &tenant).await? else {
        return Err("a code is asked for".into());
    };
    let by_mail = Code::new(mailbox.lock().map(|code| code.clone()).unwrap_or_default());
    let step = flow
        .request(&tenant, &RequestContext::new())
        .submit_code(&page.token, &by_mail, TrustDevice::No)
        .await?;
    let LoginStep::Authenticated(you) = step else { return Err("the code is right".into()) };
    let grant = you.grant.into_saved();
    clock.advance(Duration::from_secs(60));

    let change =
        flow.request(grant.tenant(), &RequestContext::new()).account(&grant).use_sms(&to).await?;
    match &change.delivery {
        DeliveryStatus::Sent(code) => {
            println!("Page: a code went to {}. Reference {}.", code.destination, code.reference);
        }
        DeliveryStatus::PerhapsSent(code) => {
            println!(
                "Page: if a message arrives at {}, it has reference {}.",
                code.destination, code.reference
            );
        }
        other => return Err(format!("no code was sent: {other:?}").into()),
    }
    let typed = match &mut sink {
        Some(sink) => {
            let sms = sink.recv().await.ok_or("the local server has gone")?;
            println!("\n--- the local server received ---\n{sms}\n--- end ---\n");
            let code = sms.split(|c: char| !c.is_ascii_digit()).find(|digits| digits.len() == 6);
            code.ok_or("there is no code in the message")?.to_owned()
        }
        None => ask("The code from the message: ")?,
    };
    let method = flow
        .request(grant.tenant(), &RequestContext::new())
        .account(&grant)
        .confirm_method(&change.token, &Code::new(typed))
        .await?;
    println!("From now on your codes come by {method:?}.");
    Ok(())
}

/// The sender for a real provider.
fn real(provider: &str, messages: Messages) -> Result<SmsSender, Failed> {
    let from = need("SMS_FROM")?;
    let from = match PhoneNumber::new(&from) {
        Ok(number) => Origin::number(&number),
        Err(_) => Origin::name(&from)?,
    };
    let secret = |name| need(name).map(SmsSecret::new);
    let (http, url) = (ReqwestHttp::new()?, setting("SMS_URL")?);
    Ok(match provider {
        "twilio" => {
            let account = Twilio::new(&need("TWILIO_ACCOUNT_SID")?, secret("TWILIO_AUTH_TOKEN")?)?;
            let mut twilio = account.from(from);
            if let Some(url) = url {
                twilio = twilio.base_url(&url);
            }
            SmsSender::new(twilio, http, messages)
        }
        "vonage" => {
            let mut vonage =
                Vonage::new(&need("VONAGE_API_KEY")?, secret("VONAGE_API_SECRET")?, from)?;
            if let Some(url) = url {
                vonage = vonage.base_url(&url);
            }
            SmsSender::new(vonage, http, messages)
        }
        "sns" => {
            let mut keys =
                AwsCredentials::new(&need("AWS_ACCESS_KEY_ID")?, secret("AWS_SECRET_ACCESS_KEY")?)?;
            if let Some(token) = setting("AWS_SESSION_TOKEN")? {
                keys = keys.session_token(SmsSecret::new(token))?;
            }
            let mut sns = Sns::new(&need("AWS_REGION")?, keys)?.from(from);
            if let Some(url) = url {
                sns = sns.url(&url)?;
            }
            SmsSender::new(sns, http, messages)
        }
        _ => return Err("SMS_PROVIDER is twilio, vonage or sns".into()),
    })
}

/// The sender for a server in this program, and what that receives.
async fn local(messages: Messages) -> Result<(SmsSender, UnboundedReceiver<String>), Failed> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let (received, texts) = unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(take_sms(stream, received.clone()));
        }
    });
    println!("SMS_PROVIDER is not set: sending to a server of this program, on {url}.");
    let account = Twilio::new("AC00000000000000000000000000000000", SmsSecret::new("no secret"))?;
    let twilio = account.from(Origin::name("Example")?).base_url(&url);
    let http = ReqwestHttp::builder().dangerously_allow_unencrypted().build()?;
    Ok((SmsSender::new(twilio, http, messages), texts))
}

/// As much of Twilio as it takes to see a message.
async fn take_sms(stream: TcpStream, received: UnboundedSender<String>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? <= 2 {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    let mut form = vec![0; length];
    stream.read_exact(&mut form).await?;
    let form = String::from_utf8_lossy(&form).into_owned();
    let text = form.split('&').find_map(|field| field.strip_prefix("Body=")).unwrap_or_default();
    let _ = received.send(unescape(text));
    let answer = "{\"status\": \"queued\"}";
    let head = format!(
        "HTTP/1.1 201 Created\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        answer.len()
    );
    stream.write_all((head + answer).as_bytes()).await
}

fn unescape(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let hex: Vec<u8> = if byte == b'%' { rest.by_ref().take(2).collect() } else { Vec::new() };
        let escaped =
            std::str::from_utf8(&hex).ok().and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(escaped.unwrap_or(byte));
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Email stays in this program; SMS goes out. An application has a real sender for each.
struct MailOrSms<S> {
    mailbox: Arc<Mutex<String>>,
    sms: S,
}

#[async_trait]
impl<S: CodeSender> CodeSender for MailOrSms<S> {
    async fn send_code(&self, message: &CodeMessage) -> Result<SendStatus, SendError> {
        if matches!(message.destination, Destination::Sms(_)) {
            return self.sms.send_code(message).await;
        }
        if let Ok(mut mailbox) = self.mailbox.lock() {
            message.code.expose().clone_into(&mut mailbox);
        }
        Ok(SendStatus::Sent)
    }

    async fn notify(&self, notice: &Notice) -> Result<SendStatus, SendError> {
        match notice.destination {
            Destination::Sms(_) => self.sms.notify(notice).await,
            Destination::Email(_) => Ok(SendStatus::Sent),
        }
    }
}

/// Prints why a delivery failed.
struct Failures;

impl EventSink for Failures {
    fn emit(&self, event: &Event) {
        match &event.kind {
            EventKind::DeliveryFailed { method, error, causes, .. } => {
                eprintln!("A code by {method:?} failed ({error}): {causes}");
            }
            EventKind::NoticeFailed { error, causes } => {
                eprintln!("A notice failed ({error}): {causes}");
            }
            _ => {}
        }
    }
}

async fn begin(flow: &LoginFlow, tenant: &TenantId) -> Result<LoginStep, Failed> {
    let user = UserId::new("you")?;
    // A program of yours checks the password here, or lets the flow do it: `begin`.
    let login = PreverifiedLogin { user: &user, channel: Channel::Web, device: None };
    Ok(flow.request(tenant, &RequestContext::new()).begin_with_preverified_password(&login).await?)
}

fn setting(name: &str) -> Result<Option<String>, VarError> {
    match env::var(name) {
        Ok(value) if value.is_empty() => Ok(None),
        Ok(value) => Ok(Some(value)),
        Err(VarError::NotPresent) => Ok(None),
        Err(error) => Err(error),
    }
}

fn need(name: &str) -> Result<String, Failed> {
    setting(name)?.ok_or_else(|| format!("{name} is not set").into())
}

fn ask(question: &str) -> std::io::Result<String> {
    print!("{question}");
    std::io::stdout().flush()?;
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    Ok(line)
}
