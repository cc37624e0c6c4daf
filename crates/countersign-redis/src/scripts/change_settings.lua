#!lua
-- KEYS: marker, settings. ARGV: format, expected ('' is none), version, generation, document.
if (redis.call('HGET', KEYS[2], 'v') or '') ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[2], 'v', ARGV[3], 'g', ARGV[4], 'd', ARGV[5])
return 1
