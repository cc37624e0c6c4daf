#!lua flags=allow-oom
-- KEYS: marker, settings, record. ARGV: format.
-- It writes nothing, but is not flagged so: a server that takes no writes may be behind, and must refuse it.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return false end
return {redis.call('HMGET', KEYS[2], 'v', 'g', 'd'), redis.call('HMGET', KEYS[3], 'v', 'g', 'd')}
