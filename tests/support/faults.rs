//! Plug-ins that break at a chosen call, and that wait at each call so that a future can be dropped
//! there.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use super::*;
use countersign::policy::TwoFactorPolicy;
use countersign_testkit::{InjectedError, Intercepted, Interceptor};
use futures_lite::future::yield_now;

/// Whether a call that fails has had its effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    Before,
    After,
}

/// Shared by all plug-ins of one flow: counts their calls, and fails one of them.
#[derive(Clone, Default)]
pub struct FaultPoint(Arc<Mutex<Plan>>);

#[derive(Default)]
struct Plan {
    calls: Vec<&'static str>,
    fail: Option<(usize, When)>,
    panic: Option<usize>,
    delay: Option<(usize, ManualClock, Duration)>,
    waits: bool,
}

impl FaultPoint {
    /// The call with this number, from 1 on, fails; the numbers start anew.
    pub fn arm(&self, number: usize, when: When) {
        *self.0.lock().unwrap() = Plan { fail: Some((number, when)), ..Plan::default() };
    }

    /// The call with this number, from 1 on, takes so long before it has its effect.
    pub fn delay(&self, number: usize, clock: ManualClock, time: Duration) {
        *self.0.lock().unwrap() = Plan { delay: Some((number, clock, time)), ..Plan::default() };
    }

    /// The call with this number, from 1 on, panics.
    pub fn panic_at(&self, number: usize) {
        *self.0.lock().unwrap() = Plan { panic: Some(number), ..Plan::default() };
    }

    /// Nothing fails; the calls are counted anew.
    pub fn disarm(&self) {
        *self.0.lock().unwrap() = Plan::default();
    }

    /// Nothing fails, and each call waits twice: before and after its effect.
    pub fn wait_at_each_call(&self) {
        *self.0.lock().unwrap() = Plan { waits: true, ..Plan::default() };
    }

    /// The calls since then.
    pub fn calls(&self) -> Vec<&'static str> {
        self.0.lock().unwrap().calls.clone()
    }

    fn enter(&self, call: &'static str) -> Option<When> {
        let mut plan = self.0.lock().unwrap();
        plan.calls.push(call);
        let number = plan.calls.len();
        let panics = plan.panic == Some(number);
        let fail = plan.fail;
        if let Some((_, clock, time)) =
            plan.delay.as_ref().filter(|(delayed, ..)| *delayed == number)
        {
            clock.advance(*time);
        }
        drop(plan);
        assert!(!panics, "a plug-in is broken");
        fail.filter(|(fails, _)| *fails == number).map(|(_, when)| when)
    }

    async fn wait(&self) {
        if self.0.lock().unwrap().waits {
            yield_now().await;
        }
    }
}

impl Interceptor for FaultPoint {
    async fn around<T: Send, E: InjectedError>(
        &self,
        method: &'static str,
        _: Option<T>,
        call: impl Future<Output = Result<T, E>> + Send,
    ) -> Result<T, E> {
        let fails = self.enter(method);
        self.wait().await;
        if fails == Some(When::Before) {
            return Err(E::before());
        }
        let answer = call.await;
        self.wait().await;
        if fails == Some(When::After) { Err(E::after()) } else { answer }
    }

    fn around_sync<T>(
        &self,
        method: &'static str,
        call: impl FnOnce() -> Result<T, PluginError>,
    ) -> Result<T, PluginError> {
        match self.enter(method) {
            Some(When::Before) => Err(PluginError::before()),
            Some(When::After) => call().and(Err(PluginError::after())),
            None => call(),
        }
    }
}

/// A plug-in that breaks where the fault point says.
pub type Faulty<T> = Intercepted<T, FaultPoint>;

/// Polls at most so many times, then drops. `None`: it was dropped.
pub fn poll_then_drop<T>(polls: usize, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..polls {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return Some(value);
        }
    }
    None
}

/// The world's flow with every plug-in under one fault point.
pub fn faulty_flow(
    world: &World,
    point: &FaultPoint,
    policy: impl TwoFactorPolicy + 'static,
    configure: impl FnOnce(LoginFlowBuilder) -> LoginFlowBuilder,
) -> LoginFlow {
    let builder = LoginFlow::builder(
        Faulty::new(world.users.clone(), point),
        Faulty::new(world.factors.clone(), point),
        Faulty::new(world.outbox.clone(), point),
    )
    .clock(Faulty::new(world.clock.clone(), point))
    .entropy(Faulty::new(Arc::new(SeededEntropy::new(13)), point))
    .password_verifier(Faulty::new(PlainPasswords, point))
    .policy(Faulty::new(policy, point))
    .events(world.events.clone());
    configure(builder).build().unwrap()
}
