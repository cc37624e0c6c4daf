-- Around every script. KEYS: the marker first. ARGV: the format of the keys first, and last the name of this call, which is answered with what
-- the script answers: a client that got the answer of another call can tell.
-- A replica may be behind. Most refuse by themselves; one that takes writes (replica-read-only no) does not.
if not string.find(redis.call('INFO', 'replication'), 'role:master', 1, true) then
    return redis.error_reply('READONLY a replica may be behind')
end
-- Without its marker the node has lost what it had.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return {ARGV[#ARGV], false} end
return {ARGV[#ARGV], script()}
