-- Deletes a user's record.
-- $1: the number of this call. $2: how long a lock is waited for, in milliseconds. $3: tenant.
-- $4: user.
WITH wrote AS (
    DELETE FROM "{schema}".records
    WHERE tenant = $3 AND "user" = $4
        AND (SELECT set_config('lock_timeout', $2, true)) IS NOT NULL
    RETURNING version
)
SELECT $1 AS call, pg_is_in_recovery() AS standby, (SELECT version FROM wrote)
