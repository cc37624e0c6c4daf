//! A year of logins: owners who come in every day, and attackers who try all year, over the manual
//! clock. It prints what was attempted, what took effect and what is promised. `COUNTERSIGN_SEED`
//! chooses another year (`random`, or a number).
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use std::collections::BTreeMap;
use std::time::Duration;

use crate::support::*;
use countersign::clock::Clock as _;
use countersign::contact::{Destination, EmailAddress};
use countersign::event::{CredentialsCause, EventKind, ResetOutcome, SecretKind};
use countersign::sender::NoticeKind;
use countersign::{
    Challenge, Channel, LoginName, LoginStep, OperationError, Reason, RequestContext, ResendTo,
    Scope, TrustDevice, UserId,
};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng, TryRng};
use time::OffsetDateTime;

const HOUR: Duration = Duration::from_secs(60 * 60);
const DAYS: u64 = 365;
/// What SECURITY.md and the manual's page on settings promise with the defaults. Wrong codes in any
/// 30 days, whatever succeeds in between; resets that refill them in any 30 days, and what both
/// make of a year; wrong codes in a row, after which only a reset helps; wrong codes, backup codes
/// and passwords before a lock; sends in any 24 hours.
const ROLLING: usize = 20;
const REFILLS: usize = 2;
const GUESSES_A_YEAR: u64 = 840;
const SUSPENDED_AFTER: u64 = 30;
const BACKUP_CODES_A_LOGIN: u64 = 5;
const PASSWORDS_A_LOCK: u64 = 10;
const SENDS_A_DAY: u64 = 20;
/// Ten wrong passwords in each longest lock of 15 minutes.
const PASSWORDS_A_DAY: u64 = 960;

/// What one attacker did.
#[derive(Default)]
struct Tally {
    attempted: u64,
    /// So many were compared, or sent.
    effective: u64,
    granted: u64,
    /// When a wrong code was compared, and after how many resets.
    compared: Vec<(u64, OffsetDateTime)>,
}

const PATIENT: &str = "patient guesser";
const RESTLESS: &str = "guesser who never stops";
const DORMANT: &str = "guesser of a dormant account";
const RESETTER: &str = "administrator who resets";
const BACKUPS: &str = "guesser of backup codes";
const BOMBER: &str = "resend bomber";
const SPRAYER: &str = "sprayer";
const NEIGHBOUR: &str = "administrator of another tenant";

struct Year {
    world: World,
    dice: StdRng,
    tally: BTreeMap<&'static str, Tally>,
    /// How often owners came in, by what.
    owners: BTreeMap<String, u64>,
    /// The backup code of each owner.
    backups: BTreeMap<&'static str, String>,
    /// When the patient guesser guessed, in days.
    guessed: Vec<u64>,
    resets: u64,
    resets_of_erin: u64,
    /// How often the guesser of backup codes had a login to guess in.
    backup_visits: u64,
}

impl Year {
    async fn new(seed: u64) -> Self {
        let world = World::with(|b| b.entropy(SeededEntropy::new(seed))).await;
        for name in ["carol", "dave", "erin"] {
            world.users.insert(&LoginName::new(name).unwrap(), person(&world.acme, name));
        }
        let mut backups = BTreeMap::new();
        for name in ["alice", "carol"] {
            backups.insert(name, world.make_backup_code(name).await);
            world.wait_for_the_spacing();
        }
        Self {
            world,
            dice: StdRng::seed_from_u64(seed),
            tally: BTreeMap::new(),
            owners: BTreeMap::new(),
            backups,
            guessed: Vec::new(),
            resets: 0,
            resets_of_erin: 0,
            backup_visits: 0,
        }
    }

    fn note(&mut self, who: &'static str, step: &LoginStep) {
        let (resets, now) = (self.resets, self.world.now());
        let tally = self.tally.entry(who).or_default();
        tally.attempted += 1;
        match step {
            LoginStep::Authenticated(_) => {
                (tally.effective, tally.granted) = (tally.effective + 1, tally.granted + 1);
            }
            LoginStep::Denied(denied)
                if matches!(denied.reason(), Reason::WrongCode | Reason::WrongBackupCode) =>
            {
                tally.effective += 1;
                tally.compared.push((resets, now));
            }
            _ => {}
        }
    }

    /// How many events of this day are of this kind.
    fn events(&self, of: impl Fn(&EventKind) -> bool) -> u64 {
        self.world.events.kinds().iter().filter(|kind| of(kind)).count() as u64
    }

    fn guess(&mut self) -> String {
        let digits = self.world.outbox.codes().last().map_or(6, |sent| sent.code.len());
        format!("{:0digits$}", self.dice.random_range(0..1_000_000))
    }

    async fn first_step(&self, name: &str) -> Option<Box<Challenge>> {
        match self.world.try_begin(name, PASSWORD).await {
            LoginStep::CodeRequired(challenge) => Some(challenge),
            _ => None,
        }
    }

    /// Knows the password and guesses codes as long as an answer tells something; now and then
    /// backup codes too, more than one lock takes.
    async fn guess_codes(&mut self, who: &'static str, name: &str) {
        let Some(challenge) = self.first_step(name).await else { return };
        loop {
            let typed = self.guess();
            let step = self.world.submit(&challenge.token, &typed).await;
            self.note(who, &step);
            if !matches!(&step, LoginStep::Denied(denied) if denied.reason() == Reason::WrongCode) {
                break;
            }
        }
        if self.dice.random_range(0..4) == 0 {
            self.backup_visits += 1;
            for _ in 0..BACKUP_CODES_A_LOGIN + 2 {
                let step = self
                    .world
                    .submit_backup(&challenge.token, "0000-0000-0000-0000-0000-0000")
                    .await;
                self.note(BACKUPS, &step);
            }
        }
        self.world.request().cancel(&challenge.token).await.unwrap();
    }

    /// Knows the password, guesses four times a day and 19 times in 30 days, and so stays under
    /// every lock: the owner's success clears the row.
    async fn guess_patiently(&mut self, day: u64) {
        let recent = self.guessed.iter().filter(|guessed| day - **guessed <= 30).count();
        if recent >= ROLLING - 1
            || self.guessed.iter().filter(|guessed| **guessed == day).count() >= 4
        {
            return;
        }
        let Some(challenge) = self.first_step("alice").await else { return };
        let typed = self.guess();
        let step = self.world.submit(&challenge.token, &typed).await;
        self.note(PATIENT, &step);
        self.guessed.push(day);
        self.world.request().cancel(&challenge.token).await.unwrap();
    }

    /// Is an administrator and knows a colleague's password. Every 31 days, when the window is free
    /// by itself, they use it up, unlocking whatever locks, and reset for another round as often as
    /// that gives one. On the days between they reset all the same, but for those on which a refill
    /// would be there before the window is.
    async fn reset_and_guess(&mut self, day: u64) {
        let grant = self.world.root_grant().await;
        let (acme, erin) = (self.world.acme.clone(), user_id("erin"));
        let flow = self.world.flow.clone();
        let page =
            flow.request(&acme, &RequestContext::new()).administration(&grant).await.unwrap();
        let mut kept = 0;
        while day.is_multiple_of(31) && kept == 0 {
            let retry_at = match self.world.try_begin("erin", PASSWORD).await {
                LoginStep::CodeRequired(challenge) => self.guess_away(&challenge).await,
                step => denied(&step).retry_at(),
            };
            if retry_at.is_some_and(|at| at <= self.world.now() + DAY) {
                page.unlock(&erin).await.unwrap();
            } else {
                kept += u64::from(page.reset(&erin).await.unwrap() != ResetOutcome::Refilled);
            }
            self.world.wait_for_the_spacing();
        }
        while day % 31 < 29 && kept < 20 {
            let outcome = page.reset(&erin).await.unwrap();
            assert!(matches!(outcome, ResetOutcome::BudgetsKept { .. }), "day {day}: {outcome:?}");
            kept += 1;
        }
        self.resets_of_erin += kept;
    }

    /// Guesses until no more is compared. Answers when it is again.
    async fn guess_away(&mut self, challenge: &Challenge) -> Option<OffsetDateTime> {
        loop {
            let typed = self.guess();
            let step = self.world.submit(&challenge.token, &typed).await;
            self.note(RESETTER, &step);
            let denied = denied(&step);
            if denied.retry_at().is_some() || denied.reason() != Reason::WrongCode {
                return denied.retry_at();
            }
        }
    }

    /// Knows the password and asks for codes until no more are sent.
    async fn bombard(&mut self, name: &str) {
        let Some(challenge) = self.first_step(name).await else { return };
        loop {
            self.world.clock.advance(Duration::from_secs(30));
            let step = self
                .world
                .request_for(&self.world.acme)
                .resend(&challenge.token, ResendTo::Same)
                .await
                .unwrap();
            self.tally.entry(BOMBER).or_default().attempted += 1;
            if !matches!(step, LoginStep::CodeRequired(_)) {
                break;
            }
        }
    }

    /// A few passwords more than a lock takes for every name, some of them of nobody. The answer is
    /// always the same; the events tell what was compared.
    async fn spray(&mut self, day: u64) {
        let compared = |kind: &EventKind| {
            matches!(
                kind,
                EventKind::CredentialsRefused { cause: CredentialsCause::WrongPassword, .. }
            )
        };
        for name in ["root", "alice", "bob", "carol", "dave", "nobody", "info"] {
            let before = self.events(compared);
            for season in 0..PASSWORDS_A_LOCK + 2 {
                let step = self.world.try_begin(name, &format!("Season{season}of{day}")).await;
                self.note(SPRAYER, &step);
                assert_eq!(reason(&step), Reason::InvalidCredentials);
            }
            let told = self.events(compared) - before;
            assert!(told <= PASSWORDS_A_LOCK, "I-13: {told} of {name} before the lock");
            self.tally.get_mut(SPRAYER).unwrap().effective += told;
        }
    }

    /// An administrator of the other tenant, with what is theirs there.
    async fn reach_across(&mut self) {
        let (acme, other) = (self.world.acme.clone(), self.world.other.clone());
        let step = self.world.begin_as(&other, "root", PASSWORD, Channel::Web, None).await.unwrap();
        let grant = match step {
            LoginStep::Authenticated(done) => done.grant,
            LoginStep::CodeRequired(challenge) => {
                let code = self.world.last_code();
                // Their own token and code, in the tenant that is not theirs.
                let step = self.world.submit(&challenge.token, &code).await;
                self.note(NEIGHBOUR, &step);
                let code = code.into();
                let step = self
                    .world
                    .request_for(&other)
                    .submit_code(&challenge.token, &code, TrustDevice::No)
                    .await;
                authenticated(step.unwrap()).grant
            }
            LoginStep::Denied(denied) => panic!("{denied}"),
        };
        let refused = self.world.request_for(&acme).administration(&grant).await;
        assert!(
            matches!(refused, Err(OperationError::Denied(denied)) if denied.reason() == Reason::NotFound)
        );
        // What they may do, under names that both tenants have.
        let administration = self.world.request_for(&other).administration(&grant).await.unwrap();
        let _ = administration.reset(&self.world.alice).await.unwrap();
        administration.set_scope(Scope::DoNotUse).await.unwrap();
        administration.set_scope(Scope::EntireTenant).await.unwrap();
        self.tally.entry(NEIGHBOUR).or_default().attempted += 4;
    }

    /// An owner comes in: with the code if one is accepted, with the backup code otherwise, and
    /// after a reset if nothing else helps.
    async fn comes_in(&mut self, name: &'static str, id: &UserId) {
        let mut how = "by code";
        let challenge = match self.world.try_begin(name, PASSWORD).await {
            LoginStep::CodeRequired(challenge) => challenge,
            step => {
                assert_eq!(reason(&step), Reason::Suspended, "{name}");
                self.world.reset(id).await;
                self.resets += 1;
                how = "after a reset";
                challenge(self.world.try_begin(name, PASSWORD).await)
            }
        };
        if challenge.delivery.sent().is_some() {
            let code = self
                .world
                .outbox
                .codes()
                .iter()
                .rfind(|sent| sent.user == *id)
                .unwrap()
                .code
                .clone();
            if let LoginStep::Authenticated(_) = self.world.submit(&challenge.token, &code).await {
                *self.owners.entry(format!("{name} {how}")).or_default() += 1;
                if how == "after a reset" {
                    self.make_backup_code(name).await;
                }
                return;
            }
        }
        let done =
            authenticated(self.world.submit_backup(&challenge.token, &self.backups[name]).await);
        self.backups.insert(name, done.backup_code.unwrap().expose().to_owned());
        *self.owners.entry(format!("{name} by backup code")).or_default() += 1;
    }

    async fn make_backup_code(&mut self, name: &'static str) {
        self.world.wait_for_the_spacing();
        let backup = self.world.make_backup_code(name).await;
        self.backups.insert(name, backup);
    }

    fn versions(&self) -> Vec<Option<countersign::store::Version>> {
        let of = |user: &UserId| {
            self.world.factors.record(&self.world.acme, user).map(|saved| saved.version)
        };
        vec![of(&self.world.alice), of(&self.world.bob), of(&self.world.root)]
    }
}

fn seed() -> u64 {
    match std::env::var("COUNTERSIGN_SEED").as_deref() {
        Ok("random") => rand::rngs::SysRng.try_next_u64().unwrap(),
        Ok(number) => number.parse().unwrap(),
        Err(_) => 1,
    }
}

/// I-09 to I-15, attacks 1, 2, 4, 10, 29, 35, 36, 38: what a year of trying comes to.
#[tokio::test]
async fn a_year_of_attacks_stays_within_what_is_promised() {
    let seed = seed();
    let mut year = Year::new(seed).await;
    let start = year.world.clock.now().unwrap();
    let (mut code_events, mut backup_events) = (0, 0);
    let mut most_sends_a_day = 0;
    for day in 0..DAYS {
        year.world.outbox.clear();
        for hour in 0..24 {
            year.world.clock.set(
                start
                    + Duration::from_secs(24 * 60 * 60) * u32::try_from(day).unwrap()
                    + HOUR * hour,
            );
            let minutes = year.dice.random_range(0..20);
            year.world.clock.advance(MINUTE * minutes);
            year.guess_patiently(day).await;
            year.guess_codes(RESTLESS, "carol").await;
            year.guess_codes(DORMANT, "dave").await;
            year.bombard("bob").await;
            if hour == 0 {
                year.spray(day).await;
            }
            if hour == 9 {
                // After the guesser's last wrong backup code.
                year.world.clock.advance(2 * MINUTE);
                let (alice, carol) = (year.world.alice.clone(), user_id("carol"));
                year.comes_in("alice", &alice).await;
                year.comes_in("carol", &carol).await;
            }
            if hour == 15 {
                year.reset_and_guess(day).await;
            }
            if hour == 12 && day % 7 == 0 {
                let before = year.versions();
                year.reach_across().await;
                assert_eq!(year.versions(), before, "I-04, I-34");
            }
        }
        let erin = Destination::Email(EmailAddress::new("erin@example.com").unwrap());
        let notices = year.world.told();
        let of_resets =
            notices.iter().filter(|(to, kind)| *to == erin && *kind == NoticeKind::Reset).count();
        assert!(of_resets <= 1, "I-15: {of_resets} notices of up to twenty resets");
        let to_bob =
            year.world.outbox.codes().iter().filter(|sent| sent.user == year.world.bob).count()
                as u64;
        most_sends_a_day = most_sends_a_day.max(to_bob);
        year.tally.get_mut(BOMBER).unwrap().effective += to_bob;
        let wrong = |secret| move |kind: &EventKind| matches!(kind, EventKind::SecretWrong { secret: wrong, .. } if *wrong == secret);
        code_events += year.events(wrong(SecretKind::Code));
        backup_events += year.events(wrong(SecretKind::BackupCode));
        year.world.events.clear();
        year.world.calls.clear();
    }
    report(&year, seed, most_sends_a_day);
    let effective = |who: &str| year.tally[who].effective;
    for who in year.tally.keys() {
        assert!(effective(who) <= year.promised(who).0, "{who}");
    }
    // As exactly as it is promised: over every 30 days, and between one reset and the next.
    for who in [PATIENT, RESTLESS, DORMANT] {
        let Tally { compared, .. } = &year.tally[who];
        for (nth, (resets, at)) in compared.iter().enumerate() {
            let window = compared[..=nth]
                .iter()
                .rev()
                .take_while(|(r, then)| r == resets && *at - *then < 30 * DAY);
            assert!(window.count() <= ROLLING, "I-12: {who}, {at}");
            let row = compared[..=nth].iter().rev().take_while(|(r, _)| r == resets);
            assert!(who == PATIENT || row.count() as u64 <= SUSPENDED_AFTER, "I-11: {who}, {at}");
        }
    }
    // However often erin is reset: so many rounds in any 30 days.
    let Tally { compared, .. } = &year.tally[RESETTER];
    for (nth, (_, at)) in compared.iter().enumerate() {
        let window =
            compared[..=nth].iter().rev().take_while(|(_, then)| *at - *then < 30 * DAY).count();
        assert!(window <= ROLLING * (1 + REFILLS), "I-12, I-26: {window} on {at}");
    }
    assert!(effective(RESETTER) > 700, "the bound is nearly reached: {}", effective(RESETTER));
    assert!(year.resets_of_erin > 5_000, "{} resets of erin", year.resets_of_erin);
    assert_eq!(
        effective(DORMANT),
        SUSPENDED_AFTER,
        "all that there is, and no more until somebody resets"
    );
    assert!(
        effective(RESTLESS) >= SUSPENDED_AFTER * year.resets,
        "no reset came before all of them were used"
    );
    assert_eq!(
        effective(PATIENT),
        year.tally[PATIENT].attempted,
        "whoever stays under every lock is never refused"
    );
    // A sliding window of 24 hours: a day by the calendar has no more.
    assert_eq!(most_sends_a_day, SENDS_A_DAY, "I-15");
    assert_eq!(
        effective(SPRAYER),
        PASSWORDS_A_LOCK * PEOPLE * DAYS,
        "what a lock lets through, for people only"
    );
    let guessers = [PATIENT, RESTLESS, DORMANT, RESETTER];
    let guessed: u64 = guessers.iter().map(|who| effective(who) - year.tally[who].granted).sum();
    assert_eq!((guessed, effective(BACKUPS)), (code_events, backup_events), "I-38");
    // I-13, I-14: whoever knows the password keeps an owner from the code, not from coming in.
    assert_eq!(year.owners.values().sum::<u64>(), 2 * DAYS);
    assert_eq!(year.owners["alice by code"], DAYS);
    // The attackers did try: far more than took effect.
    assert!(year.tally[RESTLESS].attempted > 5 * effective(RESTLESS));
    assert!(effective(BACKUPS) > 1_000 && year.tally[BACKUPS].granted == 0);
    assert!(effective(PATIENT) > 215, "the bound is nearly reached");
}

/// Who has a password to guess: root, alice, bob, carol and dave.
const PEOPLE: u64 = 5;

impl Year {
    /// The most that is promised of what this attacker does in the year, and why.
    fn promised(&self, who: &str) -> (u64, String) {
        let windows = DAYS.div_ceil(30);
        match who {
            PATIENT => (ROLLING as u64 * windows, format!("{ROLLING} wrong codes in any 30 days")),
            RESTLESS => (
                SUSPENDED_AFTER * (self.resets + 1),
                format!("{SUSPENDED_AFTER} in a row, and again after each reset"),
            ),
            RESETTER => {
                let most = ROLLING as u64 * (1 + REFILLS as u64) * 14;
                assert_eq!(most, GUESSES_A_YEAR);
                (
                    most,
                    format!(
                        "{ROLLING} wrong codes in any 30 days, and again after each of {REFILLS} resets"
                    ),
                )
            }
            DORMANT => (SUSPENDED_AFTER, format!("{SUSPENDED_AFTER} in a row, then a reset")),
            BACKUPS => (
                BACKUP_CODES_A_LOGIN * self.backup_visits,
                format!("{BACKUP_CODES_A_LOGIN} a login, of 112 bits"),
            ),
            BOMBER => (SENDS_A_DAY * DAYS, format!("{SENDS_A_DAY} codes in any 24 hours")),
            SPRAYER => {
                (PASSWORDS_A_LOCK * PEOPLE * DAYS, format!("{PASSWORDS_A_LOCK} a lock and person"))
            }
            _ => (0, "nothing".to_owned()),
        }
    }
}

fn report(year: &Year, seed: u64, most_sends_a_day: u64) {
    println!("a year, seed {seed}");
    for (who, Tally { attempted, effective, granted, .. }) in &year.tally {
        let (most, why) = year.promised(who);
        println!(
            "{who:31} attempted {attempted:6}  effective {effective:5}  promised {most:5} ({why})  let in {granted}"
        );
    }
    println!(
        "most codes to the bombarded person in a day: {most_sends_a_day}, promised {SENDS_A_DAY}"
    );
    println!(
        "owners came in: {:?}, {} resets; {} resets of erin",
        year.owners, year.resets, year.resets_of_erin
    );
}

/// I-13: somebody without the password who does not stop, for a day: what is compared, and that the
/// owner comes in between two locks.
#[tokio::test]
async fn a_day_of_wrong_passwords_stays_within_what_is_promised() {
    let world = World::new().await;
    let mut compared = 0;
    for _ in 0..24 * 60 * 12 {
        assert_eq!(reason(&world.try_begin("carol", "wrong").await), Reason::InvalidCredentials);
        assert_eq!(reason(&world.try_begin("bob", "wrong").await), Reason::InvalidCredentials);
        compared += world
            .events
            .all()
            .iter()
            .filter(|event| event.user.as_ref() == Some(&world.bob))
            .filter(|event| {
                matches!(
                    event.kind,
                    EventKind::CredentialsRefused { cause: CredentialsCause::WrongPassword, .. }
                )
            })
            .count() as u64;
        world.events.clear();
        world.clock.advance(Duration::from_secs(5));
    }
    println!(
        "wrong passwords in a day: {} tried, {compared} compared, promised {PASSWORDS_A_DAY}",
        24 * 60 * 12
    );
    // "About": the first locks are shorter than the longest.
    assert!((PASSWORDS_A_DAY / 2..=PASSWORDS_A_DAY + 40).contains(&compared), "{compared}");
    world.clock.advance(15 * MINUTE);
    let _challenge = world.begin("bob").await;
}

/// Negative control: without the rolling budget and the suspension, the same guesser gets many
/// times what is promised.
#[tokio::test]
async fn a_guesser_without_a_rolling_budget_gets_more() {
    let mut year = Year::new(1).await;
    // As large as the builder takes it: with ten digits, a hundred guesses a month are safe by
    // arithmetic.
    year.world.restarted(|b| {
        b.code_digits(10).rolling_wrong_code_limit(100).suspend_after(100).lockout(MINUTE, HOUR)
    });
    for _ in 0..30 * 24 {
        year.world.clock.advance(HOUR);
        year.guess_ten_digits().await;
    }
    assert!(
        year.tally["guesser"].effective > ROLLING as u64,
        "{}",
        year.tally["guesser"].effective
    );
}

impl Year {
    async fn guess_ten_digits(&mut self) {
        let Some(challenge) = self.first_step("alice").await else { return };
        loop {
            let step = self
                .world
                .submit(&challenge.token, &format!("{:010}", self.dice.random_range(0..1_000_000)))
                .await;
            self.note("guesser", &step);
            if !matches!(&step, LoginStep::Denied(denied) if denied.reason() == Reason::WrongCode) {
                return;
            }
        }
    }
}

/// Negative control: where more resets refill, the same administrator gets more than is promised.
#[tokio::test]
async fn an_administrator_whose_resets_refill_more_often_gets_more() {
    let mut year = Year::new(1).await;
    year.world.restarted(|b| b.code_digits(10).refills_per_month(10).recent_login(HOUR));
    year.reset_and_guess(0).await;
    let effective = year.tally[RESETTER].effective;
    assert!(effective > (ROLLING * (1 + REFILLS)) as u64, "{effective}");
}
