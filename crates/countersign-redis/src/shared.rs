//! One connection for all calls.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::error::RedisError;

/// A connection younger than this is kept, so that a server that refuses every call is not
/// connected to for every call.
const YOUNG: Duration = Duration::from_millis(100);

type Making<C> = BoxFuture<'static, Result<C, RedisError>>;

/// One connection, shared by all clones.
///
/// It is made again for the calls that follow one that found it lost, silent, mixed up, or leading
/// to a server that is not the master any more. The call that failed is not sent again.
pub(crate) struct Shared<C>(Arc<Inner<C>>);

impl<C> Clone for Shared<C> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

struct Inner<C> {
    make: Box<dyn Fn() -> Making<C> + Send + Sync>,
    current: Mutex<Current<C>>,
}

struct Current<C> {
    /// Whoever needs it drives this, and all get what came of it.
    making: futures_util::future::Shared<Making<C>>,
    since: Instant,
    /// Which one it is.
    number: u64,
}

/// A connection that a call uses.
pub(crate) struct Used<C> {
    pub(crate) connection: C,
    number: u64,
}

impl<C: Clone + Send + Sync + 'static> Shared<C> {
    /// Connects for the first time.
    pub(crate) async fn connect(
        make: impl Fn() -> Making<C> + Send + Sync + 'static,
    ) -> Result<Self, RedisError> {
        let making = make().shared();
        let current = Mutex::new(Current { making, since: Instant::now(), number: 0 });
        let shared = Self(Arc::new(Inner { make: Box::new(make), current }));
        shared.used().await?;
        Ok(shared)
    }

    /// The connection, once it is made.
    pub(crate) async fn used(&self) -> Result<Used<C>, RedisError> {
        let (making, number) = {
            let current = self.0.current.lock().unwrap_or_else(PoisonError::into_inner);
            (current.making.clone(), current.number)
        };
        let made = making.await;
        if made.is_err() {
            self.replace(number, false);
        }
        made.map(|connection| Used { connection, number })
    }

    /// Has the next call connect anew, unless another call already has said so.
    pub(crate) fn give_up(&self, used: &Used<C>, lost: bool) {
        self.replace(used.number, lost);
    }

    fn replace(&self, number: u64, however_young: bool) {
        let mut current = self.0.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.number != number || (!however_young && current.since.elapsed() < YOUNG) {
            return;
        }
        let making = (self.0.make)().shared();
        *current = Current { making, since: Instant::now(), number: number.wrapping_add(1) };
    }
}
