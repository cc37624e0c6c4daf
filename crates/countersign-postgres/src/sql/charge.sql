-- Calls the function of charge_function.sql. It depends on the patience, so that it is called
-- after. $1: the number of this call. $2: how long a lock is waited for, in milliseconds. $3 to
-- $7: its arguments.
WITH patience AS MATERIALIZED (
    SELECT set_config('lock_timeout', $2, true) AS set
),
charged AS MATERIALIZED (
    SELECT called.* FROM patience, LATERAL "{schema}".charge(
        CASE WHEN patience.set IS NOT NULL THEN $3 END, $4, $5, $6, $7
    ) AS called
)
SELECT $1 AS call, pg_is_in_recovery() AS standby, charged.exhausted, charged.retry_after
FROM (VALUES (1)) AS one (one)
LEFT JOIN charged ON true
