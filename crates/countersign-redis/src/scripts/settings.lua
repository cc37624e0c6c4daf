#!lua flags=allow-oom
-- KEYS: marker, settings. ARGV: format.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return false end
return redis.call('HMGET', KEYS[2], 'v', 'g', 'd')
