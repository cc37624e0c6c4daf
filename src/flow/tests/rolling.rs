//! A rolling deployment over one store, and back: a node that reads format 1 alone beside one that
//! reads format 2 (`I-41`).

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use time::OffsetDateTime;

use crate::clock::ManualClock;
use crate::contact::EmailAddress;
use crate::error::{Document, Error};
use crate::flow::LoginFlow;
use crate::ids::{LoginName, TenantId, UserId};
use crate::machine::Authenticated;
use crate::memory::{MemoryFactors, MemoryUsers};
use crate::policy::{Channel, Scope, SingleSignOn};
use crate::sender::{CodeMessage, CodeSender, Notice, SendError, SendStatus};
use crate::store::FactorStore;
use crate::tenant::{Methods, TenantSettings};
use crate::user::User;
use crate::{Challenge, Code, LoginStep, Method, PreverifiedLogin, RequestContext, TrustDevice};

/// Keeps the last code.
#[derive(Clone, Default)]
struct Mailbox(Arc<Mutex<String>>);

#[async_trait]
impl CodeSender for Mailbox {
    async fn send_code(&self, message: &CodeMessage) -> Result<SendStatus, SendError> {
        message.code.expose().clone_into(&mut self.0.lock().unwrap());
        Ok(SendStatus::Sent)
    }

    async fn notify(&self, _: &Notice) -> Result<SendStatus, SendError> {
        Ok(SendStatus::Sent)
    }
}

/// One deployment: a store that two nodes share.
struct Deployment {
    /// Of the version before: it reads format 1.
    old: LoginFlow,
    new: LoginFlow,
    factors: MemoryFactors,
    mailbox: Mailbox,
    clock: ManualClock,
    tenant: TenantId,
    root: UserId,
    alice: UserId,
}

impl Deployment {
    async fn new() -> Self {
        let (users, factors, mailbox) =
            (MemoryUsers::new(), MemoryFactors::new(), Mailbox::default());
        let clock = ManualClock::new(OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap());
        let tenant = TenantId::new("acme").unwrap();
        let [root, alice] = ["root", "alice"].map(|name| {
            let id = UserId::new(name).unwrap();
            let mut user = User::new(tenant.clone(), id.clone());
            user.system_administrator = name == "root";
            user.email = Some(EmailAddress::new(&format!("{name}@example.com")).unwrap());
            user.security_stamp = Some("1".to_owned());
            users.insert(&LoginName::new(name).unwrap(), user);
            id
        });
        let node = |reads| {
            let mut flow = LoginFlow::builder(users.clone(), factors.clone(), mailbox.clone())
                .clock(clock.clone())
                .build()
                .unwrap();
            Arc::get_mut(&mut flow.inner).unwrap().rules.reads = reads;
            flow
        };
        let (old, new) = (node(1), node(2));
        let deployment = Self { old, new, factors, mailbox, clock, tenant, root, alice };
        deployment.change(|settings| settings.scope = Scope::EntireTenant).await;
        deployment
    }

    /// As an operator does it on the new node.
    async fn change(&self, change: impl FnOnce(&mut TenantSettings)) {
        let operator = self.new.operator("test").unwrap();
        let shown = operator.settings(&self.tenant).await.unwrap();
        let mut next = shown.settings;
        change(&mut next);
        operator.change_settings(&self.tenant, shown.version, &next).await.unwrap();
    }

    /// The format that the settings and a user's record are saved in.
    async fn formats(&self, user: &UserId) -> (u64, Option<u64>) {
        let format = |document: &str| {
            serde_json::from_str::<serde_json::Value>(document).unwrap()["format"].as_u64().unwrap()
        };
        let settings = self.factors.settings(&self.tenant).await.unwrap().unwrap();
        let record = self.factors.record(&self.tenant, user);
        (format(&settings.document), record.map(|row| format(&row.document)))
    }

    async fn begin(&self, node: &LoginFlow, user: &UserId) -> Result<LoginStep, Error> {
        self.clock.advance(Duration::from_secs(60));
        let login = PreverifiedLogin { user, channel: Channel::Web, device: None };
        let request = node.request(&self.tenant, &RequestContext::new());
        request.begin_with_preverified_password(&login).await
    }

    async fn after_single_sign_on(&self, user: &UserId) -> Box<Challenge> {
        self.clock.advance(Duration::from_secs(60));
        let request = self.new.request(&self.tenant, &RequestContext::new());
        match request.begin_after_single_sign_on(user).await.unwrap() {
            LoginStep::CodeRequired(challenge) => challenge,
            step => panic!("{step:?}"),
        }
    }

    fn last_code(&self) -> Code {
        Code::new(self.mailbox.0.lock().unwrap().clone())
    }

    async fn submit(
        &self,
        node: &LoginFlow,
        pending: &Challenge,
        code: Code,
    ) -> Result<LoginStep, Error> {
        let request = node.request(&self.tenant, &RequestContext::new());
        request.submit_code(&pending.token, &code, TrustDevice::No).await
    }

    /// A login that one node begins and the other one completes.
    async fn login(&self, first: &LoginFlow, second: &LoginFlow, user: &UserId) -> Authenticated {
        let LoginStep::CodeRequired(pending) = self.begin(first, user).await.unwrap() else {
            panic!("a code is required")
        };
        match self.submit(second, &pending, self.last_code()).await.unwrap() {
            LoginStep::Authenticated(done) => done,
            step => panic!("{step:?}"),
        }
    }
}

fn is_unsupported<T: std::fmt::Debug>(result: Result<T, Error>, document: Document) {
    let error = result.unwrap_err();
    assert!(
        matches!(
            error,
            Error::UnsupportedFormat { document: of, found: 2, readable: 1 } if of == document
        ),
        "{error:?}"
    );
}

/// I-41: while no tenant uses what is new, both nodes read everything; then the old one refuses
/// exactly what uses it, writes nothing there, and goes on with all else; and back.
#[tokio::test]
async fn nodes_of_two_formats_share_a_store_through_an_upgrade_and_back() {
    let deployment = Deployment::new().await;
    let Deployment { old, new, root, alice, .. } = &deployment;

    // Both nodes run, and nothing new is used: everything is in format 1, and each goes on with
    // what the other has begun.
    for (first, second) in [(old, new), (new, old), (old, old), (new, new)] {
        let _done = deployment.login(first, second, alice).await;
        assert_eq!(deployment.formats(alice).await, (1, Some(1)));
    }

    // The tenant uses something new. The old node refuses every user of the tenant, and has
    // written nothing.
    deployment.change(|settings| settings.methods = Methods::only(Method::Email)).await;
    assert_eq!(deployment.formats(alice).await.0, 2);
    let before = deployment.factors.record(&deployment.tenant, alice);
    is_unsupported(deployment.begin(old, alice).await, Document::Settings);
    is_unsupported(
        old.operator("test").unwrap().settings(&deployment.tenant).await,
        Document::Settings,
    );
    assert_eq!(deployment.factors.record(&deployment.tenant, alice), before);
    let _done = deployment.login(new, new, alice).await;

    // It takes that back. What ended with it stays noted for the longest trust; after that the old
    // node goes on.
    deployment.change(|settings| settings.methods = Methods::default()).await;
    assert_eq!(deployment.formats(alice).await.0, 2);
    deployment.clock.advance(Duration::from_secs(90 * 24 * 60 * 60));
    deployment.change(|settings| settings.scope = Scope::SystemAdministratorsOnly).await;
    deployment.change(|settings| settings.scope = Scope::EntireTenant).await;
    assert_eq!(deployment.formats(alice).await.0, 1);
    let _done = deployment.login(old, new, alice).await;

    // A login after single sign-on, which an old node would take for one with a password: it
    // refuses that user's record alone.
    deployment
        .change(|settings| settings.single_sign_on = SingleSignOn::SystemAdministrators)
        .await;
    let pending = deployment.after_single_sign_on(root).await;
    let (for_old, for_new) = (deployment.last_code(), deployment.last_code());
    assert_eq!(deployment.formats(root).await, (2, Some(2)));
    deployment.change(|settings| settings.single_sign_on = SingleSignOn::Exempt).await;
    assert_eq!(deployment.formats(root).await, (1, Some(2)));
    let before = deployment.factors.record(&deployment.tenant, root);
    is_unsupported(deployment.submit(old, &pending, for_old).await, Document::Record);
    is_unsupported(deployment.begin(old, root).await, Document::Record);
    assert_eq!(deployment.factors.record(&deployment.tenant, root), before);
    let _done = deployment.login(old, old, alice).await;

    // The login is completed on the new node, and the record is in format 1 again.
    let LoginStep::Authenticated(done) = deployment.submit(new, &pending, for_new).await.unwrap()
    else {
        panic!("the code was right")
    };
    assert_eq!(done.grant.amr(), ["otp", "mfa"]);
    assert_eq!(deployment.formats(root).await, (1, Some(1)));

    // Back: the old node alone.
    let _done = deployment.login(old, old, root).await;
}

/// I-41: a record that an old node can't read is mended by a reset there, and by nothing else.
#[tokio::test]
async fn a_reset_on_an_old_node_mends_what_it_cannot_read() {
    let deployment = Deployment::new().await;
    let Deployment { old, root, tenant, .. } = &deployment;
    deployment
        .change(|settings| settings.single_sign_on = SingleSignOn::SystemAdministrators)
        .await;
    let _pending = deployment.after_single_sign_on(root).await;
    deployment.change(|settings| settings.single_sign_on = SingleSignOn::Exempt).await;
    is_unsupported(deployment.begin(old, root).await, Document::Record);
    let _outcome = old.operator("test").unwrap().reset(tenant, root).await.unwrap();
    let _done = deployment.login(old, old, root).await;
}
