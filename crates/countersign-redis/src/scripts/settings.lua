#!lua flags=allow-oom
-- KEYS: marker, settings. ARGV: format.
return redis.call('HMGET', KEYS[2], 'v', 'g', 'd')
