#!lua flags=no-writes,allow-oom
local pending = 0
for _, owner in ipairs(call('SMEMBERS', P .. 'outbox')) do
    for _, receiver in ipairs(call('ZRANGE', P .. 'outbox:' .. owner, 0, -1)) do
        pending = pending + call('ZCARD', P .. 'lane:' .. owner .. ' ' .. receiver)
    end
end
return {pending, call('HGETALL', P .. 'outcomes')}
