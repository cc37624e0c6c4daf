#!lua flags=allow-oom
-- KEYS: marker, generations. ARGV: format, below, at most, what the keys of records begin with (they are in the same slot).
local users = redis.call('ZRANGE', KEYS[2], '-inf', '(' .. ARGV[2], 'BYSCORE', 'LIMIT', 0, ARGV[3])
for _, user in ipairs(users) do
    redis.call('UNLINK', ARGV[4] .. user)
    redis.call('ZREM', KEYS[2], user)
end
return #users
