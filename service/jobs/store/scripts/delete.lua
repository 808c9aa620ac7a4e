#!lua flags=allow-oom
-- `token` tells a repeated call from a second request.
local job, token = unpack(ARGV)
local deleted = P .. 'deleted:' .. token
local before = call('GET', deleted)
if before then
    return {'ok', before}
end
if call('EXISTS', job_key(job)) == 0 then
    return absent(job)
end
local requests = P .. 'requests:' .. job
call('SPOP', requests)
local outcome = call('EXISTS', requests) == 1 and 'kept' or 'forgotten'
if outcome == 'forgotten' then
    forget(job, now())
end
call('SET', deleted, outcome, 'EX', 60)
return {'ok', outcome}
