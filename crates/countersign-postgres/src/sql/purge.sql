-- Deletes a slice of the records of earlier generations. They are locked first, in the order of an
-- index: two purges that meet wait for each other and delete different rows, and a record that was
-- written under a later generation meanwhile is left alone. A slice begins after the last row of
-- the one before ($6, $7): as long as some transaction may still see them, deleted rows are passed
-- over one by one. $1: the number of this call. $2: how long a lock is waited for, in
-- milliseconds. $3: tenant. $4: generation. $5: how many at most.
WITH goes AS MATERIALIZED (
    SELECT tenant, generation, "user" FROM "{schema}".records
    WHERE tenant = $3 AND generation < $4 AND (generation, "user") > ($6, $7)
        AND (SELECT set_config('lock_timeout', $2, true)) IS NOT NULL
    ORDER BY tenant, generation, "user" LIMIT $5 FOR UPDATE
), gone AS (
    DELETE FROM "{schema}".records r USING goes
    WHERE r.tenant = goes.tenant AND r."user" = goes."user"
    RETURNING r.generation, r."user"
)
SELECT $1 AS call, pg_is_in_recovery() AS standby,
    (SELECT count(*) FROM gone), last.generation, last."user"
FROM (VALUES (1)) AS one (one)
LEFT JOIN (
    SELECT generation, "user" FROM gone ORDER BY generation DESC, "user" DESC LIMIT 1
) AS last ON true
