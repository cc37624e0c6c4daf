//! A tenant's settings: shown, changed, and tried out.

use std::time::Duration;

use countersign::event::EventKind;
use countersign::tenant::{Methods, TrustedDevices};
use countersign::{Method, Scope};
use countersign_http::MAX_BODY;
use http::StatusCode;
use serde_json::{Value, json};

use crate::browser::{Answer, Browser, DAY, Site};

const SETTINGS: &str = "/administration/settings";
const REHEARSAL: &str = "/administration/rehearsal";

async fn site() -> Site {
    Site::with_people(|flow| flow, |web| web).await
}

/// The settings as they are shown, and their version.
async fn shown(browser: &mut Browser<'_>) -> (Value, Value) {
    let page = browser.get("/administration").await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text);
    (page.json["settings"].clone(), page.json["version"].clone())
}

/// Changes the settings that are shown now.
async fn change(browser: &mut Browser<'_>, name: &str, value: Value) -> Answer {
    let (mut settings, version) = shown(browser).await;
    settings[name] = value;
    let body = json!({"version": version, "settings": settings});
    browser.send("PUT", SETTINGS, &body).await
}

#[tokio::test]
async fn settings_are_shown_with_their_bounds_and_changed() {
    let site = site().await;
    let mut root = site.browser();
    site.sign_in(&mut root, "root").await;
    let page = root.get("/administration").await;
    assert_eq!(page.json["directory"], true);
    assert_eq!(page.json["bounds"]["most_wrong_codes"], 10);
    assert_eq!(page.json["bounds"]["shortest_trust_seconds"], 3_600);
    let lockout = json!({"wrong_codes": 3, "first_seconds": 301, "longest_seconds": 7_200});
    let changed = change(&mut root, "lockout", lockout.clone()).await;
    assert_eq!(changed.status, StatusCode::OK, "{}", changed.text);
    assert_eq!(changed.json["settings"]["lockout"], lockout);
    let (settings, version) = shown(&mut root).await;
    assert_eq!((&changed.json["settings"], &changed.json["version"]), (&settings, &version));
    let saved = site.settings().await.lockout.unwrap();
    assert_eq!((saved.wrong_codes, saved.first), (3, Duration::from_secs(301)));
    // It is what holds.
    let mut alice = site.browser();
    site.world.wait_for_the_spacing();
    let begun = alice.password("alice").await;
    assert_eq!(begun.json["attempts_left"], 3);
}

/// I-42: of two administrators the second one does not undo what the first one did.
#[tokio::test]
async fn two_administrators_do_not_overwrite_each_other() {
    let site = site().await;
    let (mut first, mut second) = (site.browser(), site.browser());
    site.sign_in(&mut first, "root").await;
    site.sign_in(&mut second, "root").await;
    let (mut settings, version) = shown(&mut second).await;
    let done = change(&mut first, "trusted_devices", json!({"use": "off"})).await;
    assert_eq!(done.status, StatusCode::OK, "{}", done.text);
    settings["backup_codes"] = json!(false);
    let body = json!({"version": version, "settings": settings});
    let late = second.send("PUT", SETTINGS, &body).await;
    assert_eq!((late.status, late.reason()), (StatusCode::CONFLICT, "settings_changed"));
    let saved = site.settings().await;
    assert_eq!((saved.trusted_devices, saved.backup_codes), (TrustedDevices::Off, true));
    // Control: with the version of now it is made.
    let now = change(&mut second, "backup_codes", json!(false)).await;
    assert_eq!(now.status, StatusCode::OK, "{}", now.text);
    let saved = site.settings().await;
    assert_eq!((saved.trusted_devices, saved.backup_codes), (TrustedDevices::Off, false));
}

/// I-42: nothing is more lenient than the application allows, and the refusal says what is allowed.
#[tokio::test]
async fn settings_beyond_the_bounds_are_named_with_their_bounds() {
    let site = site().await;
    let mut root = site.browser();
    site.sign_in(&mut root, "root").await;
    let before = site.settings().await;
    let lockout = |wrong_codes: u32, first: u64, longest: u64| json!({"wrong_codes": wrong_codes, "first_seconds": first, "longest_seconds": longest});
    let devices = |lifetime: u64, per_user: u32| json!({"use": "at_most", "lifetime_seconds": lifetime, "per_user": per_user});
    for (name, value, setting, least, most) in [
        ("lockout", lockout(11, 900, 86_400), "lockout.wrong_codes", 3, 10),
        ("lockout", lockout(2, 900, 86_400), "lockout.wrong_codes", 3, 10),
        ("lockout", lockout(5, 299, 86_400), "lockout.first", 300, 86_400),
        ("lockout", lockout(5, 900, 86_401), "lockout.longest", 900, 86_400),
        ("trusted_devices", devices(2_592_001, 3), "trusted_devices.lifetime", 3_600, 2_592_000),
        ("trusted_devices", devices(3_600, 4), "trusted_devices.per_user", 1, 3),
        ("trusted_devices", devices(3_600, 0), "trusted_devices.per_user", 1, 3),
    ] {
        let refused = change(&mut root, name, value).await;
        let expected = (StatusCode::UNPROCESSABLE_ENTITY, "invalid_settings");
        assert_eq!((refused.status, refused.reason()), expected, "{setting}");
        let said = ["setting", "least", "most"].map(|field| refused.json[field].clone());
        assert_eq!(said, [json!(setting), json!(least), json!(most)]);
    }
    let none = change(&mut root, "methods", json!({"email": false, "sms": false})).await;
    assert_eq!((none.reason(), &none.json["setting"]), ("invalid_settings", &json!("methods")));
    assert_eq!(site.settings().await, before);
}

/// A client that forgets a field, or knows one that there is not, gets no more lenient settings.
#[tokio::test]
async fn every_setting_must_be_there() {
    let site = site().await;
    let mut root = site.browser();
    site.sign_in(&mut root, "root").await;
    site.set(|settings| settings.trusted_devices = TrustedDevices::Off).await;
    let before = site.settings().await;
    let (settings, version) = shown(&mut root).await;
    let names: Vec<_> = settings.as_object().unwrap().keys().cloned().collect();
    assert_eq!(names.len(), 6);
    for name in &names {
        let mut settings = settings.clone();
        settings.as_object_mut().unwrap().remove(name);
        let body = json!({"version": version, "settings": settings});
        let refused = root.send("PUT", SETTINGS, &body).await;
        assert_eq!(refused.reason(), "malformed_request", "{name}");
    }
    for body in [
        json!({"settings": settings}),
        json!({"version": "", "settings": settings}),
        json!({"version": version, "settings": settings, "more": 1}),
    ] {
        assert_eq!(root.send("PUT", SETTINGS, &body).await.reason(), "malformed_request", "{body}");
    }
    for place in ["", "/methods", "/trusted_devices"] {
        let mut more = settings.clone();
        more.pointer_mut(place).unwrap()["more"] = json!(1);
        let body = json!({"version": version, "settings": more});
        let refused = root.send("PUT", SETTINGS, &body).await;
        assert_eq!(refused.reason(), "malformed_request", "{place}");
    }
    assert_eq!(site.settings().await, before);
}

/// People are locked out only by somebody who says so.
#[tokio::test]
async fn a_change_that_locks_people_out_must_be_accepted() {
    for has_list in [true, false] {
        let site = if has_list { site().await } else { Site::new().await };
        site.world.choose_sms("root", "+819012345678").await.unwrap();
        let mut root = site.browser();
        site.sign_in(&mut root, "root").await;
        let (mut settings, version) = shown(&mut root).await;
        settings["methods"] = json!({"email": false, "sms": true});
        let mut body = json!({"version": version, "settings": settings});
        for refuses in [Value::Null, json!(false)] {
            if !refuses.is_null() {
                body["accept_lock_outs"] = refuses;
            }
            let refused = root.send("PUT", SETTINGS, &body).await;
            let expected = (StatusCode::CONFLICT, "would_lock_out");
            assert_eq!((refused.status, refused.reason()), expected, "{has_list}");
        }
        assert!(site.settings().await.methods.email);
        body["accept_lock_outs"] = json!(true);
        let done = root.send("PUT", SETTINGS, &body).await;
        assert_eq!(done.status, StatusCode::OK, "{}", done.text);
        assert_eq!(site.settings().await.methods, Methods::only(Method::Sms));
        // I-50: no code goes by a method that is not allowed.
        let alice = site.browser().password("alice").await;
        assert_eq!((alice.status, alice.reason()), (StatusCode::CONFLICT, "no_destination"));
    }
}

/// I-32: what weakens, or ends what people have, needs a recent login with a code. What only
/// strengthens does not.
#[tokio::test]
async fn what_weakens_needs_a_recent_login() {
    let site = site().await;
    let mut root = site.browser();
    site.sign_in(&mut root, "root").await;
    site.world.clock.advance(Duration::from_secs(601));
    let stricter = change(&mut root, "single_sign_on", json!("system_administrators")).await;
    assert_eq!(stricter.status, StatusCode::OK, "{}", stricter.text);
    let before = site.settings().await;
    for (setting, value) in
        [("single_sign_on", json!("exempt")), ("trusted_devices", json!({"use": "off"}))]
    {
        let refused = change(&mut root, setting, value).await;
        let expected = (StatusCode::FORBIDDEN, "reauthentication_required");
        assert_eq!((refused.status, refused.reason()), expected, "{setting}");
    }
    assert_eq!(site.settings().await, before);
}

/// The session of an administrator who had no code does not hold any more when codes are asked for:
/// the change is made, and the answer says so.
#[tokio::test]
async fn a_change_that_ends_the_own_session_is_made() {
    let site = site().await;
    site.set(|settings| settings.scope = Scope::DoNotUse).await;
    let mut root = site.browser();
    assert_eq!(root.password("root").await.step(), "authenticated");
    let done = change(&mut root, "scope", json!("entire_tenant")).await;
    assert_eq!(done.status, StatusCode::OK, "{}", done.text);
    assert_eq!(done.json["settings"]["scope"], "entire_tenant");
    assert!(done.json.get("version").is_none(), "{}", done.text);
    assert!(site.failures.lock().unwrap().is_empty());
    assert_eq!(root.get("/administration").await.reason(), "signed_out");
}

/// I-34: settings, rehearsals and the list of users are for administrators of this tenant.
#[tokio::test]
async fn other_users_find_nothing() {
    let site = site().await;
    let (mut alice, mut root) = (site.browser(), site.browser());
    site.sign_in(&mut alice, "alice").await;
    site.sign_in(&mut root, "root").await;
    let (settings, version) = shown(&mut root).await;
    let body = json!({"version": version, "settings": settings});
    let tried = json!({"settings": settings});
    for (method, path, body) in [
        ("PUT", SETTINGS, &body),
        ("POST", REHEARSAL, &tried),
        ("GET", "/administration/users", &Value::Null),
    ] {
        let hidden = alice.send(method, path, body).await;
        assert_eq!(
            (hidden.status, hidden.reason()),
            (StatusCode::NOT_FOUND, "not_found"),
            "{path}"
        );
        // I-03: a session of one tenant is nothing in another.
        root.host = "other.example.com";
        let elsewhere = root.send(method, path, body).await;
        let expected = (StatusCode::UNAUTHORIZED, "signed_out");
        assert_eq!((elsewhere.status, elsewhere.reason()), expected, "{path}");
        root.host = crate::browser::HOST;
        assert_eq!(root.send(method, path, body).await.status, StatusCode::OK, "{path}");
    }
}

/// I-44: a rehearsal writes nothing, and says what the logins then meet.
#[tokio::test]
async fn a_rehearsal_foretells_and_changes_nothing() {
    let site = site().await;
    site.world.choose_sms("bob", "+819012345678").await.unwrap();
    let _ = site.world.sign_in_and_trust("bob", "laptop").await.unwrap();
    let mut root = site.browser();
    site.sign_in(&mut root, "root").await;
    let (mut settings, version) = shown(&mut root).await;
    settings["scope"] = json!("system_administrators_only");
    settings["methods"] = json!({"email": true, "sms": false});
    let sent = site.world.outbox.attempts();
    site.world.calls.clear();
    site.world.events.clear();
    let tried = root.post(REHEARSAL, json!({"settings": settings})).await;
    assert_eq!(tried.status, StatusCode::OK, "{}", tried.text);
    let writes = ["commit", "change_settings", "remove", "purge"];
    assert_eq!(writes.map(|call| site.world.calls.of(call)), [0; 4]);
    assert_eq!((site.world.events.kinds(), site.world.outbox.attempts()), (vec![], sent));
    assert_eq!(shown(&mut root).await.1, version);

    assert_eq!(tried.json["people"], 3);
    assert_eq!(tried.json["no_longer_asked"], json!({"count": 2, "first": ["alice", "bob"]}));
    assert_eq!(tried.json["locked_out"]["count"], 0);
    assert_eq!(tried.json["devices_deleted"], 1);
    assert!(tried.json.get("next").is_none(), "{}", tried.text);
    // What it says is what happens.
    let body = json!({"version": version, "settings": settings});
    assert_eq!(root.send("PUT", SETTINGS, &body).await.status, StatusCode::OK);
    for name in ["alice", "bob"] {
        assert_eq!(site.browser().password(name).await.step(), "authenticated", "{name}");
    }
    site.world.wait_for_the_spacing();
    assert_eq!(site.browser().password("root").await.step(), "code_required");
    let changed = |kind: &EventKind| matches!(kind, EventKind::SettingsChanged { .. });
    assert!(site.world.events.kinds().iter().any(changed));
}

/// I-40: one request looks at so many people, and its answer goes on from there.
#[tokio::test]
async fn a_rehearsal_goes_on_with_its_last_answer() {
    let site = site().await;
    // After the others.
    site.join((0..5_010).map(|number| format!("u{number:05}")));
    let mut root = site.browser();
    site.sign_in(&mut root, "root").await;
    let (mut settings, _) = shown(&mut root).await;
    settings["scope"] = json!("do_not_use");
    let first = root.post(REHEARSAL, json!({"settings": settings})).await;
    assert_eq!(first.status, StatusCode::OK, "{}", first.text);
    assert_eq!((&first.json["people"], &first.json["next"]), (&json!(5_000), &json!("u04996")));
    assert_eq!(first.json["no_longer_asked"]["count"], 5_000);
    let listed = first.json["no_longer_asked"]["first"].as_array().unwrap().clone();
    assert_eq!(listed.len(), 20);
    let second = root.post(REHEARSAL, json!({"settings": settings, "so_far": first.json})).await;
    assert_eq!(second.json["people"], 5_013);
    assert!(second.json.get("next").is_none(), "{}", second.text);
    assert_eq!(second.json["no_longer_asked"]["first"], json!(listed));
    // It does not begin again.
    let third = root.post(REHEARSAL, json!({"settings": settings, "so_far": second.json})).await;
    assert_eq!(third.json, second.json);
}

/// Whatever ids an application has, an answer fits into the next request.
#[tokio::test]
async fn the_longest_answer_can_be_sent_back() {
    let site = site().await;
    // 128 bytes, each of which takes two in JSON, of people who can get no code.
    for number in 0..5_030 {
        let id = format!("{number:04}{}", "\"\\".repeat(62));
        let person = countersign_testkit::Person::named(&id[..10]).id(&id).without_email();
        person.join(&site.world.users, &site.world.tenant).unwrap();
    }
    let mut root = site.browser();
    site.set(|settings| settings.scope = Scope::SystemAdministratorsOnly).await;
    site.sign_in(&mut root, "root").await;
    let (mut settings, _) = shown(&mut root).await;
    settings["scope"] = json!("entire_tenant");
    let mut found = root.post(REHEARSAL, json!({"settings": settings})).await;
    assert_eq!(found.json["locked_out"]["count"], 5_000, "{}", found.text);
    // As if everybody were affected in every way.
    let full = found.json["locked_out"].clone();
    for name in ["newly_asked", "no_longer_asked", "other_method", "settings_deleted", "unreadable"]
    {
        found.json[name] = full.clone();
    }
    let body = json!({"settings": settings, "so_far": found.json});
    let length = body.to_string().len();
    assert!((MAX_BODY - 1_500..MAX_BODY).contains(&length), "{length}");
    let last = root.post(REHEARSAL, body).await;
    assert_eq!((last.status, &last.json["people"]), (StatusCode::OK, &json!(5_033)));
}

/// Without a list of its users, an application can foretell nothing.
#[tokio::test]
async fn a_rehearsal_needs_a_list_of_users() {
    let site = Site::new().await;
    let mut root = site.browser();
    site.sign_in(&mut root, "root").await;
    let page = root.get("/administration").await;
    assert_eq!(page.json["directory"], false);
    let body = json!({"settings": page.json["settings"]});
    let none = root.post(REHEARSAL, body).await;
    assert_eq!((none.status, none.reason()), (StatusCode::NOT_FOUND, "not_found"));
}

/// I-42, I-29: where the tenant trusts no devices, no page offers it, and no code registers one.
#[tokio::test]
async fn a_page_is_told_whether_to_offer_trust() {
    let site = site().await;
    let mut alice = site.browser();
    let begun = alice.password("alice").await;
    assert_eq!(begun.json["trust_device"], true);
    site.set(|settings| settings.trusted_devices = TrustedDevices::Off).await;
    let path = format!("/login/{}", begun.json["login"].as_str().unwrap());
    assert_eq!(alice.get(&path).await.json["trust_device"], false);
    let body = json!({"code": site.world.last_code(), "trust_device": "laptop"});
    let done = alice.post(&format!("{path}/code"), body).await;
    assert_eq!((done.step(), &done.json["device_token"]), ("authenticated", &json!(false)));
    assert!(alice.named("device").is_empty(), "{:?}", alice.cookies);
    site.world.clock.advance(DAY);
    assert_eq!(alice.password("alice").await.step(), "code_required");
}
