#!lua flags=allow-oom
-- KEYS: marker, settings, and each record. ARGV: format.
-- It writes nothing, but is not flagged so: as load.
local records = {}
for i = 3, #KEYS do records[i - 2] = redis.call('HMGET', KEYS[i], 'v', 'g', 'd') end
return {redis.call('HMGET', KEYS[2], 'v', 'g', 'd'), records}
