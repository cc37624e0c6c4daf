-- A commit that expects neither settings nor a record. A tenant without settings gets a row
-- without a version, so that there is something to lock. The row that is made here can't be seen
-- by the same statement, hence the two ways to find it. Where another transaction has just made
-- it, neither does: `known` is false then, and the statement is sent again. $1: the number of this
-- call. $2: how long a lock is waited for, in milliseconds. $3: tenant. $4: user. $5, $6, $7: the
-- row to write.
WITH turn AS MATERIALIZED (
    SELECT pg_advisory_xact_lock_shared(hashtextextended('{schema}.' || $3, 0))::text
    WHERE (SELECT set_config('lock_timeout', $2, true)) IS NOT NULL
),
made AS (
    INSERT INTO "{schema}".settings (tenant) SELECT $3 FROM turn
    ON CONFLICT (tenant) DO NOTHING RETURNING 1
),
found AS MATERIALIZED (
    SELECT 1 FROM turn, "{schema}".settings
    WHERE tenant = $3 AND version IS NULL FOR SHARE OF settings
),
ok AS (SELECT 1 FROM made UNION ALL SELECT 1 FROM found),
wrote AS (
    INSERT INTO "{schema}".records (tenant, "user", version, generation, document)
    SELECT $3, $4, $5, $6, $7 FROM ok
    ON CONFLICT (tenant, "user") DO NOTHING
    RETURNING version
)
SELECT $1 AS call, pg_is_in_recovery() AS standby, (SELECT version FROM wrote),
    EXISTS (SELECT 1 FROM made)
        OR EXISTS (SELECT 1 FROM "{schema}".settings WHERE tenant = $3) AS known
