#!lua flags=allow-oom
-- KEYS: marker, generations. ARGV: format, below.
return redis.call('ZCOUNT', KEYS[2], '-inf', '(' .. ARGV[2])
