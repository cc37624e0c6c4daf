//! Signing in on pages.

use std::time::Duration;

use countersign::Method;
use countersign::sender::SendErrorKind;
use countersign_testkit::{Delivered, Person};
use http::StatusCode;

use crate::browser::{DAY, PASSWORD};
use crate::visitor::{Visitor, alert, between, place, site};

#[tokio::test]
async fn a_login_by_code_ends_at_the_page_where_it_began() {
    let site = site().await;
    let mut visitor = Visitor::of(&site);
    let page = visitor.get("/sign-in?return_to=/orders%3Fpage%3D2").await;
    assert_eq!((page.status, &*alert(&page)), (StatusCode::OK, "Please log in to continue."));
    let fields = [("name", "alice"), ("password", PASSWORD)];
    let sent = visitor.send(&page, "/sign-in", &fields).await;
    let code = visitor.follow(&sent).await;
    let action = place(&sent).split('?').next().unwrap().to_owned();
    let message = site.world.outbox.last_code().unwrap();
    assert!(code.text.contains("A code was sent by email to "), "{}", code.text);
    assert!(code.text.contains("a***@example.com"), "{}", code.text);
    let reference = between(&code.text, "<strong class=\"reference\">", "</strong>");
    assert_eq!(reference, message.reference.as_str());
    assert!(code.text.contains("data-seconds=\"180\""), "{}", code.text);
    // The person mistypes it, and goes on from the page that says so.
    let wrong = visitor.send(&code, &action, &[("code", &site.world.wrong_code())]).await;
    assert_eq!(wrong.status, StatusCode::FORBIDDEN);
    assert_eq!(alert(&wrong), "This code is wrong. 4 attempts are left.");
    assert!(wrong.text.contains("aria-invalid=\"true\" aria-describedby=\"alert\" autofocus"));
    assert_eq!(visitor.browser.session(), None);
    // Without scripts a form can be sent twice, and each is charged.
    let twice = visitor.send(&wrong, &action, &[("code", &site.world.wrong_code())]).await;
    assert_eq!(alert(&twice), "This code is wrong. 3 attempts are left.");
    for part in [
        "inputmode=\"numeric\"",
        "autocomplete=\"one-time-code\"",
        "role=\"status\" id=\"spoken\"",
        "Earlier codes no longer work.",
    ] {
        assert!(twice.text.contains(part), "{part} in {}", twice.text);
    }
    let done = visitor.send(&wrong, &action, &[("code", &site.world.last_code())]).await;
    assert_eq!((done.status, &*place(&done)), (StatusCode::SEE_OTHER, "/orders?page=2"));
    assert!(visitor.browser.session().is_some());
    assert!(visitor.browser.named("login").is_empty());
    // A person who is signed in already is not asked again.
    assert_eq!(place(&visitor.get("/sign-in").await), "/");
    let out = visitor.post("/sign-out", &[]).await;
    assert_eq!((&*place(&out), visitor.browser.session()), ("/sign-in?done=signed_out", None));
    assert_eq!(alert(&visitor.follow(&out).await), "You have logged out.");
    assert_eq!(site.sessions.count(), 0);
}

/// I-46: reload and back show the same challenge, send nothing and charge nothing.
#[tokio::test]
async fn a_reload_sends_nothing() {
    let site = site().await;
    let mut visitor = Visitor::of(&site);
    let (path, first) = visitor.begin("alice").await;
    let attempts = site.world.outbox.attempts();
    site.world.calls.clear();
    for path in [path.clone(), format!("{path}?delivery=sent&reference=AAAA")] {
        let again = visitor.get(&path).await;
        let reference = |page: &str| between(page, "class=\"reference\">", "<").to_owned();
        assert_eq!(reference(&again.text), reference(&first.text));
        assert!(again.cookies().is_empty());
    }
    assert_eq!(site.world.outbox.attempts(), attempts);
    assert_eq!((site.world.calls.of("commit"), site.world.calls.of("load")), (0, 2));
}

/// I-02, I-05: nobody is signed in by a token that has done its work.
#[tokio::test]
async fn the_right_code_twice_ends_at_home_only_with_the_new_session() {
    let site = site().await;
    let (mut visitor, mut double) = (Visitor::of(&site), Visitor::of(&site));
    let (path, _) = visitor.begin("alice").await;
    double.browser.cookies.clone_from(&visitor.browser.cookies);
    let code = site.world.last_code();
    let mut with_both = visitor.browser.cookies.clone();
    assert_eq!(place(&visitor.post(&path, &[("code", &code)]).await), "/");
    // The second request left before the first was answered.
    let over = double.post(&path, &[("code", &code)]).await;
    assert_eq!(over.status, StatusCode::GONE);
    assert_eq!(alert(&over), "This login has expired or has ended. Please log in again.");
    assert!(over.text.contains("name=\"name\" value=\"alice\""), "{}", over.text);
    assert_eq!((double.browser.session(), site.sessions.count()), (None, 1));
    // The browser has the new session.
    with_both.extend(visitor.browser.cookies.clone());
    visitor.browser.cookies = with_both;
    let again = visitor.post(&path, &[("code", &code)]).await;
    assert_eq!((again.status, &*place(&again)), (StatusCode::SEE_OTHER, "/"));
    assert_eq!(place(&visitor.get(&path).await), "/");
}

#[tokio::test]
async fn a_login_that_expired_says_so_and_keeps_the_name() {
    let site = site().await;
    let mut visitor = Visitor::of(&site);
    let name = "o'brien <b>&\"x";
    Person::named(name)
        .id("obrien")
        .email("obrien@example.com")
        .join(&site.world.users, &site.world.tenant)
        .unwrap();
    let (path, _) = visitor.begin(name).await;
    // The code expires before its login does.
    site.world.clock.advance(Duration::from_secs(181));
    let expired = visitor.get(&path).await;
    assert_eq!(expired.status, StatusCode::OK);
    assert!(
        expired.text.contains("There is no valid code at the moment. Get a new one."),
        "{}",
        expired.text
    );
    site.world.clock.advance(Duration::from_secs(420));
    let over = visitor.get(&path).await;
    assert_eq!(over.status, StatusCode::GONE);
    assert_eq!(alert(&over), "This login has expired or has ended. Please log in again.");
    assert!(over.text.contains("o&#39;brien &#60;b&#62;&#38;&#34;x"), "{}", over.text);
    assert!(visitor.browser.cookies.is_empty(), "{:?}", visitor.browser.cookies);
}

#[tokio::test]
async fn two_tabs_keep_their_own_code() {
    let site = site().await;
    let mut visitor = Visitor::of(&site);
    let (one, _) = visitor.begin("alice").await;
    let code = site.world.last_code();
    let (two, _) = visitor.begin("bob").await;
    assert_eq!(place(&visitor.post(&one, &[("code", &code)]).await), "/");
    let second = site.world.last_code();
    assert_eq!(place(&visitor.post(&two, &[("code", &second)]).await), "/");
}

#[tokio::test]
async fn wrong_passwords_stay_at_the_login() {
    let site = site().await;
    let mut visitor = Visitor::of(&site);
    let wrong = visitor.post("/sign-in", &[("name", "alice"), ("password", "hunter2")]).await;
    assert_eq!(wrong.status, StatusCode::FORBIDDEN);
    assert_eq!(
        alert(&wrong),
        "You could not be logged in. Check your login name and password. After several wrong \
         passwords, wait a while before you try again."
    );
    assert!(wrong.text.contains("name=\"name\" value=\"alice\""));
    assert!(!wrong.text.contains("hunter2"), "{}", wrong.text);
}

#[tokio::test]
async fn other_ways_to_get_a_code() {
    let site = site().await;
    site.world.choose_sms("alice", "+819012345678").await.unwrap();
    site.world.wait_for_the_spacing();
    let mut visitor = Visitor::of(&site);
    let (path, page) = visitor.begin("alice").await;
    assert!(page.text.contains("A code was sent by SMS to "), "{}", page.text);
    let resend = format!("{path}/resend");
    let early = visitor.send(&page, &resend, &[("to", "same")]).await;
    assert_eq!(early.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(early.headers.contains_key("retry-after"));
    assert!(alert(&early).starts_with("A new code cannot be sent yet. Try again in "));
    site.world.wait_for_the_spacing();
    let again = visitor.send(&page, &resend, &[("to", "email")]).await;
    let page = visitor.follow(&again).await;
    assert!(page.text.contains("A code was sent by email to "), "{}", page.text);
    let newest = site.world.outbox.last_code().unwrap().reference;
    let newest = format!("<strong class=\"reference\">{}</strong>", newest.as_str());
    assert!(page.text.contains(&newest), "{}", page.text);
    let cancelled = visitor.post(&format!("{path}/cancel"), &[]).await;
    assert_eq!(place(&cancelled), "/sign-in");
    assert!(visitor.browser.cookies.is_empty());
    assert_eq!(visitor.get(&path).await.status, StatusCode::GONE);
}

#[tokio::test]
async fn a_code_that_was_not_sent_is_not_said_to_be() {
    let site = site().await;
    site.world.outbox.always(Some(Method::Email), Delivered::Failed(SendErrorKind::Permanent));
    let mut visitor = Visitor::of(&site);
    let (_, page) = visitor.begin("alice").await;
    assert_eq!(alert(&page), "The code could not be sent. Get a new one.");
    assert!(page.text.contains("No code has been sent."), "{}", page.text);
    assert!(!page.text.contains("class=\"reference\""), "{}", page.text);
}

/// The backup code is shown once, with the way on.
#[tokio::test]
async fn a_backup_code_completes_the_login_and_is_replaced() {
    let site = site().await;
    let backup = site.world.make_backup_code("alice").await.unwrap();
    site.world.wait_for_the_spacing();
    let mut visitor = Visitor::of(&site);
    let (path, page) = visitor.begin("alice").await;
    let action = format!("{path}/backup-code");
    let wrong = visitor.send(&page, &action, &[("code", "0000-0000-0000-0000-0000-0000")]).await;
    assert_eq!(wrong.status, StatusCode::FORBIDDEN, "{}", wrong.text);
    assert!(wrong.text.contains("<details open>"), "{}", wrong.text);
    let done = visitor.send(&wrong, &action, &[("code", &backup)]).await;
    assert_eq!(done.status, StatusCode::OK);
    let shown = between(&done.text, "<p class=\"secret\"><code>", "</code>").to_owned();
    assert!(!shown.is_empty() && shown != backup, "{}", done.text);
    assert!(visitor.browser.session().is_some());
    // It is the one that works next time.
    site.world.clock.advance(DAY);
    let mut other = Visitor::of(&site);
    let (path, _) = other.begin("alice").await;
    let done = other.post(&format!("{path}/backup-code"), &[("code", &shown)]).await;
    assert_eq!(done.status, StatusCode::OK, "{}", done.text);
}

/// Two people at one browser stay trusted each, and what needs a recent login asks all the same.
#[tokio::test]
async fn trusted_devices_skip_the_code_until_it_is_asked_for_again() {
    let site = site().await;
    let mut visitor = Visitor::of(&site);
    visitor.browser.headers.push(("user-agent", "Mozilla/5.0 (Windows NT 10.0) Firefox/140.0"));
    for name in ["alice", "bob"] {
        site.world.wait_for_the_spacing();
        let (path, page) = visitor.begin(name).await;
        let code = site.world.last_code();
        let done = visitor.send(&page, &path, &[("code", &code), ("trust", "yes")]).await;
        assert_eq!(place(&done), "/");
    }
    assert_eq!(visitor.browser.named("device").len(), 2);
    let sent = site.world.outbox.attempts();
    for name in ["alice", "bob"] {
        let done = visitor.post("/sign-in", &[("name", name), ("password", PASSWORD)]).await;
        assert_eq!(place(&done), "/", "{name}");
    }
    assert_eq!(site.world.outbox.attempts(), sent);
    let page = visitor.get("/me").await;
    assert!(page.text.contains("<strong><bdi>Firefox, Windows</bdi></strong>"), "{}", page.text);
    // A trusted device is no recent login.
    site.world.wait_for_the_spacing();
    let refused = visitor.post_as("bob", "/me/backup-code", &[]).await;
    assert_eq!(place(&refused), "/sign-in?return_to=%2Fme%3Fdone%3Drepeat&again=1");
    let again = visitor.follow(&refused).await;
    assert_eq!(
        alert(&again),
        "Please log in again with a code, then repeat what you wanted to do."
    );
    let fields = [("name", "bob"), ("password", PASSWORD)];
    let asked = visitor.send(&again, "/sign-in", &fields).await;
    let page = visitor.follow(&asked).await;
    let action = place(&asked).split('?').next().unwrap().to_owned();
    let done = visitor.send(&page, &action, &[("code", &site.world.last_code())]).await;
    assert_eq!(place(&done), "/me?done=repeat");
    let page = visitor.follow(&done).await;
    assert_eq!(alert(&page), "Please repeat your change now.");
    let made = visitor.send(&page, "/me/backup-code", &[]).await;
    assert_eq!(made.status, StatusCode::OK, "{}", made.text);
}

/// Another session in the same browser is no success of a login that expired.
#[tokio::test]
async fn an_expired_login_does_not_pass_for_another_one() {
    let site = site().await;
    let mut visitor = Visitor::of(&site);
    visitor.sign_in("alice").await;
    site.world.wait_for_the_spacing();
    // Bob, in another tab, is too late.
    let (path, page) = visitor.begin("bob").await;
    let code = site.world.last_code();
    site.world.clock.advance(Duration::from_secs(601));
    let over = visitor.send(&page, &path, &[("code", &code)]).await;
    assert_eq!((over.status, &*place(&over)), (StatusCode::GONE, ""));
    assert!(over.text.contains("value=\"bob\""), "{}", over.text);
    // Alice, who was asked to log in again, is too late, and is asked again.
    let page = visitor.get("/sign-in?again=1&return_to=/me").await;
    let fields = [("name", "alice"), ("password", PASSWORD)];
    let sent = visitor.send(&page, "/sign-in", &fields).await;
    let page = visitor.follow(&sent).await;
    let path = place(&sent).split('?').next().unwrap().to_owned();
    let code = site.world.last_code();
    site.world.clock.advance(Duration::from_secs(601));
    let over = visitor.send(&page, &path, &[("code", &code)]).await;
    assert_eq!((over.status, &*place(&over)), (StatusCode::GONE, ""));
    for hidden in ["name=\"again\" value=\"1\"", "name=\"return_to\" value=\"/me\""] {
        assert!(over.text.contains(hidden), "{}", over.text);
    }
    // Alice's session is as it was.
    assert_eq!(visitor.get("/me").await.status, StatusCode::OK);
}

/// The address of a form's answer, loaded again, leads to the page with the form.
#[tokio::test]
async fn no_address_is_a_dead_end() {
    let site = site().await;
    let mut visitor = Visitor::of(&site);
    let (path, _) = visitor.begin("alice").await;
    for rest in ["backup-code", "resend", "cancel"] {
        assert_eq!(place(&visitor.get(&format!("{path}/{rest}")).await), path);
    }
    for (answer, page) in [
        ("/sign-out", "/sign-in"),
        ("/me/method", "/me"),
        ("/me/backup-code", "/me"),
        ("/me/devices/remove", "/me"),
        ("/users/unlock", "/users"),
    ] {
        assert_eq!(place(&visitor.get(answer).await), page, "{answer}");
    }
    let head = visitor.request("HEAD", "/sign-in", None).await;
    assert_eq!((head.status, site.sessions.count()), (StatusCode::OK, 0));
}

#[tokio::test]
async fn what_is_known_of_a_code_is_said_of_that_code_only() {
    let site = site().await;
    site.world.outbox.always(None, Delivered::Now);
    let mut visitor = Visitor::of(&site);
    let (path, page) = visitor.begin("alice").await;
    assert!(page.text.contains("A code was sent by email to "), "{}", page.text);
    let old = site.world.outbox.last_code().unwrap().reference;
    let old = format!("{path}?delivery=sent&reference={}", old.as_str());
    site.world.wait_for_the_spacing();
    visitor.post(&format!("{path}/resend"), &[("to", "same")]).await;
    let page = visitor.get(&old).await;
    assert!(page.text.contains("Enter the code from the email to "), "{}", page.text);
}

/// What a login is for stays with it, whatever the person does in between.
#[tokio::test]
async fn a_cancelled_or_reloaded_login_keeps_where_it_leads() {
    let site = site().await;
    let mut visitor = Visitor::of(&site);
    visitor.sign_in("alice").await;
    site.world.wait_for_the_spacing();
    let page = visitor.get("/sign-in?again=1&return_to=/vault").await;
    let fields = [("name", "alice"), ("password", PASSWORD)];
    let sent = visitor.send(&page, "/sign-in", &fields).await;
    let code = visitor.follow(&sent).await;
    let path = place(&sent).split('?').next().unwrap().to_owned();
    let wrong = visitor.send(&code, &path, &[("code", &site.world.wrong_code())]).await;
    let onward = "?return_to=%2Fvault&again=1";
    let action = format!("action=\"{path}{}\"", onward.replace('&', "&#38;"));
    assert!(wrong.text.contains(&action), "{action} in {}", wrong.text);
    // The address of the refusal, loaded again.
    let again = visitor.get(&format!("{path}{onward}")).await;
    assert!(again.text.contains(&action), "{}", again.text);
    let parent = visitor.get(&format!("{path}/resend{onward}")).await;
    assert_eq!(place(&parent), format!("{path}{onward}"));
    let cancelled = visitor.send(&again, &format!("{path}/cancel"), &[]).await;
    assert_eq!(place(&cancelled), format!("/sign-in{onward}"));
    assert!(visitor.follow(&cancelled).await.text.contains("name=\"password\""));
}
