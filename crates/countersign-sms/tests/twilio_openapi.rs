//! Requests checked by a server that is generated from Twilio's own `OpenAPI` description (prism).
#![cfg(feature = "reqwest")]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

#[path = "../../../scripts/test_servers/find.rs"]
mod find;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use countersign::sender::{CodeSender, SendStatus};
use countersign_sms::{Http, HttpRequest, Origin, ReqwestHttp, SmsSecret, Twilio};
use support::*;

struct Prism(Child, String);

impl Prism {
    fn start() -> Option<Self> {
        let Some(prism) = find::program(
            "COUNTERSIGN_TEST_PRISM",
            "prism/node_modules/.bin/prism",
            "prism",
            &["--version"],
        ) else {
            find::skip("prism");
            return None;
        };
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut child = Command::new(prism)
            .args(["mock", "--errors", "--host", "127.0.0.1", "--port", &port.to_string()])
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/openapi/twilio-create-message.json"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        assert!(lines.any(|line| line.contains("listening")), "prism starts");
        std::thread::spawn(move || lines.for_each(drop));
        Some(Self(child, format!("http://127.0.0.1:{port}")))
    }
}

impl Drop for Prism {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn patient() -> ReqwestHttp {
    let _ = http();
    ReqwestHttp::builder()
        .dangerously_allow_unencrypted()
        .time_budget(Duration::from_secs(20))
        .build()
        .unwrap()
}

#[tokio::test]
async fn requests_are_what_twilio_describes() {
    let Some(prism) = Prism::start() else { return };
    let account = || Twilio::new(ACCOUNT, SmsSecret::new("twilio-token")).unwrap();
    for provider in [
        twilio(&prism.1),
        twilio(&prism.1).reports_to("https://app.example/sms").unwrap(),
        account().from(Origin::name("Example").unwrap()).base_url(&prism.1),
        account()
            .from_messaging_service("MG0123456789abcdef0123456789abcdef")
            .unwrap()
            .base_url(&prism.1),
    ] {
        let sender = sender(provider, patient());
        assert_eq!(sender.send_code(&code()).await.unwrap(), SendStatus::Sent);
        assert_eq!(sender.notify(&notice()).await.unwrap(), SendStatus::Sent);
    }

    // The control: what Twilio does not describe is refused, so the server does look.
    let url = format!("{}/2010-04-01/Accounts/{ACCOUNT}/Messages.json", prism.1);
    let authorization = ("authorization", String::from("Basic eDp5").into());
    let form = ("content-type", String::from("application/x-www-form-urlencoded").into());
    for (headers, body) in [
        (vec![authorization.clone(), form.clone()], "From=%2B15005550006&Body=x"),
        (
            vec![authorization.clone(), form.clone()],
            "To=%2B15005550006&MessagingServiceSid=wrong&Body=x",
        ),
        (vec![authorization, form.clone()], "To=%2B15005550006&ValidityPeriod=soon&Body=x"),
        (vec![form], "To=%2B15005550006&Body=x"),
    ] {
        let request = HttpRequest { url: url.clone(), headers, body: body.to_owned().into() };
        let status = patient().post(request).await.unwrap().status;
        assert!((400..500).contains(&status), "{status}: {body}");
    }
}
