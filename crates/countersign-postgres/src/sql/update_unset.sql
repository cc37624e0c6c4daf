-- A commit that expects a record and no settings. See insert_unset.sql.
-- $1: the number of this call. $2: how long a lock is waited for, in milliseconds. $3: tenant.
-- $4: user. $5, $6, $7: the row to write. $8: the version of the record that is expected.
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
    UPDATE "{schema}".records SET version = $5, generation = $6, document = $7 FROM ok
    WHERE tenant = $3 AND "user" = $4 AND version = $8
    RETURNING version
)
SELECT $1 AS call, pg_is_in_recovery() AS standby, (SELECT version FROM wrote),
    EXISTS (SELECT 1 FROM made)
        OR EXISTS (SELECT 1 FROM "{schema}".settings WHERE tenant = $3) AS known
