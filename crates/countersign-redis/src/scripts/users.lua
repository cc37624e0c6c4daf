#!lua flags=allow-oom
-- KEYS: marker, generations. ARGV: format, generation, after ('' is none), at most.
-- It writes nothing, but is not flagged so: as load.
-- Within one score the set is in the order of the bytes. Lua's own comparison follows the server's locale.
local function is_after(a, b)
    for i = 1, math.min(#a, #b) do
        local x, y = a:byte(i), b:byte(i)
        if x ~= y then return x > y end
    end
    return #a > #b
end
-- The ranks of the generation, and by halving the first of them that comes after.
local first = redis.call('ZCOUNT', KEYS[2], '-inf', '(' .. ARGV[2])
local last = first + redis.call('ZCOUNT', KEYS[2], ARGV[2], ARGV[2]) - 1
local low, high = first, last + 1
while low < high do
    local middle = math.floor((low + high) / 2)
    local user = redis.call('ZRANGE', KEYS[2], middle, middle)[1]
    if is_after(user, ARGV[3]) then high = middle else low = middle + 1 end
end
local stop = math.min(last, low + tonumber(ARGV[4]) - 1)
if low > stop then return {} end
return redis.call('ZRANGE', KEYS[2], low, stop)
