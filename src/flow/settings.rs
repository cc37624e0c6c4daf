//! One tenant's settings: how they are read, and the loop of every change. Who may change them:
//! `administration.rs`, and without a right `operator.rs`.

use std::pin::Pin;

use crate::clock::Timestamp;
use crate::context::Call;
use crate::entropy::Draw;
use crate::error::Error;
use crate::event::EventKind;
use crate::flow::Inner;
use crate::flow::driver::ATTEMPTS;
use crate::ids::{TenantId, Version};
use crate::machine::Settings;
use crate::store::{CommitOutcome, Generation, StoredRow};

/// A tenant's settings as they were read.
pub(super) struct Current {
    pub(super) settings: Settings,
    /// `None`: the tenant has none, and these are the default ones.
    pub(super) version: Option<Version>,
    pub(super) generation: Generation,
}

/// A read of a tenant's settings, and its time.
pub(super) type Reading<'a, E> =
    Pin<Box<dyn Future<Output = Result<(Current, Timestamp), E>> + Send + 'a>>;

/// What was decided on a tenant's settings.
pub(super) struct SettingsDecision<T> {
    pub(super) outcome: T,
    /// `None`: they stay as they are.
    pub(super) change: Option<SettingsChange>,
}

/// What a tenant's settings become.
pub(super) struct SettingsChange {
    pub(super) settings: Settings,
    pub(super) generation: Generation,
    /// The event, once it is written.
    pub(super) event: Option<EventKind>,
}

impl Inner {
    /// The loop of every change of a tenant's settings: read, decide, write if they are still what
    /// was read, and only then tell.
    pub(super) async fn change_settings<'a, T, E: From<Error>>(
        &'a self,
        call: Call<'a>,
        read: impl Fn() -> Reading<'a, E>,
        decide: impl Fn(Current, Timestamp) -> Result<SettingsDecision<T>, Error>,
    ) -> Result<T, E> {
        for _ in 0..ATTEMPTS {
            let (current, at) = read().await?;
            let version = current.version;
            let SettingsDecision { outcome, change } = decide(current, at)?;
            let Some(SettingsChange { settings, generation, event }) = change else {
                return Ok(outcome);
            };
            if self.write_settings(call.tenant, version, &settings, generation).await? {
                if let Some(event) = event {
                    self.emit(call, None, at, event);
                }
                return Ok(outcome);
            }
        }
        Err(Error::Contended.into())
    }

    /// Says whether they were still what was read.
    async fn write_settings(
        &self,
        tenant: &TenantId,
        expected: Option<Version>,
        settings: &Settings,
        generation: Generation,
    ) -> Result<bool, Error> {
        // A version of its own for every write: two changes must not undo each other.
        let version = Version::from_random(Draw::new(&*self.entropy).bytes()?);
        let next = StoredRow { version, generation, document: settings.encode()? };
        match self.factors.change_settings(tenant, expected, &next).await {
            Ok(outcome) => Ok(outcome == CommitOutcome::Written),
            // Perhaps it is written all the same. If it still stands, this is the change, and its
            // event must not be missing.
            Err(error) => match self.factors.settings(tenant).await {
                Ok(Some(saved)) if saved.version == next.version => Ok(true),
                _ => Err(Error::factor_store(error)),
            },
        }
    }

    /// The settings of a tenant, which must have some where the flow requires it.
    pub(super) async fn settings(&self, tenant: &TenantId) -> Result<Current, Error> {
        let saved = self.saved_settings(tenant).await?;
        self.require_known(saved.as_ref())?;
        current(saved.as_ref())
    }

    /// The same, whether or not it must have some: for the call that sets tenants up.
    pub(super) async fn settings_if_any(&self, tenant: &TenantId) -> Result<Current, Error> {
        current(self.saved_settings(tenant).await?.as_ref())
    }

    async fn saved_settings(&self, tenant: &TenantId) -> Result<Option<StoredRow>, Error> {
        self.factors.settings(tenant).await.map_err(Error::factor_store)
    }
}

/// A tenant without saved settings has the default ones.
fn current(saved: Option<&StoredRow>) -> Result<Current, Error> {
    Ok(Current {
        settings: Settings::read(saved)?,
        version: saved.map(|saved| saved.version),
        generation: saved.map(|saved| saved.generation).unwrap_or_default(),
    })
}
