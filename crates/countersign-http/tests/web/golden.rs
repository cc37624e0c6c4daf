//! What goes over the wire, pinned by a golden file: every endpoint, and every way in which it
//! answers.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use countersign::error::PluginError;
use countersign::memory::MemoryFactors;
use countersign::password::{Admission, Busy, PasswordAttempt, PasswordCheck, PasswordVerifier};
use countersign::policy::{PolicyContext, Requirement, TwoFactorPolicy};
use countersign::sender::SendErrorKind;
use countersign::user::PasswordHash;
use countersign::{Password, UserId};
use countersign_http::Web;
use countersign_testkit::{Delivered, PlainPasswords, SeededEntropy};
use serde_json::{Value, json};

use crate::account::NoSessions;
use crate::browser::{DAY, PASSWORD, Site, tenants};
use crate::tenant::set_scope;
use crate::transcript::{Client, Transcript, seeded, seeded_with_people};

const NUMBER: &str = "+819012345678";
const WRONG_BACKUP_CODE: &str = "0000-0000-0000-0000-0000-0000";

/// A login from the first page to the last, with what goes wrong on the way.
async fn login(client: &mut Client<'_>) {
    let post = "POST";
    let wrong = json!({"name": "alice", "password": "wrong"});
    client.send("a wrong password", post, "/login", wrong.clone()).await;
    client.headers.push(("accept-language", "ja"));
    client.send("a wrong password, in Japanese", post, "/login", wrong).await;
    let none = json!({"name": "", "password": PASSWORD});
    client.send("no name", post, "/login", none).await;
    client.headers.pop();
    let none = json!({"name": "alice", "password": ""});
    client.send("no password", post, "/login", none).await;
    let more = json!({"name": "alice", "password": PASSWORD, "channel": "api"});
    client.send("a field that there is not", post, "/login", more).await;

    let login = client.begin("a code is sent", "alice").await;
    client.send("the page again", "GET", &login, Value::Null).await;
    let code = format!("{login}/code");
    let wrong = json!({"code": client.site.world.wrong_code()});
    client.send("a wrong code", post, &code, wrong.clone()).await;
    client.send("no code", post, &code, json!({"code": ""})).await;
    let resend = format!("{login}/resend");
    client.send("another code, too early", post, &resend, json!({})).await;
    client.headers.push(("accept-language", "ja"));
    client.send("a wrong code, in Japanese", post, &code, wrong).await;
    client.send("another code, too early, in Japanese", post, &resend, json!({})).await;
    client.headers.pop();
    client.site.world.wait_for_the_spacing();
    client.send("another code by SMS", post, &resend, json!({"to": "sms"})).await;
    client.send("another code", post, &resend, json!({"to": "same"})).await;
    let backup = format!("{login}/backup-code");
    let typed = json!({"code": WRONG_BACKUP_CODE});
    client.send("no backup code", post, &backup, typed).await;
    let right = json!({"code": client.site.world.last_code(), "trust_device": "laptop"});
    client.send("the right code, on a device to trust", post, &code, right.clone()).await;
    client.send("the right code again", post, &code, right).await;
    client.send("the page of a login that is over", "GET", &login, Value::Null).await;
    client.send("another code for it", post, &resend, json!({})).await;
    let typed = json!({"code": WRONG_BACKUP_CODE});
    client.send("a backup code for it", post, &backup, typed).await;
    client.send("the session", "GET", "/session", Value::Null).await;
    let again = json!({"name": "alice", "password": PASSWORD});
    client.send("the trusted device", post, "/login", again).await;

    client.site.world.wait_for_the_spacing();
    let again = json!({"name": "alice", "password": PASSWORD, "reauthenticate": true});
    let begun = client.send("a code on a trusted device", post, "/login", again.clone()).await;
    let login = format!("/login/{}", begun.json["login"].as_str().unwrap());
    client.send("it is cancelled", post, &format!("{login}/cancel"), json!({})).await;
    client.sign_in("once more", "alice").await;
    let made = client.send("a backup code", post, "/account/backup-code", json!({})).await;
    let made = made.json["secrets"]["backup_code"].as_str().unwrap().to_owned();
    client.site.world.wait_for_the_spacing();
    client.site.world.outbox.always(None, Delivered::Failed(SendErrorKind::Transient));
    let begun = client.send("a code that is not sent", post, "/login", again.clone()).await;
    client.site.world.outbox.always(None, Delivered::Now);
    let backup = format!("/login/{}/backup-code", begun.json["login"].as_str().unwrap());
    client.send("no backup code is typed", post, &backup, json!({"code": ""})).await;
    let wrong = json!({"code": WRONG_BACKUP_CODE});
    client.send("a wrong backup code", post, &backup, wrong.clone()).await;
    let used = client.send("the backup code", post, &backup, json!({"code": made})).await;
    assert_eq!(used.step(), "authenticated", "{}", used.text);
    let begun = client.send("one more code", post, "/login", again).await;
    let backup = format!("/login/{}/backup-code", begun.json["login"].as_str().unwrap());
    for _ in 0..4 {
        client.send("a wrong backup code", post, &backup, wrong.clone()).await;
    }
    client.send("the last wrong backup code", post, &backup, wrong.clone()).await;
    client.send("too many wrong backup codes", post, &backup, wrong).await;
}

/// What a page hears of a code's way.
async fn deliveries(client: &mut Client<'_>) {
    let throttled = |wait: Option<Duration>| SendErrorKind::Throttled { retry_after: wait };
    let body = json!({"name": "alice", "password": PASSWORD});
    for (about, delivered) in [
        ("a code that is queued", Delivered::Queued),
        ("a code that perhaps went out", Delivered::ArrivedButUnknown),
        ("a code that can't go there", Delivered::Failed(SendErrorKind::Permanent)),
        ("a code that has to wait", Delivered::Failed(throttled(None))),
        (
            "a code that has to wait, and how long",
            Delivered::Failed(throttled(Some(Duration::from_millis(1_500)))),
        ),
    ] {
        client.site.world.clock.advance(Duration::from_secs(600));
        client.site.world.outbox.always(None, delivered);
        client.send(about, "POST", "/login", body.clone()).await;
    }
    client.send("a code directly after it", "POST", "/login", body.clone()).await;
    client.send("no code is made", "POST", "/login", body).await;
}

/// A login that is complete, and whose session can't be started.
async fn broken(client: &mut Client<'_>) {
    client.sign_in("a login", "alice").await;
    let made = client.send("a backup code", "POST", "/account/backup-code", json!({})).await;
    let code = made.json["secrets"]["backup_code"].as_str().unwrap().to_owned();
    client.site.world.wait_for_the_spacing();
    let login = client.begin("another login", "alice").await;
    client.web = Web::browsers(&client.site.world.flow, tenants(), NoSessions)
        .clock(client.site.world.clock.clone())
        .build();
    let path = format!("{login}/backup-code");
    let failed = client.send("no session", "POST", &path, json!({"code": code})).await;
    assert_eq!(failed.reason(), "failed");
}

/// The page of a signed-in user.
async fn account(client: &mut Client<'_>) {
    let post = "POST";
    client.sign_in("a login", "alice").await;
    client.send("the account", "GET", "/account", Value::Null).await;
    client.site.world.wait_for_the_spacing();
    let method = "/account/method";
    let number = json!({"method": "sms", "phone": "12"});
    client.send("what is no number", post, method, number).await;
    let number = json!({"method": "sms", "phone": NUMBER});
    client.send("a number to prove", post, method, number.clone()).await;
    client.send("the number again", post, method, number.clone()).await;
    client.send("once more, too early", post, method, number.clone()).await;
    let confirm = "/account/method/confirm";
    client.send("no code for it", post, confirm, json!({"code": ""})).await;
    let wrong = json!({"code": client.site.world.wrong_code()});
    client.send("a wrong code for it", post, confirm, wrong).await;
    let right = json!({"code": client.site.world.last_code()});
    client.send("the right code for it", post, confirm, right.clone()).await;
    client.send("the right code for it again", post, confirm, right).await;
    client.send("back to email", post, method, json!({"method": "email"})).await;
    client
        .send("any device", "DELETE", "/account/devices/AAAAAAAAAAAAAAAAAAAAAA", Value::Null)
        .await;
    client.send("all devices", "DELETE", "/account/devices", Value::Null).await;
    client.site.world.wait_for_the_spacing();
    let login = client.begin("a login on a device to trust", "alice").await;
    let code = json!({"code": client.site.world.last_code(), "trust_device": "手元の端末"});
    client.send("the code", post, &format!("{login}/code"), code).await;
    let account = client.send("the account with it", "GET", "/account", Value::Null).await;
    let device = account.json["devices"][0]["id"].as_str().unwrap().to_owned();
    let device = format!("/account/devices/{device}");
    client.send("the device is revoked", "DELETE", &device, Value::Null).await;

    client.site.world.clock.advance(Duration::from_secs(601));
    let about = "too long after the login";
    client.headers.push(("accept-language", "ja"));
    client.send(about, post, method, number.clone()).await;
    client.headers.pop();
    client.send(about, post, confirm, json!({"code": "123456"})).await;
    client.send(about, post, "/account/backup-code", json!({})).await;
    client.send(about, "DELETE", &device, Value::Null).await;
    client.send(about, "DELETE", "/account/devices", Value::Null).await;

    client.send("the session ends", post, "/logout", json!({})).await;
    let about = "nobody is signed in";
    client.send(about, "GET", "/session", Value::Null).await;
    client.send(about, "GET", "/account", Value::Null).await;
    client.send(about, post, method, number).await;
    client.send(about, post, confirm, json!({"code": "123456"})).await;
    client.send(about, post, "/account/backup-code", json!({})).await;
    client.send(about, "DELETE", &device, Value::Null).await;
    client.send(about, "DELETE", "/account/devices", Value::Null).await;
    client.send(about, "GET", "/administration", Value::Null).await;
    client.send(about, "GET", "/administration/users/bob", Value::Null).await;
    client.send(about, post, "/administration/users/bob/reset", json!({})).await;
    client.send(about, post, "/administration/users/bob/unlock", json!({})).await;
}

/// The administrator's page.
async fn administration(client: &mut Client<'_>) {
    client.sign_in("a user's login", "alice").await;
    let every = |about: &'static str, user: &'static str| {
        let users = format!("/administration/users/{user}");
        [
            (about, "GET", users.clone(), Value::Null),
            (about, "POST", format!("{users}/reset"), json!({})),
            (about, "POST", format!("{users}/unlock"), json!({})),
        ]
    };
    client.send("no administrator", "GET", "/administration", Value::Null).await;
    client.headers.push(("accept-language", "ja"));
    for (about, method, path, body) in every("no administrator", "bob") {
        client.send(about, method, &path, body).await;
    }
    client.headers.pop();
    client.sign_in("an administrator's login", "root").await;
    client.send("the scope", "GET", "/administration", Value::Null).await;
    for (about, method, path, body) in every("own account", "root")
        .into_iter()
        .chain(every("no such user", "nobody"))
        .chain(every("another user", "bob"))
    {
        client.send(about, method, &path, body).await;
    }
    client.send("another user, again", "POST", "/administration/users/bob/reset", json!({})).await;
    client.send("no refill", "POST", "/administration/users/bob/reset", json!({})).await;
    client.site.world.clock.advance(Duration::from_secs(601));
    for (about, method, path, body) in every("too long after the login", "bob") {
        client.send(about, method, &path, body).await;
    }
    let about = "fewer people, too long after the login";
    set_scope(client, about, "do_not_use").await;
    client.sign_in("another login", "root").await;
    client.site.world.wait_for_the_spacing();
    let number = json!({"method": "sms", "phone": NUMBER});
    client.send("a number to prove", "POST", "/account/method", number).await;
    set_scope(client, "switching off", "do_not_use").await;
    client.send("the deletion", "GET", "/administration", Value::Null).await;
    client.send("the session of then", "GET", "/session", Value::Null).await;
    let body = json!({"name": "alice", "password": PASSWORD});
    let setup = "__Host-countersign-setup".to_owned();
    let token = client.cookies.get(&setup).cloned().unwrap();
    client.send("a login without a code", "POST", "/login", body).await;
    // As a client that forgets nothing.
    client.cookies.insert(setup, token);
    let about = "nothing to set up";
    client.send(about, "GET", "/account", Value::Null).await;
    client.send(about, "POST", "/account/method", json!({"method": "email"})).await;
    client.send(about, "POST", "/account/method/confirm", json!({"code": "123456"})).await;
    client.send(about, "POST", "/account/backup-code", json!({})).await;
    let device = "/account/devices/AAAAAAAAAAAAAAAAAAAAAA";
    client.send(about, "DELETE", device, Value::Null).await;
    client.send(about, "DELETE", "/account/devices", Value::Null).await;
    client
        .site
        .world
        .users
        .change(&client.site.world.tenant, &UserId::new("root").unwrap(), |user| {
            user.email = None;
        })
        .unwrap();
    let body = json!({"name": "root", "password": PASSWORD});
    client.send("an administrator without an address", "POST", "/login", body).await;
    set_scope(client, "they would lock themselves out", "entire_tenant").await;
}

/// Enters wrong codes until they are locked.
async fn lock(client: &mut Client<'_>, about: &str, code: &str) {
    for _ in 0..5 {
        let wrong = json!({"code": client.site.world.wrong_code()});
        client.send(about, "POST", code, wrong).await;
    }
}

/// Wrong codes for a number, in two changes of method: with the last one they are refused.
async fn confirmation(client: &mut Client<'_>, kind: &str) {
    client.sign_in("a login", "alice").await;
    let (method, confirm) = ("/account/method", "/account/method/confirm");
    let number = json!({"method": "sms", "phone": NUMBER});
    for wrong in [4, 1] {
        client.site.world.wait_for_the_spacing();
        client.send("a number to prove", "POST", method, number.clone()).await;
        for _ in 0..wrong {
            let code = json!({"code": client.site.world.wrong_code()});
            client.send("a wrong code for it", "POST", confirm, code).await;
        }
    }
    let right = json!({"code": client.site.world.last_code()});
    client.send(&format!("the right code for it, {kind}"), "POST", confirm, right).await;
    client.site.world.wait_for_the_spacing();
    client.send(&format!("another number, {kind}"), "POST", method, number).await;
}

/// A number that is being proved when the application lowers its limits.
async fn lower_limits(client: &mut Client<'_>) {
    let factors = MemoryFactors::new();
    let (clock, sessions) = (client.site.world.clock.clone(), client.site.sessions.clone());
    let web = |site: &Site, most: u32, suspended: u32, rolling: u32| {
        let flow = site.world.flow_over(factors.clone(), |flow| {
            let flow = flow.policy(Everybody).entropy(SeededEntropy::new(3));
            flow.max_wrong_codes(most).suspend_after(suspended).rolling_wrong_code_limit(rolling)
        });
        Web::browsers(&flow.unwrap(), tenants(), sessions.clone()).clock(clock.clone()).build()
    };
    client.web = web(&client.site, 5, 5, 5);
    client.sign_in("a login", "alice").await;
    client.site.world.wait_for_the_spacing();
    let number = json!({"method": "sms", "phone": NUMBER});
    client.send("a number to prove", "POST", "/account/method", number).await;
    let code = json!({"code": client.site.world.wrong_code()});
    let confirm = "/account/method/confirm";
    for _ in 0..2 {
        client.send("a wrong code for it", "POST", confirm, code.clone()).await;
    }
    for (about, suspended, rolling) in [("locked", 5, 2), ("suspended", 2, 5)] {
        client.web = web(&client.site, 2, suspended, rolling);
        let about = format!("with lower limits the user is {about}");
        client.send(&about, "POST", confirm, code.clone()).await;
    }
}

/// A user whose codes go by SMS, and who has no address any more.
async fn without_an_address(client: &mut Client<'_>) {
    client.site.world.choose_sms("alice", NUMBER).await.unwrap();
    let alice = UserId::new("alice").unwrap();
    let tenant = client.site.world.tenant.clone();
    client.site.world.users.change(&tenant, &alice, |user| user.email = None).unwrap();
    let login = client.begin("a login by SMS", "alice").await;
    client.site.world.wait_for_the_spacing();
    let to = json!({"to": "email"});
    client.send("no address", "POST", &format!("{login}/resend"), to).await;
}

/// Locks, and the suspension.
async fn locks(client: &mut Client<'_>) {
    confirmation(client, "locked").await;
    for (round, kind) in ["locked", "suspended"].into_iter().enumerate() {
        client.site.world.clock.advance(Duration::from_secs(3_600));
        let login = client.begin(&format!("a login that is {kind}"), "bob").await;
        let (code, resend) = (format!("{login}/code"), format!("{login}/resend"));
        let right = json!({"code": client.site.world.last_code()});
        lock(client, &format!("a wrong code, {round}"), &code).await;
        client.headers.push(("accept-language", "ja"));
        client.send(kind, "POST", &code, right).await;
        client.headers.pop();
        client.send(kind, "POST", &resend, json!({})).await;
        client.send(kind, "GET", &login, Value::Null).await;
        let body = json!({"name": "bob", "password": PASSWORD});
        client.send(kind, "POST", "/login", body).await;
    }
    client.sign_in("an administrator's login", "root").await;
    client.send("the suspended user", "GET", "/administration/users/bob", Value::Null).await;
    let unlock = "/administration/users/bob/unlock";
    client.send("only a reset helps", "POST", unlock, json!({})).await;
    client.send("the reset", "POST", "/administration/users/bob/reset", json!({})).await;
}

/// Settings of the application.
async fn settings(client: &mut Client<'_>) {
    let tenant = client.site.world.tenant.clone();
    let login = client.begin("a login", "alice").await;
    client.site.world.wait_for_the_spacing();
    let resend = format!("{login}/resend");
    client.send("this login gets no more codes", "POST", &resend, json!({})).await;
    let trust = json!({"code": client.site.world.last_code(), "trust_device": "laptop"});
    client.send("no trusted devices", "POST", &format!("{login}/code"), trust).await;
    let backup = json!({"code": WRONG_BACKUP_CODE});
    client.send("no backup codes", "POST", &format!("{login}/backup-code"), backup).await;
    client.begin("a second login", "alice").await;
    client.site.world.wait_for_the_spacing();
    let body = json!({"name": "alice", "password": PASSWORD});
    client.send("too many of them", "POST", "/login", body.clone()).await;
    client.site.world.clock.advance(Duration::from_secs(200));
    let old = json!({"code": client.site.world.last_code()});
    client.send("a code that has expired", "POST", &format!("{login}/code"), old).await;
    client.sign_in("a login", "alice").await;
    client.send("no backup codes", "POST", "/account/backup-code", json!({})).await;
    client.site.world.wait_for_the_spacing();
    let alice = UserId::new("alice").unwrap();
    client.site.world.users.change(&tenant, &alice, |user| user.email = None).unwrap();
    client.send("no address", "POST", "/login", body).await;
    let email = json!({"method": "email"});
    client.send("no address", "POST", "/account/method", email).await;
}

/// What no endpoint is special in.
async fn everywhere(client: &mut Client<'_>) {
    client.always().await;
    let body = json!({"name": "alice", "password": PASSWORD});
    let typed = body.to_string();
    client.send("no such page", "GET", "/nowhere", Value::Null).await;
    client.send("another method", "GET", "/login", Value::Null).await;
    let long = " ".repeat(40_000);
    client.send_as("a long body", "POST", "/login", Some("application/json"), long).await;
    client.send_as("another type", "POST", "/login", Some("text/plain"), typed).await;
    client.headers = vec![("sec-fetch-site", "cross-site")];
    client.send("another site", "POST", "/login", body).await;
}

/// A password check whose queue can be full.
struct Queue(Arc<AtomicBool>);

#[async_trait]
impl PasswordVerifier for Queue {
    fn admit(&self) -> Result<Admission, Busy> {
        if self.0.load(Ordering::Relaxed) {
            return Err(Busy::new(Duration::from_secs(2)));
        }
        PlainPasswords.admit()
    }

    async fn verify(&self, attempt: &PasswordAttempt<'_>) -> Result<PasswordCheck, PluginError> {
        PlainPasswords.verify(attempt).await
    }

    async fn hash_password(
        &self,
        password: &Password,
    ) -> Result<Option<PasswordHash>, PluginError> {
        PlainPasswords.hash_password(password).await
    }
}

/// Asks everybody for the second factor, whatever the scope is.
pub struct Everybody;

impl TwoFactorPolicy for Everybody {
    fn decide(&self, _: &PolicyContext<'_>) -> Result<Requirement, PluginError> {
        Ok(Requirement::Required)
    }
}

async fn transcript() -> Transcript {
    let mut transcript = Transcript::default();
    everywhere(&mut transcript.browser(seeded(|flow| flow).await)).await;
    login(&mut transcript.browser(seeded(|flow| flow).await)).await;
    deliveries(&mut transcript.browser(seeded(|flow| flow).await)).await;
    broken(&mut transcript.browser(seeded(|flow| flow).await)).await;
    account(&mut transcript.browser(seeded(|flow| flow).await)).await;
    administration(&mut transcript.browser(seeded(|flow| flow).await)).await;
    locks(&mut transcript.browser(seeded(|flow| flow.suspend_after(10)).await)).await;
    let mut browser = transcript
        .browser(seeded(|flow| flow.suspend_after(5).tenant_lockout(3..=5, DAY..=DAY)).await);
    confirmation(&mut browser, "suspended").await;
    lower_limits(&mut transcript.browser(seeded(|flow| flow).await)).await;
    without_an_address(&mut transcript.browser(seeded(|flow| flow).await)).await;
    crate::tenant::settings(&mut transcript.browser(seeded_with_people(|flow| flow).await)).await;
    crate::tenant::choices(&mut transcript.browser(seeded_with_people(|flow| flow).await)).await;
    crate::tenant::single_sign_on(&mut transcript.browser(seeded(|flow| flow).await)).await;
    crate::tenant::methods(&mut transcript.browser(seeded(|flow| flow).await)).await;
    crate::tenant::stricter_bounds(&mut transcript.browser(seeded(|flow| flow).await)).await;
    let elsewhere = crate::tenant::Elsewhere::default();
    let site = seeded(|flow| flow.request_policy(elsewhere.clone())).await;
    crate::tenant::refused_requests(&mut transcript.browser(site), &elsewhere).await;
    let site = seeded(|flow| flow).await;
    let plain = |flow: countersign::LoginFlowBuilder| {
        let flow = flow.sends_per_login(1).backup_codes(false).pending_logins(2);
        flow.policy(Everybody).entropy(SeededEntropy::new(2))
    };
    let flow = site.world.flow_over(MemoryFactors::new(), plain).unwrap();
    let mut browser = transcript.browser(site);
    browser.web = Web::browsers(&flow, tenants(), browser.site.sessions.clone())
        .clock(browser.site.world.clock.clone())
        .build();
    settings(&mut browser).await;
    let is_full = Arc::new(AtomicBool::new(false));
    let queue = Queue(Arc::clone(&is_full));
    let site = seeded(|flow| flow.password_verifier(queue)).await;
    is_full.store(true, Ordering::Relaxed);
    let body = json!({"name": "alice", "password": PASSWORD});
    let mut browser = transcript.browser(site);
    browser.send("too many passwords at a time", "POST", "/login", body).await;
    login(&mut transcript.app(seeded(|flow| flow).await)).await;
    account(&mut transcript.app(seeded(|flow| flow).await)).await;
    crate::tenant::single_sign_on(&mut transcript.app(seeded(|flow| flow).await)).await;
    transcript
}

/// Changing what goes over the wire breaks clients. With `UPDATE_GOLDEN` set the file is written
/// instead.
#[tokio::test]
async fn what_goes_over_the_wire_is_in_the_golden_file() {
    let transcript = transcript().await;
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/endpoints.json5");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(golden, &transcript.text).unwrap();
    }
    let golden = std::fs::read_to_string(golden).unwrap();
    for (made, kept) in transcript.text.split("\n\n").zip(golden.split("\n\n")) {
        assert_eq!(made, kept);
    }
    assert!(transcript.text == golden, "one of them is longer");
    let secrets = ["csp1.", "csd1.", "css1."].map(|kind| transcript.text.matches(kind).count());
    let hidden = ["csp1.TOKEN", "csd1.TOKEN", "css1.TOKEN"];
    assert_eq!(secrets, hidden.map(|kind| transcript.text.matches(kind).count()));
    assert!(secrets.iter().all(|count| *count > 0), "{secrets:?}");
}

/// Each status with each reason that the description lists of an endpoint of its own is seen.
#[tokio::test]
async fn all_that_is_described_is_seen() {
    let seen = transcript().await.seen;
    let described = crate::described::outcomes();
    let missing: BTreeSet<_> = described.difference(&seen).collect();
    assert!(missing.is_empty(), "{missing:#?}");
}
