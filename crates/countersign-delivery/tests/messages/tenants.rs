//! The messages of each tenant, and no other's.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use countersign::error::PluginError;
use countersign::event::EventKind;
use countersign::memory::MemoryFactors;
use countersign::sender::{
    CodeMessage, CodeSender, Notice, NoticeKind, Purpose, SendError, SendErrorKind, SendStatus,
};
use countersign::user::Language;
use countersign::{
    Channel, DeliveryStatus, Login, LoginFlow, LoginStep, RequestContext, Scope, TenantId, UserId,
};
use countersign_delivery::message::{
    BadText, MessageSource, Messages, MessagesError, NoMessages, TenantMessages, messages_of,
};
use countersign_testkit::{Person, PlainPasswords, World};

use crate::{Own, PURPOSES, code, german, kinds, messages, notice, tenant};

/// Two tenants with names and hosts of their own, from one configured builder.
fn two_tenants() -> TenantMessages {
    let base = Messages::builder("Platform").code_digits(8);
    let of =
        |name: &str, host: &str| base.clone().application(name).origin_host(host).build().unwrap();
    TenantMessages::new()
        .tenant(tenant("acme"), of("Acme Books", "login.acme.example"))
        .tenant(tenant("bolt"), of("Bolt Bank", "bolt.example.org"))
}

/// All that the users of a tenant read, in both languages.
fn everything(messages: &Messages) -> String {
    let mut all = String::new();
    for language in ["en", "ja"] {
        let codes = PURPOSES.map(|purpose| code("01234567", purpose, Some(language)));
        let notices: Vec<_> =
            kinds().into_iter().map(|kind| notice(kind, Some(language))).collect();
        let emails = codes.iter().map(|code| messages.code_email(code));
        for email in emails.chain(notices.iter().map(|notice| messages.notice_email(notice))) {
            all += &[email.subject(), email.expose_text(), email.expose_html()].join("\n");
        }
        let sms = codes.iter().map(|code| messages.code_sms(code));
        for sms in sms.chain(notices.iter().map(|notice| messages.notice_sms(notice))) {
            all += sms.expose();
        }
    }
    all
}

/// I-04, I-33: the messages of a tenant name it and no other.
#[tokio::test]
async fn each_tenant_has_its_own_messages_and_no_other() {
    let source = two_tenants();
    for (id, own, others) in [
        ("acme", ["Acme Books", "\n@login.acme.example #01234567"], ["Bolt", "bolt", "Platform"]),
        ("bolt", ["Bolt Bank", "\n@bolt.example.org #01234567"], ["Acme", "acme", "Platform"]),
    ] {
        let read = everything(&messages_of(&source, &tenant(id)).await.unwrap());
        assert!(own.iter().all(|own| read.contains(own)), "{read}");
        assert!(!others.iter().any(|other| read.contains(other)), "{read}");
    }
    // Tenants are compared byte for byte.
    for id in ["other", "ACME", "Acme", "acme.", "a"] {
        assert!(
            matches!(messages_of(&source, &tenant(id)).await, Err(NoMessages::UnknownTenant)),
            "{id}"
        );
    }
    let named = |found: Result<Messages, NoMessages>| found.unwrap().application().to_owned();
    let source: Arc<dyn MessageSource> =
        Arc::new(source.fallback(Messages::builder("Platform").build().unwrap()));
    assert_eq!(named(messages_of(&source, &tenant("other")).await), "Platform");
    assert_eq!(named(messages_of(&source, &tenant("acme")).await), "Acme Books");
    assert_eq!(
        named(messages_of(&messages(), &tenant("other")).await),
        "Example",
        "one for all tenants"
    );
}

#[test]
fn one_configured_builder_is_cloned_for_each_tenant() {
    let base = german(Own("{code} ist Ihr Code.")).default_language(Language::new("de").unwrap());
    for name in ["Acme Books", "Bolt Bank"] {
        let messages = base.clone().application(name).build().unwrap();
        assert_eq!(messages.application(), name);
        let sms = messages.code_sms(&code("123456", Purpose::Login, None));
        assert!(sms.expose().starts_with("123456 ist Ihr Code."), "{}", sms.expose());
        assert!(
            messages.notice_email(&notice(NoticeKind::Reset, None)).expose_text().contains(name)
        );
    }
    let refused = base.application("Bank 123456").build().unwrap_err();
    assert_eq!(refused, MessagesError::Application(BadText::Number));
}

/// Words codes and notices as a sender does, and keeps them.
#[derive(Clone)]
struct Worded {
    source: Arc<dyn MessageSource>,
    sent: Arc<Mutex<Vec<String>>>,
}

impl Worded {
    fn by(source: impl MessageSource + 'static) -> Self {
        Self { source: Arc::new(source), sent: Arc::default() }
    }

    async fn keep(
        &self,
        tenant: &TenantId,
        text: impl FnOnce(&Messages) -> String,
    ) -> Result<SendStatus, SendError> {
        let messages = messages_of(&*self.source, tenant).await?;
        self.sent.lock().unwrap().push(text(&messages));
        Ok(SendStatus::Sent)
    }
}

#[async_trait]
impl CodeSender for Worded {
    async fn send_code(&self, message: &CodeMessage) -> Result<SendStatus, SendError> {
        self.keep(&message.tenant, |messages| messages.code_email(message).expose_text().to_owned())
            .await
    }

    async fn notify(&self, notice: &Notice) -> Result<SendStatus, SendError> {
        self.keep(&notice.tenant, |messages| messages.notice_email(notice).expose_text().to_owned())
            .await
    }
}

struct NoTable;

#[async_trait]
impl MessageSource for NoTable {
    async fn messages(&self, _: &TenantId) -> Result<Option<Messages>, PluginError> {
        Err(PluginError::new("no connection to the table of tenants"))
    }
}

/// I-04, I-24: no message rather than one that names somebody else, and the event says why. Both a
/// code and a notice.
#[tokio::test]
async fn a_tenant_without_messages_gets_none_and_the_operator_sees_why() {
    let only_others = TenantMessages::new().tenant(tenant("bolt"), messages());
    let unknown = (SendErrorKind::Permanent, "tenant has no messages");
    let broken = (
        SendErrorKind::Transient,
        "messages of the tenant could not be looked up: no connection to the table of tenants",
    );
    for (sender, expected) in [
        (Worded::by(only_others), Some(unknown)),
        (Worded::by(NoTable), Some(broken)),
        (Worded::by(two_tenants()), None),
    ] {
        let factors = MemoryFactors::new();
        let world = World::on(factors.clone()).unwrap();
        world.set_scope(Scope::EntireTenant).await.unwrap();
        world.clock.advance(Duration::from_secs(60));
        let root = world.sign_in("root").await.unwrap().grant;
        world.events.clear();
        // The same users and the same state, with the sender that is tried.
        let flow = LoginFlow::builder(world.users.clone(), factors, sender.clone())
            .clock(world.clock.clone())
            .password_verifier(PlainPasswords)
            .events(world.events.clone())
            .build()
            .unwrap();
        let context = RequestContext::new();
        let request = flow.request(&world.tenant, &context);
        let (name, password) = ("alice", &Person::PASSWORD.into());
        let login = Login { name, password, channel: Channel::Web, device: None };
        let LoginStep::CodeRequired(page) = request.begin(&login).await.unwrap() else { panic!() };
        let alice = UserId::new(name).unwrap();
        let _ = request.administration(&root).await.unwrap().reset(&alice).await.unwrap();
        let told = world.events.kinds().into_iter().filter_map(|kind| match kind {
            EventKind::DeliveryFailed { error, causes, .. } => {
                Some(("code", error, causes.to_string()))
            }
            EventKind::NoticeFailed { error, causes, .. } => {
                Some(("notice", error, causes.to_string()))
            }
            _ => None,
        });
        let told: Vec<_> = told.collect();
        let sent = sender.sent.lock().unwrap();
        if let Some((kind, cause)) = expected {
            assert!(sent.is_empty(), "{sent:?}");
            assert!(matches!(page.delivery, DeliveryStatus::Failed { error, .. } if error == kind));
            assert_eq!(told, ["code", "notice"].map(|what| (what, kind, cause.to_owned())));
        } else {
            assert!(
                sent.len() == 2 && sent.iter().all(|text| text.contains("Acme Books")),
                "{sent:?}"
            );
            assert!(told.is_empty(), "{told:?}");
        }
    }
}
