-- A change of settings that expects this version ($7). It takes the tenant's turn alone.
-- $1: the number of this call. $2: how long a lock is waited for, in milliseconds. $3: tenant.
-- $4, $5, $6: the row to write.
WITH turn AS MATERIALIZED (
    SELECT pg_advisory_xact_lock(hashtextextended('{schema}.' || $3, 0))::text
    WHERE (SELECT set_config('lock_timeout', $2, true)) IS NOT NULL
),
wrote AS (
    UPDATE "{schema}".settings SET version = $4, generation = $5, document = $6 FROM turn
    WHERE tenant = $3 AND version = $7
    RETURNING version
)
SELECT $1 AS call, pg_is_in_recovery() AS standby, (SELECT version FROM wrote)
