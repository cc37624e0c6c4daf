//! The administrator's pages.

use crate::browser::{Browser, everywhere};
use crate::demo::GLOBEX;

/// The button that saves, on the page that says what a change does.
pub const SAVE: &str = "main form button[name=confirmed]";

/// Chooses a setting on the page for it, and goes on to the page that says what the change does.
async fn choose(b: &Browser, scope: &str) {
    b.open("/auth/settings").await;
    b.press("main a.button").await;
    b.click(&format!("#{scope}")).await;
    b.press("main form button").await;
}

/// The same, and saves it.
async fn set(b: &Browser, scope: &str) {
    choose(b, scope).await;
    b.press(SAVE).await;
}

async fn setting(b: &Browser) -> String {
    b.text("#current-setting").await
}

fn entire_tenant(b: &Browser) -> &'static str {
    b.say("Entire tenant", "テナント全体")
}

pub fn saved(b: &Browser) -> &'static str {
    b.say("Your change was saved.", "変更を保存しました。")
}

/// Signs the administrator in, of a tenant whose people all need a code.
pub async fn administer(b: &Browser) {
    b.sign_in(b.administrator()).await;
    if b.host == GLOBEX {
        set(b, "entire_tenant").await;
        assert_eq!((b.alert().await, setting(b).await), (saved(b).into(), entire_tenant(b).into()));
    }
}

#[tokio::test]
async fn switching_off_is_confirmed_and_deletes_everything() {
    everywhere(&[], async |b| {
        administer(b).await;
        b.sign_out().await;
        b.begin(b.other()).await;
        b.click("#trust").await;
        b.complete().await;
        b.sign_out().await;
        b.begin(b.administrator()).await;
        b.complete().await;
        choose(b, "do_not_use").await;
        let question =
            b.say("Switch off two-factor authentication?", "2段階認証の使用を停止しますか？");
        assert_eq!(b.heading().await, question);
        let users = b.say("The data of 2 users will be deleted.", "2人分のデータが削除されます。");
        assert_eq!(b.text("#saved-users").await, users);
        b.press("main a.quiet").await;
        assert_eq!(setting(b).await, entire_tenant(b));

        choose(b, "do_not_use").await;
        b.press(SAVE).await;
        assert_eq!(b.alert().await, saved(b));
        assert_eq!(setting(b).await, b.say("Do not use", "使用しない"));
        let finished = b.say("Finished on", "完了日時");
        let is_finished = async || b.text("main").await.contains(finished).then_some(());
        if is_finished().await.is_none() {
            let refreshed = async || {
                b.press("main a[href='/auth/settings']").await;
                is_finished().await
            };
            b.until("finished deletion", refreshed).await;
        }
        assert_eq!(b.text("#deleted").await, "2");
        b.sign_out().await;
        let sent = b.codes_sent().await;
        b.open("/auth/sign-in").await;
        b.enter_password(b.administrator()).await;
        let user = b.administrator().to_owned();
        assert_eq!((b.user().await, b.codes_sent().await), (user, sent));

        set(b, "entire_tenant").await;
        // This session had no code, which is now needed.
        assert_eq!(b.path().await, "/auth/sign-in");
        b.enter_password(b.administrator()).await;
        b.code_is_sent().await;
        b.complete().await;
        assert_eq!(b.path().await, "/auth/settings");
        assert_eq!(setting(b).await, entire_tenant(b));
        b.sign_out().await;
        // Everyone starts from nothing: the device was trusted before.
        b.begin(b.other()).await;
    })
    .await;
}

#[tokio::test]
async fn a_setting_can_spare_all_but_administrators() {
    everywhere(&[], async |b| {
        administer(b).await;
        set(b, "system_administrators_only").await;
        assert_eq!(b.alert().await, saved(b));
        let only = b.say("System administrators only", "システム管理者のみ");
        assert_eq!(setting(b).await, only);
        b.sign_out().await;
        b.open("/auth/sign-in").await;
        b.enter_password(b.other()).await;
        assert_eq!((b.user().await, b.codes_sent().await), (b.other().into(), 1));
        b.sign_out().await;
        b.begin(b.administrator()).await;
        assert_eq!(b.codes_sent().await, 2);
    })
    .await;
}

#[tokio::test]
async fn an_administrator_unlocks_and_resets_a_user() {
    everywhere(&[], async |b| {
        administer(b).await;
        b.sign_out().await;
        b.begin(b.other()).await;
        let wrong = b.wrong_code().await;
        for _ in 0..5 {
            b.enter_code(&wrong).await;
        }
        let said = b.alert().await;
        let locked = b.say(
            "This code is wrong. Try again in",
            "確認コードが正しくありません。15分後にもう一度お試しください。",
        );
        assert!(said.starts_with(locked), "{said}");
        b.begin(b.administrator()).await;
        b.complete().await;
        b.open("/auth/users").await;
        b.fill("#id", "nobody").await;
        b.press("main form button").await;
        let unknown = b.say("This was not found.", "見つかりませんでした。");
        assert!(b.alert().await.starts_with(unknown));
        b.fill("#id", b.other()).await;
        b.press("main form button").await;
        let until = b.say("Locked until", "ロック中。解除日時:");
        assert!(b.text("#codes").await.starts_with(until));
        b.press("form[action^='/auth/users/unlock'] button").await;
        let unlocked = b.say("The user was unlocked.", "ユーザーのロックを解除しました。");
        assert_eq!(b.alert().await, unlocked);
        assert_eq!(b.text("#codes").await, b.say("Not locked", "ロックされていません"));

        let ask = "form[action^='/auth/users/reset'] button";
        b.press(ask).await;
        let question = b.say("Reset two-factor authentication?", "2段階認証をリセットしますか？");
        assert_eq!(b.heading().await, question);
        b.press("form[method=get] button").await;
        assert_eq!(b.text("#user").await, b.other());
        let notices = b.inbox().await.len();
        b.press(ask).await;
        b.press("form[method=post] button.danger").await;
        let reset = b.say(
            "The user's two-factor authentication was reset.",
            "ユーザーの2段階認証をリセットしました。",
        );
        assert!(b.alert().await.starts_with(reset));
        let inbox = b.inbox().await;
        assert_eq!((inbox.len(), &*inbox[0].user), (notices + 1, b.other()));
    })
    .await;
}

#[tokio::test]
async fn a_reset_ends_the_logins_of_its_user() {
    everywhere(&[], async |b| {
        administer(b).await;
        let first = b.client.window().await.unwrap();
        b.new_tab().await;
        b.open("/auth/sign-in?again=1").await;
        b.enter_password(b.other()).await;
        let code = b.code().await;
        let second = b.client.window().await.unwrap();
        b.client.switch_to_window(first).await.unwrap();
        b.open(&format!("/auth/users/reset?id={}", b.other())).await;
        b.press("form[method=post] button.danger").await;
        b.sign_out().await;
        b.client.switch_to_window(second).await.unwrap();
        b.enter_code(&code).await;
        assert_eq!(b.alert().await, b.says_over());
        b.nobody_is_signed_in().await;
    })
    .await;
}

#[tokio::test]
async fn administration_is_for_administrators() {
    everywhere(&[], async |b| {
        b.open("/auth/sign-in").await;
        b.enter_password(b.other()).await;
        if b.host != GLOBEX {
            b.complete().await;
        }
        assert_eq!(b.user().await, b.other());
        b.open("/auth/me").await;
        assert_eq!(b.count("main a[href^='/auth/settings']").await, 0);
        let user = format!("/auth/users?id={}", b.administrator());
        for path in ["/auth/settings", "/auth/settings/edit", "/auth/users", &user] {
            b.open(path).await;
            let refused = b.say("This page cannot be shown", "ページを表示できません");
            assert_eq!(b.heading().await, refused, "{path}");
        }
    })
    .await;
}

#[tokio::test]
async fn every_setting_is_reviewed_before_it_is_saved() {
    everywhere(&[], async |b| {
        administer(b).await;
        b.open("/auth/settings/edit").await;
        for choice in ["single_sign_on-system_administrators", "lockout-own", "devices-off", "sms"]
        {
            b.click(&format!("#{choice}")).await;
        }
        b.fill("#wrong_codes", "50").await;
        b.press("main form button").await;
        // What the application does not allow is refused, at its field.
        assert_eq!(b.count("#wrong_codes[aria-invalid=true]").await, 1);
        b.fill("#wrong_codes", "3").await;
        b.press("main form button").await;
        assert_eq!(b.count("#changes ~ table tbody tr").await, 4);
        assert!(b.count("#looked-at").await == 1 && b.count("#locked-out").await == 0);
        assert_eq!(b.count("#accept_lock_outs").await, 0);
        let before = b.codes_sent().await;
        b.press(SAVE).await;
        assert_eq!((b.alert().await, setting(b).await), (saved(b).into(), entire_tenant(b).into()));
        let methods = b.say("By email only", "メールのみ");
        assert_eq!(b.text("#methods").await, methods);
        assert_eq!(b.codes_sent().await, before);
        b.sign_out().await;

        // Three wrong codes lock now, and no device can be trusted.
        b.begin(b.other()).await;
        assert_eq!(b.count("#trust").await, 0);
        let wrong = b.wrong_code().await;
        b.enter_code(&wrong).await;
        assert_eq!(b.alert().await, b.says_wrong_code(2));
    })
    .await;
}

#[tokio::test]
async fn the_second_of_two_administrators_sees_what_the_first_has_saved() {
    everywhere(&[], async |b| {
        administer(b).await;
        let first = b.client.window().await.unwrap();
        b.open("/auth/settings/edit").await;
        b.click("#backup_codes").await;
        b.new_tab().await;
        set(b, "system_administrators_only").await;
        b.client.switch_to_window(first).await.unwrap();
        b.press("main form button").await;
        let changed = b.say(
            "Somebody else has changed the setting",
            "設定がほかのユーザーによって変更されています。",
        );
        assert!(b.alert().await.starts_with(changed), "{}", b.alert().await);
        assert_eq!(b.count("#system_administrators_only:checked").await, 1);
        assert_eq!(b.count("#backup_codes:checked").await, 1);
    })
    .await;
}

#[tokio::test]
async fn people_are_listed_with_filters() {
    everywhere(&[], async |b| {
        administer(b).await;
        b.open("/auth/users").await;
        let all = b.count("#people > li").await;
        assert!(all >= 2, "{all}");
        b.press("nav.filters a[href*='filter=administrators']").await;
        assert_eq!(b.count("#people > li").await, 1);
        assert_eq!(b.text("#people h2").await, b.administrator());
        b.press("nav.filters a[href*='filter=not_set_up']").await;
        assert_eq!(b.count("#people > li").await, all - 1);
        b.press(&format!("#people a[href$='id={}']", b.other())).await;
        assert_eq!(b.text("#user").await, b.other());
    })
    .await;
}
