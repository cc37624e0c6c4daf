#![doc = include_str!("../README.md")]

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread::available_parallelism;

use async_trait::async_trait;
use countersign::error::PluginError;
use countersign::password::{
    Admission, Argon2id, Argon2idBuilder, Argon2idError, Busy, PasswordAttempt, PasswordCheck,
    PasswordVerifier,
};
use countersign::user::{PasswordHash, User};
use countersign::{LoginName, Password, TenantId};
use thiserror::Error;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::{JoinError, JoinHandle};

/// A [`PasswordVerifier`] whose checks run on tokio's blocking pool, so that no task of the runtime
/// waits for them.
///
/// ```
/// use countersign::password::Argon2id;
/// use countersign_tokio::BlockingPool;
///
/// let passwords = BlockingPool::default(); // argon2id with its default parameters, on all processors
/// let passwords = BlockingPool::argon2id(Argon2id::builder().memory_kib(46 * 1024).iterations(1))?;
/// # Ok::<_, countersign::password::Argon2idError>(())
/// ```
///
/// # Bounds (`I-40`)
///
/// The queue is that of the verifier inside: the flow asks it for a place before it reads anything,
/// and answers [`Reason::Busy`](countersign::Reason::Busy) where there is none. At most as many
/// checks run at a time as were asked for here, also where their callers have gone: a check that
/// runs keeps its turn until it ends.
///
/// # Errors
///
/// A call outside of a tokio runtime, or in one that shuts down, is a fault. So is a verifier
/// inside that panics.
///
/// # Cancel safety
///
/// A future that is dropped while it waits for its turn has no effect. One that is dropped later
/// leaves its check running: what it finds is thrown away. Copies of password and hash are wiped
/// when the check ends, and the memory of the hash as ever.
pub struct BlockingPool<V> {
    inner: Arc<V>,
    turns: Arc<Semaphore>,
    max_concurrent: usize,
}

impl BlockingPool<Argon2id> {
    /// Argon2id with these parameters, hashing on all processors. What the builder says of
    /// [`max_concurrent`](Argon2idBuilder::max_concurrent) does not count here: use
    /// [`new`](Self::new) for another number.
    ///
    /// # Errors
    ///
    /// As [`Argon2idBuilder::build`].
    pub fn argon2id(builder: Argon2idBuilder) -> Result<Self, Argon2idError> {
        let processors = processors();
        Ok(Self::new(builder.max_concurrent(processors).build()?, processors))
    }
}

/// Argon2id with its default parameters, on all processors.
impl Default for BlockingPool<Argon2id> {
    fn default() -> Self {
        let processors = processors();
        // The default parameters are within their bounds, whatever the number of processors.
        Self::argon2id(Argon2id::builder())
            .unwrap_or_else(|_| Self::new(Argon2id::default(), processors))
    }
}

impl<V: PasswordVerifier + 'static> BlockingPool<V> {
    /// At most `max_concurrent` checks of this verifier at a time, each on a thread of the blocking
    /// pool. Give a verifier with a bound of its own, such as [`Argon2id`], the same number; zero
    /// counts as one.
    pub fn new(inner: V, max_concurrent: usize) -> Self {
        let max_concurrent = max_concurrent.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            inner: Arc::new(inner),
            turns: Arc::new(Semaphore::new(max_concurrent)),
            max_concurrent,
        }
    }

    /// Runs one call on the blocking pool, in its turn. The turn goes with the call: it ends with
    /// it, whether or not its caller still waits for the answer.
    async fn run<T: Send + 'static>(
        &self,
        call: impl FnOnce(&V, &Handle) -> Result<T, PluginError> + Send + 'static,
    ) -> Result<T, PluginError> {
        let runtime = Handle::try_current()?;
        let turn = Arc::clone(&self.turns).acquire_owned().await?;
        let (inner, within) = (Arc::clone(&self.inner), runtime.clone());
        let running = runtime.spawn_blocking(move || {
            let answer = call(&inner, &within);
            drop(turn);
            answer
        });
        match Wanted(running).await_it().await {
            Ok(answer) => answer,
            Err(error) if error.is_panic() => Err(Panicked.into()),
            Err(_) => Err(ShutDown.into()),
        }
    }
}

#[async_trait]
impl<V: PasswordVerifier + 'static> PasswordVerifier for BlockingPool<V> {
    fn admit(&self) -> Result<Admission, Busy> {
        self.inner.admit()
    }

    async fn verify(&self, attempt: &PasswordAttempt<'_>) -> Result<PasswordCheck, PluginError> {
        let attempt = Owned::of(attempt);
        self.run(move |inner, runtime| runtime.block_on(inner.verify(&attempt.borrowed()))).await
    }

    async fn hash_password(
        &self,
        password: &Password,
    ) -> Result<Option<PasswordHash>, PluginError> {
        let password = copy(password);
        self.run(move |inner, runtime| runtime.block_on(inner.hash_password(&password))).await
    }
}

/// Without the verifier inside, which may hold keys.
impl<V> fmt::Debug for BlockingPool<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockingPool")
            .field("max_concurrent", &self.max_concurrent)
            .finish_non_exhaustive()
    }
}

/// An attempt that can cross to another thread. Password and hash are wiped when it is dropped.
struct Owned {
    tenant: TenantId,
    name: Option<LoginName>,
    user: Option<User>,
    password: Password,
}

impl Owned {
    fn of(attempt: &PasswordAttempt<'_>) -> Self {
        Self {
            tenant: attempt.tenant.clone(),
            name: attempt.name.cloned(),
            user: attempt.user.cloned(),
            password: copy(attempt.password),
        }
    }

    fn borrowed(&self) -> PasswordAttempt<'_> {
        let (tenant, user, password) = (&self.tenant, self.user.as_ref(), &self.password);
        match &self.name {
            Some(name) => PasswordAttempt::new(tenant, name, user, password),
            None => PasswordAttempt::in_session(tenant, user, password),
        }
    }
}

fn copy(password: &Password) -> Password {
    Password::new(password.expose())
}

/// A call that is not begun any more once nobody waits for it.
struct Wanted<T>(JoinHandle<T>);

impl<T> Wanted<T> {
    async fn await_it(mut self) -> Result<T, JoinError> {
        (&mut self.0).await
    }
}

impl<T> Drop for Wanted<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn processors() -> usize {
    available_parallelism().map_or(1, NonZeroUsize::get).min(Argon2id::MAX_AT_ONCE)
}

#[derive(Debug, Error)]
#[error("password verifier panicked")]
struct Panicked;

#[derive(Debug, Error)]
#[error("runtime is shutting down")]
struct ShutDown;
