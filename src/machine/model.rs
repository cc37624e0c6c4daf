//! Model checking of the machine itself: every interleaving of a small world, up to a depth,
//! against the invariants.
//!
//! Nothing is told again here. The checker drives the real [`Draft`](super::Draft) through the real
//! documents and a store that writes as the contract of [`FactorStore`](crate::store::FactorStore)
//! says; only the hash and the randomness are stand-ins, through the seams that the machine has for
//! them. Beside the world runs a ledger: a plain account, from the outside, of what was guessed,
//! sent, granted and taken away. Each claim compares the two, and is named after its invariant.
//!
//! - `world`: what there is: two tenants with the same user ids, the host's table, the stored rows,
//!   the two logins in flight.
//! - `step`: one step, decided by the machine.
//! - `drive`: load, decide, commit, answer; now, later, or never. `change`: a tenant's settings.
//! - `judge`, `ledger`: what must hold, from the outside. `bounds`: the same for a
//!   tenant's saved settings.
//! - `scenario`: one alphabet of actions, its first states and its depth, as a model for the
//!   checker.
//! - `sound`, `settings`, `sweeps`: the models; `broken`: drivers with one fault each, which the
//!   checker must catch.
//!
//! `COUNTERSIGN_MODEL_DEPTH=n` goes n actions deeper than the ordinary test run; use `--release`
//! with it. Two more are about 4.5 million worlds, three minutes on two cores and up to 6 GB with
//! one test thread.

mod bounds;
mod broken;
mod change;
mod drive;
mod judge;
mod ledger;
mod scenario;
mod settings;
mod sound;
mod stand_ins;
mod step;
mod sweeps;
mod tamper;
mod world;

pub(super) use stand_ins::rules;
