//! For the golden file: a tenant's settings, what they forbid, and requests from where the
//! application refuses them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use countersign::error::PluginError;
use countersign::memory::MemoryFactors;
use countersign::policy::{PolicyContext, RequestPolicy, Restriction};
use countersign::tenant::SingleSignOn;
use countersign::{LoginFlowBuilder, RequestContext};
use countersign_http::Web;
use countersign_testkit::SeededEntropy;
use serde_json::{Value, json};

use crate::browser::{PASSWORD, tenants};
use crate::golden::Everybody;
use crate::transcript::Client;

const NUMBER: &str = "+819012345678";
const SETTINGS: &str = "/administration/settings";
const REHEARSAL: &str = "/administration/rehearsal";
const USERS: &str = "/administration/users";

/// Refuses every request, while it is switched on.
#[derive(Clone, Default)]
pub struct Elsewhere(Arc<AtomicBool>);

impl Elsewhere {
    pub fn refuse(&self, on: bool) {
        self.0.store(on, Ordering::Relaxed);
    }
}

impl RequestPolicy for Elsewhere {
    fn restrict(
        &self,
        _: &PolicyContext<'_>,
        _: &RequestContext,
    ) -> Result<Restriction, PluginError> {
        let refuses = self.0.load(Ordering::Relaxed);
        Ok(if refuses { Restriction::Refuse } else { Restriction::None })
    }
}

/// The settings as they are shown, with their version.
async fn shown(client: &mut Client<'_>, about: &str) -> (Value, Value) {
    let page = client.send(about, "GET", "/administration", Value::Null).await;
    (page.json["settings"].clone(), page.json["version"].clone())
}

/// Changes the scope alone, on the settings of this moment.
pub async fn set_scope(client: &mut Client<'_>, about: &str, scope: &str) {
    let (mut settings, version) = shown(client, "the settings").await;
    settings["scope"] = json!(scope);
    client.send(about, "PUT", SETTINGS, json!({"version": version, "settings": settings})).await;
}

/// Everybody who may not.
async fn not_for_others(client: &mut Client<'_>, about: &str, settings: &Value) {
    let change = json!({"version": "AAAAAAAAAAAAAAAAAAAAAA", "settings": settings});
    client.send(about, "PUT", SETTINGS, change).await;
    client.send(about, "POST", REHEARSAL, json!({"settings": settings})).await;
    client.send(about, "GET", USERS, Value::Null).await;
}

/// What an administrator does with the settings, and the list of users.
pub async fn settings(client: &mut Client<'_>) {
    client.site.world.choose_sms("root", NUMBER).await.unwrap();
    client.site.join(["carol", "dave"].map(str::to_owned));
    client.sign_in("an administrator's login", "root").await;
    let (settings, version) = shown(client, "the settings").await;

    let mut many = settings.clone();
    many["lockout"] = json!({"wrong_codes": 50, "first_seconds": 900, "longest_seconds": 86_400});
    let change = json!({"version": version, "settings": many});
    client.send("too many wrong codes", "PUT", SETTINGS, change).await;
    client.headers.push(("accept-language", "ja"));
    let about = "the same tried out, in Japanese";
    client.send(about, "POST", REHEARSAL, json!({"settings": many})).await;
    client.headers.pop();
    many.as_object_mut().unwrap().remove("lockout");
    let change = json!({"version": version, "settings": many});
    client.send("a setting is missing", "PUT", SETTINGS, change).await;

    let mut sms = settings.clone();
    sms["methods"] = json!({"email": false, "sms": true});
    let tried = client.send("SMS only, tried out", "POST", REHEARSAL, json!({"settings": sms}));
    let tried = tried.await.json;
    let again = json!({"settings": sms, "so_far": tried});
    client.send("everybody was looked at", "POST", REHEARSAL, again).await;
    let change = json!({"version": version, "settings": sms});
    client.send("SMS only would lock people out", "PUT", SETTINGS, change).await;
    let change = json!({"version": version, "settings": sms, "accept_lock_outs": true});
    client.send("that is accepted", "PUT", SETTINGS, change.clone()).await;
    client.headers.push(("accept-language", "ja"));
    client.send("other settings hold by now", "PUT", SETTINGS, change).await;
    client.headers.pop();

    client.send("the users", "GET", USERS, Value::Null).await;
    client.send("two of them", "GET", &format!("{USERS}?limit=2"), Value::Null).await;
    let query = format!("{USERS}?after=bob&filter=not_set_up");
    client.send("those who have set up nothing", "GET", &query, Value::Null).await;
    for filter in ["all", "locked", "sms", "administrators"] {
        let query = format!("{USERS}?filter={filter}");
        client.send(&format!("the filter {filter}"), "GET", &query, Value::Null).await;
    }
    client.send("no such filter", "GET", &format!("{USERS}?filter=others"), Value::Null).await;

    client.site.world.clock.advance(Duration::from_secs(601));
    let (_, version) = shown(client, "the settings now").await;
    let change = json!({"version": version, "settings": settings});
    client.send("weaker, too long after the login", "PUT", SETTINGS, change).await;
    client.send("the session ends", "POST", "/logout", json!({})).await;
    not_for_others(client, "nobody is signed in", &settings).await;
    client.site.set(|settings| settings.methods.email = true).await;
    client.sign_in("a user's login", "alice").await;
    not_for_others(client, "no administrator", &settings).await;
}

/// Tries out a change of one setting.
async fn try_out(client: &mut Client<'_>, about: &str, changed: (&str, Value)) {
    let mut settings = json!(client.site.settings().await);
    settings[changed.0] = changed.1;
    client.send(about, "POST", REHEARSAL, json!({"settings": settings})).await;
}

/// Changes one setting.
async fn change(client: &mut Client<'_>, about: &str, changed: (&str, Value)) {
    let shown = client.site.operator().settings(&client.site.world.tenant).await.unwrap();
    let (version, mut settings) = (shown.version, json!(shown.settings));
    settings[changed.0] = changed.1;
    let body = json!({"version": version, "settings": settings});
    let answer = client.send(about, "PUT", SETTINGS, body).await;
    assert_eq!(answer.json["settings"], settings, "{}", answer.text);
}

/// Each setting with a value of the tenant's own, tried out, changed and shown.
pub async fn choices(client: &mut Client<'_>) {
    // Somebody with all that can be lost.
    client.site.world.choose_sms("bob", NUMBER).await.unwrap();
    client.site.world.wait_for_the_spacing();
    let _ = client.site.world.sign_in_and_trust("bob", "laptop").await.unwrap();
    client.site.world.wait_for_the_spacing();
    client.site.world.make_backup_code("bob").await.unwrap();
    client.sign_in("an administrator's login", "root").await;
    let email_only = ("methods", json!({"email": true, "sms": false}));
    let administrators = json!("system_administrators_only");
    let off = json!({"use": "off"});
    let stricter = json!({"use": "at_most", "lifetime_seconds": 604_800, "per_user": 1});
    let lockout = json!({"wrong_codes": 3, "first_seconds": 1_800, "longest_seconds": 43_200});

    try_out(client, "email only, tried out", email_only.clone()).await;
    try_out(client, "no trusted devices, tried out", ("trusted_devices", off.clone())).await;
    try_out(client, "no backup codes, tried out", ("backup_codes", json!(false))).await;
    let scope = ("scope", administrators.clone());
    try_out(client, "administrators only, tried out", scope).await;
    try_out(client, "not used, tried out", ("scope", json!("do_not_use"))).await;

    change(client, "email only", email_only).await;
    change(client, "a lockout of the tenant's own", ("lockout", lockout)).await;
    change(client, "fewer trusted devices", ("trusted_devices", stricter)).await;
    let single_sign_on = ("single_sign_on", json!("system_administrators"));
    change(client, "a code after single sign-on", single_sign_on).await;
    change(client, "no backup codes", ("backup_codes", json!(false))).await;
    shown(client, "all of them").await;
    change(client, "administrators only", ("scope", administrators)).await;
    shown(client, "administrators only, shown").await;
    try_out(client, "everyone, tried out", ("scope", json!("entire_tenant"))).await;
    change(client, "everyone", ("scope", json!("entire_tenant"))).await;

    client.site.world.wait_for_the_spacing();
    let login = client.begin("a login where a device can be trusted", "alice").await;
    let trust = json!({"code": client.site.world.last_code(), "trust_device": "laptop"});
    client.send("the device is trusted", "POST", &format!("{login}/code"), trust).await;
    client.send("the account with it", "GET", "/account", Value::Null).await;

    client.sign_in("an administrator's login again", "root").await;
    change(client, "no trusted devices", ("trusted_devices", off)).await;
    shown(client, "no trusted devices, shown").await;
    client.site.world.wait_for_the_spacing();
    let login = client.begin("a login where no device can be trusted", "alice").await;
    let trust = json!({"code": client.site.world.last_code(), "trust_device": "laptop"});
    client.send("the device is not trusted", "POST", &format!("{login}/code"), trust).await;
    client.send("the account without it", "GET", "/account", Value::Null).await;
}

/// Logins after single sign-on, before and after the tenant asks administrators for a code.
pub async fn single_sign_on(client: &mut Client<'_>) {
    client.come_back("an administrator after single sign-on, exempt", "root").await;
    client.send("the exempt session", "GET", "/session", Value::Null).await;
    client.send("the exempt account", "GET", "/account", Value::Null).await;
    let about = "an exempt session is not an administrator's";
    client.send(about, "GET", "/administration", Value::Null).await;
    client.site.set(|settings| settings.single_sign_on = SingleSignOn::SystemAdministrators).await;
    client.send("the session is over by now", "GET", "/session", Value::Null).await;
    client.come_back("a user after single sign-on, exempt", "alice").await;
    client.send("their session", "GET", "/session", Value::Null).await;
    client.come_back("nobody after single sign-on", "nobody").await;

    let about = "an administrator after single sign-on, asked for a code";
    let asked = client.come_back(about, "root").await;
    assert_eq!(asked.step(), "code_required", "{}", asked.text);
    let login = format!("/login/{}", asked.json["login"].as_str().unwrap());
    client.send("the page of this login", "GET", &login, Value::Null).await;
    let wrong = json!({"code": client.site.world.wrong_code()});
    client.send("a wrong code", "POST", &format!("{login}/code"), wrong).await;
    let right = json!({"code": client.site.world.last_code(), "trust_device": "laptop"});
    let done = client.send("the right code", "POST", &format!("{login}/code"), right).await;
    assert_eq!(done.step(), "authenticated", "{}", done.text);
    client.send("the session after both", "GET", "/session", Value::Null).await;
    client.send("the account, without the device", "GET", "/account", Value::Null).await;
    shown(client, "it is an administrator's").await;
    let user = "/administration/users/alice";
    client.send("another user, by this session", "GET", user, Value::Null).await;
}

/// What the settings of a tenant forbid.
pub async fn methods(client: &mut Client<'_>) {
    client.site.world.choose_sms("alice", NUMBER).await.unwrap();
    let login = client.begin("a login by SMS", "alice").await;
    client.site.world.wait_for_the_spacing();
    client.site.set(|settings| settings.methods.email = false).await;
    let resend = format!("{login}/resend");
    client.send("email is forbidden", "POST", &resend, json!({"to": "email"})).await;
    let code = json!({"code": client.site.world.last_code()});
    client.send("the code", "POST", &format!("{login}/code"), code).await;
    let email = json!({"method": "email"});
    client.send("email is forbidden", "POST", "/account/method", email).await;
    client.site.world.wait_for_the_spacing();
    let number = json!({"method": "sms", "phone": "+819087654321"});
    client.send("a number to prove", "POST", "/account/method", number).await;
    client
        .site
        .set(|settings| (settings.methods.email, settings.methods.sms) = (true, false))
        .await;
    let code = json!({"code": client.site.world.last_code()});
    client.headers.push(("accept-language", "ja"));
    client.send("SMS is forbidden", "POST", "/account/method/confirm", code).await;
    client.headers.pop();

    client.sign_in("an administrator's login", "root").await;
    let (mut settings, version) = shown(client, "the settings").await;
    settings["methods"] = json!({"email": false, "sms": true});
    let change = json!({"version": version, "settings": settings, "accept_lock_outs": true});
    client.send("they would lock themselves out", "PUT", SETTINGS, change).await;
    client.send("there is no list of users", "GET", USERS, Value::Null).await;
}

/// Settings that were saved before the application became stricter.
pub async fn stricter_bounds(client: &mut Client<'_>) {
    let factors = MemoryFactors::new();
    let lock = Duration::from_secs(300)..=Duration::from_secs(86_400);
    let web = |client: &Client<'_>, most: u32| {
        let configure = |flow: LoginFlowBuilder| {
            let flow = flow.policy(Everybody).entropy(SeededEntropy::new(4));
            flow.tenant_lockout(3..=most, lock.clone())
        };
        let flow = client.site.world.flow_over(factors.clone(), configure).unwrap();
        Web::browsers(&flow, tenants(), client.site.sessions.clone())
            .clock(client.site.world.clock.clone())
            .build()
    };
    client.web = web(client, 10);
    client.sign_in("an administrator's login", "root").await;
    let (mut settings, version) = shown(client, "the settings").await;
    settings["lockout"] =
        json!({"wrong_codes": 8, "first_seconds": 900, "longest_seconds": 86_400});
    let change = json!({"version": version, "settings": settings});
    client.send("a lockout of its own", "PUT", SETTINGS, change).await;
    client.web = web(client, 5);
    let about = "a scope, although the application has become stricter than the saved numbers";
    set_scope(client, about, "system_administrators_only").await;
    set_scope(client, "back", "entire_tenant").await;
}

/// Requests from where the application refuses logins.
pub async fn refused_requests(client: &mut Client<'_>, elsewhere: &Elsewhere) {
    let name = json!({"name": "alice", "password": PASSWORD});
    elsewhere.refuse(true);
    client.headers.push(("accept-language", "ja"));
    client.send("a login from elsewhere", "POST", "/login", name).await;
    client.headers.pop();
    for (path, body) in [
        ("code", json!({"code": "123456"})),
        ("backup-code", json!({"code": "0000-0000-0000-0000-0000-0000"})),
        ("resend", json!({})),
    ] {
        elsewhere.refuse(false);
        client.site.world.wait_for_the_spacing();
        let login = client.begin("a login", "alice").await;
        elsewhere.refuse(true);
        let about = format!("its {path} from elsewhere");
        client.send(&about, "POST", &format!("{login}/{path}"), body).await;
    }
    elsewhere.refuse(false);
    client.sign_in("another login", "alice").await;
    elsewhere.refuse(true);
    client.send("the session from elsewhere", "GET", "/session", Value::Null).await;
}
