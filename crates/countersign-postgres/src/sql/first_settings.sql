-- A change of settings that expects none. It takes the tenant's turn alone.
-- $1: the number of this call. $2: how long a lock is waited for, in milliseconds. $3: tenant.
-- $4, $5, $6: the row to write.
WITH turn AS MATERIALIZED (
    SELECT pg_advisory_xact_lock(hashtextextended('{schema}.' || $3, 0))::text
    WHERE (SELECT set_config('lock_timeout', $2, true)) IS NOT NULL
),
wrote AS (
    INSERT INTO "{schema}".settings AS s (tenant, version, generation, document)
    SELECT $3, $4, $5, $6 FROM turn
    ON CONFLICT (tenant)
    DO UPDATE SET version = $4, generation = $5, document = $6 WHERE s.version IS NULL
    RETURNING version
)
SELECT $1 AS call, pg_is_in_recovery() AS standby, (SELECT version FROM wrote)
