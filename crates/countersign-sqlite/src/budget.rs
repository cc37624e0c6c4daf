//! The budget of messages: what was charged on each account, slot by slot.

use std::time::Duration;

use async_trait::async_trait;
use countersign::budget::{Account, Charged, SendBudget, Slot};
use countersign::error::PluginError;
use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use time::OffsetDateTime;

use crate::calls::{Charge, Statements};
use crate::error::SqliteError;
use crate::store::SqliteFactors;

/// How many slots that no longer count one charge removes at most. It makes one for each of its
/// accounts.
const REMOVED: u32 = 100;

/// Limits on sending across users, counted in the file of a [`SqliteFactors`]: made by
/// [`SqliteFactors::budget`].
///
/// A charge is one transaction. Several processes share the counts.
#[derive(Clone, Debug)]
pub struct SqliteBudget(SqliteFactors);

impl SqliteBudget {
    pub(crate) const fn of(factors: SqliteFactors) -> Self {
        Self(factors)
    }
}

#[async_trait]
impl SendBudget for SqliteBudget {
    async fn charge(
        &self,
        accounts: &[Account],
        now: OffsetDateTime,
    ) -> Result<Charged, PluginError> {
        if accounts.is_empty() {
            return Ok(Charged::Yes);
        }
        Ok(self.0.write(Charge { accounts: accounts.to_vec(), now }).await?)
    }
}

/// Charges, in a transaction of its own or in the one that a group of writes shares: that one is
/// undone as a whole where anything fails.
pub(crate) fn charge(
    connection: &Connection,
    sql: &Statements,
    accounts: &[Account],
    now: OffsetDateTime,
) -> Result<Charged, SqliteError> {
    if !connection.is_autocommit() {
        return within(connection, sql, accounts, now);
    }
    let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
    let charged = within(&transaction, sql, accounts, now)?;
    transaction.commit()?;
    Ok(charged)
}

fn within(
    connection: &Connection,
    sql: &Statements,
    accounts: &[Account],
    now: OffsetDateTime,
) -> Result<Charged, SqliteError> {
    for (position, account) in accounts.iter().enumerate() {
        let slot = account.limit.slot(now);
        if let Some(retry_after) = refusal(connection, sql, account, slot)? {
            return Ok(Charged::Exhausted { account: position, retry_after });
        }
    }
    for (position, account) in accounts.iter().enumerate() {
        if accounts.iter().take(position).all(|before| before.key != account.key) {
            let slot = account.limit.slot(now);
            let mut statement = connection.prepare_cached(&sql.charge)?;
            statement.execute(params![account.key, number(slot.start), number(slot.counts_for)])?;
        }
        if position == 0 {
            let now = number(account.limit.slot(now).now);
            connection.prepare_cached(&sql.remove_charges)?.execute(params![now, REMOVED])?;
        }
    }
    Ok(Charged::Yes)
}

/// How long the account refuses another message. `None`: it allows one.
fn refusal(
    connection: &Connection,
    sql: &Statements,
    account: &Account,
    slot: Slot,
) -> Result<Option<Duration>, SqliteError> {
    let most = u64::from(account.limit.most());
    let mut statement = connection.prepare_cached(&sql.charges)?;
    let rows = statement.query_map(params![account.key, number(slot.now)], |row| {
        let (leaves, count): (i64, i64) = (row.get(0)?, row.get(1)?);
        Ok((leaves.unsigned_abs(), count.unsigned_abs()))
    })?;
    let counts = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    let mut left = counts.iter().fold(0_u64, |sum, (_, count)| sum.saturating_add(*count));
    if left < most {
        return Ok(None);
    }
    let last = counts.iter().find(|(_, count)| {
        left = left.saturating_sub(*count);
        left < most
    });
    Ok(Some(last.map_or(account.limit.per(), |(leaves, _)| {
        Duration::from_millis(leaves.saturating_sub(slot.now))
    })))
}

/// SQLite's integers have a sign.
fn number(milliseconds: u64) -> i64 {
    i64::try_from(milliseconds).unwrap_or(i64::MAX)
}
