//! The page that says what a change of settings does, before it is saved.

use fantoccini::Locator;

use crate::administration::{SAVE, administer, saved};
use crate::browser::{Browser, everywhere};

/// Changes the form of the settings with a click on each of these, and goes on to the review.
async fn review(b: &Browser, choices: &[&str]) {
    b.open("/auth/settings/edit").await;
    for choice in choices {
        b.click(&format!("#{choice}")).await;
    }
    b.press("main form button").await;
    let title = if choices.contains(&"do_not_use") {
        b.say("Switch off two-factor authentication?", "2段階認証の使用を停止しますか？")
    } else {
        b.say("Review your changes", "変更内容の確認")
    };
    assert_eq!(b.heading().await, title);
}

/// What the review shows of those who are affected, as it can be read: each name with its value.
async fn affected(b: &Browser) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for css in ["dt", "dd"] {
        let css = format!("section[aria-labelledby=affected] {css}");
        let mut texts = Vec::new();
        for element in b.client.find_all(Locator::Css(&css)).await.unwrap() {
            let text = element.text().await.unwrap();
            texts.push(text.split_whitespace().collect::<Vec<_>>().join(" "));
        }
        found.push(texts);
    }
    let [names, values] = &found[..] else { panic!("{found:?}") };
    assert_eq!(names.len(), values.len());
    names.iter().cloned().zip(values.iter().cloned()).collect()
}

/// Checks that the review shows these, and nothing else.
async fn affects(b: &Browser, expected: &[(&str, &str)]) {
    let expected: Vec<_> =
        expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    assert_eq!(affected(b).await, expected);
}

/// Gets codes by SMS from now on.
async fn choose_sms(b: &Browser) {
    b.open("/auth/me").await;
    b.fill("#phone", "+81 90 1234 5678").await;
    b.press("form[action='/auth/me/method'] button[value=sms]").await;
    b.complete().await;
    assert_eq!(b.text("#current-method").await, "SMS");
}

async fn methods(b: &Browser) -> String {
    b.open("/auth/settings").await;
    b.text("#methods").await
}

#[tokio::test]
async fn a_review_names_and_counts_who_is_affected() {
    everywhere(&["--spacing", "10"], async |b| {
        // Somebody with all that can be lost: a number, a trusted device and a backup code.
        administer(b).await;
        b.sign_out().await;
        b.sign_in(b.other()).await;
        choose_sms(b).await;
        b.sign_out().await;
        b.begin(b.other()).await;
        b.click("#trust").await;
        b.complete().await;
        b.open("/auth/me").await;
        b.press("form[action='/auth/me/backup-code'] button").await;
        b.sign_out().await;
        b.begin(b.administrator()).await;
        b.complete().await;

        let newly = b.say("Newly asked for a code", "新たに確認コードの入力が必要になるユーザー");
        let no_longer = b.say("No longer asked for a code", "確認コードの入力が不要になるユーザー");
        let method =
            b.say("Get codes another way than now", "確認コードの受け取り方法が変わるユーザー");
        let devices = b.say("Trusted devices removed", "削除される信頼できる端末");
        let backup = b.say("Backup codes deleted", "削除されるバックアップコード");
        let lose = b.say(
            "Lose all saved two-factor authentication data",
            "2段階認証用の保存データがすべて削除されるユーザー",
        );
        // The people of each tenant: alice, bob and root, and hanako and taro.
        let all = b.say("3 users alice bob root", "2人 hanako taro");
        let others = b.say("2 users alice bob", "1人 hanako");
        let other = b.say("1 user alice", "1人 hanako");
        let known = b.say("2 users alice root", "2人 hanako taro");
        let looked_at = b.say(
            "Checked for all 3 users who may log in.",
            "ログインできるユーザー2人全員について確認しました。",
        );

        review(b, &["sms"]).await;
        assert_eq!(b.text("#looked-at").await, looked_at);
        affects(b, &[(method, other), (devices, "1")]).await;
        review(b, &["backup_codes"]).await;
        affects(b, &[(backup, "1")]).await;
        review(b, &["devices-off"]).await;
        affects(b, &[(devices, "1")]).await;
        review(b, &["lockout-own"]).await;
        affects(b, &[]).await;
        let nobody = b.say("No users are affected.", "影響を受けるユーザーはいません。");
        assert_eq!(b.text("#nobody").await, nobody);
        review(b, &["do_not_use"]).await;
        affects(b, &[(no_longer, all), (lose, known), (devices, "1"), (backup, "1")]).await;
        let users = b.say("The data of 2 users will be deleted.", "2人分のデータが削除されます。");
        assert_eq!(b.text("#saved-users").await, users);

        // What it says is what happens.
        review(b, &["system_administrators_only"]).await;
        affects(b, &[(no_longer, others)]).await;
        b.press(SAVE).await;
        assert_eq!(b.alert().await, saved(b));
        review(b, &["entire_tenant"]).await;
        affects(b, &[(newly, others)]).await;
        b.press(SAVE).await;
        assert_eq!(b.alert().await, saved(b));
    })
    .await;
}

#[tokio::test]
async fn locking_people_out_takes_a_tick_and_then_locks_them_out() {
    everywhere(&["--spacing", "10"], async |b| {
        administer(b).await;
        // Nobody locks themselves out.
        choose_sms(b).await;
        let group = b.say("Can no longer log in", "ログインできなくなるユーザー");
        let others = b.say("2 users alice bob", "1人 hanako");
        let email_or_sms = b.say("By email or SMS", "メールまたはSMS");
        review(b, &["email"]).await;
        affects(b, &[(group, others)]).await;
        assert_eq!(b.count("#locked-out").await, 1);

        // A browser does not send the form without the tick, and shows where it is missing.
        b.click(SAVE).await;
        b.find("#accept_lock_outs:invalid:focus").await;
        assert_eq!(b.count("#alert").await, 0);
        // Without this help of the browser it is refused.
        b.script("document.querySelector('#accept_lock_outs').required = false").await;
        b.press(SAVE).await;
        let refused =
            b.say("This change can lock users out.", "この変更により、ログインできなくなる");
        assert!(b.alert().await.starts_with(refused), "{}", b.alert().await);
        assert_eq!(b.count("#accept_lock_outs[aria-invalid=true]:not(:checked)").await, 1);
        affects(b, &[(group, others)]).await;
        assert_eq!(methods(b).await, email_or_sms);
        b.sign_out().await;
        b.sign_in(b.other()).await;
        b.sign_out().await;

        b.begin(b.administrator()).await;
        b.complete().await;
        review(b, &["email"]).await;
        b.click("#accept_lock_outs").await;
        b.press(SAVE).await;
        assert_eq!(b.alert().await, saved(b));
        assert_eq!(methods(b).await, b.say("By SMS only", "SMSのみ"));
        b.sign_out().await;

        let sent = b.codes_sent().await;
        b.open("/auth/sign-in").await;
        b.enter_password(b.other()).await;
        let no_way = b.say(
            "You have no email address or phone number that codes can go to.",
            "確認コードを送信できる宛先がありません。",
        );
        assert!(b.alert().await.starts_with(no_way), "{}", b.alert().await);
        assert_eq!((b.count("#code").await, b.codes_sent().await), (0, sent));
        b.nobody_is_signed_in().await;
        // Control: those with a number still come in.
        b.begin(b.administrator()).await;
        b.complete().await;
        assert_eq!(b.user().await, b.administrator());
    })
    .await;
}
