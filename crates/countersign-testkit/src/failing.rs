//! Making a plug-in fail on purpose.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use countersign::error::PluginError;

use crate::intercepted::{InjectedError, Intercepted, Interceptor};

/// What happens to one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InjectedFault {
    /// Nothing: it works.
    None,
    /// It fails and has done nothing.
    Before,
    /// It has done its work, and fails all the same: the answer got lost on the way back.
    After,
    /// It takes this long, on tokio's clock, and then works.
    Late(Duration),
    /// It never does anything and never answers.
    HangsBefore,
    /// It does its work and never answers.
    HangsAfter,
    /// A conditional write says that something came first, and writes nothing. Other calls work.
    Conflict,
}

/// Which mishaps come next. Clones share the list.
#[derive(Clone, Debug, Default)]
pub struct Mishaps(Arc<Mutex<Plan>>);

#[derive(Debug, Default)]
struct Plan {
    next: VecDeque<(Option<&'static str>, InjectedFault)>,
    always: Option<InjectedFault>,
}

impl Mishaps {
    /// A plan by which nothing fails.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one for the next call, whichever it is.
    pub fn next(&self, mishap: InjectedFault) {
        self.plan().next.push_back((None, mishap));
    }

    /// Adds one for the next call of a method, by its name.
    pub fn next_of(&self, method: &'static str, mishap: InjectedFault) {
        self.plan().next.push_back((Some(method), mishap));
    }

    /// What happens to every call for which nothing is planned. `None`: nothing.
    pub fn always(&self, mishap: Option<InjectedFault>) {
        self.plan().always = mishap;
    }

    fn plan(&self) -> std::sync::MutexGuard<'_, Plan> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn of(&self, method: &'static str) -> InjectedFault {
        let mut plan = self.plan();
        let planned = plan.next.iter().position(|(of, _)| of.is_none_or(|of| of == method));
        match planned.and_then(|index| plan.next.remove(index)) {
            Some((_, mishap)) => mishap,
            None => plan.always.unwrap_or(InjectedFault::None),
        }
    }
}

impl Interceptor for Mishaps {
    async fn around<T: Send, E: InjectedError>(
        &self,
        method: &'static str,
        conflict: Option<T>,
        call: impl Future<Output = Result<T, E>> + Send,
    ) -> Result<T, E> {
        match (self.of(method), conflict) {
            (InjectedFault::Before, _) => Err(E::before()),
            (InjectedFault::HangsBefore, _) => std::future::pending().await,
            (InjectedFault::Late(by), _) => {
                tokio::time::sleep(by).await;
                call.await
            }
            (InjectedFault::After, _) => {
                let _done = call.await?;
                Err(E::after())
            }
            (InjectedFault::HangsAfter, _) => {
                let _done = call.await?;
                std::future::pending().await
            }
            (InjectedFault::Conflict, Some(conflict)) => Ok(conflict),
            (InjectedFault::None | InjectedFault::Conflict, _) => call.await,
        }
    }

    fn around_sync<T>(
        &self,
        method: &'static str,
        call: impl FnOnce() -> Result<T, PluginError>,
    ) -> Result<T, PluginError> {
        match self.of(method) {
            InjectedFault::Before => Err(PluginError::before()),
            InjectedFault::After => call().and_then(|_done| Err(PluginError::after())),
            _ => call(),
        }
    }
}

/// A plug-in that fails as planned; several may follow the same [`Mishaps`]. Clocks, generators and
/// policies fail before or after their work, and are never late.
///
/// A sender can do more by [`Outbox::script`](crate::Outbox::script).
pub type Failing<T> = Intercepted<T, Mishaps>;
