//! Alice with every kind of secret, and every operation of the library on a stage where each comes
//! to what it is for.

use super::*;

/// What was printed on one stage after another, and the secrets of all of them.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) leaks: Leaks,
    secrets: BTreeSet<String>,
}

impl Seen {
    /// One stage is like another: most of their secrets are the same.
    pub(super) fn secret(&mut self, secret: &str) {
        if self.secrets.insert(secret.to_owned()) {
            self.leaks.secret(secret);
        }
    }
}

/// Alice with every kind of secret, each of them noted.
pub(super) struct Stage {
    pub(super) world: World,
    pub(super) seen: Seen,
    token: String,
    code: String,
    backup: String,
    device: String,
    pub(super) grant: SavedGrant,
    root: SavedGrant,
    setup_token: String,
    setup_code: String,
}

pub(super) async fn stage() -> Stage {
    stage_after(Seen::default()).await
}

/// Another stage, on which nothing has happened yet.
pub(super) async fn stage_after(mut seen: Seen) -> Stage {
    let world = World::with(configured).await;
    let mut shown = Leaks::default();
    world.change(&world.alice, |user| {
        user.password_hash = Some(PasswordHash::new(CANARY));
        user.security_stamp = Some(STAMP.into());
        user.email = Some(EmailAddress::new(ADDRESS).unwrap());
    });
    for secret in
        [CANARY, STAMP, ADDRESS, NUMBER, OTHER_NUMBER, TYPED, "canary-pepper-canary-pepper-0001"]
    {
        seen.secret(secret);
    }
    let first = challenge(begin(&world.flow, &world, CANARY, None).await.unwrap());
    let trust = TrustDevice::Named("laptop");
    let code = world.last_code().into();
    let done = authenticated(
        world
            .flow
            .request(&world.acme, &context())
            .submit_code(&first.token, &code, trust)
            .await
            .unwrap(),
    );
    shown.value(&first);
    shown.debug(&done);
    seen.secret(first.token.expose());
    world.wait_for_the_spacing();
    let account = world.flow.request(&world.acme, &context()).account(&done.grant);
    let sms = account.use_sms(&PhoneNumber::new(NUMBER).unwrap()).await.unwrap();
    let _sms = account.confirm_method(&sms.token, &world.last_code().into()).await.unwrap();
    seen.secret(sms.token.expose());
    let backup = account.new_backup_code().await.unwrap();
    shown.debug(&backup);
    // Until another notice of a backup code goes.
    world.clock.advance(60 * MINUTE);
    let second = challenge(begin(&world.flow, &world, CANARY, None).await.unwrap());
    let code = world.last_code().into();
    let done = authenticated(
        world
            .flow
            .request(&world.acme, &context())
            .submit_code(&second.token, &code, trust)
            .await
            .unwrap(),
    );
    let device = done.device_token.as_ref().unwrap().expose().to_owned();
    shown.debug(&done);
    let account = world.flow.request(&world.acme, &context()).account(&done.grant);
    world.wait_for_the_spacing();
    let setup = account.use_sms(&PhoneNumber::new(OTHER_NUMBER).unwrap()).await.unwrap();
    let setup_code = world.last_code();
    shown.value(&setup);
    world.wait_for_the_spacing();
    let pending = challenge(begin(&world.flow, &world, CANARY, None).await.unwrap());
    let code = world.last_code();
    shown.value(&pending);
    for secret in [
        second.token.expose(),
        &device,
        backup.expose(),
        setup.token.expose(),
        pending.token.expose(),
    ] {
        seen.secret(secret);
    }
    let root = world.root_grant().await;
    world.wait_for_the_spacing();
    for sent in world.outbox.codes() {
        seen.secret(&sent.code);
    }
    // What the way here printed is the same each time, and looked at once.
    if seen.leaks.extent() == 0 {
        shown.debug(&(world.events.all(), world.told()));
        for secret in &seen.secrets {
            shown.secret(secret);
        }
        seen.leaks = shown;
    }
    world.events.clear();
    world.outbox.clear();
    Stage {
        token: pending.token.expose().to_owned(),
        backup: backup.expose().to_owned(),
        setup_token: setup.token.expose().to_owned(),
        grant: done.grant.into_saved(),
        world,
        seen,
        code,
        device,
        root,
        setup_code,
    }
}

pub(super) async fn begin(
    flow: &LoginFlow,
    world: &World,
    password: &str,
    device: Option<&str>,
) -> Result<LoginStep, Error> {
    let (password, device) = (Password::new(password), device.map(countersign::DeviceToken::new));
    let login = Login {
        name: "alice",
        password: &password,
        channel: Channel::Web,
        device: device.as_ref(),
    };
    flow.request(&world.acme, &context()).begin(&login).await
}

/// What an operation came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Came {
    /// A grant, and what was handed out with it.
    In(&'static str),
    Asked,
    Done,
    /// By the code of the reason.
    Refused(&'static str),
    Fault,
}

/// Every operation, and what it comes to on a fresh stage.
pub(super) const OPERATIONS: [(&str, Came); 47] = [
    ("begin", Came::Asked),
    ("begin with a wrong password", Came::Refused("invalid_credentials")),
    ("begin with an unknown name", Came::Refused("invalid_credentials")),
    ("begin with an outdated hash", Came::Asked),
    ("begin from a trusted device", Came::In("")),
    ("begin with another device's token", Came::Asked),
    ("begin where no code is needed", Came::In("")),
    ("begin with a vouched password", Came::Asked),
    ("submit the code", Came::In("")),
    ("submit the code and trust", Came::In("a device token")),
    ("submit a wrong code", Came::Refused("wrong_code")),
    ("submit what is no code", Came::Refused("invalid_code")),
    ("submit the code once more", Came::Refused("login_over")),
    ("submit the backup code", Came::In("a backup code")),
    ("submit a wrong backup code", Came::Refused("wrong_backup_code")),
    ("submit what is no backup code", Came::Refused("invalid_backup_code")),
    ("resend", Came::Asked),
    ("resend to email", Came::Asked),
    ("read the challenge again", Came::Asked),
    ("cancel", Came::Done),
    ("revalidate", Came::Done),
    ("overview", Came::Done),
    ("prove a number", Came::Done),
    ("confirm with a wrong code", Came::Refused("wrong_code")),
    ("confirm", Came::Done),
    ("go back to email", Came::Done),
    ("make a backup code", Came::Done),
    ("revoke a device", Came::Done),
    ("revoke an unknown device", Came::Refused("not_found")),
    ("revoke all devices", Came::Done),
    ("administrator looks", Came::Done),
    ("administrator unlocks", Came::Done),
    ("administrator resets", Came::Done),
    ("administrator changes the scope", Came::Done),
    ("administration by who is none", Came::Refused("not_found")),
    ("operator looks", Came::Done),
    ("operator unlocks", Came::Done),
    ("operator resets", Came::Done),
    ("operator forgets", Came::Done),
    ("operator switches off", Came::Done),
    ("operator gives a long reason", Came::Refused("invalid_operator_reason")),
    ("purge", Came::Done),
    ("sweep", Came::Done),
    ("check the password", Came::Done),
    ("check a wrong password", Came::Refused("wrong_password")),
    ("hash a password", Came::Done),
    ("hash what is no password", Came::Refused("invalid_password")),
];

impl Stage {
    fn note<T: std::fmt::Debug, E: std::error::Error + 'static>(&mut self, answer: &Result<T, E>) {
        self.seen.leaks.debug(answer);
        if let Err(error) = answer {
            self.seen.leaks.error(error);
        }
    }

    /// What a step of a login came to. What it hands out is a secret from here on.
    pub(super) fn note_step(&mut self, answer: &Result<LoginStep, Error>) -> Came {
        self.note(answer);
        match answer {
            Ok(LoginStep::CodeRequired(challenge)) => {
                self.seen.secret(challenge.token.expose());
                self.seen.leaks.value(challenge);
                Came::Asked
            }
            Ok(LoginStep::Authenticated(done)) => {
                self.seen.leaks.value(&*done.grant);
                let mut with = "";
                if let Some(device) = &done.device_token {
                    self.seen.secret(device.expose());
                    with = "a device token";
                }
                if let Some(backup) = &done.backup_code {
                    self.seen.secret(backup.expose());
                    with = "a backup code";
                }
                Came::In(with)
            }
            Ok(LoginStep::Denied(denied)) => {
                self.seen
                    .leaks
                    .printed(format!("{denied} {}", serde_json::to_string(denied).unwrap()));
                Came::Refused(denied.reason().code())
            }
            Err(_) => Came::Fault,
        }
    }

    fn note_refusal<T: std::fmt::Debug>(&mut self, answer: &Result<T, OperationError>) -> Came {
        self.note(answer);
        match answer {
            Ok(_) => Came::Done,
            Err(OperationError::Denied(denied)) => Came::Refused(denied.reason().code()),
            Err(OperationError::Failed(_)) => Came::Fault,
        }
    }

    fn note_fault<T: std::fmt::Debug, E: std::error::Error + 'static>(
        &mut self,
        answer: &Result<T, E>,
    ) -> Came {
        self.note(answer);
        if answer.is_ok() { Came::Done } else { Came::Fault }
    }

    /// One of [`OPERATIONS`], over this flow.
    pub(super) async fn operate(&mut self, operation: &str, flow: &LoginFlow) -> Came {
        let (acme, alice) = (self.world.acme.clone(), self.world.alice.clone());
        let (token, code) = (PendingToken::new(&*self.token), Code::new(&*self.code));
        let request = &flow.request(&acme, &context());
        let of = |name, password| Login { name, password, channel: Channel::Web, device: None };
        match operation {
            "begin" => self.note_step(&begin(flow, &self.world, CANARY, None).await),
            "begin with a wrong password" => {
                self.note_step(&begin(flow, &self.world, TYPED, None).await)
            }
            "begin with an unknown name" => {
                self.note_step(&request.begin(&of(TYPED, &CANARY.into())).await)
            }
            "begin with an outdated hash" => {
                let outdated = Some(PlainPasswords::outdated(CANARY));
                self.world.change(&alice, |user| user.password_hash = outdated);
                self.note_step(&begin(flow, &self.world, CANARY, None).await)
            }
            "begin from a trusted device" => {
                self.note_step(&begin(flow, &self.world, CANARY, Some(&self.device)).await)
            }
            "begin with another device's token" => self
                .note_step(&begin(flow, &self.world, CANARY, Some(&format!("csd1.{TYPED}"))).await),
            "begin where no code is needed" => {
                let password = CANARY.into();
                let login = Login { channel: Channel::SingleSignOn, ..of("alice", &password) };
                self.note_step(&request.begin(&login).await)
            }
            "begin with a vouched password" => {
                let login =
                    PreverifiedLogin { user: &alice, channel: Channel::Mobile, device: None };
                self.note_step(&request.begin_with_preverified_password(&login).await)
            }
            "submit the code" => {
                self.note_step(&request.submit_code(&token, &code, TrustDevice::No).await)
            }
            "submit the code and trust" => self
                .note_step(&request.submit_code(&token, &code, TrustDevice::Named("phone")).await),
            "submit a wrong code" => self.note_step(
                &request.submit_code(&token, &"9".repeat(10).into(), TrustDevice::No).await,
            ),
            "submit what is no code" => {
                self.note_step(&request.submit_code(&token, &TYPED.into(), TrustDevice::No).await)
            }
            "submit the code once more" => {
                let _first =
                    self.world.request().submit_code(&token, &code, TrustDevice::No).await.unwrap();
                self.note_step(&request.submit_code(&token, &code, TrustDevice::No).await)
            }
            "submit the backup code" => self.note_step(
                &request.submit_backup_code(&token, &BackupCode::new(&*self.backup)).await,
            ),
            "submit a wrong backup code" => {
                let wrong = BackupCode::new("0000-0000-0000-0000-0000-0000");
                self.note_step(&request.submit_backup_code(&token, &wrong).await)
            }
            "submit what is no backup code" => {
                self.note_step(&request.submit_backup_code(&token, &BackupCode::new(TYPED)).await)
            }
            "resend" => self.note_step(&request.resend(&token, ResendTo::Same).await),
            "resend to email" => self.note_step(&request.resend(&token, ResendTo::Email).await),
            "read the challenge again" => self.note_step(&request.challenge(&token).await),
            "cancel" => self.note_fault(&request.cancel(&token).await),
            "purge" => {
                self.world
                    .flow
                    .operator("off")
                    .unwrap()
                    .set_scope(&acme, Scope::DoNotUse)
                    .await
                    .unwrap();
                let purged = flow.purge(&acme, 100).await;
                assert!(
                    purged.as_ref().map_or(true, Option::is_some),
                    "there is something to delete"
                );
                self.note_fault(&purged)
            }
            "sweep" => {
                self.world.clock.advance(40 * DAY);
                let swept = flow.sweep(&acme, None, 100).await;
                assert!(
                    swept.as_ref().map_or(true, |swept| swept.removed > 0),
                    "there is something to delete"
                );
                self.note_fault(&swept)
            }
            _ if operation.starts_with("administra") => self.administrate(operation, flow).await,
            _ if operation.starts_with("operator") => self.operate_as_host(operation, flow).await,
            _ => self.operate_inside(operation, flow).await,
        }
    }

    /// The operations on the page of alice.
    async fn operate_inside(&mut self, operation: &str, flow: &LoginFlow) -> Came {
        let grant = self.grant.clone();
        let request = flow.request(&self.world.acme, &context());
        let account = request.account(&grant);
        let token = SetupToken::new(&*self.setup_token);
        match operation {
            "check the password" => {
                self.note_refusal(&request.check_password(&grant, &CANARY.into()).await)
            }
            "check a wrong password" => {
                self.note_refusal(&request.check_password(&grant, &TYPED.into()).await)
            }
            "hash a password" => self.note_refusal(&request.hash_password(&CANARY.into()).await),
            "hash what is no password" => {
                self.note_refusal(&request.hash_password(&TYPED.repeat(300).into()).await)
            }
            "revalidate" => self.note_fault(&request.revalidate(&grant, Channel::Web).await),
            "overview" => {
                let overview = account.status().await;
                if let Ok(overview) = &overview {
                    self.seen.leaks.value(overview);
                }
                self.note_refusal(&overview)
            }
            "prove a number" => {
                let setup = account.use_sms(&PhoneNumber::new(OTHER_NUMBER).unwrap()).await;
                if let Ok(setup) = &setup {
                    self.seen.leaks.value(setup);
                    self.seen.secret(setup.token.expose());
                }
                self.note_refusal(&setup)
            }
            "confirm with a wrong code" => {
                self.note_refusal(&account.confirm_method(&token, &"9".repeat(10).into()).await)
            }
            "confirm" => {
                let proof = Code::new(&*self.setup_code);
                self.note_refusal(&account.confirm_method(&token, &proof).await)
            }
            "go back to email" => {
                let change = account.use_email().await;
                if let Ok(MethodChange::Prove(setup)) = &change {
                    self.seen.secret(setup.token.expose());
                }
                self.note_refusal(&change)
            }
            "make a backup code" => {
                let backup = account.new_backup_code().await;
                if let Ok(backup) = &backup {
                    self.seen.secret(backup.expose());
                }
                self.note_refusal(&backup)
            }
            "revoke a device" => {
                let overview = self.world.request().account(&grant).status().await.unwrap();
                self.note_refusal(&account.revoke_device(overview.devices[0].id).await)
            }
            "revoke an unknown device" => self.note_refusal(
                &account.revoke_device("AQEBAQEBAQEBAQEBAQEBAQ".parse().unwrap()).await,
            ),
            "revoke all devices" => self.note_refusal(&account.revoke_devices().await),
            _ => panic!("{operation} is no operation"),
        }
    }

    async fn administrate(&mut self, operation: &str, flow: &LoginFlow) -> Came {
        let (acme, alice) = (self.world.acme.clone(), self.world.alice.clone());
        let grant = if operation.ends_with("by who is none") {
            self.grant.clone()
        } else {
            self.root.clone()
        };
        let request = flow.request(&acme, &context());
        let page = request.administration(&grant).await;
        let opened = self.note_refusal(&page);
        let Ok(page) = page else { return opened };
        match operation {
            "administrator looks" => first_failure([
                self.note_refusal(&page.scope().await),
                self.note_refusal(&page.status(&alice).await),
                self.note_refusal(&page.purge_progress().await),
                self.note_refusal(&page.saved_users().await),
            ]),
            "administrator unlocks" => self.note_refusal(&page.unlock(&alice).await),
            "administrator resets" => self.note_refusal(&page.reset(&alice).await),
            "administrator changes the scope" => first_failure([
                self.note_refusal(&page.set_scope(Scope::SystemAdministratorsOnly).await),
                self.note_refusal(&page.set_scope(Scope::EntireTenant).await),
            ]),
            _ => panic!("{operation} is no operation, or opens the page"),
        }
    }

    async fn operate_as_host(&mut self, operation: &str, flow: &LoginFlow) -> Came {
        let (acme, alice) = (self.world.acme.clone(), self.world.alice.clone());
        let long = TYPED.repeat(40);
        let operator =
            flow.operator(if operation.ends_with("long reason") { &long } else { "ticket 17" });
        self.note(&operator);
        let operator = match operator {
            Ok(operator) => operator,
            Err(invalid) => return Came::Refused(invalid.field().code()),
        };
        match operation {
            "operator looks" => first_failure([
                self.note_fault(&operator.status(&acme, &alice).await),
                self.note_fault(&operator.scope(&acme).await),
            ]),
            "operator unlocks" => self.note_refusal(&operator.unlock(&acme, &alice).await),
            "operator resets" => self.note_refusal(&operator.reset(&acme, &alice).await),
            "operator forgets" => self.note_fault(&operator.forget(&acme, &alice).await),
            "operator switches off" => {
                self.note_fault(&operator.set_scope(&acme, Scope::DoNotUse).await)
            }
            _ => panic!("{operation} is no operation"),
        }
    }

    /// What is seen beside the answers.
    pub(super) fn look(mut self) -> Seen {
        for sent in self.world.outbox.codes() {
            self.seen.secret(&sent.code);
        }
        for event in self.world.events.all() {
            self.seen.leaks.value(&event);
            self.seen.leaks.printed(event.to_string());
        }
        self.seen.leaks.debug(&self.world.told());
        self.seen
    }

    #[track_caller]
    pub(super) fn assert_nothing_leaked(self) {
        self.look().leaks.assert_none();
    }
}

fn first_failure<const N: usize>(came: [Came; N]) -> Came {
    came.into_iter().find(|came| *came != Came::Done).unwrap_or(Came::Done)
}
