//! What else there is to see, a scene each.

use std::error::Error;
use std::time::Duration;

use countersign::contact::PhoneNumber;
use countersign::tenant::{Lockout, SingleSignOn};
use countersign::{
    Challenge, Channel, Grant, LockOuts, LoginStep, OperationError, Reason, Rehearsal, ResendTo,
    RevalidateError, Scope, SecondFactor, TrustDevice, UserId,
};

use crate::{App, PASSWORD, proofs};

type Shown = Result<(), Box<dyn Error>>;

const SCENES: [&str; 10] = [
    "wrong codes, until the lock",
    "another code, and where it goes",
    "codes by SMS from now on",
    "the backup code",
    "a trusted device",
    "an administrator resets Alice",
    "administrators only",
    "what a tenant decides: its settings",
    "single sign-on: administrators are asked for a code",
    "switched off: a rehearsal, then everything is deleted",
];

/// Shows the scenes that the reader asks for; unattended, all of them.
pub(crate) async fn offer(app: &App) -> Shown {
    if app.terminal.is_unattended() {
        for scene in 1..=SCENES.len() {
            show(app, scene).await?;
        }
        app.terminal.title("That was all of it.");
        return Ok(());
    }
    loop {
        app.terminal.title("What would you like to see?");
        for (number, scene) in (1..).zip(SCENES) {
            app.terminal.say(&format!("{number}  {scene}"));
        }
        match app.terminal.ask("number, or nothing to end", String::new)?.trim() {
            "" => return Ok(()),
            number => match number.parse() {
                Ok(scene @ 1..=10) => show(app, scene).await?,
                _ => app.terminal.say("One of the numbers, please."),
            },
        }
    }
}

async fn show(app: &App, scene: usize) -> Shown {
    let title = SCENES.get(scene.saturating_sub(1)).ok_or("there is no such scene")?;
    app.terminal.title(title);
    // Whoever plays the scenes quickly would meet the limits on sending; a day in between keeps
    // them apart.
    app.clock.advance(Duration::from_secs(24 * 60 * 60));
    match scene {
        1 => wrong_codes(app).await,
        2 => another_code(app).await,
        3 => codes_by_sms(app).await,
        4 => backup_code(app).await,
        5 => trusted_device(app).await,
        6 => reset(app).await,
        7 => administrators_only(app).await,
        8 => settings(app).await,
        9 => single_sign_on(app).await,
        _ => off_clears_all(app).await,
    }
}

async fn wrong_codes(app: &App) -> Shown {
    let challenge = begin(app, "alice").await?;
    let wrong = if app.messages.last_code() == "000000" { "000001" } else { "000000" };
    loop {
        let step =
            app.request().submit_code(&challenge.token, &wrong.into(), TrustDevice::No).await?;
        let denied = *step.denied().ok_or("a wrong code should be refused")?;
        app.terminal.say(&format!(
            "{wrong} is refused: {denied}. Tries left: {}.",
            denied.attempts_left().unwrap_or(0)
        ));
        if denied.attempts_left() == Some(0) {
            break;
        }
    }
    let right = app.messages.last_code();
    let step = app
        .request()
        .submit_code(&challenge.token, &right.as_str().into(), TrustDevice::No)
        .await?;
    app.terminal.say(&format!(
        "{right}, the right one, is refused too: {}.",
        step.denied().ok_or("a locked user should stay out")?
    ));
    app.wait(15 * 60);
    let done = app.sign_in("alice").await?;
    app.terminal.say(&format!("The lock has ended, and {} is in.", done.grant.user()));
    Ok(())
}

async fn another_code(app: &App) -> Shown {
    let challenge = begin(app, "alice").await?;
    let first = app.messages.last_code();
    let step = app.request().resend(&challenge.token, ResendTo::Same).await?;
    app.terminal.say(&format!(
        "Another code right away is refused: {}.",
        step.denied().ok_or("a second code right away should be refused")?
    ));
    app.wait(30);
    let LoginStep::CodeRequired(again) =
        app.request().resend(&challenge.token, ResendTo::Same).await?
    else {
        return Err("another code should be sent by now".into());
    };
    let sent = again.delivery.sent().ok_or("another code should be on its way")?;
    app.terminal
        .say(&format!("The page now says: enter the code from message {}.", sent.reference));
    let step = app
        .request()
        .submit_code(&challenge.token, &first.as_str().into(), TrustDevice::No)
        .await?;
    app.terminal.say(&format!(
        "{first}, from the first message, is refused: {}.",
        step.denied().ok_or("an earlier code should be dead")?
    ));
    finish(app, &challenge, "The code from the second message").await
}

async fn codes_by_sms(app: &App) -> Shown {
    let grant = app.sign_in("alice").await?.grant;
    app.wait(30);
    let account = app.request().account(&grant);
    let setup = account.use_sms(&PhoneNumber::new("+819012345634")?).await?;
    let sent = setup.delivery.sent().ok_or("a code should be on its way")?;
    app.terminal.say(&format!(
        "A code went to {}. Until it is entered, codes still go by email.",
        sent.destination
    ));
    account.confirm_method(&setup.token, &app.messages.last_code().into()).await?;
    app.wait(30);
    let challenge = begin(app, "alice").await?;
    app.terminal.say("The SMS does not arrive? The email address is still there, for this login:");
    app.wait(30);
    let step = app.request().resend(&challenge.token, ResendTo::Email).await?;
    if step.denied().is_some() {
        return Err("the email address should be offered".into());
    }
    finish(app, &challenge, "The code by email").await
}

async fn backup_code(app: &App) -> Shown {
    let grant = app.sign_in("alice").await?.grant;
    let shown = app.request().account(&grant).new_backup_code().await?;
    app.terminal.say(&format!("Alice writes her backup code down: {}", shown.expose()));
    app.wait(30);
    let challenge = begin(app, "alice").await?;
    let typed = shown.expose().to_lowercase().replace('-', " ");
    let step = app.request().submit_backup_code(&challenge.token, &typed.as_str().into()).await?;
    let LoginStep::Authenticated(done) = step else {
        return Err("the backup code should let her in".into());
    };
    let successor = done.backup_code.ok_or("a used backup code should have a successor")?;
    app.terminal
        .say(&format!("In with `{typed}`. It has changed by itself: {}", successor.expose()));
    Ok(())
}

async fn trusted_device(app: &App) -> Shown {
    let challenge = begin(app, "alice").await?;
    let trust = TrustDevice::Named("Office laptop");
    let step = app
        .request()
        .submit_code(&challenge.token, &app.messages.last_code().into(), trust)
        .await?;
    let LoginStep::Authenticated(done) = step else {
        return Err("the code should let her in".into());
    };
    let device = done.device_token.ok_or("the device should have a token")?;
    let LoginStep::Authenticated(next) = app.begin("alice", PASSWORD, Some(&device)).await? else {
        return Err("a trusted device should need no code".into());
    };
    app.terminal.say(&format!(
        "She needs no code for the next login from it. She came in with {}.",
        proofs(next.grant.second_factor())
    ));
    let account = app.request().account(&done.grant);
    for trusted in account.status().await?.devices {
        app.terminal.say(&format!(
            "On her page: {}, until {}. She deletes it.",
            trusted.label,
            trusted.expires_at.date()
        ));
        account.revoke_device(trusted.id).await?;
    }
    app.wait(30);
    match app.begin("alice", PASSWORD, Some(&device)).await? {
        LoginStep::CodeRequired(_) => app.terminal.say("And it is asked for a code again."),
        step => return Err(format!("a deleted device should be asked for a code: {step:?}").into()),
    }
    Ok(())
}

async fn reset(app: &App) -> Shown {
    let session = app.sign_in("alice").await?.grant;
    let root = app.sign_in("root").await?.grant;
    let administration = app.request().administration(&root).await?;
    let _ = administration.reset(&UserId::new("alice")?).await?;
    match app.request().revalidate(&session, Channel::Web).await {
        Err(RevalidateError::Stale(why)) => {
            app.terminal.say(&format!("Alice's session is over: {why}."));
        }
        Err(RevalidateError::Failed(error)) => return Err(error.into()),
        other => return Err(format!("a reset should end the session: {other:?}").into()),
    }
    let challenge = begin(app, "alice").await?;
    let sent = challenge.delivery.sent().ok_or("a code should be on its way")?;
    if challenge.alternatives.backup_code {
        return Err("the backup code should be gone".into());
    }
    app.terminal.say(&format!(
        "She starts from nothing: the code goes to {}, and there is no backup code.",
        sent.destination
    ));
    match app.request().account(&session).status().await {
        Err(refused)
            if refused.denied().is_some_and(|denied| denied.reason() == Reason::SessionStale) =>
        {
            Ok(())
        }
        other => Err(format!("the old session should be refused: {other:?}").into()),
    }
}

async fn administrators_only(app: &App) -> Shown {
    let root = app.sign_in("root").await?.grant;
    app.set_scope(&root, Scope::SystemAdministratorsOnly).await?;
    let alice = app.sign_in("alice").await?.grant;
    app.terminal.say(&format!("Alice came in with {}.", proofs(alice.second_factor())));
    app.wait(30);
    let root = app.sign_in("root").await?.grant;
    app.terminal.say(&format!("Root came in with {}.", proofs(root.second_factor())));
    app.set_scope(&root, Scope::EntireTenant).await
}

async fn settings(app: &App) -> Shown {
    let root = app.sign_in("root").await?.grant;
    let administration = app.request().administration(&root).await?;
    let shown = administration.settings().await?;
    app.terminal.say(&format!("Settings of {}:", app.tenant));
    for line in serde_json::to_string_pretty(&shown.settings)?.lines() {
        app.terminal.say(line);
    }
    let minutes = |minutes: u32| Duration::from_secs(60).saturating_mul(minutes);
    let mut next = shown.settings;
    next.lockout = Some(Lockout { wrong_codes: 50, first: minutes(30), longest: minutes(24 * 60) });
    match administration.change_settings(shown.version, &next, LockOuts::Refuse).await {
        Err(OperationError::Denied(denied)) => app.terminal.say(&format!(
            "50 wrong codes before a lock are refused: {}.",
            serde_json::to_string(&denied)?
        )),
        other => return Err(format!("50 wrong codes should be refused: {other:?}").into()),
    }
    next.lockout = Some(Lockout { wrong_codes: 3, first: minutes(30), longest: minutes(24 * 60) });
    administration.change_settings(shown.version, &next, LockOuts::Refuse).await?;
    app.terminal.say("From now on 3 wrong codes lock, for 30 minutes at first.");
    app.wait(30);
    let challenge = begin(app, "alice").await?;
    app.terminal.say(&format!("Alice has {} tries.", challenge.attempts_left));
    Ok(())
}

async fn single_sign_on(app: &App) -> Shown {
    let (alice, root) = (UserId::new("alice")?, UserId::new("root")?);
    let session = app.sign_in("root").await?.grant;
    let administration = app.request().administration(&session).await?;
    let shown = administration.settings().await?;
    let mut next = shown.settings;
    next.single_sign_on = SingleSignOn::SystemAdministrators;
    administration.change_settings(shown.version, &next, LockOuts::Refuse).await?;
    app.wait(30);
    // The identity provider has authenticated these two, and the application has verified it.
    match app.request().begin_after_single_sign_on(&alice).await? {
        LoginStep::Authenticated(done) => {
            app.terminal.say(&format!("Alice came in with {}.", after_single_sign_on(&done.grant)));
        }
        step => return Err(format!("alice should be exempt: {step:?}").into()),
    }
    let LoginStep::CodeRequired(challenge) =
        app.request().begin_after_single_sign_on(&root).await?
    else {
        return Err("root should be asked for a code".into());
    };
    let code = app.messages.last_code().into();
    match app.request().submit_code(&challenge.token, &code, TrustDevice::No).await? {
        LoginStep::Authenticated(done) => {
            app.terminal.say(&format!("Root came in with {}.", after_single_sign_on(&done.grant)));
        }
        step => return Err(format!("root should be in by now: {step:?}").into()),
    }
    let shown = administration.settings().await?;
    let mut next = shown.settings;
    next.single_sign_on = SingleSignOn::Exempt;
    administration.change_settings(shown.version, &next, LockOuts::Refuse).await?;
    Ok(())
}

fn after_single_sign_on(grant: &Grant) -> String {
    match grant.second_factor() {
        SecondFactor::Exempt { .. } => "single sign-on alone".to_owned(),
        _ => format!("single sign-on and a code: {:?}", grant.amr()),
    }
}

async fn off_clears_all(app: &App) -> Shown {
    // Alice trusts a device, so that there is something to delete.
    let challenge = begin(app, "alice").await?;
    let code = app.messages.last_code().into();
    let trust = TrustDevice::Named("Alice's laptop");
    let step = app.request().submit_code(&challenge.token, &code, trust).await?;
    if !matches!(step, LoginStep::Authenticated(_)) {
        return Err(format!("alice should be in by now: {step:?}").into());
    }
    app.wait(30);
    let root = app.sign_in("root").await?.grant;
    let administration = app.request().administration(&root).await?;
    let shown = administration.settings().await?;
    let mut next = shown.settings;
    next.scope = Scope::DoNotUse;
    let found = administration.rehearse(&next, Rehearsal::default(), 1_000).await?;
    app.terminal.say(&format!(
        "Switching off would delete the settings of {} people and {} trusted device.",
        found.settings_deleted.count, found.devices_deleted
    ));
    administration.change_settings(shown.version, &next, LockOuts::Refuse).await?;
    app.terminal.say("From this instant nothing that was saved counts. A job deletes it:");
    while let Some(progress) = app.flow.purge(&app.tenant, 2).await? {
        let left = progress.remaining.map_or("more to come".into(), |left| format!("{left} left"));
        app.terminal.say(&format!("{} deleted, {left}.", progress.deleted));
        if progress.finished_at.is_some() {
            break;
        }
    }
    let alice = app.sign_in("alice").await?.grant;
    if !matches!(alice.second_factor(), SecondFactor::Exempt { .. }) {
        return Err("nobody should need a code any more".into());
    }
    app.terminal.say("Alice is in with her password alone. Root switches it on again; everybody starts from nothing.");
    let root = app.sign_in("root").await?.grant;
    app.set_scope(&root, Scope::EntireTenant).await
}

/// A first step that must ask for a code.
async fn begin(app: &App, name: &str) -> Result<Box<Challenge>, Box<dyn Error>> {
    match app.begin(name, PASSWORD, None).await? {
        LoginStep::CodeRequired(challenge) => Ok(challenge),
        step => Err(format!("{name} should be asked for a code: {step:?}").into()),
    }
}

/// A second step with the newest code, which must succeed.
async fn finish(app: &App, challenge: &Challenge, what: &str) -> Shown {
    let code = app.messages.last_code().into();
    match app.request().submit_code(&challenge.token, &code, TrustDevice::No).await? {
        LoginStep::Authenticated(_) => {
            app.terminal.say(&format!("{what} lets her in."));
            Ok(())
        }
        step => Err(format!("{what} should let her in: {step:?}").into()),
    }
}
