-- A page of the users of one generation, in the order of the index of generations. $1: the number
-- of this call. $2: tenant. $3: generation. $4: after this user (no id is the empty text). $5: how
-- many.
SELECT $1 AS call, pg_is_in_recovery() AS standby, listed."user"
FROM (VALUES (1)) AS one (one)
LEFT JOIN (
    SELECT "user" FROM "{schema}".records
    WHERE tenant = $2 AND generation = $3 AND "user" > $4
    ORDER BY "user" LIMIT $5
) AS listed ON true
ORDER BY listed."user"
