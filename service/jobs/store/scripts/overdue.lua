#!lua flags=no-writes,allow-oom
local worker, wait = unpack(ARGV)
local found = {'ok'}
local before = seconds(now() - tonumber(wait))
for _, fence in ipairs(call('ZRANGEBYSCORE', P .. 'ended:' .. worker, '-inf', before)) do
    local hold = call('HMGET', P .. 'hold:' .. fence, 'job', 'chunk', 'process')
    if hold[1] then
        found[#found + 1] = hold
    end
end
return found
