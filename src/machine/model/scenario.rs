//! A model for the checker: one alphabet of actions, the worlds that it begins in, and how deep it
//! goes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use stateright::{Checker, Model, Property};

use super::change::Change;
use super::ledger::{Broken, Claim, MARKS, Mark, properties};
use super::stand_ins::{MONTH, rules};
use super::step::Step;
use super::tamper::Fault;
use super::world::{By, Names, SLOTS, Subject, Tenant, World};
use crate::machine::Rules;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Action {
    /// Decided, written and answered at once.
    Do(Step),
    /// Decided now; written by [`Action::Settle`], or never.
    Hold(Step),
    Settle,
    /// Decided and written, and the process stops before it answers or sends.
    Lose(Step),
    Wait(Duration),
    Set(Tenant, Change),
    /// An administrator's page shows the settings.
    Show(Tenant),
    /// The administrator saves that page with this change.
    Save(Change),
    /// The same, decided now; written by [`Action::SettleSave`], or never.
    HoldSave(Change),
    SettleSave,
    /// What a change would do.
    Rehearse(Tenant, Change),
    /// Decided by a node of the version before, which reads format 1 alone.
    Old(Step),
    /// One batch.
    Purge(Tenant),
    /// A sweep finds somebody's record worth something or nothing; in the second case
    /// [`Action::Sweep`] deletes it, or never.
    Look(Subject),
    Sweep,
    /// Gives the administrator's role, or takes it.
    Promote(Subject),
    /// Disables, or enables again.
    Disable(Subject),
    ChangePassword(Subject),
}

pub(super) struct Scenario {
    pub(super) name: &'static str,
    /// Who sits at which slot, and whose login it is.
    pub(super) seats: [(By, Subject); SLOTS],
    pub(super) alphabet: Vec<Action>,
    /// Each leads from nothing to a world that the model begins in.
    pub(super) stories: Vec<Vec<Action>>,
    pub(super) depth: usize,
    /// What has to be met on the way.
    pub(super) meets: &'static [Mark],
    /// The longest that a session of the application lives.
    pub(super) longest_session: Duration,
    pub(super) fault: Fault,
    /// The claim that the fault must break. Without one, nothing goes on where any claim is broken.
    pub(super) wanted: Option<Claim>,
    pub(super) rules: Rules,
    pub(super) names: Names,
    seen: Arc<AtomicU64>,
}

impl Scenario {
    pub(super) fn new(name: &'static str, depth: usize, seats: [(By, Subject); SLOTS]) -> Self {
        Self {
            name,
            seats,
            alphabet: Vec::new(),
            stories: Vec::new(),
            depth,
            meets: &[],
            longest_session: MONTH,
            fault: Fault::None,
            wanted: None,
            rules: rules(),
            names: Names::new(),
            seen: Arc::default(),
        }
    }

    pub(super) fn saw(&self, mark: Mark) {
        self.seen.fetch_or(1 << mark as u64, Ordering::Relaxed);
    }

    fn possible_action(&self, world: &World, action: Action) -> bool {
        match action {
            Action::Do(step) | Action::Lose(step) | Action::Old(step) => self.possible(world, step),
            Action::Hold(step) => world.held.is_none() && self.possible(world, step),
            Action::Settle => world.held.is_some(),
            Action::Set(tenant, change) => {
                let now = world.decided(tenant);
                change.of(&now) != now
            }
            Action::Purge(tenant) => {
                world.generation(tenant).number() > 0 && !world.purged.contains(&tenant)
            }
            Action::Sweep => world.spent.is_some(),
            Action::Save(change) | Action::HoldSave(change) => {
                world.saving.is_none() && Self::may_save(world, change)
            }
            Action::SettleSave => world.saving.is_some(),
            Action::Show(_)
            | Action::Rehearse(..)
            | Action::Wait(_)
            | Action::Look(_)
            | Action::Promote(_)
            | Action::Disable(_)
            | Action::ChangePassword(_) => true,
        }
    }

    /// Explores every interleaving up to the depth: no claim breaks, and the model has met what it
    /// is about.
    pub(super) fn holds(mut self) {
        let further: usize =
            std::env::var("COUNTERSIGN_MODEL_DEPTH").map_or(0, |depth| depth.parse().unwrap());
        self.depth += further;
        let (name, depth, meets, seen) =
            (self.name, self.depth, self.meets, Arc::clone(&self.seen));
        let started = std::time::Instant::now();
        let checker = self.checker().spawn_bfs().join();
        println!(
            "model {name}: {} distinct states, {} steps, every order of {depth} actions, {:.1} s",
            checker.unique_state_count(),
            checker.state_count(),
            started.elapsed().as_secs_f32(),
        );
        checker.assert_properties();
        let seen = seen.load(Ordering::Relaxed);
        let missed: Vec<Mark> =
            meets.iter().copied().filter(|mark| seen & (1 << *mark as u64) == 0).collect();
        let met: Vec<&Mark> =
            MARKS.iter().filter(|mark| seen & (1 << **mark as u64) != 0).collect();
        println!("model {name} met: {met:?}");
        assert!(missed.is_empty(), "model {name} never met {missed:?}");
    }

    /// The same exploration with a driver that does this one thing wrong: this claim must break.
    pub(super) fn catches(mut self, fault: Fault, claim: Claim) {
        self.fault = fault;
        self.wanted = Some(claim);
        let name = self.name;
        let checker = self.checker().spawn_bfs().join();
        let story = checker.discovery(claim.text());
        let story = story.unwrap_or_else(|| {
            panic!("model {name} does not see that {fault:?} breaks {}", claim.text())
        });
        println!("{fault:?} breaks {} after {:?}", claim.text(), story.into_actions());
    }
}

impl Model for Scenario {
    type State = World;
    type Action = Action;

    /// The stories are told by a sound driver: a fault shows in what comes after them.
    fn init_states(&self) -> Vec<World> {
        let mut sound =
            Self { wanted: self.wanted, ..Self::new(self.name, self.depth, self.seats) };
        sound.rules.limits = self.rules.limits;
        let tell = |story: &Vec<Action>| {
            story.iter().fold(World::new(), |mut world, action| {
                assert!(
                    sound.possible_action(&world, *action),
                    "{}: {action:?} is not possible yet",
                    self.name
                );
                sound.act(&mut world, action);
                world
            })
        };
        let worlds: Vec<World> = self.stories.iter().map(tell).collect();
        assert!(worlds.iter().all(|world| world.broken == Broken::default()));
        worlds
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        let over =
            self.wanted.map_or(world.broken != Broken::default(), |claim| world.broken.has(claim));
        if !over && world.depth.0 < self.depth {
            actions.extend(
                self.alphabet.iter().copied().filter(|action| self.possible_action(world, *action)),
            );
        }
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        let mut next = world.clone();
        next.depth.0 += 1;
        self.act(&mut next, &action);
        (next != *world).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        // On its own, the first story that breaks the wanted claim is the shortest.
        let wanted = |property: &Property<Self>| {
            self.wanted.is_none_or(|claim| property.name == claim.text())
        };
        properties().into_iter().filter(wanted).collect()
    }
}
