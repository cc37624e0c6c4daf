//! Other sites, other tenants, no scripts, and a server that goes down.

use std::io::{Read, Write};
use std::net::TcpListener;

use fantoccini::Locator;
use serde_json::json;

use crate::browser::speaking;
use crate::demo::{ACME, GLOBEX};

const OVER: &str = "This login has expired or has ended. Please log in again.";

#[tokio::test]
async fn cookies_of_one_tenant_are_worth_nothing_at_another() {
    let test = speaking("en").run(async |mut b| {
        // Nothing but the tenant tells the two apart.
        b.demo.copy_to_globex("alice");
        b.sign_in("alice").await;
        b.open("/auth/sign-in?again=1").await;
        b.enter_password("alice").await;
        let (place, code) = (b.place().await, b.code().await);
        let cookies = b.client.get_all_cookies().await.unwrap();
        assert_eq!(cookies.len(), 2, "{cookies:?}");
        b.host = GLOBEX;
        b.open("/").await;
        for cookie in cookies {
            let copy =
                json!({"name": cookie.name(), "value": cookie.value(), "url": b.address("/")});
            b.command("Network.setCookie", copy).await;
        }
        assert_eq!(b.cookies().await.len(), 2);
        b.nobody_is_signed_in().await;
        b.open(&place).await;
        assert_eq!(b.alert().await, OVER);
        b.open("/auth/me").await;
        assert_eq!(b.alert().await, "Please log in to continue.");
        // Control: where they belong they still hold.
        b.host = ACME;
        b.open(&place).await;
        b.enter_code(&code).await;
        assert_eq!(b.user().await, "alice");
    });
    test.await;
}

/// Serves one page on a port of its own: another origin, with the same name or another one.
fn other_site(page: String) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4_096]);
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nconnection: close\r\n\
                 content-length: {}\r\n\r\n{page}",
                page.len(),
            );
        }
    });
    port
}

#[tokio::test]
async fn forms_of_other_sites_change_nothing() {
    let test = speaking("en").run(async |b| {
        b.sign_in("root").await;
        let messages = b.inbox().await.len();
        let forms = [
            ("/auth/sign-out", vec![]),
            ("/auth/sign-in", vec![("name", "alice"), ("password", crate::demo::PASSWORD)]),
            ("/auth/me/backup-code", vec![("as", "root")]),
            ("/auth/users/reset", vec![("as", "root"), ("id", "alice")]),
            (
                "/auth/settings/edit",
                vec![
                    ("as", "root"),
                    ("before", "entire_tenant"),
                    ("scope", "do_not_use"),
                    ("confirmed", "yes"),
                ],
            ),
        ];
        let form = |(action, fields): &(&str, Vec<(&str, &str)>)| {
            let field = |(name, value)| format!("<input type=hidden name={name} value='{value}'>");
            let fields: String = fields.iter().copied().map(field).collect();
            let action = b.address(action);
            format!("<form method=post action='{action}'>{fields}<button>Win</button></form>")
        };
        let forms_of_it: String = forms.iter().map(form).collect();
        let page = format!("<!doctype html><h1>Win a prize</h1>{forms_of_it}");
        let port = other_site(page);
        for host in [ACME, GLOBEX] {
            for (action, _) in &forms {
                b.client.goto(&format!("http://{host}:{port}/")).await.unwrap();
                b.press(&format!("form[action$='{action}'] button")).await;
                let said = b.alert().await;
                assert_eq!(
                    said, "This request came from another site, so it was not carried out.",
                    "{action} from {host}"
                );
            }
        }
        b.open("/").await;
        assert_eq!((b.user().await, b.inbox().await.len()), ("root".into(), messages));
        b.open("/auth/settings").await;
        assert_eq!(b.text("#current-setting").await, "Entire tenant");
        b.open("/auth/me").await;
        assert!(b.text("main").await.contains("You have no backup code yet."));
    });
    test.await;
}

#[tokio::test]
async fn everything_works_without_scripts() {
    let test = speaking("en").without_scripts().demo(&["--spacing", "10"]).run(async |b| {
        b.begin("root").await;
        // Nothing counts down.
        assert!(b.text("#resend").await.contains("Get a new code"));
        let reference = b.text(".reference").await;
        let again = async || {
            b.press("#resend button[value=same]").await;
            b.client.find(Locator::Css("#alert")).await.is_err().then_some(())
        };
        b.until("new code", again).await;
        assert_ne!(b.text(".reference").await, reference);
        let wrong = b.wrong_code().await;
        b.enter_code(&wrong).await;
        assert!(b.alert().await.starts_with("This code is wrong."));
        b.click("#trust").await;
        b.complete().await;
        assert_eq!((b.place().await, b.user().await), ("/".into(), "root".into()));

        b.press("main a[href='/auth/me']").await;
        assert_eq!(b.count(".cards li").await, 1);
        b.press("form[action='/auth/me/backup-code'] button").await;
        assert_eq!(b.text(".secret code").await.split('-').count(), 6);
        b.press("main a.button").await;
        b.fill("#phone", "+81 90 1234 5678").await;
        b.press("form[action='/auth/me/method'] button[value=sms]").await;
        b.complete().await;
        assert_eq!(b.text("#current-method").await, "SMS");

        b.open("/auth/settings/edit").await;
        b.click("#do_not_use").await;
        b.press("main form button").await;
        assert_eq!(b.text("#saved-users").await, "The data of 1 user will be deleted.");
        b.press("main a.quiet").await;
        b.press("main a.button").await;
        b.click("#system_administrators_only").await;
        b.press("main form button").await;
        b.press("main form button[name=confirmed]").await;
        assert_eq!(b.alert().await, "Your change was saved.");
        b.press("header form button").await;
        assert_eq!(b.alert().await, "You have logged out.");
        b.nobody_is_signed_in().await;
    });
    test.await;
}

#[tokio::test]
async fn a_login_survives_a_restart_of_the_server() {
    let test = speaking("en").run(async |mut b| {
        b.begin("alice").await;
        let code = b.code().await;
        let cookies = b.cookies().await;
        b.demo.restart();
        b.leave(async || b.client.refresh().await.unwrap()).await;
        assert_eq!(b.cookies().await, cookies);
        b.enter_code(&code).await;
        assert_eq!((b.place().await, b.user().await), ("/".into(), "alice".into()));
        // The new process has sent nothing.
        assert_eq!(b.codes_sent().await, 0);
    });
    test.await;
}
