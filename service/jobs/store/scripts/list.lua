#!lua flags=no-writes,allow-oom
local limit, after = unpack(ARGV)
local below = '+inf'
if after ~= '' then
    local score = call('ZSCORE', P .. 'jobs', after)
    if not score then
        return absent(after)
    end
    below = '(' .. score
end
local found = {'ok'}
for _, job in ipairs(call('ZREVRANGEBYSCORE', P .. 'jobs', below, '-inf', 'LIMIT', 0, limit)) do
    found[#found + 1] = call('HGETALL', job_key(job))
end
return found
