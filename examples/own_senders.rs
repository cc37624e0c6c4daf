//! An application's own senders: email as files in a folder, and SMS through an HTTP gateway.
//!
//! Two users log in by an emailed code, prove a phone number, and log in by SMS, one in English and
//! one in Japanese. The program reads each code where its user would: in the file, and in what came
//! through the gateway. Then it shows what the SMS sender makes of each answer of the gateway.
//!
//! ```text
//! cargo run --example own_senders -- --unattended          # the program plays both sides
//! cargo run --example own_senders -- --unattended mails    # and keeps the emails, in ./mails
//! ```
//!
//! The senders are in `own_senders/email.rs` and `own_senders/sms.rs`: copy those. The rest is a
//! stage for them. The gateway is a thread of this program, and the clock is moved by hand, so that
//! nobody has to wait.

#[path = "own_senders/email.rs"]
mod email;
#[path = "own_senders/gateway.rs"]
mod gateway;
#[path = "own_senders/sms.rs"]
mod sms;

use std::error::Error;
use std::fs::{self, DirBuilder};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use base64ct::{Base64, Encoding};
use countersign::clock::ManualClock;
use countersign::contact::{Destination, EmailAddress, PhoneNumber};
use countersign::event::{Event, EventKind, EventSink};
use countersign::memory::{MemoryFactors, MemoryUsers};
use countersign::password::Argon2id;
use countersign::sender::{CodeMessage, CodeSender, MessageId, Notice, NoticeKind};
use countersign::sender::{SendError, SendStatus};
use countersign::user::{Language, User};
use countersign::{
    Challenge, Channel, Code, DeliveryStatus, Grant, IssuedCode, Login, LoginFlow, RequestContext,
};
use countersign::{LoginName, LoginStep, Password, Scope, TenantId, TrustDevice, UserId};
use countersign_delivery::message::Messages;
use countersign_tokio::BlockingPool;
use email::{MailFolder, random_hex};
use gateway::{Answer, Gateway, TOKEN};
use sms::GatewaySms;
use time::OffsetDateTime;
use zeroize::Zeroizing;

type Failed = Box<dyn Error + Send + Sync>;

/// Email to the folder, SMS to the gateway. `RouteTable` of `countersign-delivery` does this with a
/// deadline for each.
struct ByMethod {
    email: MailFolder,
    sms: GatewaySms,
}

#[async_trait]
impl CodeSender for ByMethod {
    async fn send_code(&self, message: &CodeMessage) -> Result<SendStatus, SendError> {
        match message.destination {
            Destination::Sms(_) => self.sms.send_code(message).await,
            Destination::Email(_) => self.email.send_code(message).await,
        }
    }

    async fn notify(&self, notice: &Notice) -> Result<SendStatus, SendError> {
        match notice.destination {
            Destination::Sms(_) => self.sms.notify(notice).await,
            Destination::Email(_) => self.email.notify(notice).await,
        }
    }
}

/// Prints why a message failed.
struct Failures;

impl EventSink for Failures {
    fn emit(&self, event: &Event) {
        match &event.kind {
            EventKind::DeliveryFailed { error, causes, .. } => {
                eprintln!("A code failed ({error}): {causes}");
            }
            EventKind::NoticeFailed { error, causes } => {
                eprintln!("A notice failed ({error}): {causes}");
            }
            _ => {}
        }
    }
}

const PASSWORD: &str = "correct horse battery staple";

/// The application, with both ends of each message in reach.
struct App {
    flow: LoginFlow,
    tenant: TenantId,
    clock: ManualClock,
    folder: PathBuf,
    gateway: Gateway,
}

#[tokio::main]
async fn main() -> Result<(), Failed> {
    let kept = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    let folder = Folder::open(kept)?;
    let messages = Messages::builder("Example").origin_host("login.example.com").build()?;
    let gateway = Gateway::start()?;
    let sms = sms_sender(gateway.address, &messages, Duration::from_secs(10))?;
    let from = EmailAddress::new("no-reply@example.com")?;
    let email = MailFolder { folder: folder.path.clone(), from, messages: messages.clone() };

    let tenant = TenantId::new("acme")?;
    let users = MemoryUsers::new();
    let password = Password::new(PASSWORD);
    let hash = Argon2id::default().hash(&password).await?;
    for (name, language) in [("ann", "en"), ("hanako", "ja")] {
        let mut user = User::new(tenant.clone(), UserId::new(name)?);
        user.email = Some(EmailAddress::new(&format!("{name}@example.com"))?);
        user.language = Some(Language::new(language)?);
        user.password_hash = Some(hash.clone());
        users.insert(&LoginName::new(name)?, user);
    }
    let clock = ManualClock::new(OffsetDateTime::now_utc());
    let flow = LoginFlow::builder(users, MemoryFactors::new(), ByMethod { email, sms })
        .password_verifier(BlockingPool::default())
        .clock(clock.clone())
        .events(Failures)
        .build()?;
    flow.operator("setting up")?.set_scope(&tenant, Scope::EntireTenant).await?;

    let app = App { flow, tenant, clock, folder: folder.path.clone(), gateway };
    app.move_to_sms("ann", &PhoneNumber::new("+12025550134")?).await?;
    app.move_to_sms("hanako", &PhoneNumber::new("+819012345634")?).await?;
    app.show_answers(&messages).await
}

impl App {
    /// In by an emailed code, a phone number proved, and in by SMS.
    async fn move_to_sms(&self, name: &str, number: &PhoneNumber) -> Result<(), Failed> {
        let page = self.begin(name).await?;
        let sent = shown(name, &page.delivery)?;
        let code = self.emailed_code(MessageId::new(page.login, sent.reference))?;
        let grant = self.submit(&page, &code).await?;
        println!("{name} is in by {:?}: {:?}", sent.method, grant.amr());

        self.clock.advance(Duration::from_secs(60)); // Until another code may be sent.
        let account = self.flow.request(&self.tenant, &RequestContext::new()).account(&grant);
        let change = account.use_sms(number).await?;
        shown(name, &change.delivery)?;
        let method = account.confirm_method(&change.token, &self.texted_code()?).await?;
        println!("{name} has proved the number: codes come by {method:?} from now on");

        self.clock.advance(Duration::from_secs(60));
        let page = self.begin(name).await?;
        let sent = shown(name, &page.delivery)?;
        let grant = self.submit(&page, &self.texted_code()?).await?;
        println!("{name} is in by {:?}: {:?}", sent.method, grant.amr());
        Ok(())
    }

    async fn begin(&self, name: &str) -> Result<Box<Challenge>, Failed> {
        let (tenant, password) = (&self.tenant, &Password::new(PASSWORD));
        let login = Login { name, password, channel: Channel::Web, device: None };
        match self.flow.request(tenant, &RequestContext::new()).begin(&login).await? {
            LoginStep::CodeRequired(page) => Ok(page),
            other => Err(format!("no code is asked for: {other:?}").into()),
        }
    }

    async fn submit(&self, page: &Challenge, code: &Code) -> Result<Grant, Failed> {
        match self
            .flow
            .request(&self.tenant, &RequestContext::new())
            .submit_code(&page.token, code, TrustDevice::No)
            .await?
        {
            LoginStep::Authenticated(done) => Ok(done.grant),
            other => Err(format!("not let in: {other:?}").into()),
        }
    }

    /// What the user reads in the email: the line of digits in its plain text.
    fn emailed_code(&self, id: MessageId) -> Result<Code, Failed> {
        let mail = fs::read_to_string(self.folder.join(format!("code-{id}.eml")))?;
        let part = mail.split("\r\n\r\n").nth(2).ok_or("the email has no text")?;
        let encoded = part.split("--").next().unwrap_or_default().replace("\r\n", "");
        let text = Base64::decode_vec(&encoded).map_err(|error| error.to_string())?;
        let text = std::str::from_utf8(&text)?;
        let code = text.lines().find(|line| line.len() == 6 && line.parse::<u32>().is_ok());
        Ok(Code::new(code.ok_or("the email has no code")?))
    }

    /// What the user reads on the phone. The last message of each change is a code.
    fn texted_code(&self) -> Result<Code, Failed> {
        let text = self.gateway.received.try_iter().last().ok_or("no SMS arrived")?;
        let code = text.split(|c: char| !c.is_ascii_digit()).find(|digits| digits.len() == 6);
        Ok(Code::new(code.ok_or("the SMS has no code")?))
    }

    /// What the sender makes of each answer, and that it asks once only.
    async fn show_answers(&self, messages: &Messages) -> Result<(), Failed> {
        let notice = Notice {
            tenant: self.tenant.clone(),
            user: UserId::new("ann")?,
            destination: Destination::Sms(PhoneNumber::new("+12025550134")?),
            kind: NoticeKind::Reset,
            at: OffsetDateTime::now_utc(),
            language: None,
            held_back: 0,
            from: RequestContext::new(),
        };
        let say = |answer: &str, result: Result<SendStatus, SendError>| match result {
            Ok(status) => println!("  {answer}: {status:?}"),
            Err(error) => println!("  {answer}: {}, {}", error.kind(), notice.causes(&error)),
        };
        println!("What the SMS sender makes of the gateway's answers:");
        let _ = self.gateway.received.try_iter().count();
        for answer in [
            Answer::Status(202),
            Answer::Status(302),
            Answer::Status(400),
            Answer::Status(429),
            Answer::Status(503),
            Answer::HangUp,
            Answer::Silence,
            Answer::Flood,
        ] {
            self.gateway.next(answer);
            let seconds = if matches!(answer, Answer::Silence) { 1 } else { 10 };
            let sender = sms_sender(self.gateway.address, messages, Duration::from_secs(seconds))?;
            let result = sender.notify(&notice).await;
            say(&format!("{answer:?}"), result);
            let requests = self.gateway.received.try_iter().count();
            if requests != 1 {
                return Err(format!("{requests} requests for one message").into());
            }
        }
        // A port that nobody listens on: it was free a moment ago.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let sender = sms_sender(address, messages, Duration::from_secs(10))?;
        say("no gateway", sender.notify(&notice).await);
        Ok(())
    }
}

fn sms_sender(
    gateway: SocketAddr,
    messages: &Messages,
    time_limit: Duration,
) -> Result<GatewaySms, Failed> {
    GatewaySms::new(gateway, Zeroizing::new(TOKEN.to_owned()), messages.clone(), time_limit)
}

/// What the page shows of a code that was sent.
fn shown<'a>(name: &str, delivery: &'a DeliveryStatus) -> Result<&'a IssuedCode, Failed> {
    let sent = delivery.sent().ok_or_else(|| format!("no code was sent: {delivery:?}"))?;
    println!("{name}: a code went to {}, reference {}", sent.destination, sent.reference);
    Ok(sent)
}

/// Where the emails are: a folder that was named, or one that is gone afterwards.
struct Folder {
    path: PathBuf,
    kept: bool,
}

impl Folder {
    fn open(named: Option<String>) -> Result<Self, Failed> {
        let kept = named.is_some();
        let path = match named {
            Some(name) => PathBuf::from(name),
            None => std::env::temp_dir().join(format!("countersign-{}", random_hex()?)),
        };
        let mut builder = DirBuilder::new();
        builder.recursive(kept);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&path)?;
        Ok(Self { path, kept })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.kept {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}
