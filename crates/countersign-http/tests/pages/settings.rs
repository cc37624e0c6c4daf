//! The pages of a tenant's settings: shown, edited, reviewed and saved.

use std::time::Duration;

use countersign::tenant::{Lockout, Methods, SingleSignOn, TrustedDevices};
use countersign::{LoginFlowBuilder, Method, Scope, TenantSettings};
use http::StatusCode;

use crate::browser::{Answer, DAY};
use crate::visitor::{Visitor, alert, between, place, site_with_people, site_with_people_and};

pub const EDIT: &str = "/settings/edit";
pub const CONFIRMED: [(&str, &str); 1] = [("confirmed", "yes")];

/// What the page of the settings says of one of them.
pub fn shown<'p>(page: &'p Answer, id: &str) -> &'p str {
    between(&page.text, &format!("<dd id=\"{id}\">"), "</dd>")
}

/// The rows of the table of changes, without markup.
fn changes(page: &Answer) -> Vec<[&str; 3]> {
    let rows = between(&page.text, "<tbody>", "</tbody>").split("<tr>").skip(1);
    rows.map(|row| {
        let cells = row.split("<td>").skip(1).map(|cell| cell.split("</td>").next().unwrap());
        let cells: Vec<_> = cells.collect();
        [between(row, "<th scope=\"row\">", "</th>"), cells[0], cells[1]]
    })
    .collect()
}

#[tokio::test]
async fn all_settings_are_shown_in_words() {
    let site = site_with_people().await;
    let mut visitor = Visitor::of(&site);
    visitor.sign_in("root").await;
    let page = visitor.get("/settings").await;
    for (id, text) in [
        ("current-setting", "Entire tenant"),
        ("single-sign-on", "Nobody is asked for a code"),
        ("methods", "By email or SMS"),
        (
            "lockout",
            "Application&#39;s default: Codes are locked for 15 minutes after 5 wrong ones in a row. \
             Each further lock lasts twice as long, up to 1 day.",
        ),
        ("trusted-devices", "Up to 3 devices for each user, for 30 days each"),
        ("backup-codes", "Allowed"),
    ] {
        assert_eq!(shown(&page, id), text);
    }
    let lock = Duration::from_secs(330);
    site.set(|settings| {
        settings.single_sign_on = SingleSignOn::SystemAdministrators;
        settings.methods = Methods::only(Method::Email);
        settings.lockout = Some(Lockout { wrong_codes: 3, first: lock, longest: lock });
        let lifetime = Duration::from_secs(36 * 3_600);
        settings.trusted_devices = TrustedDevices::AtMost { lifetime, per_user: 1 };
        settings.backup_codes = false;
    })
    .await;
    let page = visitor.get("/settings").await;
    for (id, text) in [
        ("single-sign-on", "System administrators are asked for a code"),
        ("methods", "By email only"),
        ("lockout", "Codes are locked for 330 seconds after 3 wrong ones in a row."),
        ("trusted-devices", "1 device for each user, for 36 hours"),
        ("backup-codes", "Not allowed"),
    ] {
        assert_eq!(shown(&page, id), text);
    }
    visitor.language = "ja";
    let page = visitor.get("/settings").await;
    for (id, text) in [
        ("single-sign-on", "システム管理者に確認コードの入力を求める"),
        ("methods", "メールのみ"),
        ("lockout", "確認コードを3回続けて間違えると、330秒間ロックされます。"),
        ("trusted-devices", "ユーザーごとに1台まで、1台につき36時間"),
        ("backup-codes", "許可しない"),
    ] {
        assert_eq!(shown(&page, id), text);
    }
}

/// All settings can be changed together, and are shown before they are saved.
#[tokio::test]
async fn changes_are_reviewed_and_saved() {
    let site = site_with_people().await;
    let mut visitor = Visitor::of(&site);
    visitor.sign_in("root").await;
    let edit = visitor.get(EDIT).await;
    for help in ["3 to 10.", "5 to 1440 minutes.", "1 hour to 30 days.", "1 to 3."] {
        assert!(edit.text.contains(&format!("class=\"hint\">{help}")), "{help} in {}", edit.text);
    }
    let fields = [
        ("single_sign_on", "system_administrators"),
        ("lockout", "own"),
        ("wrong_codes", "\u{ff13}"),
        ("first_lock", "30"),
        ("longest_lock", "60"),
        ("devices", "at_most"),
        ("lifetime", "12"),
        ("lifetime_unit", "hours"),
        ("per_user", "2"),
    ];
    let before = site.settings().await;
    let review = visitor.send_without(&edit, EDIT, &fields, &["sms", "backup_codes"]).await;
    assert_eq!(review.status, StatusCode::OK, "{}", review.text);
    assert_eq!(
        changes(&review),
        [
            [
                "After single sign-on",
                "Nobody is asked for a code",
                "System administrators are asked for a code"
            ],
            ["How codes are sent", "By email or SMS", "By email only"],
            [
                "Lock after wrong codes",
                "Application&#39;s default: Codes are locked for 15 minutes after 5 wrong ones in a \
                 row. Each further lock lasts twice as long, up to 1 day.",
                "Codes are locked for 30 minutes after 3 wrong ones in a row. Each further lock \
                 lasts twice as long, up to 1 hour."
            ],
            [
                "Trusted devices",
                "Up to 3 devices for each user, for 30 days each",
                "Up to 2 devices for each user, for 12 hours each"
            ],
            ["Backup codes", "Allowed", "Not allowed"],
        ]
    );
    assert_eq!(site.settings().await, before, "nothing is saved yet");
    // Back shows what was chosen, in units that people think in.
    let back = visitor.send(&review, EDIT, &[("back", "yes")]).await;
    assert_eq!(back.status, StatusCode::OK);
    for field in [
        "name=\"wrong_codes\" inputmode=\"numeric\" autocomplete=\"off\" value=\"3\"",
        "name=\"first_lock\" inputmode=\"numeric\" autocomplete=\"off\" value=\"30\"",
        "<option value=\"hours\" selected>hours</option>",
    ] {
        assert!(back.text.contains(field), "{field} in {}", back.text);
    }
    let review = visitor.send(&back, EDIT, &[]).await;
    let saved = visitor.send(&review, EDIT, &CONFIRMED).await;
    assert_eq!(place(&saved), "/settings?done=saved", "{}", saved.text);
    assert_eq!(alert(&visitor.follow(&saved).await), "Your change was saved.");
    let mut expected = TenantSettings::default();
    expected.scope = Scope::EntireTenant;
    expected.single_sign_on = SingleSignOn::SystemAdministrators;
    expected.methods = Methods::only(Method::Email);
    let (first, longest) = (Duration::from_secs(1_800), Duration::from_secs(3_600));
    expected.lockout = Some(Lockout { wrong_codes: 3, first, longest });
    expected.trusted_devices = TrustedDevices::AtMost { lifetime: DAY / 2, per_user: 2 };
    expected.backup_codes = false;
    assert_eq!(site.settings().await, expected);
    // The form as it stands changes nothing.
    let edit = visitor.get(EDIT).await;
    assert_eq!(place(&visitor.send(&edit, EDIT, &[]).await), "/settings");
    assert_eq!(site.settings().await, expected);
}

/// Numbers that were saved by other means, in no unit that people choose, survive the form.
#[tokio::test]
async fn odd_numbers_survive_the_form() {
    let site = site_with_people().await;
    let (first, longest) = (Duration::from_secs(301), Duration::from_secs(7_201));
    site.set(|settings| {
        settings.lockout = Some(Lockout { wrong_codes: 4, first, longest });
        let lifetime = Duration::from_secs(5_401);
        settings.trusted_devices = TrustedDevices::AtMost { lifetime, per_user: 2 };
    })
    .await;
    let before = site.settings().await;
    let mut visitor = Visitor::of(&site);
    visitor.sign_in("root").await;
    let edit = visitor.get(EDIT).await;
    assert!(edit.text.contains("First lock, in seconds"), "{}", edit.text);
    assert!(edit.text.contains("300 to 86400 seconds."), "{}", edit.text);
    assert!(edit.text.contains("<option value=\"seconds\" selected>seconds</option>"));
    let saved = visitor.choose(&[("single_sign_on", "system_administrators")]).await;
    assert_eq!(place(&saved), "/settings?done=saved", "{}", saved.text);
    let mut expected = before;
    expected.single_sign_on = SingleSignOn::SystemAdministrators;
    assert_eq!(site.settings().await, expected);
}

/// I-42: what the application does not allow is said at its field, and what was typed stays.
#[tokio::test]
async fn a_wrong_number_is_said_at_its_field() {
    let site = site_with_people().await;
    let mut visitor = Visitor::of(&site);
    visitor.sign_in("root").await;
    let before = site.settings().await;
    let edit = visitor.get(EDIT).await;
    let own = [("lockout", "own"), ("devices", "at_most")];
    for (field, typed, text) in [
        ("wrong_codes", "11", "The number of wrong codes before a lock must be between 3 and 10."),
        (
            "wrong_codes",
            "99999999999999999999",
            "The number of wrong codes before a lock must be between 3 and 10.",
        ),
        ("wrong_codes", "five", "Enter a whole number."),
        ("wrong_codes", "-5", "Enter a whole number."),
        ("first_lock", "4", "The first lock must be between 5 minutes and 1 day."),
        ("longest_lock", "14", "The longest lock must be between 15 minutes and 1 day."),
        ("longest_lock", "", "Enter a whole number."),
        (
            "lifetime",
            "31",
            "The time for which a device is trusted must be between 1 hour and 30 days.",
        ),
        ("per_user", "0", "The number of trusted devices for each user must be between 1 and 3."),
    ] {
        let fields: Vec<_> = own.iter().copied().chain([(field, typed)]).collect();
        let refused = visitor.send(&edit, EDIT, &fields).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{field} {typed}");
        assert_eq!(alert(&refused), text);
        let input = between(&refused.text, &format!("<input id=\"{field}\""), ">");
        assert!(input.contains("aria-invalid=\"true\""), "{field}: {input}");
        let described = format!("aria-describedby=\"alert {field}-range\"");
        assert!(input.contains(&described), "{field}: {input}");
        assert_eq!(refused.text.matches("aria-invalid").count(), 1, "{field}");
        if typed.len() < 5 {
            assert!(input.contains(&format!("value=\"{typed}\"")), "{field}: {input}");
        }
        // A number that does not count is not looked at.
        let ignored = visitor.send(&edit, EDIT, &[(field, typed)]).await;
        assert_eq!(place(&ignored), "/settings", "{field} {typed}");
    }
    let none = visitor.send_without(&edit, EDIT, &[], &["email", "sms"]).await;
    assert_eq!(none.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        between(&none.text, "<input type=\"checkbox\" id=\"email\"", ">").contains("aria-invalid")
    );
    visitor.language = "ja";
    let fields = [("lockout", "own"), ("first_lock", "1441")];
    let refused = visitor.send(&edit, EDIT, &fields).await;
    assert_eq!(alert(&refused), "最初のロック時間は、5分から1日の範囲で指定してください。");
    assert_eq!(site.settings().await, before);
}

/// I-42: the settings are conditional on the version that was shown, and the second administrator
/// sees what the first one has saved.
#[tokio::test]
async fn the_second_administrator_is_told() {
    let site = site_with_people().await;
    let (mut first, mut second) = (Visitor::of(&site), Visitor::of(&site));
    first.sign_in("root").await;
    second.sign_in("root").await;
    let edit = second.get(EDIT).await;
    let review = second.send_without(&edit, EDIT, &[], &["backup_codes"]).await;
    let saved = first.choose(&[("devices", "off")]).await;
    assert_eq!(place(&saved), "/settings?done=saved");
    let late = second.send(&review, EDIT, &CONFIRMED).await;
    assert_eq!(place(&late), "/settings/edit?done=changed");
    let page = second.follow(&late).await;
    assert!(alert(&page).starts_with("Somebody else has changed the setting meanwhile."));
    let off = between(&page.text, "<input type=\"radio\" id=\"devices-off\"", ">");
    assert!(off.contains("checked"), "{}", page.text);
    let settings = site.settings().await;
    assert_eq!((settings.trusted_devices, settings.backup_codes), (TrustedDevices::Off, true));
    // Control: from there the change is made.
    let review = second.send_without(&page, EDIT, &[], &["backup_codes"]).await;
    let saved = second.send(&review, EDIT, &CONFIRMED).await;
    assert_eq!(place(&saved), "/settings?done=saved");
    assert!(!site.settings().await.backup_codes);
}

/// What the application does not offer is not asked for, and what is saved of it stays.
#[tokio::test]
async fn what_is_not_offered_is_not_asked_for() {
    let plain =
        |flow: LoginFlowBuilder| flow.methods(Methods::only(Method::Email)).backup_codes(false);
    let site = site_with_people_and(plain).await;
    let before = site.settings().await;
    assert!(before.methods.sms && before.backup_codes);
    let mut visitor = Visitor::of(&site);
    visitor.sign_in("root").await;
    let page = visitor.get("/settings").await;
    assert_eq!(shown(&page, "methods"), "By email only");
    assert_eq!(shown(&page, "backup-codes"), "Not offered by this application");
    let edit = visitor.get(EDIT).await;
    assert!(!edit.text.contains("id=\"sms\"") && !edit.text.contains("id=\"backup_codes\""));
    let saved = visitor.choose(&[("single_sign_on", "system_administrators")]).await;
    assert_eq!(place(&saved), "/settings?done=saved", "{}", saved.text);
    let mut expected = before;
    expected.single_sign_on = SingleSignOn::SystemAdministrators;
    assert_eq!(site.settings().await, expected);
    // Nor does a user's own page offer it.
    let me = visitor.get("/me").await;
    assert!(!me.text.contains("name=\"phone\""), "{}", me.text);
}

/// I-50: what the tenant forbids, a user's own page does not offer.
#[tokio::test]
async fn what_the_tenant_forbids_is_not_offered() {
    let site = site_with_people().await;
    let mut visitor = Visitor::of(&site);
    visitor.sign_in("root").await;
    let me = visitor.get("/me").await;
    assert!(me.text.contains("name=\"phone\"") && me.text.contains("/me/backup-code"));
    site.set(|settings| {
        settings.methods = Methods::only(Method::Email);
        settings.backup_codes = false;
    })
    .await;
    let me = visitor.get("/me").await;
    assert!(!me.text.contains("name=\"phone\"") && !me.text.contains("/me/backup-code"));
}

/// A form that leaves a setting out is no form of these pages.
#[tokio::test]
async fn a_form_without_a_setting_is_refused() {
    let site = site_with_people().await;
    let mut visitor = Visitor::of(&site);
    visitor.sign_in("root").await;
    let before = site.settings().await;
    let all = visitor.confirmed_settings(&[("scope", "do_not_use")]).await;
    for left_out in ["version", "scope", "single_sign_on", "lockout", "devices"] {
        let fields: Vec<_> = all
            .iter()
            .filter(|(name, _)| name != left_out)
            .map(|(name, value)| (&**name, &**value))
            .collect();
        assert_eq!(fields.len() + 1, all.len(), "{left_out}");
        let refused = visitor.post_as("root", EDIT, &fields).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{left_out}");
    }
    assert_eq!(site.settings().await, before);
}
