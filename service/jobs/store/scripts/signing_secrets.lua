#!lua
-- `secret` is kept where there is none yet; to `rotate`, it takes the place of another.
local owner, secret, rotate, keep_seconds = unpack(ARGV)

local key = P .. 'signing:' .. owner
local at = now()
local current = call('HGET', key, 'current')
if not current then
    call('HSET', key, 'current', secret)
elseif rotate == '1' and current ~= secret then
    call('HSET', key, 'current', secret, 'previous', current, 'ends', seconds(at + tonumber(keep_seconds)))
end
local facts = call('HMGET', key, 'current', 'previous', 'ends')
if facts[3] and tonumber(facts[3]) > at then
    return {facts[1], facts[2], facts[3]}
end
return {facts[1]}
