//! Everything that is saved about one tenant. Who may change it: `flow/administration.rs`, and
//! without a right `flow/operator.rs`.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::error::{Document, Error};
use crate::machine::record::decode;
use crate::policy::Scope;
use crate::store::{Generation, StoredRow};

const FORMAT: u32 = 1;

/// A tenant's settings.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    format: u32,
    pub(crate) scope: Scope,
    /// The deletion that the last switching off began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) clearing: Option<Clearing>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Clearing {
    pub(crate) started: Timestamp,
    /// How many records were deleted so far.
    #[serde(default)]
    pub(crate) deleted: u64,
    /// When nothing of an earlier generation was left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) finished: Option<Timestamp>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { format: FORMAT, scope: Scope::DoNotUse, clearing: None }
    }
}

impl Settings {
    pub(crate) fn encode(&self) -> Result<String, Error> {
        serde_json::to_string(self).map_err(|_| Error::Corrupt(Document::Settings))
    }

    /// The settings and the generation after a change of scope. Switching off begins a new
    /// generation, so that nothing that was saved counts any more, and starts its deletion
    /// (`I-27`).
    pub(crate) fn with_scope(
        self,
        scope: Scope,
        generation: Generation,
        now: Timestamp,
    ) -> Result<(Self, Generation), Error> {
        if scope != Scope::DoNotUse {
            return Ok((Self { scope, ..self }, generation));
        }
        let next = generation.next().ok_or(Error::Corrupt(Document::Settings))?;
        Ok((
            Self {
                scope,
                clearing: Some(Clearing { started: now, deleted: 0, finished: None }),
                ..self
            },
            next,
        ))
    }

    /// A tenant without saved settings has the default ones.
    pub(crate) fn read(saved: Option<&StoredRow>) -> Result<Self, Error> {
        let Some(saved) = saved else { return Ok(Self::default()) };
        decode(Document::Settings, FORMAT, &saved.document, |settings: &Self| settings.format)
    }
}
