#!lua flags=allow-oom
-- KEYS: marker, record, generations. ARGV: format, user, version.
if redis.call('HGET', KEYS[2], 'v') ~= ARGV[3] then return 0 end
redis.call('ZREM', KEYS[3], ARGV[2])
return redis.call('DEL', KEYS[2])
