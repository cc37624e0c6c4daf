-- A tenant's settings. $1: the number of this call. $2: tenant.
SELECT $1 AS call, pg_is_in_recovery() AS standby, version, generation, document
FROM (VALUES (1)) AS one (one)
LEFT JOIN "{schema}".settings ON tenant = $2
