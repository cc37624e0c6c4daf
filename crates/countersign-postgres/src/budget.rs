//! The budget of messages: a row for each account, with what was charged slot by slot.

use std::time::Duration;

use async_trait::async_trait;
use countersign::budget::{Account, Charged, SendBudget};
use countersign::error::PluginError;
use time::OffsetDateTime;
use tokio_postgres::types::Type;

use crate::connection::Parameter;
use crate::error::PostgresError;
use crate::share::Whose;
use crate::store::{PostgresFactors, get};

/// Limits on sending across users, counted in the tables of a [`PostgresFactors`]: made by
/// [`PostgresFactors::budget`].
///
/// A charge is one statement. Any number of nodes share the counts, also behind a pooler.
#[derive(Clone, Debug)]
pub struct PostgresBudget(PostgresFactors);

impl PostgresBudget {
    pub(crate) const fn of(factors: PostgresFactors) -> Self {
        Self(factors)
    }
}

#[async_trait]
impl SendBudget for PostgresBudget {
    async fn charge(
        &self,
        accounts: &[Account],
        now: OffsetDateTime,
    ) -> Result<Charged, PluginError> {
        let Some(first) = accounts.first() else { return Ok(Charged::Yes) };
        let slots: Vec<_> = accounts.iter().map(|account| account.limit.slot(now)).collect();
        let keys: Vec<&str> = accounts.iter().map(|account| account.key.as_str()).collect();
        let most: Vec<i64> =
            accounts.iter().map(|account| i64::from(account.limit.most())).collect();
        let starts: Vec<i64> = slots.iter().map(|slot| number(slot.start)).collect();
        let counts_for: Vec<i64> = slots.iter().map(|slot| number(slot.counts_for)).collect();
        let now = number(first.limit.slot(now).now);
        let parameters: [Parameter<'_>; 5] = [
            (&keys, Type::TEXT_ARRAY),
            (&most, Type::INT8_ARRAY),
            (&starts, Type::INT8_ARRAY),
            (&counts_for, Type::INT8_ARRAY),
            (&now, Type::INT8),
        ];
        let rows = self
            .0
            .until_not_undone(Whose::Budget, &self.0.statements().charge, &parameters)
            .await?;
        let row = rows.first().ok_or(PostgresError::Damaged)?;
        let Some(position) = get::<Option<i32>>(row, 2)? else { return Ok(Charged::Yes) };
        let wait: Option<i64> = get(row, 3)?;
        let position = usize::try_from(position)?;
        let period = accounts.get(position).ok_or(PostgresError::Damaged)?.limit.per();
        let retry_after =
            wait.map_or(period, |wait| Duration::from_millis(u64::try_from(wait).unwrap_or(0)));
        Ok(Charged::Exhausted { account: position, retry_after })
    }
}

/// PostgreSQL's integers have a sign.
fn number(milliseconds: u64) -> i64 {
    i64::try_from(milliseconds).unwrap_or(i64::MAX)
}
