//! The administrator's endpoints.

use bytes::Bytes;
use countersign::administration::{Administration, Affected, Rehearsal, SettingsBounds};
use countersign::operator::PurgeProgress;
use countersign::policy::Scope;
use countersign::tenant::SettingsVersion;
use countersign::{LockOuts, OperationError, ShownSettings, TenantSettings};
use http::Response;
use http_body_util::Full;
use serde::Serialize;

use crate::answer::Refusal;
use crate::endpoints::Endpoint;
use crate::exchange::{Answered, Exchange};
use crate::people::{Part, list};
use crate::wire::{RehearsalBody, Secrets, SettingsBody};

/// The most people that one request rehearses a change on.
const MOST_REHEARSED: u64 = 5_000;

/// How many ids a rehearsal lists of each kind. With more, and the longest ids, its answer would be
/// too long to be sent back with the next request ([`MAX_BODY`](crate::MAX_BODY)).
pub(crate) const LISTED: usize = 20;

/// What the page shows.
#[derive(Serialize)]
struct Shown {
    scope: Scope,
    saved_users: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    purge: Option<PurgeProgress>,
    #[serde(flatten)]
    settings: ShownSettings,
    bounds: SettingsBounds,
    directory: bool,
}

/// The settings that hold now.
#[derive(Serialize)]
struct SettingsNow {
    settings: TenantSettings,
    /// `None`: the session does not hold any more under them.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<SettingsVersion>,
}

impl Exchange<'_> {
    /// The administrator's page.
    pub(crate) async fn administration(mut self, endpoint: Endpoint) -> Answered {
        let Some(grant) = self.revalidated().await? else { return self.stale().await };
        let administration = self.flow.administration(&grant).await?;
        Ok(match endpoint {
            Endpoint::SetSettings => self.set_settings(&administration).await?,
            Endpoint::Rehearse => self.rehearse(&administration).await?,
            Endpoint::Users => {
                let page = list(&administration, Part::of(self.parts)?).await?;
                self.answer_with(&page, Secrets::default())
            }
            Endpoint::User(user) => {
                let status = administration.status(&user).await?;
                self.answer_with(&status, Secrets::default())
            }
            Endpoint::Reset(user) => {
                let outcome = administration.reset(&user).await?;
                self.answer_with(&outcome, Secrets::default())
            }
            Endpoint::Unlock(user) => {
                administration.unlock(&user).await?;
                self.nothing()
            }
            _ => {
                let settings = administration.settings().await?;
                let shown = Shown {
                    scope: settings.settings.scope,
                    saved_users: administration.saved_users().await?,
                    purge: administration.purge_progress().await?,
                    settings,
                    bounds: self.inner.flow.settings_bounds(),
                    directory: self.inner.flow.has_directory(),
                };
                self.answer_with(&shown, Secrets::default())
            }
        })
    }

    async fn set_settings(
        &mut self,
        administration: &Administration,
    ) -> Result<Response<Full<Bytes>>, Refusal> {
        let SettingsBody { version, settings, accept_lock_outs } = self.parse()?;
        let lock_outs = if accept_lock_outs { LockOuts::Accept } else { LockOuts::Refuse };
        administration.change_settings(version, &settings, lock_outs).await?;
        // It is made: whatever comes now is no refusal of it.
        let now = match administration.settings().await {
            Ok(ShownSettings { settings, version, .. }) => {
                SettingsNow { settings, version: Some(version) }
            }
            Err(error) => {
                if let OperationError::Failed(error) = &error {
                    (self.inner.on_failure)(error);
                }
                SettingsNow { settings, version: None }
            }
        };
        Ok(self.answer_with(&now, Secrets::default()))
    }

    async fn rehearse(
        &mut self,
        administration: &Administration,
    ) -> Result<Response<Full<Bytes>>, Refusal> {
        let RehearsalBody { settings, so_far } = self.parse()?;
        let so_far = match so_far {
            // It has looked at everybody, and would begin again.
            Some(done) if done.next.is_none() && done.people > 0 => {
                return Ok(self.answer_with(&shortened(done), Secrets::default()));
            }
            so_far => so_far.unwrap_or_default(),
        };
        let found = administration.rehearse(&settings, so_far, MOST_REHEARSED).await?;
        Ok(self.answer_with(&shortened(found), Secrets::default()))
    }
}

/// The same, with as many ids as a client can send back.
pub(crate) fn shortened(mut found: Rehearsal) -> Rehearsal {
    let Rehearsal {
        newly_asked,
        no_longer_asked,
        locked_out,
        other_method,
        settings_deleted,
        unreadable,
        ..
    } = &mut found;
    for Affected { first, .. } in
        [newly_asked, no_longer_asked, locked_out, other_method, settings_deleted, unreadable]
    {
        first.truncate(LISTED);
    }
    found
}
