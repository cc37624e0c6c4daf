-- What is saved of a tenant, and of many of its users. The first row has the settings and no record
-- (no id is the empty text); then comes one row for each user, in the order of the list. $1: the
-- number of this call. $2: tenant. $3: the users.
SELECT $1 AS call, pg_is_in_recovery() AS standby,
    s.version, s.generation, s.document, r.version, r.generation, r.document
FROM (
    SELECT '' AS "user", 0 AS place
    UNION ALL
    SELECT "user", place FROM unnest($3) WITH ORDINALITY AS listed ("user", place)
) AS asked
LEFT JOIN "{schema}".settings s ON s.tenant = $2 AND asked.place = 0
LEFT JOIN "{schema}".records r ON r.tenant = $2 AND r."user" = asked."user"
ORDER BY asked.place
