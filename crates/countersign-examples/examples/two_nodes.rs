//! A login that begins on one node and is completed on another: two processes, one store.
//!
//! `cargo run -p countersign-examples --example two_nodes -- sqlite:countersign.db`, or with
//! `postgres://…` or `redis://…`.

use std::process::Command;
use std::sync::Arc;

use countersign::memory::MemoryUsers;
use countersign::store::FactorStore;
use countersign::{
    Channel, Login, LoginFlow, LoginStep, PendingToken, RequestContext, Scope, TenantId,
    TrustDevice,
};
use countersign_examples::store_at;
use countersign_testkit::{Outbox, Person, PlainPasswords};

/// Whatever went wrong, for the one who runs this.
type Failure = Box<dyn std::error::Error + Send + Sync>;

const TENANT: &str = "two-nodes";

/// What every node of the application has: the same users, the same store, the same configuration.
fn node(
    factors: Arc<dyn FactorStore>,
    outbox: &Outbox,
    tenant: &TenantId,
) -> Result<LoginFlow, Failure> {
    let users = MemoryUsers::new();
    Person::named("root").administrator().join(&users, tenant)?;
    Ok(LoginFlow::builder(users, factors, outbox.clone())
        .password_verifier(PlainPasswords)
        .build()?)
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &*arguments {
        [address] => first(address).await,
        [address, tenant, token, code] => second(address, tenant, token, code).await,
        _ => Err("say which store: sqlite:path, postgres://... or redis://...".into()),
    }
}

/// The node that the browser reaches first.
async fn first(address: &str) -> Result<(), Failure> {
    let tenant = TenantId::new(&format!("{TENANT}-{}", std::process::id()))?;
    let outbox = Outbox::new();
    let flow = node(store_at(address).await?, &outbox, &tenant)?;
    let password = Person::PASSWORD.into();
    let login = Login { name: "root", password: &password, channel: Channel::Web, device: None };
    flow.operator("setting up")?.set_scope(&tenant, Scope::EntireTenant).await?;

    let LoginStep::CodeRequired(challenge) =
        flow.request(&tenant, &RequestContext::new()).begin(&login).await?
    else {
        return Err("a code is required".into());
    };
    let code = outbox.last_code().ok_or("no code was sent")?.code;
    println!("node {}: the password is right, a code was sent", std::process::id());

    // The browser's next request reaches the other node. It carries the token; the person types the
    // code.
    let mut other = Command::new(std::env::current_exe()?);
    other.args([address, tenant.as_str(), challenge.token.expose(), &code]);
    if !other.status()?.success() {
        return Err("the other node did not complete the login".into());
    }
    // And this node knows that the code was used.
    let again = flow
        .request(&tenant, &RequestContext::new())
        .submit_code(&challenge.token, &code.as_str().into(), TrustDevice::No)
        .await?;
    let LoginStep::Denied(denied) = again else { return Err("a code works once".into()) };
    println!("node {}: the same code again is refused: {denied}", std::process::id());
    Ok(())
}

/// The node that the browser reaches next.
async fn second(address: &str, tenant: &str, token: &str, code: &str) -> Result<(), Failure> {
    let tenant = TenantId::new(tenant)?;
    let flow = node(store_at(address).await?, &Outbox::new(), &tenant)?;
    let step = flow
        .request(&tenant, &RequestContext::new())
        .submit_code(&PendingToken::new(token), &code.into(), TrustDevice::No)
        .await?;
    let LoginStep::Authenticated(signed_in) = step else { return Err("the code is right".into()) };
    println!("node {}: {} is signed in", std::process::id(), signed_in.grant.user());
    Ok(())
}
