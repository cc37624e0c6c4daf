//! The administrator's pages.

use crate::browser::{Browser, speaking};

/// Chooses a setting on the page for it.
async fn choose(b: &Browser, scope: &str) {
    b.open("/auth/settings").await;
    b.press("main a.button").await;
    b.click(&format!("#{scope}")).await;
    b.press("main form button").await;
}

async fn setting(b: &Browser) -> String {
    b.text("#current-setting").await
}

#[tokio::test]
async fn switching_off_is_confirmed_and_deletes_everything() {
    let test = speaking("en").run(async |b| {
        b.sign_in("alice").await;
        b.sign_out().await;
        b.sign_in("root").await;
        choose(&b, "do_not_use").await;
        assert_eq!(b.heading().await, "Switch off two-factor authentication?");
        assert_eq!(b.text("#saved-users").await, "The data of 2 users will be deleted.");
        b.press("main a.quiet").await;
        assert_eq!(setting(&b).await, "Entire tenant");

        choose(&b, "do_not_use").await;
        b.press("main form button.danger").await;
        assert_eq!(b.alert().await, "Your change was saved.");
        assert_eq!(setting(&b).await, "Do not use");
        let finished = async || {
            b.press("main a[href='/auth/settings']").await;
            b.text("main").await.contains("Finished on").then_some(())
        };
        if !b.text("main").await.contains("Finished on") {
            b.until("finished deletion", finished).await;
        }
        assert_eq!(b.text("#deleted").await, "2");
        b.sign_out().await;
        let sent = b.codes_sent().await;
        b.open("/auth/sign-in").await;
        b.enter_password("root").await;
        assert_eq!((b.user().await, b.codes_sent().await), ("root".into(), sent));

        choose(&b, "entire_tenant").await;
        // This session had no code, which is now needed.
        assert_eq!(b.path().await, "/auth/sign-in");
        b.enter_password("root").await;
        b.complete().await;
        assert_eq!(b.path().await, "/auth/settings");
        assert_eq!(setting(&b).await, "Entire tenant");
        b.sign_out().await;
        b.begin("alice").await;
    });
    test.await;
}

#[tokio::test]
async fn a_setting_can_spare_all_but_administrators() {
    let test = speaking("en").run(async |b| {
        b.sign_in("root").await;
        choose(&b, "system_administrators_only").await;
        assert_eq!(b.alert().await, "Your change was saved.");
        assert_eq!(setting(&b).await, "System administrators only");
        b.sign_out().await;
        b.open("/auth/sign-in").await;
        b.enter_password("alice").await;
        assert_eq!((b.user().await, b.codes_sent().await), ("alice".into(), 1));
        b.sign_out().await;
        b.begin("root").await;
        assert_eq!(b.codes_sent().await, 2);
    });
    test.await;
}

#[tokio::test]
async fn an_administrator_unlocks_and_resets_a_user() {
    let test = speaking("en").run(async |b| {
        b.begin("alice").await;
        let wrong = b.wrong_code().await;
        for _ in 0..5 {
            b.enter_code(&wrong).await;
        }
        let said = b.alert().await;
        assert!(said.starts_with("This code is wrong. Try again in"), "{said}");
        b.sign_in("root").await;
        b.open("/auth/users").await;
        b.fill("#id", "nobody").await;
        b.press("main form button").await;
        assert!(b.alert().await.starts_with("This was not found."));
        b.fill("#id", "alice").await;
        b.press("main form button").await;
        assert!(b.text("#codes").await.starts_with("Locked until"));
        b.press("form[action^='/auth/users/unlock'] button").await;
        assert_eq!(b.alert().await, "The user was unlocked.");
        assert_eq!(b.text("#codes").await, "Not locked");

        let ask = "form[action^='/auth/users/reset'] button";
        b.press(ask).await;
        assert_eq!(b.heading().await, "Reset two-factor authentication?");
        b.press("form[method=get] button").await;
        assert_eq!(b.text("#user").await, "alice");
        let notices = b.inbox().await.len();
        b.press(ask).await;
        b.press("form[method=post] button.danger").await;
        assert!(b.alert().await.starts_with("The user's two-factor authentication was reset."));
        let inbox = b.inbox().await;
        assert_eq!((inbox.len(), &*inbox[0].user), (notices + 1, "alice"));
    });
    test.await;
}

#[tokio::test]
async fn administration_is_for_administrators() {
    let test = speaking("en").run(async |b| {
        b.sign_in("alice").await;
        assert_eq!(b.count("main a[href^='/auth/settings']").await, 0);
        for path in ["/auth/settings", "/auth/settings/edit", "/auth/users", "/auth/users?id=bob"] {
            b.open(path).await;
            assert_eq!(b.heading().await, "This page cannot be shown");
        }
    });
    test.await;
}
