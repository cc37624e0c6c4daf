//! The same login on any store: `cargo run -p countersign-examples --example any_store --
//! sqlite:countersign.db`
//!
//! Addresses: `memory:` (the default), `sqlite:path`, `postgres://user@host/database`,
//! `redis://host/`.

use countersign::memory::MemoryUsers;
use countersign::{
    Channel, Login, LoginFlow, LoginName, LoginStep, RequestContext, Scope, TenantId, TrustDevice,
};
use countersign_examples::store_at;
use countersign_testkit::{Outbox, Person, PlainPasswords};

/// Whatever went wrong, for the one who runs this.
type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "memory:".to_owned());
    let factors = store_at(&address).await?;

    // The application's users, and what would send email. The rest of the program does not know
    // which store it is.
    let (users, outbox) = (MemoryUsers::new(), Outbox::new());
    let tenant = TenantId::new(&format!("example-{}", std::process::id()))?;
    let root = Person::named("root").administrator().join(&users, &tenant)?;
    let flow = LoginFlow::builder(users, factors, outbox.clone())
        .password_verifier(PlainPasswords)
        .build()?;
    let name = LoginName::new("root")?;
    let password = Person::PASSWORD.into();
    let login =
        Login { name: name.as_str(), password: &password, channel: Channel::Web, device: None };

    // Everybody of this tenant needs the second factor.
    flow.operator("setting up")?.set_scope(&tenant, Scope::EntireTenant).await?;

    let LoginStep::CodeRequired(challenge) =
        flow.request(&tenant, &RequestContext::new()).begin(&login).await?
    else {
        return Err("a code is required".into());
    };
    let sent = outbox.last_code_of(&tenant, &root).ok_or("no code was sent")?;
    println!("a code is on its way to {}", sent.to.masked());
    let step = flow
        .request(&tenant, &RequestContext::new())
        .submit_code(&challenge.token, &sent.code.as_str().into(), TrustDevice::No)
        .await?;
    let LoginStep::Authenticated(signed_in) = step else { return Err("the code is right".into()) };
    println!(
        "{} is signed in by {:?}, saved in {address}",
        signed_in.grant.user(),
        signed_in.grant.amr()
    );

    // Clean up: nobody uses the second factor any more, and what was saved is deleted.
    flow.operator("setting up")?.set_scope(&tenant, Scope::DoNotUse).await?;
    while flow.purge(&tenant, 1_000).await?.is_some_and(|progress| progress.finished_at.is_none()) {
    }
    Ok(())
}
