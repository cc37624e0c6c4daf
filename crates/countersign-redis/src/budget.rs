//! The budget of messages: a hash for each account, with what was charged slot by slot.

use std::time::Duration;

use async_trait::async_trait;
use countersign::budget::{Account, Charged, SendBudget};
use countersign::error::PluginError;
use time::OffsetDateTime;

use crate::error::RedisError;
use crate::keys::{BudgetKeys, FORMAT};
use crate::store::RedisFactors;

/// How many accounts on which nothing counts any more one charge removes at most. It makes one for
/// each of its own.
const REMOVED: u32 = 100;

/// Limits on sending across users, counted on the server of a [`RedisFactors`]: made by
/// [`RedisFactors::budget`].
///
/// A charge is one script. Any number of nodes share the counts. On a cluster all of them are on
/// one node, since one charge reaches from a destination to a tenant and to a country, and a script
/// reaches the keys of one slot. No key has an expiry of the server's: its clock decides nothing.
#[derive(Clone, Debug)]
pub struct RedisBudget(RedisFactors);

impl RedisBudget {
    pub(crate) const fn of(factors: RedisFactors) -> Self {
        Self(factors)
    }
}

#[async_trait]
impl SendBudget for RedisBudget {
    async fn charge(
        &self,
        accounts: &[Account],
        now: OffsetDateTime,
    ) -> Result<Charged, PluginError> {
        let Some(first) = accounts.first() else { return Ok(Charged::Yes) };
        let keys = BudgetKeys::of(self.0.prefix());
        let mut call = self.0.scripts().charge.prepare_invoke();
        call.key(keys.marker()).key(keys.leaving());
        call.arg(FORMAT).arg(first.limit.slot(now).now).arg(REMOVED);
        for account in accounts {
            let slot = account.limit.slot(now);
            call.key(keys.account(&account.key));
            call.arg(account.limit.most()).arg(slot.start).arg(slot.counts_for);
        }
        let answer: Vec<i64> = self.0.connection().run(&mut call).await?;
        let (position, wait) = match *answer.as_slice() {
            [] => return Ok(Charged::Yes),
            [position] => (position, None),
            [position, wait] => (position, Some(wait)),
            _ => return Err(RedisError::Damaged.into()),
        };
        let position =
            usize::try_from(position.saturating_sub(1)).map_err(|_| RedisError::Damaged)?;
        let period = accounts.get(position).ok_or(RedisError::Damaged)?.limit.per();
        let retry_after =
            wait.map_or(period, |wait| Duration::from_millis(u64::try_from(wait).unwrap_or(0)));
        Ok(Charged::Exhausted { account: position, retry_after })
    }
}
