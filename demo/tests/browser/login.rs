//! Logging in, by each way that there is.

use crate::browser::{Browser, everywhere, speaking};
use crate::demo::GLOBEX;

const BY_SMS: &str = "form[action='/auth/me/method'] button[value=sms]";

#[tokio::test]
async fn a_code_by_email_completes_a_login() {
    everywhere(&[], async |b| {
        b.nobody_is_signed_in().await;
        b.press("a.button").await;
        assert_eq!(b.heading().await, b.say("Log in", "ログイン"));
        b.enter_password(b.person()).await;
        assert_eq!(b.heading().await, b.say("Enter the code", "確認コードの入力"));
        let said = b.text("main").await;
        assert!(said.contains(b.says_sent_by_email()), "{said}");
        let place = b.place().await;
        b.nobody_is_signed_in().await;
        b.open(&place).await;
        let wrong = b.wrong_code().await;
        b.enter_code(&wrong).await;
        assert_eq!(b.alert().await, b.says_wrong_code(4));
        b.nobody_is_signed_in().await;
        b.open(&place).await;
        b.complete().await;
        assert_eq!((b.place().await, b.user().await), ("/".into(), b.person().into()));
        assert_eq!(b.codes_sent().await, 1);
        b.sign_out().await;
        assert_eq!(b.alert().await, b.say("You have logged out.", "ログアウトしました。"));
        b.nobody_is_signed_in().await;
    })
    .await;
}

#[tokio::test]
async fn only_the_newest_code_counts() {
    everywhere(&["--spacing", "10"], async |b| {
        b.begin(b.person()).await;
        let (first, reference) = (b.code().await, b.text(".reference").await);
        let again = "#resend button[value=same]";
        assert!(!b.find(again).await.is_enabled().await.unwrap());
        b.press(&format!("{again}:enabled")).await;
        let newer = b.text(".reference").await;
        assert_ne!(newer, reference);
        assert_eq!(b.codes_sent().await, 2);
        let newest =
            b.say("Earlier codes no longer work.", "以前に届いた確認コードは使用できません。");
        assert!(b.text("main").await.contains(newest));
        // One in a million: then nothing can be told apart.
        if b.code().await != first {
            b.enter_code(&first).await;
            assert_eq!(b.alert().await, b.says_wrong_code(4));
            assert_eq!(b.text(".reference").await, newer);
        }
        b.complete().await;
        assert_eq!(b.user().await, b.person());
    })
    .await;
}

#[tokio::test]
async fn a_code_that_has_expired_is_sent_again() {
    everywhere(&["--expire", "30", "--spacing", "10"], async |b| {
        b.begin(b.person()).await;
        let (code, path) = (b.code().await, b.path().await);
        let reference = b.text(".reference").await;
        let expired = b.say("This code has expired.", "この確認コードは有効期限が切れています。");
        let over = async || (b.text("[data-over]").await == expired).then_some(());
        b.until("expired code", over).await;
        b.enter_code(&code).await;
        let no_code = b.say(
            "There is no valid code at the moment. Get a new one.",
            "有効な確認コードがありません。再送信してください。",
        );
        assert_eq!(b.alert().await, no_code);
        b.press("#resend button[value=same]:enabled").await;
        assert_eq!((b.path().await, b.codes_sent().await), (path, 2));
        // It is another one, which is not entered here: it expires in 30 seconds.
        assert_ne!(b.text(".reference").await, reference);
    })
    .await;
}

#[tokio::test]
async fn codes_go_by_sms_or_by_email_instead() {
    everywhere(&["--spacing", "10"], async |b| {
        let method = async || b.text("#current-method").await;
        let (email, sms) = (b.say("Email", "メール"), "SMS");
        b.sign_in(b.person()).await;
        b.open("/auth/me").await;
        assert_eq!(method().await, email);
        b.fill("#phone", "090 1234 5678").await;
        b.press(BY_SMS).await;
        let invalid = b.say(
            "This is not a valid phone number. Include the country code.",
            "電話番号が正しくありません。国番号から入力してください。",
        );
        assert_eq!(b.alert().await, invalid);
        b.fill("#phone", "+81 90 1234 5678").await;
        b.press(BY_SMS).await;
        let confirm = b.say("Confirm where codes are sent", "確認コードの送信先の確認");
        assert_eq!(b.heading().await, confirm, "{}", b.text("main").await);
        assert_eq!(b.inbox().await[0].kind, "SMS");
        let (place, wrong) = (b.place().await, b.wrong_code().await);
        b.enter_code(&wrong).await;
        assert_eq!(b.alert().await, b.says_wrong_code(4));
        // Nothing has changed yet, and the change goes on.
        b.open("/auth/me").await;
        assert_eq!(method().await, email);
        b.open(&place).await;
        b.complete().await;
        assert_eq!(b.alert().await, b.say("Your change was saved.", "変更を保存しました。"));
        assert_eq!(method().await, sms);
        b.sign_out().await;

        b.begin(b.person()).await;
        let said = b.text("main").await;
        let by_sms = b.say(
            "A code was sent by SMS to +81 *** **78.",
            "+81 *** **78 に確認コードをSMSで送信しました。",
        );
        assert!(said.contains(by_sms), "{said}");
        assert_eq!(b.inbox().await[0].to, "+819012345678");
        b.press("#resend button[value=email]:enabled").await;
        let said = b.text("main").await;
        assert!(said.contains(b.says_sent_by_email()), "{said}");
        assert_eq!(b.inbox().await[0].to, b.person_email());
        b.complete().await;
        assert_eq!(b.user().await, b.person());
        // For this login only.
        b.open("/auth/me").await;
        assert_eq!(method().await, sms);
        b.press("form[action='/auth/me/method'] button[value=email]").await;
        assert_eq!(method().await, email);
    })
    .await;
}

#[tokio::test]
async fn email_helps_when_an_sms_cannot_be_sent() {
    everywhere(&["--spacing", "10"], async |b| {
        b.sign_in(b.person()).await;
        b.open("/auth/me").await;
        // The demo delivers only the code that confirms such a number.
        b.fill("#phone", "+81 90 1234 0000").await;
        b.press(BY_SMS).await;
        b.complete().await;
        assert_eq!(b.text("#current-method").await, "SMS");
        b.sign_out().await;
        let sent = b.codes_sent().await;

        b.open("/auth/sign-in").await;
        b.enter_password(b.person()).await;
        // At first it may only be too early for a third code.
        b.press("#resend button[value=same]:enabled").await;
        let failed = b.say(
            "The code could not be sent. Get a new one.",
            "確認コードを送信できませんでした。再送信してください。",
        );
        assert_eq!(b.alert().await, failed);
        let said = b.text("main").await;
        let nothing = b.say("No code has been sent.", "確認コードは送信されていません。");
        assert!(said.contains(nothing), "{said}");
        assert_eq!(b.codes_sent().await, sent);
        b.press("#resend button[value=email]:enabled").await;
        let said = b.text("main").await;
        assert!(said.contains(b.says_sent_by_email()), "{said}");
        b.complete().await;
        assert_eq!((b.user().await, b.codes_sent().await), (b.person().into(), sent + 1));
    })
    .await;
}

#[tokio::test]
async fn a_backup_code_is_shown_once_and_replaced_by_its_use() {
    let enter = async |b: &Browser, code: &str| {
        b.click("summary").await;
        b.fill("#backup_code", code).await;
        b.press("form:has(#backup_code) button").await;
    };
    everywhere(&["--spacing", "10"], async |b| {
        let title = b.say("Your new backup code", "新しいバックアップコード");
        b.sign_in(b.person()).await;
        b.open("/auth/me").await;
        assert!(b.text("main").await.contains(b.says_no_backup_code()));
        b.press("form[action='/auth/me/backup-code'] button").await;
        assert_eq!(b.heading().await, title);
        let first = b.text(".secret code").await;
        // Its address shows my information, without the code.
        b.open("/auth/me/backup-code").await;
        assert_eq!(b.path().await, "/auth/me");
        let made = b.say("A backup code was made on", "バックアップコードの発行日時:");
        assert!(b.text("main").await.contains(made));
        assert!(!b.client.source().await.unwrap().contains(&first));
        b.sign_out().await;

        b.begin(b.person()).await;
        enter(b, &first).await;
        assert_eq!(b.heading().await, title);
        let second = b.text(".secret code").await;
        assert_ne!(first, second);
        b.press("main a.button").await;
        assert_eq!((b.place().await, b.user().await), ("/".into(), b.person().into()));
        b.sign_out().await;

        b.begin(b.person()).await;
        enter(b, &first).await;
        let wrong = b.say(
            "This backup code is wrong. 4 attempts are left.",
            "バックアップコードが正しくありません。あと4回入力できます。",
        );
        assert_eq!(b.alert().await, wrong);
        // The field that was wrong is open, for another try.
        b.fill("#backup_code", &second).await;
        b.press("form:has(#backup_code) button").await;
        assert_eq!(b.heading().await, title);
    })
    .await;
}

#[tokio::test]
async fn a_trusted_device_needs_no_code_until_it_is_removed() {
    everywhere(&["--spacing", "10"], async |b| {
        for (number, remove) in
            [".cards form button", "form[action$='/devices/remove'] button"].into_iter().enumerate()
        {
            let sent = b.codes_sent().await;
            b.open("/auth/sign-in").await;
            b.enter_password(b.person()).await;
            b.code_is_sent().await;
            b.click("#trust").await;
            b.complete().await;
            b.sign_out().await;
            b.open("/auth/sign-in").await;
            b.enter_password(b.person()).await;
            assert_eq!((b.place().await, b.user().await), ("/".into(), b.person().into()));
            assert_eq!(b.codes_sent().await, sent + 1, "{number}");

            b.open("/auth/me").await;
            assert_eq!(b.text(".cards strong").await, "Chrome, Linux");
            b.press(remove).await;
            // Not on the word of the device itself.
            assert_eq!(b.alert().await, b.says_log_in_again());
            b.enter_password(b.person()).await;
            b.code_is_sent().await;
            b.complete().await;
            let repeat = b.say("Please repeat your change now.", "操作をもう一度行ってください。");
            assert_eq!(b.alert().await, repeat);
            b.press(remove).await;
            assert_eq!(b.count(".cards li").await, 0);
            b.sign_out().await;
        }
        b.begin(b.person()).await;
    })
    .await;
}

#[tokio::test]
async fn a_cancelled_login_is_over() {
    everywhere(&[], async |b| {
        b.begin(b.person()).await;
        let place = b.place().await;
        b.press("form[action*='/cancel'] button").await;
        assert_eq!(b.heading().await, b.say("Log in", "ログイン"));
        b.open(&place).await;
        assert_eq!(b.alert().await, b.says_over());
        b.nobody_is_signed_in().await;
    })
    .await;
}

#[tokio::test]
async fn passwords_are_checked_first_and_lock() {
    everywhere(&[], async |b| {
        b.open("/auth/sign-in").await;
        for _ in 0..10 {
            b.fill("#name", b.person()).await;
            b.fill("#password", "hunter2").await;
            b.press("main button").await;
            let said = b.alert().await;
            let refused = b.say(
                "You could not be logged in. Check your login name and password.",
                "ログインできませんでした。ログイン名とパスワードを確認してください。",
            );
            assert!(said.starts_with(refused), "{said}");
        }
        // Nobody learns that this one is right.
        let refused = b.alert().await;
        b.enter_password(b.person()).await;
        assert_eq!((b.alert().await, b.codes_sent().await), (refused, 0));
        b.nobody_is_signed_in().await;
    })
    .await;
}

#[tokio::test]
async fn in_globex_only_its_administrator_needs_a_code() {
    let tests = ["en", "ja"].map(|language| {
        speaking(language).run(async move |mut b| {
            b.host = GLOBEX;
            b.open("/auth/sign-in").await;
            b.enter_password("hanako").await;
            assert_eq!((b.place().await, b.user().await), ("/".into(), "hanako".into()));
            assert_eq!(b.codes_sent().await, 0);
            b.open("/auth/me").await;
            let not_in_use = b.say(
                "Two-factor authentication is not in use for this account.",
                "このアカウントでは2段階認証を使用していません。",
            );
            assert_eq!(b.alert().await, not_in_use);
            b.press("header form button").await;
            b.begin("taro").await;
            assert_eq!(b.find("html").await.attr("lang").await.unwrap().unwrap(), language);
            b.complete().await;
            assert_eq!((b.user().await, b.codes_sent().await), ("taro".into(), 1));
        })
    });
    let [english, japanese] = tests;
    tokio::join!(english, japanese);
}

#[tokio::test]
async fn the_vault_needs_a_recent_code_and_the_login_leads_back() {
    everywhere(&[], async |b| {
        b.open("/vault").await;
        assert_eq!(b.path().await, "/auth/sign-in");
        let to_continue = b.say("Please log in to continue.", "続けるには、ログインしてください。");
        assert_eq!(b.alert().await, to_continue);
        b.enter_password(b.person()).await;
        b.click("#trust").await;
        b.complete().await;
        assert_eq!((b.place().await, b.heading().await), ("/vault".into(), "The vault".into()));
        b.sign_out().await;
        // A trusted device is a login, and no code.
        b.open("/auth/sign-in").await;
        b.enter_password(b.person()).await;
        assert_eq!((b.place().await, b.codes_sent().await), ("/".into(), 1));
        b.open("/vault").await;
        assert_eq!(b.path().await, "/auth/sign-in");
        assert_eq!(b.alert().await, b.says_log_in_again());
        b.enter_password(b.person()).await;
        b.complete().await;
        assert_eq!((b.place().await, b.codes_sent().await), ("/vault".into(), 2));
    })
    .await;
}
