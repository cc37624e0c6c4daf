//! Logging in, by each way that there is.

use crate::browser::speaking;
use crate::demo::GLOBEX;

#[tokio::test]
async fn a_code_by_email_completes_a_login() {
    let test = speaking("en").run(async |b| {
        b.nobody_is_signed_in().await;
        b.press("a.button").await;
        assert_eq!(b.heading().await, "Log in");
        b.enter_password("alice").await;
        assert_eq!(b.heading().await, "Enter the code");
        let said = b.text("main").await;
        assert!(said.contains("A code was sent by email to a***@acme.example."), "{said}");
        let place = b.place().await;
        b.nobody_is_signed_in().await;
        b.open(&place).await;
        let wrong = b.wrong_code().await;
        b.enter_code(&wrong).await;
        assert_eq!(b.alert().await, "This code is wrong. 4 attempts are left.");
        b.nobody_is_signed_in().await;
        b.open(&place).await;
        b.complete().await;
        assert_eq!((b.place().await, b.user().await), ("/".into(), "alice".into()));
        assert_eq!(b.codes_sent().await, 1);
        b.sign_out().await;
        assert_eq!(b.alert().await, "You have logged out.");
        b.nobody_is_signed_in().await;
    });
    test.await;
}

#[tokio::test]
async fn only_the_newest_code_counts() {
    let test = speaking("en").demo(&["--spacing", "10"]).run(async |b| {
        b.begin("alice").await;
        let (first, reference) = (b.code().await, b.text(".reference").await);
        let again = "#resend button[value=same]";
        assert!(!b.find(again).await.is_enabled().await.unwrap());
        b.press(&format!("{again}:enabled")).await;
        let newer = b.text(".reference").await;
        assert_ne!(newer, reference);
        assert_eq!(b.codes_sent().await, 2);
        // One in a million: then nothing can be told apart.
        if b.code().await != first {
            b.enter_code(&first).await;
            assert_eq!(b.alert().await, "This code is wrong. 4 attempts are left.");
            assert_eq!(b.text(".reference").await, newer);
        }
        b.complete().await;
        assert_eq!(b.user().await, "alice");
    });
    test.await;
}

#[tokio::test]
async fn codes_go_by_sms_or_by_email_instead() {
    let test = speaking("en").demo(&["--spacing", "10"]).run(async |b| {
        b.sign_in("alice").await;
        b.open("/auth/me").await;
        assert_eq!(b.text("#current-method").await, "Email");
        let by_sms = "form[action='/auth/me/method'] button[value=sms]";
        b.fill("#phone", "090 1234 5678").await;
        b.press(by_sms).await;
        let said = b.alert().await;
        assert_eq!(said, "This is not a valid phone number. Include the country code.");
        b.fill("#phone", "+81 90 1234 5678").await;
        b.press(by_sms).await;
        assert_eq!(b.heading().await, "Confirm where codes are sent", "{}", b.text("main").await);
        assert_eq!(b.inbox().await[0].kind, "SMS");
        let (place, wrong) = (b.place().await, b.wrong_code().await);
        b.enter_code(&wrong).await;
        assert!(b.alert().await.starts_with("This code is wrong."));
        // Nothing has changed yet, and the change goes on.
        b.open("/auth/me").await;
        assert_eq!(b.text("#current-method").await, "Email");
        b.open(&place).await;
        b.complete().await;
        assert_eq!(b.alert().await, "Your change was saved.");
        assert_eq!(b.text("#current-method").await, "SMS");
        b.sign_out().await;

        b.begin("alice").await;
        let said = b.text("main").await;
        assert!(said.contains("A code was sent by SMS to +81 *** **78."), "{said}");
        assert_eq!(b.inbox().await[0].to, "+819012345678");
        b.press("#resend button[value=email]:enabled").await;
        let said = b.text("main").await;
        assert!(said.contains("A code was sent by email to a***@acme.example."), "{said}");
        assert_eq!(b.inbox().await[0].to, "alice@acme.example");
        b.complete().await;
        assert_eq!(b.user().await, "alice");
        b.open("/auth/me").await;
        b.press("form[action='/auth/me/method'] button[value=email]").await;
        assert_eq!(b.text("#current-method").await, "Email");
    });
    test.await;
}

#[tokio::test]
async fn a_backup_code_is_shown_once_and_replaced_by_its_use() {
    let test = speaking("en").demo(&["--spacing", "10"]).run(async |b| {
        b.sign_in("alice").await;
        b.open("/auth/me").await;
        assert!(b.text("main").await.contains("You have no backup code yet."));
        b.press("form[action='/auth/me/backup-code'] button").await;
        assert_eq!(b.heading().await, "Your new backup code");
        let first = b.text(".secret code").await;
        // Its address shows my information, without the code.
        b.open("/auth/me/backup-code").await;
        assert_eq!(b.path().await, "/auth/me");
        assert!(b.text("main").await.contains("A backup code was made on"));
        assert!(!b.client.source().await.unwrap().contains(&first));
        b.sign_out().await;

        let enter = async |code: &str| {
            b.click("summary").await;
            b.fill("#backup_code", code).await;
            b.press("form:has(#backup_code) button").await;
        };
        b.begin("alice").await;
        enter(&first).await;
        assert_eq!(b.heading().await, "Your new backup code");
        let second = b.text(".secret code").await;
        assert_ne!(first, second);
        b.press("main a.button").await;
        assert_eq!((b.place().await, b.user().await), ("/".into(), "alice".into()));
        b.sign_out().await;

        b.begin("alice").await;
        enter(&first).await;
        assert_eq!(b.alert().await, "This backup code is wrong. 4 attempts are left.");
        // The field that was wrong is open, for another try.
        b.fill("#backup_code", &second).await;
        b.press("form:has(#backup_code) button").await;
        assert_eq!(b.heading().await, "Your new backup code");
    });
    test.await;
}

#[tokio::test]
async fn a_trusted_device_needs_no_code_until_it_is_removed() {
    let test = speaking("en").demo(&["--spacing", "10"]).run(async |b| {
        b.begin("alice").await;
        b.click("#trust").await;
        b.complete().await;
        b.sign_out().await;
        b.open("/auth/sign-in").await;
        b.enter_password("alice").await;
        assert_eq!((b.place().await, b.user().await), ("/".into(), "alice".into()));
        assert_eq!(b.codes_sent().await, 1);

        b.open("/auth/me").await;
        assert_eq!(b.text(".cards strong").await, "Chrome, Linux");
        b.press(".cards form button").await;
        // Not on the word of the device itself.
        let said = b.alert().await;
        assert_eq!(said, "Please log in again with a code, then repeat what you wanted to do.");
        b.enter_password("alice").await;
        b.complete().await;
        assert_eq!(b.alert().await, "Please repeat your change now.");
        b.press(".cards form button").await;
        assert_eq!(b.alert().await, "The device was removed.");
        assert_eq!(b.count(".cards li").await, 0);
        b.sign_out().await;
        b.begin("alice").await;
        assert_eq!(b.heading().await, "Enter the code");
    });
    test.await;
}

#[tokio::test]
async fn in_globex_only_its_administrator_needs_a_code_and_reads_japanese() {
    let test = speaking("ja").run(async |mut b| {
        b.host = GLOBEX;
        b.open("/auth/sign-in").await;
        assert_eq!(b.heading().await, "ログイン");
        b.enter_password("hanako").await;
        assert_eq!((b.place().await, b.user().await), ("/".into(), "hanako".into()));
        assert_eq!(b.codes_sent().await, 0);
        b.open("/auth/me").await;
        assert!(b.alert().await.contains("2段階認証"), "not in use for hanako");
        b.press("header form button").await;
        b.begin("taro").await;
        assert_eq!(b.heading().await, "確認コードの入力");
        assert_eq!(b.find("html").await.attr("lang").await.unwrap().unwrap(), "ja");
        b.complete().await;
        assert_eq!(b.user().await, "taro");
        assert_eq!(b.codes_sent().await, 1);
    });
    test.await;
}

#[tokio::test]
async fn the_vault_needs_a_recent_code_and_the_login_leads_back() {
    let test = speaking("en").run(async |b| {
        b.open("/vault").await;
        assert_eq!(b.path().await, "/auth/sign-in");
        assert_eq!(b.alert().await, "Please log in to continue.");
        b.enter_password("alice").await;
        b.click("#trust").await;
        b.complete().await;
        assert_eq!((b.place().await, b.heading().await), ("/vault".into(), "The vault".into()));
        b.sign_out().await;
        // A trusted device is a login, and no code.
        b.open("/auth/sign-in").await;
        b.enter_password("alice").await;
        assert_eq!((b.place().await, b.codes_sent().await), ("/".into(), 1));
        b.open("/vault").await;
        assert_eq!(b.path().await, "/auth/sign-in");
        let said = b.alert().await;
        assert_eq!(said, "Please log in again with a code, then repeat what you wanted to do.");
        b.enter_password("alice").await;
        b.complete().await;
        assert_eq!((b.place().await, b.codes_sent().await), ("/vault".into(), 2));
    });
    test.await;
}
