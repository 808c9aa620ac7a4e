#!lua flags=allow-oom
-- `token` tells a repeated call from a second request.
local job, sees, token = unpack(ARGV)
local deleted = P .. 'deleted:' .. token
local before = call('GET', deleted)
if before then
    return {'ok', before}
end
local absence = absent(job, sees)
if absence then
    return absence
end
local requests = P .. 'requests:' .. job
call('SPOP', requests)
local outcome = call('EXISTS', requests) == 1 and 'kept' or 'forgotten'
if outcome == 'forgotten' then
    forget(job, now())
end
call('SET', deleted, outcome, 'EX', 60)
return {'ok', outcome}
