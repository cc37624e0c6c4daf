//! A whole two-factor login in the terminal: nothing to install, nothing to configure.
//!
//! ```text
//! cargo run --example quickstart                     # you are Alice
//! cargo run --example quickstart -- --unattended     # the program plays both sides
//! ```
//!
//! The tenant `acme` has two people in memory: Alice, an employee, and Root, its built-in system
//! administrator. Messages are printed as the mail or SMS that they would get. The clock is moved
//! by hand, so that nobody has to wait for a lock to end.

mod scenes;
mod terminal;

use std::error::Error;
use std::time::Duration;

use countersign::clock::ManualClock;
use countersign::contact::EmailAddress;
use countersign::memory::{MemoryFactors, MemoryUsers};
use countersign::password::Argon2id;
use countersign::user::User;
use countersign::{
    Authenticated, Channel, DeliveryStatus, DeviceToken, LockOuts, Login, LoginFlow, LoginName,
    LoginStep, Method, RequestContext, RequestFlow, SavedGrant, Scope, SecondFactor, TenantId,
    TrustDevice, UserId,
};
use terminal::{PrintingSender, Terminal};

/// Both people have it, which is only right in an example.
const PASSWORD: &str = "correct horse battery staple";

/// An application that embeds countersign.
struct App {
    flow: LoginFlow,
    tenant: TenantId,
    clock: ManualClock,
    messages: PrintingSender,
    terminal: Terminal,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let app = App::new(Terminal::from_arguments()).await?;
    app.terminal.title("countersign: sign in to acme");
    app.terminal.say(&format!("Your name is `alice`, your password is `{PASSWORD}`."));
    let done = sign_in_at_the_prompt(&app).await?;
    // A real application issues a new session identifier here, and keeps the grant in the session.
    app.terminal.say(&format!(
        "Welcome, {}. You came in with {}.",
        done.grant.user(),
        proofs(done.grant.second_factor())
    ));
    scenes::offer(&app).await
}

impl App {
    /// What an application does at its start.
    async fn new(terminal: Terminal) -> Result<Self, Box<dyn Error>> {
        let tenant = TenantId::new("acme")?;
        let users = MemoryUsers::new();
        let passwords = Argon2id::default();
        for (name, email, administrator) in
            [("alice", "alice@example.com", false), ("root", "root@example.com", true)]
        {
            let mut user = User::new(tenant.clone(), UserId::new(name)?);
            user.email = Some(EmailAddress::new(email)?);
            user.password_hash = Some(passwords.hash(&PASSWORD.into()).await?);
            user.system_administrator = administrator;
            users.insert(&LoginName::new(name)?, user);
        }
        let clock = ManualClock::new(time::OffsetDateTime::now_utc());
        let messages = PrintingSender::new()?;
        let flow = LoginFlow::builder(users.clone(), MemoryFactors::new(), messages.clone())
            .password_verifier(passwords)
            .directory(users)
            .tenant_lockout(3..=10, Duration::from_secs(300)..=Duration::from_secs(86_400))
            .trusted_devices(Duration::from_secs(30 * 24 * 60 * 60), 5)
            .clock(clock.clone())
            .build()?;
        let app = Self { flow, tenant, clock, messages, terminal };

        // Nobody needs a second factor until an administrator of the tenant says who does.
        let root = app.sign_in("root").await?;
        app.set_scope(&root.grant, Scope::EntireTenant).await?;
        Ok(app)
    }

    /// Says who needs the second factor, as the administrator's page does.
    async fn set_scope(&self, session: &SavedGrant, scope: Scope) -> Result<(), Box<dyn Error>> {
        let administration = self.request().administration(session).await?;
        let shown = administration.settings().await?;
        let mut next = shown.settings;
        next.scope = scope;
        administration.change_settings(shown.version, &next, LockOuts::Refuse).await?;
        Ok(())
    }

    /// What an application makes for each request: for this tenant, from this client.
    fn request(&self) -> RequestFlow {
        let context = RequestContext::new()
            .with_client_address([203, 0, 113, 7].into())
            .with_user_agent("Firefox/145.0 (Windows)");
        self.flow.request(&self.tenant, &context)
    }

    /// The first step: name and password.
    async fn begin(
        &self,
        name: &str,
        password: &str,
        device: Option<&DeviceToken>,
    ) -> Result<LoginStep, countersign::Error> {
        let login = Login { name, password: &password.into(), channel: Channel::Web, device };
        self.request().begin(&login).await
    }

    /// A login that nobody types: the password is right, and so is the code from the message.
    async fn sign_in(&self, name: &str) -> Result<Authenticated, Box<dyn Error>> {
        match self.begin(name, PASSWORD, None).await? {
            LoginStep::Authenticated(done) => Ok(done),
            LoginStep::CodeRequired(challenge) => {
                let code = self.messages.last_code().into();
                match self.request().submit_code(&challenge.token, &code, TrustDevice::No).await? {
                    LoginStep::Authenticated(done) => Ok(done),
                    step => Err(format!("{name} should be in by now: {step:?}").into()),
                }
            }
            LoginStep::Denied(denied) => Err(format!("{name} was refused: {denied}").into()),
        }
    }

    /// Moves the clock.
    fn wait(&self, seconds: u64) {
        self.terminal.say(&format!("... {seconds} seconds later ..."));
        self.clock.advance(Duration::from_secs(seconds));
    }
}

/// What a login was completed with.
fn proofs(second: &SecondFactor) -> &'static str {
    match second {
        SecondFactor::Code { method: Method::Email } => "the password and a code by email",
        SecondFactor::Code { .. } => "the password and a code by SMS",
        SecondFactor::BackupCode => "the password and the backup code",
        SecondFactor::TrustedDevice { .. } => "the password, on a trusted device",
        _ => "the password alone",
    }
}

/// The login of every application: ask for the password, ask for the code, until the person is in.
async fn sign_in_at_the_prompt(app: &App) -> Result<Authenticated, Box<dyn Error>> {
    loop {
        let name = app.terminal.ask("name", || "alice".into())?;
        let password = app.terminal.ask("password", || PASSWORD.into())?;
        let mut step = app.begin(&name, &password, None).await?;
        let mut pending = None;
        loop {
            match step {
                LoginStep::Authenticated(done) => return Ok(done),
                LoginStep::CodeRequired(challenge) => {
                    app.terminal.say(&match &challenge.delivery {
                        DeliveryStatus::Sent(code) | DeliveryStatus::Queued(code) => {
                            format!(
                                "A code went to {} (message {}).",
                                code.destination, code.reference
                            )
                        }
                        DeliveryStatus::PerhapsSent(code) => {
                            format!(
                                "If a message reaches {}, it is {}.",
                                code.destination, code.reference
                            )
                        }
                        other => format!("No code was sent: {other:?}."),
                    });
                    pending = Some(challenge.token);
                }
                LoginStep::Denied(denied) => {
                    let left = denied
                        .attempts_left()
                        .map(|left| format!(", {left} more tries"))
                        .unwrap_or_default();
                    app.terminal.say(&format!("Refused: {denied}{left}."));
                    if denied.ends_login() {
                        break;
                    }
                    if let Some(retry_at) = denied.retry_at() {
                        app.terminal.say(&format!("The clock is moved to {retry_at}."));
                        app.clock.set(retry_at);
                    }
                }
            }
            let Some(token) = &pending else { break };
            let typed = app.terminal.ask("code", || app.messages.last_code())?;
            step = app.request().submit_code(token, &typed.into(), TrustDevice::No).await?;
        }
    }
}
