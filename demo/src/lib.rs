//! A site to click through: countersign in an axum application, with nothing to install.
//!
//! `cargo run -p countersign-demo` starts it. Open the address that it prints. By default codes do
//! not leave this machine: they are on the page `/inbox`, which every account of the machine can
//! read. Two tenants share the program, one for each name of this machine.
//!
//! It is a library so that the benchmarks can run it with a password verifier of their own.

mod inbox;
mod log;
mod options;
mod provider;
mod seed;
mod single_sign_on;
mod site;
mod users;

use std::error::Error;
use std::fs::File;
use std::net::SocketAddr;
use std::time::Duration;

use axum::middleware::map_request;
use countersign::{LoginFlow, error::report, password::PasswordVerifier};
use countersign_axum::{Detach, Maintenance, client_address, router};
use countersign_http::{Web, memory::MemorySessions, pages::Pages};
use tokio::{net::TcpListener, time::sleep};

use crate::inbox::Inbox;
use crate::log::Log;
use crate::options::Options;
use crate::provider::Provider;
use crate::site::Site;
use crate::users::Users;

/// What this application is called.
const NAME: &str = "countersign demo";
const THIRTY_DAYS: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Runs the site until Ctrl-C, with the options of the command line. A wrong one ends the program.
///
/// # Errors
///
/// If an option, a file, the store or the port cannot be used.
pub async fn run(passwords: impl PasswordVerifier + 'static) -> Result<(), Box<dyn Error>> {
    let options: Options = argh::from_env();
    let temporary = tempfile::tempdir()?;
    let data = options.data.as_deref().unwrap_or(temporary.path());
    std::fs::create_dir_all(data)?;

    let inbox = Inbox::new(NAME)?;
    let log = Log::new(options.events.as_ref().map(File::create).transpose()?);
    let users = Users::open(&data.join("users.sqlite"))?;
    let (store, sender) = (options.store(data).await?, options.sender(&inbox)?);
    let builder = LoginFlow::builder(users.clone(), store, sender)
        .password_verifier(passwords)
        .events(log.clone())
        .directory(users.clone())
        .tenant_lockout(3..=10, Duration::from_secs(300)..=Duration::from_secs(86_400))
        .trusted_devices(THIRTY_DAYS, 5)
        .require_known_tenants();
    let flow = options.times(builder).build()?;
    seed::fill(&flow, &users, options.people).await?;

    let tenants = seed::tenants_by_host()?;
    let sessions = MemorySessions::new().development_on_loopback();
    let web = Web::browsers(&flow, tenants.clone(), sessions)
        .base_path("/auth")
        .development_on_loopback()
        .pages(Pages::new(NAME))
        .on_failure(|error| eprintln!("{}", report(error)))
        .build();
    let detach = Detach::new().on_failure(|error| eprintln!("{}", report(error)));
    let app = site::routes(&detach)
        .merge(router(&web, &detach))
        .layer(map_request(client_address))
        .with_state(Site { web, inbox, log, provider: Provider::default(), tenants });

    let maintenance = Maintenance::new(&flow, seed::tenants()?)
        .every(Duration::from_secs(5))
        .on_error(|error| eprintln!("{}", report(error)));
    let maintained = tokio::spawn(async move { maintenance.run(stopped()).await });

    let taken = |error| format!("--port {}: {error}", options.port);
    let listener = TcpListener::bind(("127.0.0.1", options.port)).await.map_err(taken)?;
    seed::greet(listener.local_addr()?.port());
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    let serving = axum::serve(listener, app).with_graceful_shutdown(stopped());
    tokio::select! {
        served = serving => served?,
        // A client that keeps its connection does not keep the program.
        () = async { stopped().await; sleep(Duration::from_secs(5)).await } => {}
    }
    // What has begun ends: a step whose client has hung up, and a batch of the maintenance.
    detach.idle().await;
    maintained.await?;
    Ok(())
}

async fn stopped() {
    let _ = tokio::signal::ctrl_c().await;
}
