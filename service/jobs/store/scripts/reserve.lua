#!lua
-- `token` tells a repeated call from a second request.
local key, fingerprint, token, reservation_seconds, idempotency_seconds, keys = unpack(ARGV)

local answers = P .. 'idempotency:' .. key
local earlier = call('HMGET', answers, 'fingerprint', 'job', 'token', 'reserved')
if earlier[1] and earlier[1] ~= fingerprint then
    return {'reused'}
end
if earlier[2] then
    return {'answered', earlier[2]}
end
local at = now()
if earlier[3] and earlier[3] ~= token and tonumber(earlier[4]) > at then
    return {'busy'}
end
call('HSET', answers, 'fingerprint', fingerprint, 'token', token,
    'reserved', seconds(at + tonumber(reservation_seconds)))
remember_key(key, idempotency_seconds, keys)
return {'reserved'}
