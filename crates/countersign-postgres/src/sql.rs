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
//!   for it and then finds another version.
//!
//! The lock of a row is not fair: a session that shares it overtakes one that waits to change it,
//! so that a change would wait until no commit is under way. A tenant's turn, an advisory lock that
//! keeps the order, is therefore taken before it. The conditions hold without it. Since commits
//! wait behind whoever waits for the turn alone, that wait is short at first, and each try of a
//! change is more patient than the one before: one commit that is stuck must not hold up all
//! others.
//!
//! A tenant without settings has a row without a version as soon as it has a record, so that there
//! is something to lock.
//!
//! Every answer is at least one row, and begins with two columns:
//!
//! - The number of the call, which each statement is given as `$1`. An answer that does not carry
//!   it was made for another statement: by a pooler or a network that sends something twice, or
//!   mixes up whom it is for. So it binds a conflict too, which has nothing else to say.
//! - Whether the server is in recovery. A standby may lag behind, and a pooler may lead to one in
//!   the middle of a connection, or for everything that only reads.
//!
//! What a write has written is the version that it answers. A statement that may wait for a lock is
//! given as `$2` how long, in milliseconds: the setting ends with the transaction, which is this
//! statement.

/// How many statements there are.
pub(crate) const COUNT: usize = 14;

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
    /// Calls the function of `charge.sql`.
    pub(crate) charge: Sql,
}

/// The columns that every answer begins with.
const HEAD: &str = "SELECT $1 AS call, pg_is_in_recovery() AS standby";

/// Says how long each lock is waited for, before the first one is. A condition that does not depend
/// on a row is looked at before any row is.
const PATIENCE: &str = "(SELECT set_config('lock_timeout', $2, true)) IS NOT NULL";

impl Statements {
    /// The schema's name is an identifier: that was checked.
    pub(crate) fn new(schema: &str) -> Self {
        let places = std::cell::Cell::new(0_usize);
        let sql =
            |text: String| Sql { text, place: places.replace(places.get().saturating_add(1)) };

        let key = format!("hashtextextended('{schema}.' || $3, 0)");
        let shared = format!(
            "WITH turn AS MATERIALIZED (SELECT pg_advisory_xact_lock_shared({key})::text WHERE {PATIENCE})"
        );
        let alone = format!(
            "WITH turn AS MATERIALIZED (SELECT pg_advisory_xact_lock({key})::text WHERE {PATIENCE})"
        );
        let wrote = |write: &str| {
            format!("wrote AS ({write} RETURNING version) {HEAD}, (SELECT version FROM wrote)")
        };
        let locked = |write: &str| {
            let wrote = wrote(write);
            format!(
                r#"{shared}, ok AS MATERIALIZED (
                    SELECT 1 FROM turn, "{schema}".settings WHERE tenant = $3 AND version = $8 FOR SHARE OF settings
                ), {wrote}"#
            )
        };
        let insert = format!(
            r#"INSERT INTO "{schema}".records (tenant, "user", version, generation, document)
            SELECT $3, $4, $5, $6, $7 FROM ok ON CONFLICT (tenant, "user") DO NOTHING"#
        );
        let update = |version: &str| {
            format!(
                r#"UPDATE "{schema}".records SET version = $5, generation = $6, document = $7 FROM ok
                WHERE tenant = $3 AND "user" = $4 AND version = {version}"#
            )
        };
        // The row that is made here can't be seen by the same statement, hence the two ways to find
        // it. Where another transaction has just made it, neither does: `known` is false then, and
        // the statement is sent again.
        let unset = |write: &str| {
            let wrote = wrote(write);
            format!(
                r#"{shared},
                made AS (
                    INSERT INTO "{schema}".settings (tenant) SELECT $3 FROM turn ON CONFLICT (tenant) DO NOTHING RETURNING 1
                ),
                found AS MATERIALIZED (
                    SELECT 1 FROM turn, "{schema}".settings WHERE tenant = $3 AND version IS NULL FOR SHARE OF settings
                ),
                ok AS (SELECT 1 FROM made UNION ALL SELECT 1 FROM found),
                {wrote},
                    EXISTS (SELECT 1 FROM made) OR EXISTS (SELECT 1 FROM "{schema}".settings WHERE tenant = $3) AS known"#
            )
        };
        Self {
            load: sql(format!(
                r#"{HEAD}, s.version, s.generation, s.document, r.version, r.generation, r.document
                FROM (VALUES (1)) AS one (one) LEFT JOIN "{schema}".settings s ON s.tenant = $2
                LEFT JOIN "{schema}".records r ON r.tenant = $2 AND r."user" = $3"#
            )),
            settings: sql(format!(
                r#"{HEAD}, version, generation, document
                FROM (VALUES (1)) AS one (one) LEFT JOIN "{schema}".settings ON tenant = $2"#
            )),
            count: sql(format!(
                r#"{HEAD}, count(*) FROM "{schema}".records WHERE tenant = $2 AND generation < $3"#
            )),
            // In the order of the index of generations. No id is the empty text.
            users: sql(format!(
                r#"{HEAD}, listed."user" FROM (VALUES (1)) AS one (one) LEFT JOIN (
                    SELECT "user" FROM "{schema}".records WHERE tenant = $2 AND generation = $3 AND "user" > $4
                    ORDER BY "user" LIMIT $5
                ) AS listed ON true ORDER BY listed."user""#
            )),
            insert: sql(locked(&insert)),
            update: sql(locked(&update("$9"))),
            insert_unset: sql(unset(&insert)),
            update_unset: sql(unset(&update("$8"))),
            first_settings: sql(format!(
                "{alone}, {}",
                wrote(&format!(
                    r#"INSERT INTO "{schema}".settings AS s (tenant, version, generation, document)
                    SELECT $3, $4, $5, $6 FROM turn ON CONFLICT (tenant)
                    DO UPDATE SET version = $4, generation = $5, document = $6 WHERE s.version IS NULL"#
                ))
            )),
            change_settings: sql(format!(
                "{alone}, {}",
                wrote(&format!(
                    r#"UPDATE "{schema}".settings SET version = $4, generation = $5, document = $6 FROM turn
                    WHERE tenant = $3 AND version = $7"#
                ))
            )),
            purge: sql(purge(schema)),
            remove: sql(format!(
                "WITH {}",
                wrote(&format!(
                    r#"DELETE FROM "{schema}".records WHERE tenant = $3 AND "user" = $4 AND {PATIENCE}"#
                ))
            )),
            // A commit that holds the row's lock is waited for, and the condition looked at again.
            remove_if: sql(format!(
                "WITH {}",
                wrote(&format!(
                    r#"DELETE FROM "{schema}".records WHERE tenant = $3 AND "user" = $4 AND version = $5 AND {PATIENCE}"#
                ))
            )),
            charge: sql(charge(schema)),
        }
    }
}

/// Locked first, in the order of an index: two purges that meet wait for each other and delete
/// different rows, and a record that was written under a later generation meanwhile is left alone.
/// A slice begins after the last row of the one before: as long as some transaction may still see
/// them, deleted rows are passed over one by one.
fn purge(schema: &str) -> String {
    format!(
        r#"WITH goes AS MATERIALIZED (
            SELECT tenant, generation, "user" FROM "{schema}".records
            WHERE tenant = $3 AND generation < $4 AND (generation, "user") > ($6, $7) AND {PATIENCE}
            ORDER BY tenant, generation, "user" LIMIT $5 FOR UPDATE
        ), gone AS (
            DELETE FROM "{schema}".records r USING goes WHERE r.tenant = goes.tenant AND r."user" = goes."user"
            RETURNING r.generation, r."user"
        ) {HEAD}, (SELECT count(*) FROM gone), last.generation, last."user"
        FROM (VALUES (1)) AS one (one) LEFT JOIN (
            SELECT generation, "user" FROM gone ORDER BY generation DESC, "user" DESC LIMIT 1
        ) AS last ON true"#
    )
}

/// The function depends on the patience, so that it is called after.
fn charge(schema: &str) -> String {
    format!(
        r#"WITH patience AS MATERIALIZED (SELECT set_config('lock_timeout', $2, true) AS set),
        charged AS MATERIALIZED (
            SELECT called.* FROM patience, LATERAL "{schema}".charge(
                CASE WHEN patience.set IS NOT NULL THEN $3 END, $4, $5, $6, $7
            ) AS called
        ) {HEAD}, charged.exhausted, charged.retry_after
        FROM (VALUES (1)) AS one (one) LEFT JOIN charged ON true"#
    )
}
