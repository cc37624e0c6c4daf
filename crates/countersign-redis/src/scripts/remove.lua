#!lua flags=allow-oom
-- KEYS: marker, record, generations. ARGV: format, user.
redis.call('ZREM', KEYS[3], ARGV[2])
return redis.call('DEL', KEYS[2])
