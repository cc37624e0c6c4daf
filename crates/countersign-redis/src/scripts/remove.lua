#!lua flags=allow-oom
-- KEYS: marker, record, generations. ARGV: format, user.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return -1 end
redis.call('ZREM', KEYS[3], ARGV[2])
return redis.call('DEL', KEYS[2])
