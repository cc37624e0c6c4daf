//! An application's own rule of who needs the second factor.
//!
//! The standard policy knows a tenant's setting and nothing else. This application adds a rule:
//! users who may export customer data need a code, even where the tenant asks its administrators
//! only. It keeps the standard rules by asking the standard policy first.
//!
//! ```text
//! cargo run --example custom_policy
//! ```

use std::borrow::Cow;
use std::error::Error;

use async_trait::async_trait;
use countersign::contact::EmailAddress;
use countersign::error::PluginError;
use countersign::memory::{MemoryFactors, MemoryUsers};
use countersign::password::Argon2id;
use countersign::policy::{Exemption, PolicyContext, Requirement, StandardPolicy, TwoFactorPolicy};
use countersign::sender::{CodeMessage, CodeSender, Notice, SendError, SendStatus};
use countersign::user::User;
use countersign::{
    Channel, Login, LoginFlow, LoginName, LoginStep, RequestContext, TenantId, UserId,
};

/// Required for the role `export`, on every interactive channel; waived for the role `kiosk`, which
/// has no mailbox; else the standard policy.
struct ExportersToo;

impl TwoFactorPolicy for ExportersToo {
    fn decide(&self, context: &PolicyContext<'_>) -> Result<Requirement, PluginError> {
        let has = |role: &str| context.user.roles.iter().any(|held| held == role);
        let standard = StandardPolicy.decide(context)?;
        Ok(match standard {
            Requirement::Exempt(_) if has("export") && context.channel.is_interactive() => {
                Requirement::Required
            }
            Requirement::Required if has("kiosk") && !context.user.system_administrator => {
                Requirement::Exempt(Exemption::Application(Cow::Borrowed("kiosk")))
            }
            other => other,
        })
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let tenant = TenantId::new("acme")?;
    let passwords = Argon2id::default();
    let users = MemoryUsers::new();
    for (name, role) in [("erin", Some("export")), ("carl", None), ("kim", Some("kiosk"))] {
        let mut user = User::new(tenant.clone(), UserId::new(name)?);
        user.email = Some(EmailAddress::new(&format!("{name}@example.com"))?);
        user.password_hash = Some(passwords.hash(&"a long password".into()).await?);
        user.roles = role.map(str::to_owned).into_iter().collect();
        users.insert(&LoginName::new(name)?, user);
    }
    let flow =
        LoginFlow::builder(users, MemoryFactors::new(), Console).policy(ExportersToo).build()?;

    // The tenant itself does not use two-factor login.
    for (name, channel) in [
        ("erin", Channel::Web),
        ("erin", Channel::ExemptApi),
        ("carl", Channel::Web),
        ("kim", Channel::Mobile),
    ] {
        let login = Login { name, password: &"a long password".into(), channel, device: None };
        match flow.request(&tenant, &RequestContext::new()).begin(&login).await? {
            LoginStep::Authenticated(done) => {
                println!("{name} by {channel:?}: in, {:?}", done.grant.second_factor());
            }
            LoginStep::CodeRequired(challenge) => {
                println!("{name} by {channel:?}: a code is asked for, {:?}", challenge.delivery);
            }
            LoginStep::Denied(denied) => return Err(format!("{name} was refused: {denied}").into()),
        }
    }
    Ok(())
}

/// Prints what would be sent.
struct Console;

#[async_trait]
impl CodeSender for Console {
    async fn send_code(&self, message: &CodeMessage) -> Result<SendStatus, SendError> {
        println!("   [to {}] your code: {}", message.destination.masked(), message.code.expose());
        Ok(SendStatus::Sent)
    }

    async fn notify(&self, notice: &Notice) -> Result<SendStatus, SendError> {
        println!("   [to {}] {:?}", notice.destination.masked(), notice.kind);
        Ok(SendStatus::Sent)
    }
}
