-- How many records of earlier generations there are. $1: the number of this call. $2: tenant.
-- $3: generation.
SELECT $1 AS call, pg_is_in_recovery() AS standby, count(*)
FROM "{schema}".records
WHERE tenant = $2 AND generation < $3
