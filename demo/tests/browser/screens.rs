//! Visits every screen, and calls a function at each.

use crate::browser::Browser;

/// The pages of countersign, with their headings in English and Japanese.
const HEADINGS: [(&str, [&str; 2]); 33] = [
    ("sign-in", ["Log in", "ログイン"]),
    ("sign-in-first", ["Log in", "ログイン"]),
    ("sign-in-again", ["Log in", "ログイン"]),
    ("sign-in-refused", ["Log in", "ログイン"]),
    ("signed-out", ["Log in", "ログイン"]),
    ("login-over", ["Log in", "ログイン"]),
    ("code", ["Enter the code", "確認コードの入力"]),
    ("code-wrong", ["Enter the code", "確認コードの入力"]),
    ("code-by-sms", ["Enter the code", "確認コードの入力"]),
    ("backup-code-wrong", ["Enter the code", "確認コードの入力"]),
    ("me", ["My information", "個人設定"]),
    ("me-saved", ["My information", "個人設定"]),
    ("me-full", ["My information", "個人設定"]),
    ("me-refused", ["My information", "個人設定"]),
    ("me-not-in-use", ["My information", "個人設定"]),
    ("confirm-method", ["Confirm where codes are sent", "確認コードの送信先の確認"]),
    ("confirm-method-wrong", ["Confirm where codes are sent", "確認コードの送信先の確認"]),
    ("backup-code", ["Your new backup code", "新しいバックアップコード"]),
    ("settings", ["Two-factor authentication", "2段階認証"]),
    ("settings-deletion", ["Two-factor authentication", "2段階認証"]),
    ("settings-edit", ["Edit two-factor authentication", "2段階認証の設定の変更"]),
    ("settings-refused", ["Edit two-factor authentication", "2段階認証の設定の変更"]),
    ("settings-review", ["Review your changes", "変更内容の確認"]),
    ("settings-lock-out", ["Review your changes", "変更内容の確認"]),
    ("settings-lock-out-refused", ["Review your changes", "変更内容の確認"]),
    ("settings-off", ["Switch off two-factor authentication?", "2段階認証の使用を停止しますか？"]),
    ("users", ["User management", "ユーザー管理"]),
    ("user", ["User management", "ユーザー管理"]),
    ("user-locked", ["User management", "ユーザー管理"]),
    ("user-reset", ["Reset two-factor authentication?", "2段階認証をリセットしますか？"]),
    ("user-unlocked", ["User management", "ユーザー管理"]),
    ("user-unknown", ["User management", "ユーザー管理"]),
    ("no-such-page", ["This page cannot be shown", "ページを表示できません"]),
];

/// Calls `look` at each screen, with a name for it. Ends with the second factor switched off.
pub async fn tour(b: &Browser, language: &str, mut look: impl AsyncFnMut(&Browser, &str)) {
    let mut seen = Vec::new();
    let mut at = async |name: &'static str| {
        if let Some((_, headings)) = HEADINGS.iter().find(|(page, _)| *page == name) {
            assert_eq!(b.heading().await, headings[usize::from(language == "ja")], "{name}");
            let html = b.find("html").await;
            assert_eq!(html.attr("lang").await.unwrap().as_deref(), Some(language), "{name}");
            seen.push(name);
        }
        look(b, name).await;
    };
    b.open("/").await;
    at("welcome").await;
    b.press("#sso").await;
    assert_eq!(b.path().await, "/provider");
    at("provider").await;
    b.open("/vault").await;
    at("sign-in-first").await;

    b.begin("alice").await;
    let (wrong, cookie) = (b.wrong_code().await, b.cookies().await);
    for _ in 0..5 {
        b.enter_code(&wrong).await;
    }
    let place = b.path().await;
    b.client.delete_cookie(cookie.first().unwrap()).await.unwrap();
    b.open(&place).await;
    at("login-over").await;

    b.open("/auth/sign-in").await;
    at("sign-in").await;
    b.fill("#name", "root").await;
    b.fill("#password", "hunter2").await;
    b.press("main button").await;
    at("sign-in-refused").await;
    b.begin("root").await;
    at("code").await;
    let wrong = b.wrong_code().await;
    b.enter_code(&wrong).await;
    at("code-wrong").await;
    b.click("#trust").await;
    b.complete().await;
    at("home").await;
    for (path, name) in [
        ("/auth/me", "me"),
        ("/auth/settings", "settings"),
        ("/auth/settings/edit", "settings-edit"),
        ("/auth/users", "users"),
        ("/auth/users?id=nobody", "user-unknown"),
        ("/auth/users?id=root", "user"),
        ("/auth/users?id=alice", "user-locked"),
        ("/auth/users/reset?id=alice", "user-reset"),
        ("/auth/me/nothing", "no-such-page"),
        ("/auth/sign-in?again=1", "sign-in-again"),
        ("/vault", "vault"),
        ("/inbox", "inbox"),
        ("/events", "events"),
    ] {
        b.open(path).await;
        at(name).await;
    }
    b.open("/auth/users?id=alice").await;
    b.press("form[action^='/auth/users/unlock'] button").await;
    at("user-unlocked").await;

    b.open("/auth/me").await;
    b.press("form[action='/auth/me/backup-code'] button").await;
    at("backup-code").await;
    b.press("main a.button").await;
    let by_sms = "form[action='/auth/me/method'] button[value=sms]";
    b.fill("#phone", "12").await;
    b.press(by_sms).await;
    at("me-refused").await;
    b.fill("#phone", "+81 90 1234 5678").await;
    b.press(by_sms).await;
    at("confirm-method").await;
    let (place, wrong) = (b.place().await, b.wrong_code().await);
    b.enter_code(&wrong).await;
    at("confirm-method-wrong").await;
    b.open(&place).await;
    b.complete().await;
    at("me-saved").await;
    b.sign_out().await;
    at("signed-out").await;

    b.open("/auth/sign-in?again=1").await;
    b.enter_password("root").await;
    b.code_is_sent().await;
    b.click("summary").await;
    at("code-by-sms").await;
    b.fill("#backup_code", "AAAA-AAAA-AAAA-AAAA-AAAA-AAAA").await;
    b.press("form:has(#backup_code) button").await;
    at("backup-code-wrong").await;
    b.click("#trust").await;
    b.complete().await;
    b.open("/auth/me").await;
    at("me-full").await;
    change_settings(b, &mut at).await;
    b.open("/auth/me").await;
    at("me-not-in-use").await;
    assert_eq!(seen.len(), HEADINGS.len(), "{seen:?}");
}

/// The settings: refused, reviewed, and switched off in the end.
async fn change_settings(b: &Browser, at: &mut impl AsyncFnMut(&'static str)) {
    b.open("/auth/settings/edit").await;
    b.click("#lockout-own").await;
    b.fill("#wrong_codes", "50").await;
    b.press("main form button").await;
    at("settings-refused").await;
    b.fill("#wrong_codes", "3").await;
    b.click("#sms").await;
    b.press("main form button").await;
    at("settings-review").await;
    // Only this administrator gets codes by SMS.
    b.open("/auth/settings/edit").await;
    b.click("#email").await;
    b.press("main form button").await;
    assert_eq!(b.count("#locked-out li").await, 2);
    at("settings-lock-out").await;
    b.script("document.querySelector('#accept_lock_outs').required = false").await;
    b.press("main form button[name=confirmed]").await;
    assert_eq!(b.count("#accept_lock_outs[aria-invalid=true]").await, 1);
    at("settings-lock-out-refused").await;
    b.open("/auth/settings/edit").await;
    b.click("#do_not_use").await;
    b.press("main form button").await;
    at("settings-off").await;
    b.press("main form button.danger").await;
    at("settings-deletion").await;
}
