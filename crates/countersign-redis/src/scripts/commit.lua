#!lua
-- KEYS: marker, settings, record, generations.
-- ARGV: format, expected settings, expected record ('' is none), version, generation, document, user.
if (redis.call('HGET', KEYS[2], 'v') or '') ~= ARGV[2] then return 0 end
local found = redis.call('HMGET', KEYS[3], 'v', 'g')
if (found[1] or '') ~= ARGV[3] then return 0 end
redis.call('HSET', KEYS[3], 'v', ARGV[4], 'g', ARGV[5], 'd', ARGV[6])
if found[2] ~= ARGV[5] then redis.call('ZADD', KEYS[4], ARGV[5], ARGV[7]) end
return 1
