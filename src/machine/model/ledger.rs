//! The account from the outside: what was charged, what was learned, what was sent; and the claims
//! that rest on it.

use stateright::Property;

use super::scenario::Scenario;
use super::stand_ins::{
    LOCK, LOCK_AFTER, MONTH, PASSWORD_LOCK, REFILLS, ROLLING, SENDS_PER_DAY, SUSPEND_AFTER,
};
use super::world::{Host, Moment, World, ms};

/// How often all that was saved of a user was cleared. Whatever was made in an earlier life is
/// dead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Life {
    pub(super) resets: u8,
    pub(super) offs: u8,
}

/// What is known of one user.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Ledger {
    pub(super) life: Life,
    pub(super) passwords: Account,
    /// The password that those failures were guesses at, once one was tried.
    guessed: Option<u8>,
    pub(super) codes: Account,
    /// Wrong passwords beside the token of a trusted device.
    pub(super) device_passwords: Account,
    pub(super) setups: Account,
    /// Codes that went out.
    pub(super) sent: Vec<Moment>,
    /// The backup code that its owner has on paper, and the one before.
    pub(super) paper: Option<String>,
    pub(super) used_paper: Option<String>,
    /// The one that the tenant's switching off of backup codes has ended.
    pub(super) ended_paper: Option<String>,
    /// A number was proved: codes go there.
    pub(super) sms: bool,
    /// When resets refilled the budgets.
    refills: Vec<Moment>,
    /// Wrong codes that somebody got an answer to, and codes that went out, whatever was reset in
    /// between.
    guessed_ever: Vec<Moment>,
    sent_ever: Vec<Moment>,
}

impl Ledger {
    /// The tenant's switching off: nothing is left (`I-27`).
    pub(super) fn cleared(life: Life) -> Self {
        Self { life, ..Self::default() }
    }

    /// Whether a reset may refill the budgets.
    pub(super) fn may_refill(&self, now: Moment) -> bool {
        self.refills.iter().filter(|at| now < **at + ms(MONTH)).count() < REFILLS
    }

    /// A reset: nothing is left but the rolling budget and the sends, and they only if they are not
    /// refilled (`I-26`).
    pub(super) fn reset(&mut self, now: Moment) {
        let refills = self.may_refill(now);
        let life = Life { resets: self.life.resets + 1, ..self.life };
        let before = std::mem::replace(self, Self::cleared(life));
        self.refills = before.refills;
        self.guessed_ever = before.guessed_ever;
        self.sent_ever = before.sent_ever;
        if refills {
            self.refills.push(now);
        } else {
            self.codes = before.codes.window();
            self.setups = before.setups.window();
            self.sent = before.sent;
        }
    }

    /// Somebody learns that a code is wrong: with every refill there are so many rounds in a month,
    /// and no more, however often the user is reset (`I-12`).
    pub(super) fn guess(&mut self, now: Moment) -> Option<Claim> {
        self.guessed_ever.push(now);
        let in_month = self.guessed_ever.iter().filter(|at| now < **at + ms(MONTH)).count();
        (in_month > ROLLING * (1 + REFILLS)).then_some(Claim::I12)
    }

    /// The same for codes that go out in a day (`I-15`).
    pub(super) fn send(&mut self, now: Moment) -> Option<Claim> {
        self.sent.push(now);
        self.sent_ever.push(now);
        let in_a_day = self.sent_ever.iter().filter(|at| now < **at + 86_400_000).count();
        (in_a_day > SENDS_PER_DAY * (1 + REFILLS)).then_some(Claim::I15)
    }

    /// The failures that count for the password that the user has now: those of an earlier one do
    /// not.
    pub(super) fn passwords_of(&self, host: Option<Host>) -> Account {
        let earlier =
            host.is_some_and(|host| self.guessed.is_some_and(|guessed| guessed != host.password));
        if earlier { Account::default() } else { self.passwords.clone() }
    }

    /// The same, from now on.
    pub(super) fn meet(&mut self, host: Option<Host>) {
        let known = self.guessed;
        self.passwords = self.passwords_of(host);
        self.guessed = host.map(|host| host.password).or(known);
        if known.is_some() && known != self.guessed {
            self.device_passwords = Account::default();
        }
    }
}

/// The failures of one kind of secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Account {
    /// Charged in a row.
    pub(super) row: usize,
    pub(super) locked_until: Moment,
    /// Charged, in the rolling window.
    charged: Vec<Moment>,
    /// Answers that somebody got to wrong secrets, since the last right one.
    learned: Vec<Moment>,
    /// Answers that somebody got to wrong secrets, whatever was right in between.
    learned_ever: Vec<Moment>,
    /// So many of those no longer count towards a lock: an administrator has lifted it.
    lifted: usize,
}

/// The numbers of an account.
#[derive(Clone, Copy)]
pub(super) struct Budget {
    pub(super) lock: Moment,
    pub(super) lock_at_most: Moment,
    pub(super) suspends: bool,
    pub(super) rolls: bool,
}

impl Budget {
    pub(super) fn codes() -> Self {
        Self { lock: ms(LOCK), lock_at_most: 24 * 3_600_000, suspends: true, rolls: true }
    }

    pub(super) fn passwords() -> Self {
        Self { lock: ms(PASSWORD_LOCK), lock_at_most: ms(LOCK), suspends: false, rolls: false }
    }
}

impl Account {
    pub(super) fn suspended(&self, budget: Budget) -> bool {
        budget.suspends && self.row >= SUSPEND_AFTER
    }

    /// Whether another attempt is looked at.
    pub(super) fn open(&self, now: Moment, budget: Budget) -> bool {
        let rolled = budget.rolls
            && self.charged.iter().filter(|at| now < **at + ms(MONTH)).count() >= ROLLING;
        !(self.suspended(budget) || now < self.locked_until || rolled)
    }

    pub(super) fn charge(&mut self, now: Moment, budget: Budget) {
        self.row += 1;
        self.charged.push(now);
        if self.row.is_multiple_of(LOCK_AFTER) {
            let length = budget.lock << (self.row / LOCK_AFTER - 1);
            self.locked_until = now + length.min(budget.lock_at_most);
        }
    }

    pub(super) fn succeed(&mut self) {
        self.row = 0;
        self.locked_until = 0;
        self.learned.clear();
        self.lifted = 0;
    }

    /// What a reset leaves that refills nothing.
    fn window(self) -> Self {
        Self { charged: self.charged, learned_ever: self.learned_ever, ..Self::default() }
    }

    pub(super) fn lift(&mut self, now: Moment) {
        if now < self.locked_until {
            self.locked_until = 0;
            self.lifted = self.learned.len();
        }
    }

    /// Somebody learns whether a secret is right. Which of the budgets that spends too much of.
    pub(super) fn learn(&mut self, now: Moment, budget: Budget, right: bool) -> Option<Claim> {
        let since_lift = self.learned.iter().skip(self.lifted);
        let in_lock = since_lift.filter(|at| now < **at + budget.lock).count();
        let in_month = self.learned_ever.iter().filter(|at| now < **at + ms(MONTH)).count();
        let claim = if budget.suspends && self.learned.len() >= SUSPEND_AFTER {
            Some(Claim::I11)
        } else if budget.rolls && in_month >= ROLLING {
            Some(Claim::I12)
        } else {
            (in_lock >= LOCK_AFTER).then_some(Claim::I09)
        };
        if !right {
            self.learned.push(now);
            if budget.rolls {
                self.learned_ever.push(now);
            }
        }
        claim
    }
}

/// The claims that did not hold on the way to a world.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Broken(u32);

impl Broken {
    pub(super) fn mark(&mut self, claim: Claim) {
        self.0 |= 1 << claim as u32;
    }

    pub(super) fn mark_any(&mut self, claim: Option<Claim>) {
        if let Some(claim) = claim {
            self.mark(claim);
        }
    }

    pub(super) fn mark_unless(&mut self, holds: bool, claim: Claim) {
        if !holds {
            self.mark(claim);
        }
    }

    pub(super) fn has(self, claim: Claim) -> bool {
        self.0 & (1 << claim as u32) != 0
    }
}

macro_rules! claims {
    ($($claim:ident: $text:literal,)*) => {
        /// What is claimed, by the number of its invariant.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Claim {
            $(#[doc = $text] $claim,)*
        }

        impl Claim {
            pub(super) const fn text(self) -> &'static str {
                match self {
                    $(Self::$claim => concat!(stringify!($claim), ": ", $text),)*
                }
            }
        }

        /// Every claim, in every model.
        pub(super) fn properties() -> Vec<Property<Scenario>> {
            vec![$(Property::always(Claim::$claim.text(), |_, world: &World| !world.broken.has(Claim::$claim)),)*]
        }
    };
}

claims! {
    I01: "no grant without the password, and a second factor of its owner's or the policy's word",
    I02: "a pending token serves its own login's next steps and nothing else",
    I03: "codes and tokens serve the tenant, user, login and purpose that they were made for",
    I04: "a step touches its own tenant's and user's rows only",
    I05: "codes, backup codes and tokens succeed once",
    I06: "the newest code of a login is its only one, and it is accepted in its own window",
    I07: "a code ends at its time",
    I09: "no more answers leave than the lock allows",
    I10: "the saved count is the number of failures since the last success or reset",
    I11: "after so many failures in a row nothing is compared until a reset",
    I12: "neither success nor more resets than allowed refill the rolling budget",
    I13: "a password, right or wrong, leaves the code budget alone",
    I14: "a login takes so many wrong backup codes, and nothing else locks the right one",
    I15: "codes are sent within the budget, in live unlocked logins, after a right password",
    I16: "every password check is counted, and none succeeds while its count is locked",
    I17: "an unknown name is counted as a wrong password is",
    I25: "completion and sessions rest on the user as they are now",
    I26: "nothing from before a reset works or comes back after it, and it refills what it may and no more",
    I27: "nothing from before switching off works or comes back after it, in that tenant alone",
    I28: "a stricter policy or a promotion holds for logins and sessions under way",
    I29: "a device replaces the code for its own user, until its time",
    I30: "a device ends with the password, the method, the user's activity and its revocation",
    I31: "there is one backup code, and its successor is the one that was shown",
    I32: "a new method is saved after its own code, in a recent session",
    I37: "no step fails on what another has saved",
    I41: "a node of the version before refuses what it would misread",
    I42: "settings stay within the application's, no change undoes another, and nothing they end comes back",
    I43: "a login after single sign-on claims no password, and takes and makes no device token",
    I44: "a rehearsal writes nothing, and foretells what the machine then decides",
    I50: "a method that the tenant does not allow completes no login",
}

macro_rules! marks {
    ($($mark:ident),* $(,)?) => {
        /// What a model must have met, or it has shown nothing.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Mark {
            $($mark,)*
        }

        pub(super) const MARKS: &[Mark] = &[$(Mark::$mark,)*];
    };
}

marks! {
    ByCode, ByBackupCode, ByDevice, Exempt, WrongCode, WrongBackupCode, CodesLocked, Suspended, RolledOver, BackupLimit, PasswordLocked,
    SendLimit, LoginSendLimit, TooManyLogins, LoginOver, NoLiveCode, Conflict, SessionEnded, Purged, MethodChanged, DeviceRefused,
    Unlocked, BackupWhileLocked, BackupWhileSuspended, DevicePastLock, InvalidCredentials, Swept, WrittenMeanwhile,
    Refilled, BudgetsKept, DevicesEnded, Rehearsed, OldNodeRefused, AfterSingleSignOn, NotAllowed,
    SettingsRefused, SavedAsShown, NoLongerShown, SettingsConflict,
}
