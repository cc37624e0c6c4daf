#!lua flags=allow-oom
-- KEYS: marker, generations. ARGV: format, below.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return -1 end
return redis.call('ZCOUNT', KEYS[2], '-inf', '(' .. ARGV[2])
