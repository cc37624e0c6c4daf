#!lua
-- Charges one message on each of these accounts, or on none.
-- KEYS: marker, leaving (accounts by when they hold nothing any more), and each account.
-- ARGV: format, now, how many to remove, and for each account: limit, start of its slot, how long a slot counts. Times are in milliseconds.
-- Answers {}: charged. {n, wait}: account n (from 1) is used up for so long; no wait: for ever.
local now = tonumber(ARGV[2])
local accounts, known = {}, {}
for i = 3, #KEYS do
    local at = 4 + (i - 3) * 3
    local most, counts_for = tonumber(ARGV[at]), tonumber(ARGV[at + 2])
    local fields = redis.call('HGETALL', KEYS[i])
    local slots, sum, left = {}, 0, {}
    for f = 1, #fields, 2 do
        local start, number = tonumber(fields[f]), tonumber(fields[f + 1])
        if start + counts_for > now then
            sum = sum + number
            slots[#slots + 1] = {start, number}
        else
            left[#left + 1] = fields[f]
        end
    end
    if sum >= most then
        table.sort(slots, function(a, b) return a[1] < b[1] end)
        for _, slot in ipairs(slots) do
            sum = sum - slot[2]
            if sum < most then return {i - 2, string.format('%.0f', slot[1] + counts_for - now)} end
        end
        return {i - 2}
    end
    if not known[KEYS[i]] then
        known[KEYS[i]] = true
        local start = tonumber(ARGV[at + 1])
        for _, slot in ipairs(slots) do start = math.max(start, slot[1]) end
        accounts[#accounts + 1] = {KEYS[i], start, counts_for, left}
    end
end
-- Accounts of others that hold nothing any more. All are in this slot.
for _, key in ipairs(redis.call('ZRANGE', KEYS[2], '-inf', ARGV[2], 'BYSCORE', 'LIMIT', 0, ARGV[3])) do
    redis.call('UNLINK', key)
    redis.call('ZREM', KEYS[2], key)
end
for _, account in ipairs(accounts) do
    local key, start, counts_for, left = unpack(account)
    if #left > 0 then redis.call('HDEL', key, unpack(left)) end
    redis.call('HINCRBY', key, string.format('%.0f', start), 1)
    redis.call('ZADD', KEYS[2], string.format('%.0f', start + counts_for), key)
end
return {}
