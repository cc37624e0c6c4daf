//! Every operation of the library, by number, over plug-ins that break where a test says.

use super::faults::{FaultPoint, faulty_flow};
use super::*;
use countersign::policy::StandardPolicy;
use countersign::{LoginFlow, OperationError, RevalidateError};

pub const WRONG_BACKUP: &str = "0000-0000-0000-0000-0000-0000";
pub const BUDGETS: [&str; 2] = ["code_failures", "setup_failures"];

/// A world in which each step can be taken: alice has a backup code, a login under way and a number
/// that is being proved; bob gets SMS.
pub struct Stage {
    pub world: World,
    pub point: FaultPoint,
    pub broken: LoginFlow,
    pub token: String,
    pub code: String,
    pub backup: String,
    pub device: String,
    pub grant: SavedGrant,
    pub root: SavedGrant,
    pub setup_token: String,
    pub setup_code: String,
}

pub async fn stage() -> Stage {
    let world = World::with(|b| b.trusted_devices(30 * DAY, 3)).await;
    world.choose_sms("bob", "+819012345699").await;
    let backup = world.make_backup_code("alice").await;
    let trusted = world.sign_in_and_trust("alice", "phone").await;
    let (device, grant) =
        (trusted.device_token.unwrap().expose().to_owned(), trusted.grant.into_saved());
    let root = world.root_grant().await;
    world.wait_for_the_spacing();
    let challenge = world.begin("alice").await;
    let code = world.last_code();
    let _ = world.submit(&challenge.token, &world.wrong_code()).await;
    let _ = world.submit_backup(&challenge.token, WRONG_BACKUP).await;
    let _ = world.try_begin("alice", "wrong").await;
    world.wait_for_the_spacing();
    let setup = world
        .request()
        .account(&grant)
        .use_sms(&PhoneNumber::new("+819012345634").unwrap())
        .await
        .unwrap();
    let setup_code = world.last_code();
    world.wait_for_the_spacing();
    let point = FaultPoint::default();
    let broken = faulty_flow(&world, &point, StandardPolicy, |b| {
        b.trusted_devices(30 * DAY, 3).fall_back_to_email(true)
    });
    point.disarm();
    Stage {
        token: challenge.token.expose().to_owned(),
        setup_token: setup.token.expose().to_owned(),
        world,
        point,
        broken,
        code,
        backup,
        device,
        grant,
        root,
        setup_code,
    }
}

/// What a step came to, as far as these tests care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Came {
    Grant,
    SomethingElse,
    Refused,
    Fault,
}

fn step(answer: &Result<LoginStep, Error>) -> Came {
    match answer {
        Ok(LoginStep::Authenticated(_)) => Came::Grant,
        Ok(_) => Came::SomethingElse,
        Err(_) => Came::Fault,
    }
}

fn other<T>(answer: &Result<T, OperationError>) -> Came {
    match answer {
        Ok(_) => Came::SomethingElse,
        Err(OperationError::Denied(_)) => Came::Refused,
        Err(OperationError::Failed(_)) => Came::Fault,
    }
}

/// What a step is for, and what it may do to what is saved when it succeeds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Does {
    /// It lets nobody in, and lowers no counter.
    Nothing,
    /// It lets somebody in, and lowers no counter.
    LetsIn,
    /// It lets somebody in by a secret, and clears that secret's counter.
    LetsInAndClears,
    /// It clears a counter.
    Clears,
    /// It goes on after a send that failed; if that breaks, the first half stands.
    FallsBack,
    /// It clears everything, and what fails after it changes that no more.
    Resets,
    /// It changes who needs the second factor.
    ChangesTheScope,
    /// It switches off, or deletes what was saved before that.
    SwitchesOff,
}

/// Every operation, by number.
pub const OPERATIONS: [(&str, Does); 43] = [
    ("begin", Does::Clears),
    ("begin with a wrong password", Does::Nothing),
    ("begin in a tenant that does not use it", Does::LetsIn),
    ("begin with a vouched password", Does::Clears),
    ("submit the right code", Does::LetsInAndClears),
    ("submit a wrong code", Does::Nothing),
    ("submit the right code and trust", Does::LetsInAndClears),
    ("submit the backup code", Does::LetsInAndClears),
    ("submit a wrong backup code", Does::Nothing),
    ("resend", Does::Nothing),
    ("cancel", Does::Nothing),
    ("revalidate", Does::Nothing),
    ("confirm a number", Does::Clears),
    ("make a backup code", Does::Nothing),
    ("reset", Does::Resets),
    ("set the scope", Does::ChangesTheScope),
    ("begin from a trusted device", Does::LetsInAndClears),
    ("resend to email", Does::Nothing),
    ("account overview", Does::Nothing),
    ("prove a number", Does::Nothing),
    ("go back to email", Does::Nothing),
    ("revoke a device", Does::Nothing),
    ("revoke all devices", Does::Nothing),
    ("administrator's look at the scope", Does::Nothing),
    ("administrator's look at a user", Does::Nothing),
    ("unlock", Does::Clears),
    ("operator's reset", Does::Resets),
    ("operator's unlock", Does::Clears),
    ("operator's look at a user", Does::Nothing),
    ("operator's change of scope", Does::ChangesTheScope),
    ("forget", Does::Resets),
    ("purge of a tenant that never switched off", Does::Nothing),
    ("begin with an outdated hash", Does::Nothing),
    ("begin with an unknown name", Does::Nothing),
    ("begin with a code by SMS", Does::Nothing),
    ("begin with SMS that fails, and email", Does::FallsBack),
    ("switch off", Does::SwitchesOff),
    ("purge", Does::SwitchesOff),
    ("sweep", Does::Nothing),
    ("check the password", Does::Clears),
    ("check a wrong password", Does::Nothing),
    ("hash a password", Does::Nothing),
    ("read a challenge again", Does::Nothing),
];

pub async fn operate(stage: &Stage, number: usize) -> Came {
    let (flow, world) = (&stage.broken, &stage.world);
    let (acme, token) = (&world.acme, stage.token.as_str().into());
    let request = &flow.request(acme, &context());
    let login =
        |name, password| countersign::Login { name, password, channel: Channel::Web, device: None };
    let (right, wrong) = (PASSWORD.into(), "wrong".into());
    let trust = TrustDevice::Named("laptop");
    match number {
        0 => step(&request.begin(&login("alice", &right)).await),
        1 => step(&request.begin(&login("alice", &wrong)).await),
        2 => step(&flow.request(&world.other, &context()).begin(&login("alice", &right)).await),
        3 => {
            let vouched = countersign::PreverifiedLogin {
                user: &world.alice,
                channel: Channel::Web,
                device: None,
            };
            step(&request.begin_with_preverified_password(&vouched).await)
        }
        4 => step(&request.submit_code(&token, &stage.code.as_str().into(), TrustDevice::No).await),
        5 => {
            let typed = other_code(&stage.code).into();
            step(&request.submit_code(&token, &typed, TrustDevice::No).await)
        }
        6 => step(&request.submit_code(&token, &stage.code.as_str().into(), trust).await),
        7 => step(&request.submit_backup_code(&token, &stage.backup.as_str().into()).await),
        8 => step(&request.submit_backup_code(&token, &WRONG_BACKUP.into()).await),
        9 => step(&request.resend(&token, ResendTo::Same).await),
        10 => request.cancel(&token).await.map_or(Came::Fault, |()| Came::SomethingElse),
        11 => match request.revalidate(&stage.grant, Channel::Web).await {
            Err(RevalidateError::Failed(_)) => Came::Fault,
            _ => Came::SomethingElse,
        },
        12 => {
            let (token, code) =
                (stage.setup_token.as_str().into(), stage.setup_code.as_str().into());
            other(&request.account(&stage.grant).confirm_method(&token, &code).await)
        }
        13 => other(&request.account(&stage.grant).new_backup_code().await),
        14 => match request.administration(&stage.root).await {
            Ok(administration) => other(&administration.reset(&world.alice).await),
            Err(refused) => other::<()>(&Err(refused)),
        },
        15 => match request.administration(&stage.root).await {
            Ok(administration) => {
                other(&administration.set_scope(Scope::SystemAdministratorsOnly).await)
            }
            Err(refused) => other::<()>(&Err(refused)),
        },
        16 => {
            let device = stage.device.as_str().into();
            let login = countersign::Login { device: Some(&device), ..login("alice", &right) };
            step(&request.begin(&login).await)
        }
        17 => step(&request.resend(&token, ResendTo::Email).await),
        18..=22 => account(stage, number).await,
        23..=25 => administrate(stage, number).await,
        26..=31 => operator(stage, number).await,
        33 => step(&request.begin(&login("nobody", &right)).await),
        34 => step(&request.begin(&login("bob", &right)).await),
        35 => {
            world.outbox.always(Some(Method::Sms), Delivered::Failed(SendErrorKind::Permanent));
            step(&request.begin(&login("bob", &right)).await)
        }
        36 => switch_off(flow, stage).await,
        37 => {
            assert_eq!(switch_off(&world.flow, stage).await, Came::SomethingElse);
            flow.purge(acme, 100).await.map_or(Came::Fault, |_| Came::SomethingElse)
        }
        38 => flow.sweep(acme, None, 100).await.map_or(Came::Fault, |_| Came::SomethingElse),
        39 => other(&request.check_password(&stage.grant, &right).await),
        40 => match request.check_password(&stage.grant, &wrong).await {
            Err(OperationError::Denied(denied))
                if denied.reason() == countersign::Reason::WrongPassword =>
            {
                Came::SomethingElse
            }
            answer => other(&answer),
        },
        41 => other(&request.hash_password(&right).await),
        42 => step(&request.challenge(&token).await),
        _ => {
            world.change(&world.bob, |user| {
                user.password_hash = Some(PlainPasswords::outdated(PASSWORD));
            });
            step(&request.begin(&login("bob", &right)).await)
        }
    }
}

async fn switch_off(flow: &LoginFlow, stage: &Stage) -> Came {
    match flow.request(&stage.world.acme, &context()).administration(&stage.root).await {
        Ok(administration) => other(&administration.set_scope(Scope::DoNotUse).await),
        Err(refused) => other::<()>(&Err(refused)),
    }
}

async fn account(stage: &Stage, number: usize) -> Came {
    let account = stage.broken.request(&stage.world.acme, &context()).account(&stage.grant);
    match number {
        18 => other(&account.status().await),
        19 => other(&account.use_sms(&PhoneNumber::new("+819012345678").unwrap()).await),
        20 => other(&account.use_email().await),
        21 => {
            let page = stage.world.request().account(&stage.grant);
            let overview = page.status().await.unwrap();
            other(&account.revoke_device(overview.devices[0].id).await)
        }
        _ => other(&account.revoke_devices().await),
    }
}

async fn administrate(stage: &Stage, number: usize) -> Came {
    let administration =
        match stage.broken.request(&stage.world.acme, &context()).administration(&stage.root).await
        {
            Ok(administration) => administration,
            Err(refused) => return other::<()>(&Err(refused)),
        };
    match number {
        23 => other(&administration.scope().await),
        24 => other(&administration.status(&stage.world.alice).await),
        _ => other(&administration.unlock(&stage.world.alice).await),
    }
}

async fn operator(stage: &Stage, number: usize) -> Came {
    let (acme, alice) = (&stage.world.acme, &stage.world.alice);
    let operator = stage.broken.operator("T-1").unwrap();
    let fault = |failed: bool| if failed { Came::Fault } else { Came::SomethingElse };
    match number {
        26 => other(&operator.reset(acme, alice).await),
        27 => other(&operator.unlock(acme, alice).await),
        28 => fault(operator.status(acme, alice).await.is_err()),
        29 => fault(operator.set_scope(acme, Scope::SystemAdministratorsOnly).await.is_err()),
        30 => fault(operator.forget(acme, alice).await.is_err()),
        _ => fault(stage.broken.purge(acme, 100).await.is_err()),
    }
}

/// The user whom an operation is about, as far as these tests look at one.
pub fn subject(number: usize) -> &'static str {
    if matches!(number, 32 | 34 | 35) { "bob" } else { "alice" }
}

/// The wrong entries that are saved of alice and bob, of each budget. A reset clears them, which is
/// what it is for.
pub fn counters(world: &World) -> Vec<u64> {
    let streaks = |user: &UserId| -> Vec<u64> {
        let Some(saved) = world.row(user) else { return vec![0; 4] };
        let record: serde_json::Value = serde_json::from_str(&saved.document).unwrap();
        let budgets =
            BUDGETS.iter().map(|budget| &record[budget]).chain([&record["password"]["failures"]]);
        budgets.map(|failures| failures["streak"].as_u64().unwrap_or(0)).collect()
    };
    [streaks(&world.alice), streaks(&world.bob)].concat()
}
