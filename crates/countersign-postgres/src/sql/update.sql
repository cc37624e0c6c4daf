-- One of four commits, of which store.rs chooses: this one expects settings and a record. sql.rs
-- says why it holds. It takes the tenant's turn with others (an advisory lock), and locks
-- the settings until it has committed. $1: the number of this call. $2: how long a lock is waited
-- for, in milliseconds. $3: tenant. $4: user. $5, $6, $7: the row to write. $8 and $9: the
-- versions that are expected, of the settings and of the record.
WITH turn AS MATERIALIZED (
    SELECT pg_advisory_xact_lock_shared(hashtextextended('{schema}.' || $3, 0))::text
    WHERE (SELECT set_config('lock_timeout', $2, true)) IS NOT NULL
),
ok AS MATERIALIZED (
    SELECT 1 FROM turn, "{schema}".settings
    WHERE tenant = $3 AND version = $8 FOR SHARE OF settings
),
wrote AS (
    UPDATE "{schema}".records SET version = $5, generation = $6, document = $7 FROM ok
    WHERE tenant = $3 AND "user" = $4 AND version = $9
    RETURNING version
)
SELECT $1 AS call, pg_is_in_recovery() AS standby, (SELECT version FROM wrote)
