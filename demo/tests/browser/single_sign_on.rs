//! Logins by way of the demo's own identity provider.

use crate::browser::{Browser, everywhere};

/// Logs in at the identity provider, as this user.
async fn at_the_provider(b: &Browser, user: &str) {
    b.open("/").await;
    b.press("#sso").await;
    assert_eq!(b.path().await, "/provider");
    b.press(&format!("#as-{user}")).await;
}

/// An administrator says who is asked for a code after single sign-on.
async fn ask(b: &Browser, whom: &str) {
    b.open("/auth/settings/edit").await;
    b.click(&format!("#single_sign_on-{whom}")).await;
    b.press("main form button").await;
    b.press("main form button[name=confirmed]").await;
}

#[tokio::test]
async fn administrators_are_asked_for_a_code_after_single_sign_on() {
    everywhere(&[], async |b| {
        // Nobody is asked at first, whatever the scope.
        for user in [b.other(), b.administrator()] {
            at_the_provider(b, user).await;
            assert_eq!((b.user().await, b.codes_sent().await), (user.into(), 0));
            b.sign_out().await;
        }
        b.sign_in(b.administrator()).await;
        ask(b, "system_administrators").await;
        b.sign_out().await;
        let sent = b.codes_sent().await;

        at_the_provider(b, b.other()).await;
        assert_eq!((b.user().await, b.codes_sent().await), (b.other().into(), sent));
        b.sign_out().await;

        // At every such login: a device is neither offered nor trusted.
        for _ in 0..2 {
            at_the_provider(b, b.administrator()).await;
            b.code_is_sent().await;
            assert_eq!(b.count("#trust").await, 0);
            b.nobody_is_signed_in().await;
            b.client.back().await.unwrap();
            b.complete().await;
            assert_eq!((b.path().await, b.user().await), ("/".into(), b.administrator().into()));
            // This session has what an administrator needs.
            b.open("/auth/settings").await;
            assert_eq!(b.count("#current-setting").await, 1);
            b.sign_out().await;
        }
    })
    .await;
}

#[tokio::test]
async fn an_answer_of_the_provider_is_for_one_browser_and_once() {
    everywhere(&[], async |b| {
        // Somebody else's answer, as a link that is sent to this browser.
        b.open("/sso/callback?state=00&code=00").await;
        b.nobody_is_signed_in().await;
        // An exempt session after single sign-on is not an administrator's where a password login
        // would need a code.
        at_the_provider(b, b.administrator()).await;
        b.open("/auth/settings").await;
        let refused = b.say("This page cannot be shown", "ページを表示できません");
        assert_eq!(b.heading().await, refused);
    })
    .await;
}
