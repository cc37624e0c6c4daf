#!lua flags=allow-oom
-- KEYS: marker, settings, record. ARGV: format.
-- It writes nothing, but is not flagged so: a server that takes no writes may be behind, and must refuse it.
return {redis.call('HMGET', KEYS[2], 'v', 'g', 'd'), redis.call('HMGET', KEYS[3], 'v', 'g', 'd')}
