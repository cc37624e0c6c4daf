//! A site to click through: countersign in an axum application, with nothing to install.
//!
//! ```text
//! cargo run -p countersign-demo
//! ```
//!
//! Open the address that it prints. Codes do not leave this machine: they are on the page
//! `/inbox`. Two tenants share the program, one for each name of this machine.

mod inbox;
mod log;
mod options;
mod seed;
mod site;
mod users;

use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use axum::middleware::map_request;
use countersign::LoginFlow;
use countersign_axum::{Detach, Maintenance, client_address, router};
use countersign_http::Web;
use countersign_http::memory::MemorySessions;
use countersign_http::pages::Pages;
use countersign_tokio::BlockingPool;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::inbox::Inbox;
use crate::log::Log;
use crate::options::Options;
use crate::site::Site;
use crate::users::Users;

/// What this application is called.
const NAME: &str = "countersign demo";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse(std::env::args().skip(1))?;
    let data = options.data()?;
    let (inbox, log) = (Inbox::new(NAME)?, Log::default());
    let users = Users::open(&data.path().join("users.sqlite"))?;
    let builder = LoginFlow::builder(
        users.clone(),
        options.store(data.path()).await?,
        options.sender(&inbox)?,
    )
    .password_verifier(BlockingPool::default())
    .events(log.clone())
    .trusted_devices(Duration::from_secs(30 * 24 * 60 * 60), 5);
    let flow = options.times(builder).build()?;
    seed::fill(&flow, &users).await?;

    let report = |error: &(dyn Error + 'static)| eprintln!("{error}");
    let sessions = MemorySessions::new().development_on_loopback();
    let web = Web::browsers(&flow, seed::tenants_by_host()?, sessions)
        .base_path("/auth")
        .development_on_loopback()
        .pages(Pages::new(NAME))
        .on_failure(report)
        .build();
    let detach = Detach::new().on_failure(report);
    let app = site::routes()
        .merge(router(&web, &detach))
        .layer(map_request(client_address))
        .with_state(Site { web, inbox, log });

    let listener = TcpListener::bind(("127.0.0.1", options.port)).await?;
    seed::greet(listener.local_addr()?.port());
    let (stop, stopped) = watch::channel(false);
    let stopped = move || {
        let mut stopped = stopped.clone();
        async move { drop(stopped.wait_for(|stopped| *stopped).await) }
    };
    let maintenance = Maintenance::new(&flow, seed::tenants()?)
        .every(Duration::from_secs(5))
        .on_error(|error| eprintln!("{error}"));
    let until = stopped();
    let maintained = tokio::spawn(async move { maintenance.run(until).await });
    tokio::spawn(async move {
        let _ = tokio::signal::ctrl_c().await;
        let _ = stop.send(true);
    });
    axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>())
        .with_graceful_shutdown(stopped())
        .await?;
    // What has begun ends: a step whose client has hung up, and a batch of the maintenance.
    detach.idle().await;
    maintained.await?;
    Ok(())
}
