//! A rolling deployment over one store, and back: a node that reads format 1 alone beside one that
//! reads format 2 (`I-41`).

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use time::OffsetDateTime;

use crate::clock::ManualClock;
use crate::contact::{EmailAddress, PhoneNumber};
use crate::error::{Document, Error};
use crate::flow::{
    Account, LockOuts, LoginFlow, LoginFlowBuilder, Rehearsal, RequestFlow, ResendTo,
};
use crate::grant::{RevalidateError, SavedGrant};
use crate::ids::{DeviceId, LoginName, TenantId, UserId};
use crate::machine::Authenticated;
use crate::memory::{MemoryFactors, MemoryUsers};
use crate::policy::{Channel, Scope, SingleSignOn};
use crate::reason::OperationError;
use crate::secret::{BackupCode, Password, PendingToken, SetupToken};
use crate::sender::{CodeMessage, CodeSender, Notice, SendError, SendStatus};
use crate::store::{FactorStore, StoredRow};
use crate::tenant::{Methods, TenantSettings};
use crate::user::User;
use crate::{
    Challenge, Code, Login, LoginStep, Method, PreverifiedLogin, RequestContext, TrustDevice,
};

/// Keeps the codes.
#[derive(Clone, Default)]
struct Mailbox(Arc<Mutex<Vec<String>>>);

#[async_trait]
impl CodeSender for Mailbox {
    async fn send_code(&self, message: &CodeMessage) -> Result<SendStatus, SendError> {
        self.0.lock().unwrap().push(message.code.expose().to_owned());
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
    users: MemoryUsers,
    factors: MemoryFactors,
    mailbox: Mailbox,
    clock: ManualClock,
    tenant: TenantId,
    root: UserId,
    alice: UserId,
    /// Another administrator.
    carol: UserId,
}

/// Everything that is saved of the tenant: its settings, and the records of its users.
type Saved = (Option<StoredRow>, [Option<StoredRow>; 3]);

impl Deployment {
    async fn new() -> Self {
        let (users, factors, mailbox) =
            (MemoryUsers::new(), MemoryFactors::new(), Mailbox::default());
        let clock = ManualClock::new(OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap());
        let tenant = TenantId::new("acme").unwrap();
        let [root, alice, carol] = ["root", "alice", "carol"].map(|name| {
            let id = UserId::new(name).unwrap();
            let mut user = User::new(tenant.clone(), id.clone());
            user.system_administrator = name != "alice";
            user.email = Some(EmailAddress::new(&format!("{name}@example.com")).unwrap());
            user.security_stamp = Some("1".to_owned());
            users.insert(&LoginName::new(name).unwrap(), user);
            id
        });
        let node = |reads| {
            let node = LoginFlow::builder(users.clone(), factors.clone(), mailbox.clone());
            reading(reads, node.clock(clock.clone()))
        };
        let (old, new) = (node(1), node(2));
        let deployment =
            Self { old, new, users, factors, mailbox, clock, tenant, root, alice, carol };
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

    async fn saved(&self) -> Saved {
        let record = |user| self.factors.record(&self.tenant, user);
        let settings = self.factors.settings(&self.tenant).await.unwrap();
        (settings, [&self.root, &self.alice, &self.carol].map(record))
    }

    fn sent(&self) -> usize {
        self.mailbox.0.lock().unwrap().len()
    }

    /// An old node with a list of the users.
    fn old_with_directory(&self) -> LoginFlow {
        let Self { users, factors, mailbox, clock, .. } = self;
        let node = LoginFlow::builder(users.clone(), factors.clone(), mailbox.clone());
        reading(1, node.clock(clock.clone()).directory(users.clone()))
    }

    /// The old node, for requests of the tenant.
    fn old_request(&self) -> RequestFlow {
        self.old.request(&self.tenant, &RequestContext::new())
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
        Code::new(self.mailbox.0.lock().unwrap().last().unwrap().clone())
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

/// A node that reads formats up to this one.
fn reading(format: u32, node: LoginFlowBuilder) -> LoginFlow {
    let month = Duration::from_secs(30 * 24 * 60 * 60);
    let mut flow = node.trusted_devices(month, 5).build().unwrap();
    Arc::get_mut(&mut flow.inner).unwrap().rules.reads = format;
    flow
}

/// What broke, of any call.
trait Failure: std::fmt::Debug {
    fn failure(self) -> Error;
}

impl Failure for Error {
    fn failure(self) -> Error {
        self
    }
}

impl Failure for OperationError {
    fn failure(self) -> Error {
        match self {
            Self::Failed(error) => error,
            Self::Denied(denied) => panic!("denied: {denied}"),
        }
    }
}

impl Failure for RevalidateError {
    fn failure(self) -> Error {
        match self {
            Self::Failed(error) => error,
            Self::Stale(stale) => panic!("stale: {stale}"),
        }
    }
}

#[track_caller]
fn is_unsupported<T: std::fmt::Debug>(result: Result<T, impl Failure>, document: Document) {
    let error = result.unwrap_err().failure();
    assert!(
        matches!(
            error,
            Error::UnsupportedFormat { document: of, found: 2, readable: 1 } if of == document
        ),
        "{error:?}"
    );
}

/// What a person has from the time when every node could read everything of theirs.
struct Has {
    grant: SavedGrant,
    pending: PendingToken,
    setup: SetupToken,
}

impl Has {
    /// A session, a number that is being proved, and a login under way.
    async fn everything(deployment: &Deployment, user: &UserId) -> Self {
        let Deployment { old, .. } = deployment;
        let grant = deployment.login(old, old, user).await.grant.into_saved();
        deployment.clock.advance(Duration::from_secs(60));
        let account = deployment.old_request().account(&grant);
        let setup = account.use_sms(&number()).await.unwrap().token;
        let LoginStep::CodeRequired(pending) = deployment.begin(old, user).await.unwrap() else {
            panic!("a code is required")
        };
        Self { grant, pending: pending.token, setup }
    }
}

fn number() -> PhoneNumber {
    PhoneNumber::new("+819012345678").unwrap()
}

/// Everything that a user can ask of the old node fails because it can't read this document.
async fn the_old_node_refuses(
    deployment: &Deployment,
    user: &UserId,
    has: &Has,
    document: Document,
) {
    let (request, code) = (deployment.old_request(), deployment.last_code());
    let Has { grant, pending, setup } = has;
    let (password, backup) =
        (Password::new("any"), BackupCode::new("0000-0000-0000-0000-0000-0000"));
    let channel = Channel::Web;
    let login = Login { name: user.as_str(), password: &password, channel, device: None };
    is_unsupported(request.begin(&login).await, document);
    is_unsupported(deployment.begin(&deployment.old, user).await, document);
    is_unsupported(request.begin_after_single_sign_on(user).await, document);
    is_unsupported(request.challenge(pending).await, document);
    is_unsupported(request.submit_code(pending, &code, TrustDevice::No).await, document);
    is_unsupported(request.submit_code(pending, &code, TrustDevice::Named("pc")).await, document);
    is_unsupported(request.submit_backup_code(pending, &backup).await, document);
    for to in [ResendTo::Same, ResendTo::Email, ResendTo::Sms] {
        is_unsupported(request.resend(pending, to).await, document);
    }
    is_unsupported(request.cancel(pending).await, document);
    is_unsupported(request.revalidate(grant, channel).await, document);
    is_unsupported(request.check_password(grant, &password).await, document);

    let account: Account = request.account(grant);
    is_unsupported(account.status().await, document);
    is_unsupported(account.use_sms(&number()).await, document);
    is_unsupported(account.use_email().await, document);
    is_unsupported(account.confirm_method(setup, &code).await, document);
    is_unsupported(account.revoke_device(DeviceId::from_random([7; 16])).await, document);
    is_unsupported(account.revoke_devices().await, document);
    is_unsupported(account.new_backup_code().await, document);

    let (operator, tenant) = (deployment.old.operator("test").unwrap(), &deployment.tenant);
    is_unsupported(operator.unlock(tenant, user).await, document);
    is_unsupported(operator.status(tenant, user).await, document);
    is_unsupported(operator.explain(tenant, user, channel).await, document);
    is_unsupported(operator.explain(tenant, user, Channel::SingleSignOn).await, document);
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

/// I-41: where an old node can't read a tenant's settings, nobody in the tenant gets anything done
/// there, neither users nor administrators nor the operator nor jobs, and nothing is written.
#[tokio::test]
async fn an_old_node_does_nothing_under_settings_that_it_cannot_read() {
    let deployment = Deployment::new().await;
    let Deployment { old, new, tenant, root, alice, carol, .. } = &deployment;
    let has = Has::everything(&deployment, alice).await;
    let administrator = deployment.login(old, old, root).await.grant;
    let request = deployment.old_request();
    let administration = request.administration(&administrator).await.unwrap();
    let operator = old.operator("test").unwrap();
    let shown = operator.settings(tenant).await.unwrap();
    deployment.change(|settings| settings.methods = Methods::only(Method::Email)).await;
    let (before, sent) = (deployment.saved().await, deployment.sent());
    assert_eq!(deployment.formats(alice).await, (2, Some(1)));

    let of = Document::Settings;
    the_old_node_refuses(&deployment, alice, &has, of).await;
    // Users without a record and unknown names are not counted either.
    is_unsupported(deployment.begin(old, carol).await, of);
    let password = Password::new("any");
    let nobody = Login { name: "nobody", password: &password, channel: Channel::Web, device: None };
    is_unsupported(request.begin(&nobody).await, of);

    // Saving what was shown before would drop the settings that this node can't read.
    let next = TenantSettings { scope: Scope::SystemAdministratorsOnly, ..shown.settings };
    is_unsupported(request.administration(&administrator).await, of);
    is_unsupported(administration.scope().await, of);
    is_unsupported(administration.settings().await, of);
    for lock_outs in [LockOuts::Refuse, LockOuts::Accept] {
        let changed = administration.change_settings(shown.version, &next, lock_outs).await;
        is_unsupported(changed, of);
    }
    is_unsupported(administration.rehearse(&next, Rehearsal::default(), 10).await, of);
    is_unsupported(administration.reset(alice).await, of);
    is_unsupported(administration.unlock(alice).await, of);
    is_unsupported(administration.status(alice).await, of);
    is_unsupported(administration.people(None, 10).await, of);
    is_unsupported(administration.purge_progress().await, of);
    is_unsupported(administration.saved_users().await, of);
    is_unsupported(operator.scope(tenant).await, of);
    is_unsupported(operator.settings(tenant).await, of);
    is_unsupported(operator.change_settings(tenant, shown.version, &next).await, of);
    is_unsupported(operator.rehearse(tenant, &next, Rehearsal::default(), 10).await, of);
    is_unsupported(operator.purge_progress(tenant).await, of);
    for scope in [Scope::DoNotUse, Scope::SystemAdministratorsOnly, Scope::EntireTenant] {
        is_unsupported(operator.set_scope(tenant, scope).await, of);
    }
    is_unsupported(old.purge(tenant, 10).await, of);
    deployment.clock.advance(Duration::from_secs(1_000 * 24 * 60 * 60));
    is_unsupported(old.sweep(tenant, None, 10).await, of);
    assert_eq!((deployment.saved().await, deployment.sent()), (before, sent));
    assert_eq!(deployment.factors.records(tenant), 2);

    // The tenant switches off on the new node: the old one deletes nothing of what that ended.
    deployment.change(|settings| settings.scope = Scope::DoNotUse).await;
    let before = deployment.saved().await;
    is_unsupported(old.purge(tenant, 10).await, of);
    is_unsupported(operator.purge_progress(tenant).await, of);
    assert_eq!(deployment.saved().await, before);
    assert_eq!(new.purge(tenant, 10).await.unwrap().unwrap().deleted, 2);
    assert_eq!(deployment.factors.records(tenant), 0);
}

/// I-41: an old node changes no record that it can't read, and the administrators' pages there say
/// so; the tenant's other users, settings and jobs are not held up.
#[tokio::test]
async fn an_old_node_leaves_a_record_that_it_cannot_read() {
    let deployment = Deployment::new().await;
    let Deployment { old, new, tenant, root, alice, carol, .. } = &deployment;
    let has = Has::everything(&deployment, root).await;
    let _done = deployment.login(old, old, alice).await;
    deployment
        .change(|settings| settings.single_sign_on = SingleSignOn::SystemAdministrators)
        .await;
    let _pending = deployment.after_single_sign_on(root).await;
    deployment.change(|settings| settings.single_sign_on = SingleSignOn::Exempt).await;
    let administrator = deployment.login(old, old, carol).await.grant;
    assert_eq!(deployment.formats(root).await, (1, Some(2)));
    let (before, sent) = (deployment.saved().await, deployment.sent());

    let of = Document::Record;
    the_old_node_refuses(&deployment, root, &has, of).await;
    let listing = deployment.old_with_directory();
    let (request, operator) = (deployment.old_request(), old.operator("test").unwrap());
    is_unsupported(request.administration(&has.grant).await, of);
    is_unsupported(request.revalidate(&has.grant, Channel::SingleSignOn).await, of);
    let request = listing.request(tenant, &RequestContext::new());
    let administration = request.administration(&administrator).await.unwrap();
    is_unsupported(administration.unlock(root).await, of);
    is_unsupported(administration.status(root).await, of);

    // What is about everybody goes on, and says whom it could not look at.
    let people = administration.people(None, 10).await.unwrap().people;
    let readable = people.iter().map(|person| (&person.user, person.status.is_some()));
    assert!(readable.eq([(alice, true), (carol, true), (root, false)]));
    let shown = administration.settings().await.unwrap();
    let next = TenantSettings { scope: Scope::SystemAdministratorsOnly, ..shown.settings };
    let rehearsed = administration.rehearse(&next, Rehearsal::default(), 10).await.unwrap();
    assert_eq!((rehearsed.people, rehearsed.unreadable.first), (3, vec![root.clone()]));
    assert_eq!(administration.purge_progress().await.unwrap(), None);
    assert_eq!(administration.saved_users().await.unwrap(), 3);
    assert_eq!(old.purge(tenant, 10).await.unwrap(), None);
    let swept = old.sweep(tenant, None, 10).await.unwrap();
    assert_eq!((swept.looked_at, swept.removed, swept.unreadable), (3, 0, 1));
    assert_eq!((deployment.saved().await, deployment.sent()), (before.clone(), sent));

    // A change of the settings is made, and touches no record.
    for scope in [Scope::SystemAdministratorsOnly, Scope::EntireTenant] {
        operator.set_scope(tenant, scope).await.unwrap();
        is_unsupported(deployment.begin(old, root).await, of);
    }
    let shown = operator.settings(tenant).await.unwrap();
    let next = TenantSettings { scope: Scope::SystemAdministratorsOnly, ..shown.settings };
    operator.change_settings(tenant, shown.version, &next).await.unwrap();
    assert_eq!(deployment.formats(root).await, (1, Some(2)));
    assert_eq!(deployment.saved().await.1, before.1);

    // Long after, a sweep deletes what is worth nothing. It keeps a record that it can't read, even
    // where a newer node would delete it.
    deployment.clock.advance(Duration::from_secs(1_000 * 24 * 60 * 60));
    let swept = old.sweep(tenant, None, 10).await.unwrap();
    assert_eq!((swept.looked_at, swept.removed, swept.unreadable), (3, 2, 1));
    assert_eq!(deployment.saved().await.1, [before.1[0].clone(), None, None]);
    let swept = new.sweep(tenant, None, 10).await.unwrap();
    assert_eq!((swept.looked_at, swept.removed, swept.unreadable), (1, 1, 0));
}

/// I-27, I-41: switching off ends every record, whoever can read it, and needs to read none.
#[tokio::test]
async fn switching_off_on_an_old_node_deletes_what_it_cannot_read_too() {
    let deployment = Deployment::new().await;
    let Deployment { old, tenant, root, .. } = &deployment;
    deployment
        .change(|settings| settings.single_sign_on = SingleSignOn::SystemAdministrators)
        .await;
    let _pending = deployment.after_single_sign_on(root).await;
    deployment.change(|settings| settings.single_sign_on = SingleSignOn::Exempt).await;
    is_unsupported(deployment.begin(old, root).await, Document::Record);
    let operator = old.operator("test").unwrap();
    operator.set_scope(tenant, Scope::DoNotUse).await.unwrap();
    let purged = old.purge(tenant, 10).await.unwrap().unwrap();
    assert_eq!((purged.deleted, purged.remaining), (1, Some(0)));
    assert_eq!(deployment.formats(root).await, (1, None));
    operator.set_scope(tenant, Scope::EntireTenant).await.unwrap();
    let _done = deployment.login(old, old, root).await;
}

/// I-41: an operator who resets or forgets a user asks for what is saved to go: that needs to read
/// neither settings nor record, and leaves the settings alone.
#[tokio::test]
async fn an_old_node_resets_and_forgets_under_settings_that_it_cannot_read() {
    let deployment = Deployment::new().await;
    let Deployment { old, new, tenant, alice, carol, .. } = &deployment;
    for user in [alice, carol] {
        let _done = deployment.login(old, old, user).await;
    }
    deployment.change(|settings| settings.methods = Methods::only(Method::Email)).await;
    let before = deployment.saved().await;
    let operator = old.operator("test").unwrap();
    let _outcome = operator.reset(tenant, alice).await.unwrap();
    assert!(operator.forget(tenant, carol).await.unwrap());
    let (settings, [_, reset, forgotten]) = deployment.saved().await;
    assert_eq!(settings, before.0);
    assert!(reset.is_some() && reset != before.1[1]);
    assert_eq!(forgotten, None);
    is_unsupported(deployment.begin(old, alice).await, Document::Settings);
    for user in [alice, carol] {
        let _done = deployment.login(new, new, user).await;
    }
}
