//! The saved forms: pinned by golden files, and refused when they are damaged.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use crate::support::*;
use countersign::Pepper;
use countersign::contact::PhoneNumber;
use countersign::error::Document;
use countersign::event::ResetOutcome;
use countersign::policy::Exemption;
use countersign::store::{CommitOutcome, FactorStore, Generation, MAX_DOCUMENT, StoredRow};
use countersign::tenant::{Lockout, Methods, SingleSignOn, TrustedDevices};
use countersign::{
    Authenticated, Channel, Error, Grant, LoginStep, Method, OperationError, Reason,
    RequestContext, RevalidateError, SavedGrant, Scope, SecondFactor, TenantSettings, TrustDevice,
};
use serde_json::{Value, json};

/// As format 1 was first saved. It is never written again, and must be read for ever.
const RECORD: &str = include_str!("../golden/record-v1.json");
/// As format 1 is saved now, with every field that was added since.
const FULL: &str = include_str!("../golden/record-v1-full.json");
const SETTINGS: &str = include_str!("../golden/settings-v1.json");
/// As format 2 is saved: what format 1 cannot express.
const SETTINGS_2: &str = include_str!("../golden/settings-v2.json");
const RECORD_2: &str = include_str!("../golden/record-v2.json");
/// What belongs to the pending login in it, and is saved nowhere.
const SECRETS_2: &str = include_str!("../golden/secrets-v2.json");
const GRANT: &str = include_str!("../golden/grant-v1.json");

const WRONG_BACKUP: &str = "0000-0000-0000-0000-0000-0000";

/// A token of the right form: 32 bytes, then `alice`.
const TOKEN: &str = "csp1.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAABhbGljZQ";

/// Golden secrets: what belongs to the golden record and is saved nowhere.
const SECRETS: &str = include_str!("../golden/secrets-v1.json");

/// A record with everything in it: fixed clock, seeded randomness. With it its grant, and the
/// secrets that belong to it.
async fn full() -> (World, Grant, Value) {
    let pepper = Pepper::new("k1", vec![1; 32]).unwrap();
    let world = World::with(|b| b.trusted_devices(30 * DAY, 3).pepper(pepper)).await;
    let _outcome =
        world.flow.operator("test").unwrap().reset(&world.acme, &world.alice).await.unwrap();
    let first = world.sign_in("alice").await.grant;
    world.wait_for_the_spacing();
    let account = world.request().account(&first);
    // The second notice within the hour is held back.
    let _earlier = account.new_backup_code().await.unwrap();
    let backup = account.new_backup_code().await.unwrap().expose().to_owned();
    world.choose_sms("alice", "+819012345634").await;
    let Authenticated { grant, device_token, .. } =
        world.sign_in_and_trust("alice", "Office laptop").await;
    world.wait_for_the_spacing();
    let _ = world.try_begin("alice", "wrong").await;
    let mut token = String::new();
    let mut code = String::new();
    for channel in [Channel::Web, Channel::Mobile, Channel::Web] {
        let step = world.begin_as(&world.acme, "alice", PASSWORD, channel, None).await.unwrap();
        let pending = challenge(step).token;
        (token, code) = (pending.expose().to_owned(), world.last_code());
        let _ = world.submit(&pending, &world.wrong_code()).await;
        let _ = world.submit_backup(&pending, WRONG_BACKUP).await;
        let _ = world.submit_backup(&pending, WRONG_BACKUP).await;
        world.wait_for_the_spacing();
    }
    let number = PhoneNumber::new("+819087654321").unwrap();
    let setup = world.request().account(&grant).use_sms(&number).await.unwrap();
    let setup_code = world.last_code();
    let wrong = world.wrong_code().into();
    assert!(world.request().account(&grant).confirm_method(&setup.token, &wrong).await.is_err());
    let _ = world.try_begin("alice", "wrong").await;
    let device = device_token.unwrap();
    let _ =
        world.begin_as(&world.acme, "alice", "wrong", Channel::Web, Some(&device)).await.unwrap();
    let secrets = json!({
        "backup": backup,
        "device": device.expose(),
        "pending": { "token": token, "code": code },
        "setup": { "token": setup.token.expose(), "code": setup_code },
    });
    (world, grant, secrets)
}

/// With `UPDATE_GOLDEN` set in the environment the file is written instead: for a new optional
/// field in `record-v1-full.json`, otherwise for a format of a higher number only.
fn assert_golden(name: &str, golden: &str, value: &Value) {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let text = serde_json::to_string_pretty(value).unwrap();
        std::fs::write(format!("{}/tests/golden/{name}", env!("CARGO_MANIFEST_DIR")), text + "\n")
            .unwrap();
        return;
    }
    let golden: Value = serde_json::from_str(golden).unwrap();
    assert_eq!(
        form(value),
        form(&golden),
        "{name}: such are saved out there; a change needs a new format number"
    );
}

/// The value with what is random in it replaced by what kind of value it is.
fn form(value: &Value) -> Value {
    match value {
        Value::String(text) if matches!(text.len(), 22 | 43) && text.bytes().all(is_base64url) => {
            format!("base64url, {}", text.len()).into()
        }
        Value::String(text) if text.len() == 4 && text.bytes().all(|b| b.is_ascii_uppercase()) => {
            "reference".into()
        }
        Value::Array(items) => items.iter().map(form).collect(),
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| (name.clone(), form(value))).collect()
        }
        other => other.clone(),
    }
}

fn is_base64url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

async fn settings(world: &World) -> Value {
    let saved = world.factors.settings(&world.acme).await.unwrap().unwrap();
    serde_json::from_str(&saved.document).unwrap()
}

#[tokio::test]
async fn the_saved_forms_are_those_of_the_golden_files() {
    let (world, grant, _) = full().await;
    assert_golden("record-v1-full.json", FULL, &world.record(&world.alice));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        return;
    }
    assert_golden("grant-v1.json", GRANT, &serde_json::to_value(&grant).unwrap());
    world.set_scope(Scope::DoNotUse).await;
    world.flow.purge(&world.acme, 100).await.unwrap();
    assert_golden("settings-v1.json", SETTINGS, &settings(&world).await);
}

/// A world whose settings and whose administrator's record need format 2. With it the secrets that
/// belong to the record.
async fn format_2() -> (World, Value) {
    let world = World::with_directory_and(|b| any_lockout(b).trusted_devices(30 * DAY, 3)).await;
    world
        .change_settings(|settings| {
            settings.single_sign_on = SingleSignOn::SystemAdministrators;
            settings.lockout =
                Some(Lockout { wrong_codes: 3, first: MINUTE * 30, longest: MINUTE * 60 });
            settings.methods = Methods::only(Method::Email);
            settings.trusted_devices = TrustedDevices::AtMost { lifetime: 5 * DAY, per_user: 1 };
            settings.backup_codes = false;
        })
        .await;
    let pending = challenge(world.request().begin_after_single_sign_on(&world.root).await.unwrap());
    let secrets = json!({
        "pending": { "token": pending.token.expose(), "code": world.last_code() }
    });
    (world, secrets)
}

/// I-41: what format 1 cannot express is saved in format 2, and nothing else is.
#[tokio::test]
async fn what_is_new_is_saved_in_format_2() {
    let (world, secrets) = format_2().await;
    assert_golden("settings-v2.json", SETTINGS_2, &settings(&world).await);
    assert_golden("record-v2.json", RECORD_2, &world.record(&world.root));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        assert_golden("secrets-v2.json", SECRETS_2, &secrets);
    }
    let _pending = world.begin("alice").await;
    assert_eq!(world.record(&world.alice)["format"], 1);
}

/// I-41: the golden settings of format 2 mean what they meant, in this format and in no other.
#[tokio::test]
async fn the_golden_settings_still_say_what_they_said() {
    let expected = {
        let world = format_2().await.0;
        world.flow.operator("test").unwrap().settings(&world.acme).await.unwrap()
    };
    let world = World::with(|b| any_lockout(b).trusted_devices(30 * DAY, 3)).await;
    world.plant_settings(&world.acme, SETTINGS_2);
    let operator = world.flow.operator("test").unwrap();
    assert_eq!(operator.settings(&world.acme).await.unwrap(), expected);
    for (from, to) in [("\"format\": 2", "\"format\": 1"), ("\"format\": 2", "\"format\": 3")] {
        world.plant_settings(&world.acme, &SETTINGS_2.replace(from, to));
        assert!(operator.settings(&world.acme).await.is_err());
        assert!(world.begin_as(&world.acme, "alice", PASSWORD, Channel::Web, None).await.is_err());
    }
    // I-43: a login after single sign-on is none in a record of format 1.
    let world = World::new().await;
    let _pending = world.begin("root").await;
    world.overwrite(&world.root, &RECORD_2.replace("\"format\": 2", "\"format\": 1")).await;
    let step = world.begin_as(&world.acme, "root", PASSWORD, Channel::Web, None).await;
    assert!(matches!(step, Err(Error::Corrupt(Document::Record))), "{step:?}");
}

/// I-41, I-43: the golden login after single sign-on goes on: its code completes it, and what is
/// saved then is in format 1 again.
#[tokio::test]
async fn the_golden_login_after_single_sign_on_can_still_be_completed() {
    let secrets: Value = serde_json::from_str(SECRETS_2).unwrap();
    let text = |name: &str| secrets["pending"][name].as_str().unwrap().to_owned();
    let (world, _) = format_2().await;
    world.plant_settings(&world.acme, SETTINGS_2);
    world.overwrite(&world.root, RECORD_2).await;
    let pending = challenge(world.request().challenge(&text("token").into()).await.unwrap());
    assert_eq!(pending.attempts_left, 3);
    let wrong = countersign_testkit::other_code(&text("code"));
    assert_eq!(reason(&world.submit(&text("token").into(), &wrong).await), Reason::WrongCode);
    let grant = authenticated(world.submit(&text("token").into(), &text("code")).await).grant;
    assert_eq!(grant.second_factor(), &SecondFactor::Code { method: Method::Email });
    assert_eq!((grant.channel(), grant.amr()), (Channel::SingleSignOn, &["otp", "mfa"][..]));
    assert_eq!(world.record(&world.root)["format"], 1);
    assert!(world.request().revalidate(&grant, Channel::SingleSignOn).await.is_ok());
}

/// I-27, I-41: the golden settings of format 1 still say that the tenant has switched off, and that
/// everything was deleted.
#[tokio::test]
async fn the_golden_settings_of_format_1_still_say_what_they_said() {
    let at = time::OffsetDateTime::from_unix_timestamp(1_800_086_610).unwrap();
    let world = World::new().await;
    world.clock.set(at + MINUTE);
    world.plant_settings(&world.acme, SETTINGS);
    let operator = world.flow.operator("test").unwrap();
    let shown = operator.settings(&world.acme).await.unwrap();
    assert_eq!(shown.settings, TenantSettings::default());
    let progress = operator.purge_progress(&world.acme).await.unwrap().unwrap();
    assert_eq!((progress.deleted, progress.remaining), (2, Some(0)));
    assert_eq!((progress.started_at, progress.finished_at), (at, Some(at)));
    let done = authenticated(world.try_begin("alice", PASSWORD).await);
    let exempt = SecondFactor::Exempt { exemption: Exemption::ScopeOff };
    assert_eq!(done.grant.second_factor(), &exempt);
    // It can be switched on, and stays in its format.
    world.set_scope(Scope::EntireTenant).await;
    let mut expected: Value = serde_json::from_str(SETTINGS).unwrap();
    expected["scope"] = json!("entire_tenant");
    assert_eq!(settings(&world).await, expected);
    let _pending = world.begin("alice").await;
}

/// A world in which the golden record is what is saved of alice, half a minute after its last
/// change.
async fn golden() -> (World, SavedGrant, Value) {
    let (world, _, _) = full().await;
    world.overwrite(&world.alice, RECORD).await;
    world.wait_for_the_spacing();
    (world, serde_json::from_str(GRANT).unwrap(), serde_json::from_str(SECRETS).unwrap())
}

/// What was saved in this format keeps its meaning: who upgrades logs nobody out and asks nobody
/// for a new code.
#[tokio::test]
async fn the_golden_record_still_serves_everything_that_belongs_to_it() {
    let (world, grant, secrets) = golden().await;
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    assert!(world.request().revalidate(&grant, Channel::Web).await.is_ok());
    assert_eq!(
        serde_json::to_value(&grant).unwrap(),
        serde_json::from_str::<Value>(GRANT).unwrap()
    );
    let overview = world.request().account(&grant).status().await.unwrap();
    assert_eq!(overview.phone.unwrap().as_str(), "+81 *** **34");
    assert_eq!(overview.devices[0].label.as_str(), "Office laptop");
    let device = text(&secrets["device"]).into();
    let by_device = authenticated(world.begin_with_device("alice", &device).await);
    assert!(matches!(by_device.grant.second_factor(), SecondFactor::TrustedDevice { .. }));
    let (token, code) = (text(&secrets["pending"]["token"]), text(&secrets["pending"]["code"]));
    let by_code = authenticated(world.submit(&token.into(), &code).await);
    assert_eq!(by_code.grant.second_factor(), &SecondFactor::Code { method: Method::Sms });

    let (world, grant, secrets) = golden().await;
    let (token, code) = (text(&secrets["setup"]["token"]), text(&secrets["setup"]["code"]));
    let changed = world.request().account(&grant).confirm_method(&token.into(), &code.into()).await;
    assert_eq!(changed.unwrap(), Method::Sms);
    assert_eq!(world.record(&world.alice)["sms"]["number"], "+819087654321");
    world.clock.advance(15 * MINUTE);
    let challenge = world.begin("alice").await;
    let by_backup =
        authenticated(world.submit_backup(&challenge.token, &text(&secrets["backup"])).await);
    assert_eq!(by_backup.grant.second_factor(), &SecondFactor::BackupCode);
}

/// What was saved first is what is saved now, but for fields that were added since and one that is
/// only read.
#[test]
fn the_fields_that_were_added_are_optional() {
    let of = |record: &str| -> Vec<String> {
        serde_json::from_str::<Value>(record)
            .unwrap()
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect()
    };
    let without = |record: &str, fields: &[&str]| -> Vec<String> {
        of(record).into_iter().filter(|field| !fields.contains(&field.as_str())).collect()
    };
    assert_eq!(
        without(RECORD, &["backup_failures"]),
        without(FULL, &["address", "notices", "resets"])
    );
}

/// The times of resets and of notices are read as they were meant: one refill of two is used, and
/// the notice of a backup code went less than an hour ago.
#[tokio::test]
async fn the_golden_times_of_resets_and_notices_still_count() {
    let world = full().await.0;
    world.overwrite(&world.alice, FULL).await;
    world.outbox.clear();
    let account_grant = world.root_grant().await;
    let administration = world.request().administration(&account_grant).await.unwrap();
    assert_eq!(administration.reset(&world.alice).await.unwrap(), ResetOutcome::Refilled);
    assert_eq!(world.told(), [], "the golden reset was told a few minutes ago");
    let kept = administration.reset(&world.alice).await.unwrap();
    assert!(matches!(kept, ResetOutcome::BudgetsKept { refills_from: Some(_) }), "{kept:?}");
    assert_eq!(world.record(&world.alice)["notices"][0]["held_back"], 2);
}

/// What a record holds when everything is in it; a new field must be added here, with the format
/// number in mind.
#[test]
fn the_golden_record_holds_everything() {
    let record: Value = serde_json::from_str(FULL).unwrap();
    let fields = [
        "format",
        "id",
        "seen",
        "password",
        "sms",
        "address",
        "pending",
        "setup",
        "code_failures",
        "setup_failures",
        "sends",
        "devices",
        "backup",
        "resets",
        "notices",
    ];
    for field in fields {
        assert!(!record[field].is_null(), "{field}");
    }
    assert_eq!(record.as_object().unwrap().len(), fields.len());
    assert_eq!(record["format"], 1);
    assert!(
        record["pending"][0]["wrong_backup"].is_number()
            && record["code_failures"]["recent"].is_array()
    );
    for digits in ["\"code\":\"", "password\":\""] {
        assert!(!FULL.contains(digits));
    }
}

/// What a pending login adds to its record.
#[tokio::test]
async fn a_login_under_way_adds_at_most_a_kibibyte() {
    let (world, _, _) = full().await;
    let record = world.record(&world.alice);
    for pending in record["pending"].as_array().unwrap() {
        assert!(pending.to_string().len() <= 1024, "{}", pending.to_string().len());
    }
    // Through the front door, with the longest ids.
    let world = World::new().await;
    let id = countersign::UserId::new(&"u".repeat(128)).unwrap();
    let mut user = person(&world.acme, "alice");
    user.id = id.clone();
    world.users.insert(&countersign::LoginName::new("long").unwrap(), user);
    let length = || world.factors.record(&world.acme, &id).map_or(0, |saved| saved.document.len());
    let mut before = length();
    for _ in 0..4 {
        let _ = world.begin("long").await;
        world.wait_for_the_spacing();
        assert!(length() - before <= 1024, "{}", length() - before);
        before = length();
    }
}

/// A full record of any configuration is far below what a store must hold.
#[tokio::test]
async fn the_fullest_record_fits_into_a_document() {
    let world = World::with(|b| {
        b.trusted_devices(90 * DAY, 32)
            .pending_logins(16)
            .sends_per_day(100)
            .sends_per_hour(100)
            .sends_per_login(10)
    })
    .await;
    // Of the characters that take most room.
    let label = "\u{20000}".repeat(64);
    for _ in 0..33 {
        let _done = world.sign_in_and_trust("alice", &label).await;
        world.wait_for_the_spacing();
    }
    for _ in 0..16 {
        let _ = world.begin("alice").await;
        world.clock.advance(std::time::Duration::from_secs(30));
    }
    let length = world.factors.record(&world.acme, &world.alice).unwrap().document.len();
    assert!(length < MAX_DOCUMENT / 2, "{length}");
}

/// I-40: as large as it may be, and no larger: in bytes and in entries.
#[tokio::test]
async fn a_record_as_large_as_allowed_is_read_and_a_larger_one_is_not() {
    let (world, ..) = full().await;
    let operator = world.flow.operator("look").unwrap();
    let largest = format!("{RECORD}{}", " ".repeat(MAX_DOCUMENT - RECORD.len()));
    let with_sends = |number: u64| {
        let mut record: Value = serde_json::from_str(RECORD).unwrap();
        record["sends"] = (0..number).collect::<Vec<_>>().into();
        record.to_string()
    };
    for (document, readable) in [
        (largest.clone(), true),
        (format!("{largest} "), false),
        (with_sends(128), true),
        (with_sends(129), false),
    ] {
        world.overwrite(&world.alice, &document).await;
        let status = operator.status(&world.acme, &world.alice).await;
        assert_eq!(status.is_ok(), readable, "{status:?}");
        assert!(readable || corrupt(&status.unwrap_err()));
    }
}

/// I-37: every step over this document is a fault; nobody is let in, nothing is written and nothing
/// is sent.
async fn is_refused(world: &World, document: &str, expected: impl Fn(&Error) -> bool) {
    world.overwrite(&world.alice, document).await;
    let before = world.factors.record(&world.acme, &world.alice);
    let sends = world.outbox.attempts();
    let about: String = document.chars().take(60).collect();
    let token = TOKEN.into();
    let flow = &world.flow;
    for step in [
        world.begin_as(&world.acme, "alice", PASSWORD, Channel::Web, None).await,
        flow.request(&world.acme, &RequestContext::new())
            .submit_code(&token, &"123456".into(), TrustDevice::No)
            .await,
        flow.request(&world.acme, &RequestContext::new())
            .submit_backup_code(&token, &"0000-0000-0000-0000-0000-0000".into())
            .await,
    ] {
        match step {
            Err(error) => assert!(expected(&error), "{about}: {error:?}"),
            Ok(step) => panic!("{about}: {step:?}"),
        }
    }
    assert_eq!(world.factors.record(&world.acme, &world.alice), before, "{about}");
    assert_eq!(world.outbox.attempts(), sends);
}

fn corrupt(error: &Error) -> bool {
    matches!(error, Error::Corrupt(Document::Record))
}

#[tokio::test]
async fn a_record_of_another_format_is_an_error_that_names_it() {
    let (world, grant, _) = full().await;
    for format in [0, 3, 4, u32::MAX] {
        let mut record: Value = serde_json::from_str(RECORD).unwrap();
        record["format"] = format.into();
        let future = json!({ "format": format, "something": "quite different" });
        for document in [record, future] {
            is_refused(&world, &document.to_string(), |error| {
                matches!(error, Error::UnsupportedFormat { document: Document::Record, found, readable: 2 } if *found == format)
            })
            .await;
            let answer = world.request().account(&grant).status().await;
            assert!(matches!(answer, Err(OperationError::Failed(Error::UnsupportedFormat { .. }))));
            let revalidated = world.request().revalidate(&grant, Channel::Web).await;
            assert!(matches!(
                revalidated,
                Err(RevalidateError::Failed(Error::UnsupportedFormat { .. }))
            ));
        }
    }
    // An administrator's reset is the way out.
    world.reset(&world.alice).await;
    let _ = world.begin("alice").await;
}

#[tokio::test]
async fn a_record_cut_short_at_any_length_is_damaged_and_never_empty() {
    let (world, _, _) = full().await;
    let record = world.record(&world.alice).to_string();
    for length in 0..record.len() {
        is_refused(&world, &record[..length], corrupt).await;
    }
}

#[tokio::test]
async fn a_damaged_record_is_refused() {
    let (world, _, _) = full().await;
    let good = world.record(&world.alice);
    let edited = |edit: &dyn Fn(&mut Value)| {
        let mut record = good.clone();
        edit(&mut record);
        record.to_string()
    };
    let many = |of: &Value| Value::Array(vec![of.clone(); 129]);
    let time = json!(1_800_000_000_000_i64);
    let damaged = [
        String::new(),
        "null".into(),
        "[]".into(),
        "{}".into(),
        "{\"format\":1}".into(),
        "\0".into(),
        "[".repeat(10_000),
        "{\"format\":".repeat(3_000),
        edited(&|r| r["unknown"] = json!(1)),
        edited(&|r| r["pending"][0]["unknown"] = json!(1)),
        edited(&|r| r["devices"][0]["unknown"] = json!(1)),
        edited(&|r| r["backup"]["unknown"] = json!(1)),
        edited(&|r| r["code_failures"]["unknown"] = json!(1)),
        edited(&|r| r["format"] = json!("1")),
        edited(&|r| r["format"] = json!(-1)),
        edited(&|r| r["id"] = json!("AAAA")),
        edited(&|r| r["seen"] = json!(1e300)),
        edited(&|r| r["seen"] = json!("now")),
        edited(&|r| r["sms"]["number"] = json!("+81 90")),
        edited(&|r| r["sms"]["number"] = json!("+819012345634\r\nBcc: x")),
        edited(&|r| r["backup"]["tag"] = json!("")),
        edited(&|r| r["devices"][0]["label"] = json!("a\nb")),
        edited(&|r| r["pending"][0]["channel"] = json!("fax")),
        edited(&|r| r["pending"][0]["wrong"] = json!(-1)),
        edited(&|r| r["pending"][0]["code"]["reference"] = json!("abcd")),
        edited(&|r| r["code_failures"]["streak"] = json!(u64::MAX)),
        edited(&|r| r["pending"] = many(&good["pending"][0])),
        edited(&|r| r["resets"] = many(&time)),
        edited(&|r| r["resets"] = json!(["yesterday"])),
        edited(&|r| r["notices"] = many(&good["notices"][0])),
        edited(&|r| r["notices"][0]["about"] = json!("something_else")),
        edited(&|r| r["notices"][0]["unknown"] = json!(1)),
        edited(&|r| r["notices"][0]["held_back"] = json!(-1)),
        edited(&|r| r["devices"] = many(&good["devices"][0])),
        edited(&|r| r["sends"] = many(&time)),
        edited(&|r| r["code_failures"]["recent"] = many(&time)),
        format!("{}{}", good, " ".repeat(MAX_DOCUMENT)),
        format!("{good}{good}"),
    ];
    for document in &damaged {
        is_refused(&world, document, corrupt).await;
    }
    // Negative control: unedited it is good.
    world.overwrite(&world.alice, &good.to_string()).await;
    assert!(world.begin_as(&world.acme, "alice", PASSWORD, Channel::Web, None).await.is_ok());
}

/// Times that no clock has shown are read without a panic, and let nobody in.
#[tokio::test]
async fn absurd_times_in_a_record_are_survived() {
    for time in [i64::MIN, -1, 0, 253_402_300_799_999, i64::MAX] {
        let (world, grant, _) = full().await;
        let mut text = world.record(&world.alice).to_string();
        let mut record = world.record(&world.alice);
        for at in numbers_of(&record) {
            text = text.replace(&at, &time.to_string());
        }
        world.overwrite(&world.alice, &text).await;
        let _ = world.request().account(&grant).status().await;
        let _ = world.flow.operator("look").unwrap().status(&world.acme, &world.alice).await;
        let step = world.begin_as(&world.acme, "alice", PASSWORD, Channel::Web, None).await;
        assert!(!matches!(step, Ok(LoginStep::Authenticated(_))));
        record = world.record(&world.alice);
        assert!(record.is_object());
    }
}

/// Every millisecond time in a record.
fn numbers_of(value: &Value) -> Vec<String> {
    match value {
        Value::Number(number) if number.as_i64().is_some_and(|n| n > 1_000_000_000_000) => {
            vec![number.to_string()]
        }
        Value::Array(items) => items.iter().flat_map(numbers_of).collect(),
        Value::Object(fields) => fields.values().flat_map(numbers_of).collect(),
        _ => Vec::new(),
    }
}

/// I-27: a record of a generation that the tenant has not reached is not of this world.
#[tokio::test]
async fn a_record_of_a_later_generation_than_the_settings_is_damaged() {
    let (world, _, _) = full().await;
    let snapshot = world.factors.load(&world.acme, &world.alice).await.unwrap();
    let expected = countersign::store::ExpectedVersions {
        settings: snapshot.settings.as_ref().map(|saved| saved.version),
        record: snapshot.record.as_ref().map(|saved| saved.version),
    };
    let record = snapshot.record.unwrap();
    let next = StoredRow { generation: Generation::new(1), ..record };
    assert_eq!(
        world.factors.commit(&world.acme, &world.alice, &expected, &next).await.unwrap(),
        CommitOutcome::Written
    );
    let step = world.begin_as(&world.acme, "alice", PASSWORD, Channel::Web, None).await;
    assert!(matches!(step, Err(Error::Corrupt(Document::Record))));
}

/// A tenant's settings fail closed as well: what can't be read is not "does not use it".
#[tokio::test]
async fn damaged_settings_let_nobody_in() {
    let documents = [
        ("", false),
        ("{}", false),
        ("{\"format\":1}", false),
        ("{\"format\":1,\"scope\":\"nobody\"}", false),
        ("{\"format\":1,\"scope\":\"do_not_use\",\"x\":1}", false),
        ("{\"format\":2,\"what\":\"ever\"}", false),
        ("{\"format\":3,\"scope\":\"do_not_use\"}", true),
        ("{\"format\":3,\"what\":\"ever\"}", true),
    ];
    for (document, other_format) in documents {
        let world = World::new().await;
        let saved = world.factors.settings(&world.acme).await.unwrap().unwrap();
        let next = StoredRow { document: document.to_owned(), ..saved.clone() };
        let written =
            world.factors.change_settings(&world.acme, Some(saved.version), &next).await.unwrap();
        assert_eq!(written, CommitOutcome::Written);
        let error =
            world.begin_as(&world.acme, "alice", PASSWORD, Channel::Web, None).await.unwrap_err();
        match error {
            Error::UnsupportedFormat { document: Document::Settings, found: 3, readable: 2 } => {
                assert!(other_format);
            }
            Error::Corrupt(Document::Settings) => assert!(!other_format),
            other => panic!("{document}: {other:?}"),
        }
        assert!(world.flow.purge(&world.acme, 1).await.is_err());
    }
}
