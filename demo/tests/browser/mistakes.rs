//! What people do that nobody meant them to do.

use crate::browser::{Browser, speaking};

const OVER: &str = "This login has expired or has ended. Please log in again.";

async fn fill_in_password(b: &Browser, name: &str) {
    b.open("/auth/sign-in").await;
    b.fill("#name", name).await;
    b.fill("#password", crate::demo::PASSWORD).await;
}

#[tokio::test]
async fn a_double_click_begins_one_login() {
    let test = speaking("en").run(async |b| {
        fill_in_password(&b, "alice").await;
        b.leave(async || b.double_click("main button").await).await;
        b.find("#code").await;
        assert_eq!(b.codes_sent().await, 1);
        b.complete().await;
        assert_eq!(b.user().await, "alice");
    });
    test.await;
}

/// Then the browser sends the form twice, and shows the response to the second.
#[tokio::test]
async fn a_double_click_without_scripts_leaves_a_page_whose_code_works() {
    let test = speaking("en").without_scripts().run(async |b| {
        fill_in_password(&b, "alice").await;
        b.leave(async || b.double_click("main button").await).await;
        b.find("#code").await;
        assert!((1..=2).contains(&b.codes_sent().await));
        b.complete().await;
        assert_eq!(b.user().await, "alice");
    });
    test.await;
}

#[tokio::test]
async fn a_form_is_marked_while_it_is_sent_and_is_sent_once() {
    let test = speaking("en").run(async |b| {
        fill_in_password(&b, "alice").await;
        // A server that does not answer, as far as the page can see. What the script of the page
        // stops itself does not count.
        b.script(
            "window.later = [];
             window.setTimeout = (call) => window.later.push(call);
             window.sent = 0;
             addEventListener('submit', (event) => {
                if (!event.defaultPrevented) window.sent += 1;
                event.preventDefault();
             });",
        )
        .await;
        b.click("main button").await;
        b.find("main button[aria-disabled=true]").await;
        b.click("main button").await;
        assert_eq!(b.script("return window.sent").await, 1);
        // After a network failure the user can try again on the same page.
        b.script("window.later.forEach((call) => call())").await;
        b.find("main button[aria-disabled=false]").await;
        b.click("main button").await;
        assert_eq!(b.script("return window.sent").await, 2);
        assert_eq!(b.codes_sent().await, 0);
    });
    test.await;
}

#[tokio::test]
async fn the_same_code_from_two_tabs_ends_at_home_while_the_session_lasts() {
    let test = speaking("en").run(async |b| {
        b.begin("alice").await;
        let (place, code) = (b.place().await, b.code().await);
        let first = b.client.window().await.unwrap();
        b.fill("#code", &code).await;
        for _ in 0..2 {
            b.new_tab().await;
            b.open(&place).await;
            b.fill("#code", &code).await;
        }
        let tabs = b.client.windows().await.unwrap();
        let [second, third] = &tabs[1..] else { panic!("three tabs") };
        let send = "form:has(#code) button";
        b.client.switch_to_window(first).await.unwrap();
        b.press(send).await;
        assert_eq!((b.place().await, b.user().await), ("/".into(), "alice".into()));
        b.client.switch_to_window(second.clone()).await.unwrap();
        b.press(send).await;
        assert_eq!((b.place().await, b.user().await), ("/".into(), "alice".into()));
        assert_eq!(b.codes_sent().await, 1);

        b.sign_out().await;
        b.client.switch_to_window(third.clone()).await.unwrap();
        b.press(send).await;
        assert_eq!(b.alert().await, OVER);
        b.nobody_is_signed_in().await;
    });
    test.await;
}

#[tokio::test]
async fn a_form_that_a_script_sends_twice_ends_at_home() {
    let test = speaking("en").run(async |b| {
        b.begin("alice").await;
        let code = b.code().await;
        b.fill("#code", &code).await;
        // Past the script of the page, which would send it once.
        let twice = "const form = document.querySelector('form:has(#code)');
            const body = new URLSearchParams(new FormData(form));
            fetch(form.action, { method: 'POST', body, redirect: 'manual' });
            form.submit(); form.submit();";
        b.leave(async || drop(b.script(twice).await)).await;
        b.find("#hello").await;
        assert_eq!((b.place().await, b.user().await), ("/".into(), "alice".into()));
        b.open("/events").await;
        let events = b.text("main").await;
        assert_eq!(events.matches("login_completed").count(), 1, "{events}");
    });
    test.await;
}

#[tokio::test]
async fn reload_and_back_show_the_same_login_and_send_nothing() {
    let test = speaking("en").run(async |b| {
        b.begin("alice").await;
        let (place, reference) = (b.place().await, b.text(".reference").await);
        b.leave(async || b.client.refresh().await.unwrap()).await;
        assert_eq!(b.text(".reference").await, reference);
        b.leave(async || b.client.back().await.unwrap()).await;
        b.find("#name").await;
        b.leave(async || b.client.forward().await.unwrap()).await;
        assert_eq!((b.place().await, b.text(".reference").await), (place, reference));
        assert_eq!(b.codes_sent().await, 1);
        b.complete().await;
        assert_eq!(b.user().await, "alice");
        // Back to a login that is over: no form for a code that cannot work.
        b.leave(async || b.client.back().await.unwrap()).await;
        b.until("home", async || (b.place().await == "/").then_some(())).await;
        assert_eq!(b.codes_sent().await, 1);
    });
    test.await;
}

#[tokio::test]
async fn an_expired_login_says_so_and_keeps_the_name() {
    let short = ["--expire", "30", "--spacing", "10"];
    let test = speaking("en").demo(&short).run(async |b| {
        b.begin("alice").await;
        let code = b.code().await;
        // First the code expires, and costs no attempt, then the login.
        let ended = async || {
            b.enter_code(&code).await;
            (b.count("#code").await == 0).then_some(())
        };
        let counted = async || b.text("[data-over]").await == "This code has expired.";
        b.until("expired code", async || counted().await.then_some(())).await;
        b.until("end of the login", ended).await;
        assert_eq!(b.alert().await, OVER);
        assert_eq!(b.find("#name").await.prop("value").await.unwrap().unwrap(), "alice");
        // From there a login begins. Its code is not entered: it expires in 30 seconds.
        b.fill("#password", crate::demo::PASSWORD).await;
        b.press("main button").await;
        b.find("#code").await;
    });
    test.await;
}

#[tokio::test]
async fn a_login_of_another_browser_or_without_its_cookie_says_so() {
    let test = speaking("en").run(async |b| {
        b.begin("alice").await;
        let (place, code) = (b.place().await, b.code().await);
        let cookies = b.cookies().await;
        let [cookie] = &Vec::from_iter(&cookies)[..] else { panic!("one cookie: {cookies:?}") };
        let kept = b.client.get_named_cookie(cookie).await.unwrap();
        b.client.delete_cookie(cookie).await.unwrap();
        b.enter_code(&code).await;
        assert_eq!(b.alert().await, OVER);
        b.open(&place).await;
        assert_eq!(b.alert().await, OVER);
        b.nobody_is_signed_in().await;
        // Control: with the cookie the same code works.
        b.client.add_cookie(kept).await.unwrap();
        b.open(&place).await;
        b.enter_code(&code).await;
        assert_eq!(b.user().await, "alice");
    });
    test.await;
}

#[tokio::test]
async fn two_tabs_with_two_logins_do_not_disturb_each_other() {
    let test = speaking("en").run(async |b| {
        b.begin("alice").await;
        let first = b.client.window().await.unwrap();
        b.new_tab().await;
        b.begin("bob").await;
        let second = b.client.window().await.unwrap();
        b.client.switch_to_window(first).await.unwrap();
        b.complete().await;
        assert_eq!(b.user().await, "alice");
        b.client.switch_to_window(second).await.unwrap();
        b.complete().await;
        assert_eq!((b.user().await, b.codes_sent().await), ("bob".into(), 2));
    });
    test.await;
}

/// The form of a page that belongs to somebody who is not signed in any more does nothing.
#[tokio::test]
async fn a_page_of_somebody_else_changes_nothing() {
    let test = speaking("en").run(async |b| {
        b.sign_in("alice").await;
        b.open("/auth/me").await;
        let first = b.client.window().await.unwrap();
        b.new_tab().await;
        b.open("/auth/sign-in?again=1").await;
        b.enter_password("bob").await;
        b.complete().await;
        let messages = b.inbox().await.len();
        b.client.switch_to_window(first).await.unwrap();
        b.press("form[action='/auth/me/backup-code'] button").await;
        assert!(b.alert().await.starts_with("Somebody else has logged in"));
        assert_eq!(b.text("header .who").await, "bob");
        assert!(b.text("main").await.contains("You have no backup code yet."));
        assert_eq!(b.inbox().await.len(), messages);
    });
    test.await;
}

#[tokio::test]
async fn two_people_at_one_browser_both_stay_trusted() {
    let test = speaking("en").run(async |b| {
        for name in ["alice", "bob"] {
            b.begin(name).await;
            b.click("#trust").await;
            b.complete().await;
            b.sign_out().await;
        }
        for name in ["alice", "bob", "alice"] {
            fill_in_password(&b, name).await;
            b.press("main button").await;
            assert_eq!((b.place().await, b.user().await), ("/".into(), name.into()));
            b.sign_out().await;
        }
        assert_eq!(b.codes_sent().await, 2);
    });
    test.await;
}
