//! The statements: one for each call.
//!
//! Under READ COMMITTED a statement sees what was committed when it began, and a row that it locks
//! or changes as it is *after* the lock was granted: PostgreSQL then looks at its condition again.
//! The two conditions of a commit rest on that:
//!
//! - The record's version is part of the `UPDATE`'s own condition, so of several only the first
//!   finds it true.
//! - The tenant's settings are locked (`FOR SHARE`) by the same statement until it has committed. A
//!   change of settings waits for the commits that hold the lock, and those that come later wait
//!   for it and then find another version.
//!
//! The lock of a row is not fair: a session that shares it overtakes one that waits to change it,
//! so that a change would wait until no commit is under way. A tenant's turn, an advisory lock that
//! keeps the order, is therefore taken before it. The conditions hold without it. Since commits
//! wait behind the change that waits for the turn alone, that wait is short at first, and each try
//! of a change is more patient than the one before: one commit that is stuck must not hold up all
//! others.
//!
//! A tenant without settings has a row without a version as soon as it has a record, so that there
//! is something to lock.
//!
//! Every answer is at least one row, and begins with two columns:
//!
//! - The number of the call, which each statement is given as `$1`. An answer that does not carry
//!   it was made for another statement: by a pooler or a network that sends something twice, or
//!   mixes up whom it is for. An answer that says "conflict" carries it as well.
//! - Whether the server is in recovery. A standby may lag behind, and a pooler may lead to one in
//!   the middle of a connection, or for everything that only reads.
//!
//! What a write has written is the version that it answers. A statement that may wait for a lock is
//! given as `$2` how long, in milliseconds: the setting ends with the transaction, which is this
//! statement.

/// How many statements there are.
pub(crate) const COUNT: usize = 15;

/// One statement.
#[derive(Debug)]
pub(crate) struct Sql {
    pub(crate) text: String,
    /// Where a connection keeps it, once it is prepared there.
    pub(crate) place: usize,
}

/// The texts, for one PostgreSQL schema.
#[derive(Debug)]
pub(crate) struct Statements {
    pub(crate) load: Sql,
    pub(crate) load_many: Sql,
    pub(crate) settings: Sql,
    pub(crate) count: Sql,
    pub(crate) users: Sql,
    /// No record expected, settings expected.
    pub(crate) insert: Sql,
    /// A record and settings expected.
    pub(crate) update: Sql,
    /// No record and no settings expected.
    pub(crate) insert_unset: Sql,
    /// A record expected, and no settings.
    pub(crate) update_unset: Sql,
    /// No settings expected.
    pub(crate) first_settings: Sql,
    pub(crate) change_settings: Sql,
    pub(crate) purge: Sql,
    pub(crate) remove: Sql,
    pub(crate) remove_if: Sql,
    /// Calls the function of `sql/charge_function.sql`.
    pub(crate) charge: Sql,
}

/// A statement of `sql/`, in one line and without its comments.
fn read(text: &str, schema: &str) -> String {
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with("--"));
    lines.collect::<Vec<_>>().join(" ").replace("{schema}", schema)
}

macro_rules! statements {
    ($schema:expr; $($name:ident),+ $(,)?) => {{
        let mut places = 0..;
        Self {
            $($name: Sql {
                text: read(include_str!(concat!("sql/", stringify!($name), ".sql")), $schema),
                place: places.next().unwrap_or_default(),
            }),+
        }
    }};
}

impl Statements {
    /// The schema's name is an identifier: that was checked.
    pub(crate) fn new(schema: &str) -> Self {
        statements!(
            schema;
            load, load_many, settings, count, users, insert, update, insert_unset, update_unset,
            first_settings, change_settings, purge, remove, remove_if, charge,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_statement_is_read_as_a_whole() {
        let sql = Statements::new("acme");
        let all = [
            &sql.load,
            &sql.load_many,
            &sql.settings,
            &sql.count,
            &sql.users,
            &sql.insert,
            &sql.update,
            &sql.insert_unset,
            &sql.update_unset,
            &sql.first_settings,
            &sql.change_settings,
            &sql.purge,
            &sql.remove,
            &sql.remove_if,
            &sql.charge,
        ];
        assert_eq!(all.len(), COUNT);
        for (place, sql) in all.iter().enumerate() {
            let text = &sql.text;
            assert_eq!(sql.place, place);
            assert!(text.starts_with("SELECT ") || text.starts_with("WITH "), "{text}");
            assert!(text.contains("SELECT $1 AS call, pg_is_in_recovery() AS standby"), "{text}");
            assert!(!text.contains("--") && !text.contains('{') && !text.contains('\n'), "{text}");
        }
    }
}
