//! Counting the calls of a plug-in.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use countersign::error::PluginError;

use crate::intercepted::{InjectedError, Intercepted, Interceptor};

type Hook = Box<dyn FnOnce() + Send>;

/// The calls that were made, in order. Clones share them.
#[derive(Clone, Default)]
pub struct Calls(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    made: Vec<&'static str>,
    hooks: HashMap<&'static str, Hook>,
}

impl Calls {
    /// A log without any calls.
    pub fn new() -> Self {
        Self::default()
    }

    /// All of them, in the order in which they began.
    pub fn all(&self) -> Vec<&'static str> {
        self.state().made.clone()
    }

    /// How often a method was called, by its name.
    pub fn of(&self, method: &str) -> usize {
        self.state().made.iter().filter(|made| **made == method).count()
    }

    /// The calls since the last time, in alphabetical order: two that run at the same time have no
    /// other.
    #[must_use]
    pub fn take_sorted(&self) -> Vec<&'static str> {
        let mut calls = std::mem::take(&mut self.state().made);
        calls.sort_unstable();
        calls
    }

    /// Forgets the calls. Hooks stay.
    pub fn clear(&self) {
        self.state().made.clear();
    }

    /// Runs a hook once, just before the next call of a method: what another node or request does
    /// in between. It replaces the method's earlier hook.
    ///
    /// ```
    /// # futures_lite::future::block_on(async {
    /// use countersign::LoginStep;
    /// use countersign::memory::MemoryFactors;
    /// use countersign_testkit::World;
    ///
    /// let world = World::on(MemoryFactors::new())?;
    /// let (users, tenant) = (world.users.clone(), world.tenant.clone());
    /// let alice = countersign::UserId::new("alice")?;
    /// // The user is deleted while the password is hashed.
    /// world.calls.before("verify", move || drop(users.remove(&tenant, &alice)));
    /// assert!(matches!(world.begin("alice").await?, LoginStep::Denied(_)));
    /// # Ok::<(), countersign::error::PluginError>(())
    /// # }).unwrap();
    /// ```
    pub fn before(&self, method: &'static str, hook: impl FnOnce() + Send + 'static) {
        self.state().hooks.insert(method, Box::new(hook));
    }

    /// Notes a call that is about to be made, and runs its hook: for a wrapper of your own.
    pub fn note(&self, method: &'static str) {
        let hook = {
            let mut state = self.state();
            state.made.push(method);
            state.hooks.remove(method)
        };
        // It may set the next hook.
        if let Some(hook) = hook {
            hook();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Calls").field(&self.state().made).finish()
    }
}

impl Interceptor for Calls {
    async fn around<T: Send, E: InjectedError>(
        &self,
        method: &'static str,
        _: Option<T>,
        call: impl Future<Output = Result<T, E>> + Send,
    ) -> Result<T, E> {
        self.note(method);
        call.await
    }

    fn around_sync<T>(
        &self,
        method: &'static str,
        call: impl FnOnce() -> Result<T, PluginError>,
    ) -> Result<T, PluginError> {
        self.note(method);
        call()
    }
}

/// A plug-in whose calls are counted; several may count into the same [`Calls`].
pub type Counting<T> = Intercepted<T, Calls>;
