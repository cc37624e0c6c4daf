//! What happens in a story: mostly what comes to something.

use countersign::Scope;
use proptest::prelude::*;
use proptest::sample::select;
use proptest_state_machine::ReferenceStateMachine;

use super::reference::{self, Act, Door, EVERYBODY, Reference, Tenant, To, Typed, Who};

/// Mostly one of those that are still of use, sometimes any of the newest: people work with what
/// they have just got.
fn one_of(useful: Vec<usize>, number: usize) -> BoxedStrategy<usize> {
    let newest = number.saturating_sub(3)..number.max(1);
    if useful.is_empty() {
        newest.boxed()
    } else {
        prop_oneof![9 => select(useful), 1 => newest].boxed()
    }
}

fn anybody() -> impl Strategy<Value = Who> {
    // Most of a story is about one person, so that it comes to something.
    prop_oneof![8 => Just(EVERYBODY[0]), 2 => select(EVERYBODY.to_vec())]
}

fn doors() -> impl Strategy<Value = Door> {
    let others = select(vec![Door::Mobile, Door::SingleSignOn, Door::Integration, Door::Api]);
    prop_oneof![5 => Just(Door::Web), 1 => others]
}

fn typed() -> impl Strategy<Value = Typed> {
    prop_oneof![5 => Just(Typed::Right), 4 => Just(Typed::Wrong), 1 => Just(Typed::Earlier)]
}

fn pauses() -> impl Strategy<Value = Act> {
    let long = select(vec![
        reference::CODE_TTL,
        reference::LOGIN_TTL,
        reference::LOCK,
        reference::HOUR,
        reference::DAY,
        31 * reference::DAY,
    ]);
    prop_oneof![5 => Just(reference::SPACING), 1 => Just(reference::PASSWORD_LOCK), 2 => long]
        .prop_map(Act::Wait)
}

/// What puts a story back on its way: the second factor is in use again, the person may log in
/// again.
fn recoveries(state: &Reference) -> BoxedStrategy<Act> {
    let off = |tenant: &Tenant| state.scopes[tenant] == Scope::DoNotUse;
    if off(&Tenant::Acme) {
        Just(Act::SetScope(Tenant::Acme, Scope::EntireTenant)).boxed()
    } else if let Some((who, _)) = state.hosts.iter().find(|(_, host)| !host.active) {
        Just(Act::Disable(*who)).boxed()
    } else {
        pauses().boxed()
    }
}

fn acts(state: &Reference) -> BoxedStrategy<Act> {
    let flying = if state.logins_in_flight().is_empty() { 1 } else { 5 };
    let inside = if state.sessions_in_force().is_empty() { 1 } else { 3 };
    let logins = one_of(state.logins_in_flight(), state.logins.len());
    let sessions = one_of(state.sessions_in_force(), state.sessions.len());
    let proofs = one_of(Vec::new(), state.proofs.len());
    let devices = one_of(state.trusted(EVERYBODY[0]), state.devices.len());
    let device = prop::option::weighted(0.3, devices);
    let tenant = prop_oneof![5 => Just(Tenant::Acme), 1 => Just(Tenant::Other)];
    let scopes =
        select(vec![Scope::DoNotUse, Scope::EntireTenant, Scope::SystemAdministratorsOnly]);
    prop_oneof![
        12 => (anybody(), doors(), prop::bool::weighted(0.85), device)
            .prop_map(|(who, door, right, device)| Act::Begin { who, door, right, device }),
        1 => tenant.clone().prop_map(Act::Unknown),
        4 * flying => (logins.clone(), typed(), any::<bool>())
            .prop_map(|(login, typed, trust)| Act::Code { login, typed, trust }),
        flying => (logins.clone(), select(vec![To::Same, To::Email, To::Sms]))
            .prop_map(|(login, to)| Act::Resend { login, to }),
        2 * flying => (logins.clone(), typed()).prop_map(|(login, typed)| Act::Backup { login, typed }),
        1 => logins.clone().prop_map(|login| Act::Cancel { login }),
        1 => logins.prop_map(|login| Act::Astray { login }),
        2 * inside => sessions.clone().prop_map(|session| Act::NewBackup { session }),
        inside => sessions.clone().prop_map(|session| Act::UseSms { session }),
        1 => sessions.clone().prop_map(|session| Act::UseEmail { session }),
        2 * inside => (sessions.clone(), proofs, prop::bool::weighted(0.7))
            .prop_map(|(session, proof, right)| Act::Confirm { session, proof, right }),
        1 => sessions.clone().prop_map(|session| Act::RevokeDevices { session }),
        3 => sessions.prop_map(|session| Act::Revalidate { session }),
        1 => (tenant, scopes).prop_map(|(tenant, scope)| Act::SetScope(tenant, scope)),
        1 => anybody().prop_map(Act::Reset),
        1 => anybody().prop_map(Act::Unlock),
        1 => anybody().prop_map(Act::Promote),
        1 => anybody().prop_map(Act::Disable),
        1 => anybody().prop_map(Act::ChangePassword),
        8 => pauses(),
        12 => recoveries(state),
        12 => state.pursuit(EVERYBODY[0]).map_or_else(|| pauses().boxed(), |act| Just(act).boxed()),
    ]
    .boxed()
}

pub struct Stories;

impl ReferenceStateMachine for Stories {
    type State = Reference;
    type Transition = Act;

    fn init_state() -> BoxedStrategy<Reference> {
        Just(Reference::new()).boxed()
    }

    fn transitions(state: &Reference) -> BoxedStrategy<Act> {
        acts(state)
    }

    fn preconditions(state: &Reference, act: &Act) -> bool {
        state.possible(act)
    }

    fn apply(mut state: Reference, act: &Act) -> Reference {
        state.act(act);
        state
    }
}
