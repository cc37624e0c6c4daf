-- What is saved of one user, and of the tenant. $1: the number of this call. $2: tenant. $3: user.
SELECT $1 AS call, pg_is_in_recovery() AS standby,
    s.version, s.generation, s.document, r.version, r.generation, r.document
FROM (VALUES (1)) AS one (one)
LEFT JOIN "{schema}".settings s ON s.tenant = $2
LEFT JOIN "{schema}".records r ON r.tenant = $2 AND r."user" = $3
