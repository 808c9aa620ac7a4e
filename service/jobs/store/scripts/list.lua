#!lua flags=no-writes,allow-oom
local sees, limit, after = unpack(ARGV)
local jobs = P .. 'jobs' .. (sees == '' and '' or ':' .. string.sub(sees, 2))
local below = '+inf'
if after ~= '' then
    local absence = absent(after, sees)
    if absence then
        return absence
    end
    below = '(' .. call('ZSCORE', jobs, after)
end
local found = {'ok'}
for _, job in ipairs(call('ZREVRANGEBYSCORE', jobs, below, '-inf', 'LIMIT', 0, limit)) do
    found[#found + 1] = call('HGETALL', job_key(job))
end
return found
