//! Where a request comes from.

use std::net::SocketAddr;

use axum::extract::connect_info::MockConnectInfo;
use axum::middleware::map_request;
use axum::routing::get;
use axum::{Extension, Router};
use countersign_axum::client_address;
use countersign_http::ClientAddress;

use crate::site::{Browser, Site};

async fn seen(address: Option<Extension<ClientAddress>>) -> String {
    address.map_or("nothing".to_owned(), |Extension(ClientAddress(address))| address.to_string())
}

fn app() -> Router {
    Router::new().route("/", get(seen)).layer(map_request(client_address))
}

fn from(address: &str) -> MockConnectInfo<SocketAddr> {
    MockConnectInfo(address.parse().unwrap())
}

/// I-45: the address is that of the connection. No header is taken for one.
#[tokio::test]
async fn the_address_is_that_of_the_connection() {
    let headers = [
        ("x-forwarded-for", "203.0.113.9"),
        ("forwarded", "for=203.0.113.9"),
        ("x-real-ip", "::1"),
    ];
    for (connection, expected) in [
        ("192.0.2.7:443", "192.0.2.7"),
        ("[::ffff:192.0.2.7]:443", "192.0.2.7"),
        ("[2001:db8::1]:443", "2001:db8::1"),
    ] {
        let mut browser = Browser::at(&app().layer(from(connection)));
        browser.headers.extend(headers);
        assert_eq!(browser.get("/").await.text, expected);
    }
    let mut unknown = Browser::at(&app());
    unknown.headers.extend(headers);
    assert_eq!(unknown.get("/").await.text, "nothing");
    // What the application has put there itself stays.
    let own = ClientAddress("198.51.100.1".parse().unwrap());
    let mut proxied = Browser::at(&app().layer(Extension(own)).layer(from("10.0.0.1:80")));
    assert_eq!(proxied.get("/").await.text, "198.51.100.1");
}

#[tokio::test]
async fn the_address_reaches_the_flow() {
    let site = Site::new().await;
    let app = site.app().layer(map_request(client_address)).layer(from("192.0.2.7:443"));
    site.sign_in(&mut Browser::at(&app), "alice").await;
    let events = site.world.events.all();
    assert!(!events.is_empty());
    for event in events {
        assert_eq!(event.request.client_address(), Some("192.0.2.7".parse().unwrap()));
    }
}
