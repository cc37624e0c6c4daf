//! Every entry point of the library that takes a tenant or a user, with everything that a caller of
//! it may have.

use base64ct::{Base64UrlUnpadded, Encoding};
use countersign::grant::Staleness;
use countersign::ids::DeviceId;
use countersign::{BackupCode, OperationError, PreverifiedLogin, RevalidateError, SetupToken};

use super::*;

/// What alice and root have in their hands.
pub struct Hands {
    device: String,
    device_id: DeviceId,
    backup: String,
    token: String,
    code: String,
    setup_token: String,
    setup_code: String,
    grant: SavedGrant,
    root: SavedGrant,
}

/// What came of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Came {
    /// Somebody is in, or something was done or shown.
    Done,
    /// A code is asked for.
    Asked,
    /// The user store is at fault.
    UserStore,
    UnknownTenant,
    OtherFault,
    Stale(Staleness),
    Refused(Reason),
    /// There was nothing to be done, and nothing was.
    Nothing,
}

fn fault(error: &Error) -> Came {
    match error {
        Error::UserStore { .. } => Came::UserStore,
        Error::UnknownTenant => Came::UnknownTenant,
        _ => Came::OtherFault,
    }
}

fn step(answer: Result<LoginStep, Error>) -> Came {
    match answer {
        Ok(LoginStep::Authenticated(_)) => Came::Done,
        Ok(LoginStep::CodeRequired(_)) => Came::Asked,
        Ok(LoginStep::Denied(denied)) => Came::Refused(denied.reason()),
        Err(error) => fault(&error),
    }
}

fn page<T>(answer: Result<T, OperationError>) -> Came {
    match answer {
        Ok(_) => Came::Done,
        Err(OperationError::Denied(denied)) => Came::Refused(denied.reason()),
        Err(OperationError::Failed(error)) => fault(&error),
    }
}

/// Of a call that answers whether there was something.
fn found(answer: Result<bool, Error>) -> Came {
    match answer {
        Ok(true) => Came::Done,
        Ok(false) => Came::Nothing,
        Err(error) => fault(&error),
    }
}

fn session<T>(answer: Result<T, RevalidateError>) -> Came {
    match answer {
        Ok(_) => Came::Done,
        Err(RevalidateError::Stale(why)) => Came::Stale(why),
        Err(RevalidateError::Failed(error)) => fault(&error),
        Err(_) => Came::OtherFault,
    }
}

pub type Answers = Vec<(&'static str, Came)>;

impl Hands {
    /// Trusted devices must be on.
    pub async fn full(world: &World) -> Self {
        let backup = world.make_backup_code("alice").await;
        let trusted = world.sign_in_and_trust("alice", "phone").await;
        let (device, grant) =
            (trusted.device_token.unwrap().expose().to_owned(), trusted.grant.into_saved());
        let root = world.root_grant().await;
        world.wait_for_the_spacing();
        let challenge = world.begin("alice").await;
        let code = world.last_code();
        world.wait_for_the_spacing();
        let account = world.flow.request(&world.acme, &context()).account(&grant);
        let device_id = account.status().await.unwrap().devices[0].id;
        let setup = account.use_sms(&PhoneNumber::new("+819012345634").unwrap()).await.unwrap();
        let setup_code = world.last_code();
        world.wait_for_the_spacing();
        Self {
            token: challenge.token.expose().to_owned(),
            setup_token: setup.token.expose().to_owned(),
            device,
            device_id,
            backup,
            code,
            setup_code,
            grant,
            root,
        }
    }

    /// The same with sessions of the users of the same ids in another tenant.
    pub fn in_tenant(&self, tenant: &TenantId) -> Self {
        self.forged("tenant", tenant.as_str(), None)
    }

    /// The same with alice's session and token by another id, and root's session by another.
    pub fn of_users(&self, alice: &UserId, root: &UserId) -> Self {
        let named = |token: &str, prefix: &str| {
            let mut bytes =
                Base64UrlUnpadded::decode_vec(token.strip_prefix(prefix).unwrap()).unwrap();
            bytes.truncate(32);
            bytes.extend_from_slice(alice.as_str().as_bytes());
            format!("{prefix}{}", Base64UrlUnpadded::encode_string(&bytes))
        };
        Self {
            token: named(&self.token, "csp1."),
            ..self.forged("user", alice.as_str(), Some(root.as_str()))
        }
    }

    fn forged(&self, field: &str, value: &str, for_root: Option<&str>) -> Self {
        let forge = |grant: &SavedGrant, value: &str| -> SavedGrant {
            let mut json = serde_json::to_value(grant).unwrap();
            json[field] = value.into();
            serde_json::from_value(json).unwrap()
        };
        Self {
            grant: forge(&self.grant, value),
            root: forge(&self.root, for_root.unwrap_or(value)),
            device: self.device.clone(),
            backup: self.backup.clone(),
            token: self.token.clone(),
            code: self.code.clone(),
            setup_token: self.setup_token.clone(),
            setup_code: self.setup_code.clone(),
            device_id: self.device_id,
        }
    }

    /// First steps that name a person.
    pub async fn by_name(&self, world: &World, tenant: &TenantId, name: &str) -> Answers {
        let mut answers = Answers::new();
        let device = DeviceToken::new(self.device.clone());
        for (what, channel, device, password) in [
            ("begin", Channel::Web, None, PASSWORD),
            ("begin with a wrong password", Channel::Web, None, "wrong"),
            ("begin from a device", Channel::Web, Some(&device), PASSWORD),
            ("begin at a mobile application", Channel::Mobile, None, PASSWORD),
            ("begin by single sign-on", Channel::SingleSignOn, None, PASSWORD),
            ("begin by API", Channel::ExemptApi, None, PASSWORD),
            ("begin by a partner's system", Channel::ExemptIntegration, None, PASSWORD),
        ] {
            answers
                .push((what, step(world.begin_as(tenant, name, password, channel, device).await)));
        }
        answers
    }

    /// First steps that name an id, and the steps that take alice's token.
    pub async fn by_id(&self, world: &World, tenant: &TenantId, user: &UserId) -> Answers {
        let mut answers = Answers::new();
        let flow = &world.flow;
        for (what, channel) in [
            ("vouched", Channel::Web),
            ("vouched by single sign-on", Channel::SingleSignOn),
            ("vouched by API", Channel::ExemptApi),
        ] {
            let login = PreverifiedLogin { user, channel, device: None };
            answers.push((
                what,
                step(
                    flow.request(tenant, &context()).begin_with_preverified_password(&login).await,
                ),
            ));
        }
        let token = PendingToken::new(self.token.clone());
        let (code, backup) = (Code::new(self.code.as_str()), BackupCode::new(self.backup.as_str()));
        for (what, to) in [("resend", ResendTo::Same), ("resend to email", ResendTo::Email)] {
            answers.push((what, step(flow.request(tenant, &context()).resend(&token, to).await)));
        }
        let wrong = Code::new(other_code(&self.code));
        answers.push((
            "a wrong code",
            step(
                flow.request(tenant, &context()).submit_code(&token, &wrong, TrustDevice::No).await,
            ),
        ));
        answers.push((
            "the code",
            step(
                flow.request(tenant, &context())
                    .submit_code(&token, &code, TrustDevice::Named("x"))
                    .await,
            ),
        ));
        answers.push((
            "the backup code",
            step(flow.request(tenant, &context()).submit_backup_code(&token, &backup).await),
        ));
        answers.push(("challenge", step(flow.request(tenant, &context()).challenge(&token).await)));
        answers.push((
            "cancel",
            flow.request(tenant, &context())
                .cancel(&token)
                .await
                .map_or_else(|e| fault(&e), |()| Came::Done),
        ));
        answers
    }

    /// Completes alice's login under way.
    pub async fn submit_the_code(&self, world: &World) -> Came {
        let token = PendingToken::new(self.token.clone());
        step(
            world
                .flow
                .request(&world.acme, &context())
                .submit_code(&token, &self.code.as_str().into(), TrustDevice::No)
                .await,
        )
    }

    /// What alice's session is good for.
    pub async fn by_session(&self, world: &World, tenant: &TenantId) -> Answers {
        let (flow, grant) = (&world.flow, &self.grant);
        let account = flow.request(tenant, &context()).account(grant);
        let (setup, code) =
            (SetupToken::new(self.setup_token.clone()), Code::new(self.setup_code.as_str()));
        let number = PhoneNumber::new("+819012345678").unwrap();
        vec![
            (
                "revalidate",
                session(flow.request(tenant, &context()).revalidate(grant, Channel::Web).await),
            ),
            (
                "revalidate by API",
                session(
                    flow.request(tenant, &context()).revalidate(grant, Channel::ExemptApi).await,
                ),
            ),
            (
                "check_password",
                page(
                    flow.request(tenant, &context()).check_password(grant, &PASSWORD.into()).await,
                ),
            ),
            (
                "check a wrong password",
                page(flow.request(tenant, &context()).check_password(grant, &"wrong".into()).await),
            ),
            ("overview", page(account.status().await)),
            ("use_sms", page(account.use_sms(&number).await)),
            ("use_email", page(account.use_email().await)),
            ("confirm_method", page(account.confirm_method(&setup, &code).await)),
            ("revoke_device", page(account.revoke_device(self.device_id).await)),
            ("revoke_devices", page(account.revoke_devices().await)),
            ("new_backup_code", page(account.new_backup_code().await)),
        ]
    }

    /// Whether root's session opens the administrator's page.
    pub async fn administration(&self, world: &World, tenant: &TenantId) -> Came {
        page(world.flow.request(tenant, &context()).administration(&self.root).await)
    }

    /// What root can do to a user of their tenant.
    pub async fn over_a_user(&self, world: &World, user: &UserId) -> Answers {
        let page_of_root =
            world.flow.request(&world.acme, &context()).administration(&self.root).await.unwrap();
        vec![
            ("administrator's status", page(page_of_root.status(user).await)),
            ("administrator's unlock", page(page_of_root.unlock(user).await)),
            ("administrator's reset", page(page_of_root.reset(user).await)),
        ]
    }

    /// What the host's own handle can do to a user.
    pub async fn operator_over(&self, world: &World, tenant: &TenantId, user: &UserId) -> Answers {
        let operator = world.flow.operator("T-64").unwrap();
        vec![
            (
                "operator's status",
                found(operator.status(tenant, user).await.map(|status| status.is_some())),
            ),
            ("operator's unlock", page(operator.unlock(tenant, user).await)),
            ("operator's reset", page(operator.reset(tenant, user).await)),
            ("operator's reset_and_refill", page(operator.reset_and_refill(tenant, user).await)),
        ]
    }

    /// What is about a whole tenant.
    pub async fn over_a_tenant(&self, world: &World, tenant: &TenantId) -> Answers {
        let (flow, operator) = (&world.flow, world.flow.operator("T-64").unwrap());
        let used = |scope: Scope| scope != Scope::DoNotUse;
        vec![
            ("operator's scope", found(operator.scope(tenant).await.map(used))),
            (
                "purge_progress",
                found(operator.purge_progress(tenant).await.map(|progress| progress.is_some())),
            ),
            ("purge", found(flow.purge(tenant, 100).await.map(|progress| progress.is_some()))),
            (
                "sweep",
                found(flow.sweep(tenant, None, 100).await.map(|progress| progress.looked_at > 0)),
            ),
        ]
    }
}

/// Everything that is saved for a tenant, and what was sent: what must not change.
pub async fn state(
    world: &World,
    tenant: &TenantId,
) -> (Option<StoredRow>, usize, Vec<Option<StoredRow>>, usize, usize) {
    let settings = world.factors.settings(tenant).await.unwrap();
    let rows =
        [&world.root, &world.alice, &world.bob].map(|user| world.factors.record(tenant, user));
    let sent = (world.outbox.attempts(), world.told().len());
    (settings, world.factors.records(tenant), rows.to_vec(), sent.0, sent.1)
}

#[track_caller]
pub fn all_came(answers: &[(&'static str, Came)], expected: &[Came], about: &str) {
    for (what, came) in answers {
        assert!(expected.contains(came), "{about}: {what}: {came:?}, not {expected:?}");
    }
}
