//! The statements: one for each call.
//!
//! Under READ COMMITTED a statement sees what was committed when it began, and a row that it locks or changes as it is *after* the lock was
//! granted: PostgreSQL then looks at its condition again. The two conditions of a commit rest on that:
//!
//! - The record's version is part of the `UPDATE`'s own condition, so of several only the first finds it true.
//! - The tenant's settings are locked (`FOR SHARE`) by the same statement until it has committed. A change of settings waits for the commits
//!   that hold the lock, and whoever comes later waits for it and then finds another version.
//!
//! The lock of a row is not fair: whoever shares it overtakes whoever waits to change it, so that a change would wait until no commit is under way.
//! A tenant's turn, an advisory lock that keeps the order, is therefore taken before it. The conditions hold without it. Since commits wait behind
//! whoever waits for the turn alone, that wait is short at first, and each try of a change is more patient than the one before: one commit that is stuck
//! must not hold up all others.
//!
//! A tenant without settings has a row without a version as soon as it has a record, so that there is something to lock.

/// The texts, for one PostgreSQL schema.
#[derive(Debug)]
pub(crate) struct Statements {
    pub(crate) load: String,
    pub(crate) settings: String,
    pub(crate) count: String,
    /// No record expected, settings expected.
    pub(crate) insert: String,
    /// A record and settings expected.
    pub(crate) update: String,
    /// Neither expected.
    pub(crate) insert_unset: String,
    /// A record expected, and no settings.
    pub(crate) update_unset: String,
    pub(crate) first_settings: String,
    pub(crate) change_settings: String,
    pub(crate) purge: String,
    pub(crate) remove: String,
    /// Calls the function of `charge.sql`.
    pub(crate) charge: String,
    pub(crate) remove_if: String,
    pub(crate) users: String,
}

impl Statements {
    /// The schema's name is an identifier: that was checked.
    pub(crate) fn new(schema: &str) -> Self {
        let key = format!("hashtextextended('{schema}.' || $1, 0)");
        let shared = format!("WITH turn AS MATERIALIZED (SELECT pg_advisory_xact_lock_shared({key})::text)");
        // How long each lock is waited for. It ends with the transaction, which is this statement.
        let alone = |patience: &str| {
            format!(
                "WITH patience AS MATERIALIZED (SELECT set_config('lock_timeout', {patience}, true)),
                turn AS MATERIALIZED (SELECT pg_advisory_xact_lock({key})::text FROM patience)"
            )
        };
        let locked = format!(
            r#"{shared}, ok AS MATERIALIZED (
                SELECT 1 FROM turn, "{schema}".settings WHERE tenant = $1 AND version = $6 FOR SHARE OF settings
            )"#
        );
        let insert = format!(
            r#"INSERT INTO "{schema}".records (tenant, "user", version, generation, document)
            SELECT $1, $2, $3, $4, $5 FROM ok ON CONFLICT (tenant, "user") DO NOTHING RETURNING 1"#
        );
        let update = |version: &str| {
            format!(
                r#"UPDATE "{schema}".records SET version = $3, generation = $4, document = $5 FROM ok
                WHERE tenant = $1 AND "user" = $2 AND version = {version} RETURNING 1"#
            )
        };
        // The row that is made here can't be seen by the same statement, hence the two ways to find it. Where another transaction has just
        // made it, neither does: `known` is false then, and the statement is sent again.
        let unset = |write: &str| {
            format!(
                r#"{shared},
                made AS (
                    INSERT INTO "{schema}".settings (tenant) SELECT $1 FROM turn ON CONFLICT (tenant) DO NOTHING RETURNING 1
                ),
                found AS MATERIALIZED (
                    SELECT 1 FROM turn, "{schema}".settings WHERE tenant = $1 AND version IS NULL FOR SHARE OF settings
                ),
                ok AS (SELECT 1 FROM made UNION ALL SELECT 1 FROM found),
                wrote AS ({write})
                SELECT EXISTS (SELECT 1 FROM wrote) AS wrote,
                    EXISTS (SELECT 1 FROM made) OR EXISTS (SELECT 1 FROM "{schema}".settings WHERE tenant = $1) AS known"#
            )
        };
        Self {
            load: format!(
                r#"SELECT s.version, s.generation, s.document, r.version, r.generation, r.document
                FROM (VALUES (1)) AS one (one) LEFT JOIN "{schema}".settings s ON s.tenant = $1
                LEFT JOIN "{schema}".records r ON r.tenant = $1 AND r."user" = $2"#
            ),
            settings: format!(r#"SELECT version, generation, document FROM "{schema}".settings WHERE tenant = $1"#),
            count: format!(r#"SELECT count(*) FROM "{schema}".records WHERE tenant = $1 AND generation < $2"#),
            insert: format!("{locked} {insert}"),
            update: format!("{locked} {}", update("$7")),
            insert_unset: unset(&insert),
            update_unset: unset(&update("$6")),
            first_settings: format!(
                r#"{}
                INSERT INTO "{schema}".settings AS s (tenant, version, generation, document) SELECT $1, $2, $3, $4 FROM turn
                ON CONFLICT (tenant) DO UPDATE SET version = $2, generation = $3, document = $4 WHERE s.version IS NULL
                RETURNING 1"#,
                alone("$5")
            ),
            change_settings: format!(
                r#"{}
                UPDATE "{schema}".settings SET version = $2, generation = $3, document = $4 FROM turn
                WHERE tenant = $1 AND version = $5 RETURNING 1"#,
                alone("$6")
            ),
            // Locked first, in the order of an index: two purges that meet wait for each other and delete different rows, and a record that was
            // written under a later generation meanwhile is left alone. A slice begins after the last row of the one before: as long as some
            // transaction may still see them, deleted rows are passed over one by one.
            purge: format!(
                r#"WITH goes AS MATERIALIZED (
                    SELECT tenant, generation, "user" FROM "{schema}".records
                    WHERE tenant = $1 AND generation < $2 AND (generation, "user") > ($4, $5)
                    ORDER BY tenant, generation, "user" LIMIT $3 FOR UPDATE
                ), gone AS (
                    DELETE FROM "{schema}".records r USING goes WHERE r.tenant = goes.tenant AND r."user" = goes."user"
                    RETURNING r.generation, r."user"
                ) SELECT generation, "user", count(*) OVER () FROM gone ORDER BY generation DESC, "user" DESC LIMIT 1"#
            ),
            remove: format!(r#"DELETE FROM "{schema}".records WHERE tenant = $1 AND "user" = $2 RETURNING 1"#),
            charge: format!(r#"SELECT exhausted, retry_after FROM "{schema}".charge($1, $2, $3, $4, $5)"#),
            // A commit that holds the row's lock is waited for, and the condition looked at again.
            remove_if: format!(
                r#"DELETE FROM "{schema}".records WHERE tenant = $1 AND "user" = $2 AND version = $3 RETURNING 1"#
            ),
            // In the order of the index of generations. No id is the empty text.
            users: format!(
                r#"SELECT "user" FROM "{schema}".records WHERE tenant = $1 AND generation = $2 AND "user" > $3
                ORDER BY "user" LIMIT $4"#
            ),
        }
    }
}
