//! A store in whose calls a test can put something in between: what another node does at that very
//! moment.

use std::future::Future;
use std::pin::Pin;

use super::*;
use countersign_testkit::{InjectedError, Intercepted, Interceptor};

type Hook = Box<dyn FnOnce() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

/// Runs a hook once, before or after the next call of one name.
#[derive(Clone, Default)]
pub struct Interject(Arc<Mutex<Option<(&'static str, Hook)>>>);

impl Interject {
    pub fn over(world: &World) -> Intercepted<MemoryFactors, Self> {
        Intercepted::new(world.factors.clone(), &Self::default())
    }

    /// `point` is `before commit`, `after purge` and so on.
    pub fn once<F: Future<Output = ()> + Send + 'static>(
        &self,
        point: &'static str,
        hook: impl FnOnce() -> F + Send + 'static,
    ) {
        *self.0.lock().unwrap() = Some((point, Box::new(move || Box::pin(hook()))));
    }

    /// Whether the hook has run.
    pub fn is_done(&self) -> bool {
        self.0.lock().unwrap().is_none()
    }

    async fn at(&self, when: &str, method: &str) {
        let hook =
            self.0.lock().unwrap().take_if(|(point, _)| *point == format!("{when} {method}"));
        if let Some((_, hook)) = hook {
            hook().await;
        }
    }
}

impl Interceptor for Interject {
    async fn around<T: Send, E: InjectedError>(
        &self,
        method: &'static str,
        _: Option<T>,
        call: impl Future<Output = Result<T, E>> + Send,
    ) -> Result<T, E> {
        self.at("before", method).await;
        let answer = call.await;
        self.at("after", method).await;
        answer
    }
}
