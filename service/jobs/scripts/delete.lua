#!lua flags=allow-oom
-- `token` tells a repeated call from a second request.
local job, token = unpack(ARGV)
if call('EXISTS', job_key(job)) == 0 then
    return call('GET', P .. 'gone:' .. job) == token and {'ok'} or absent(job)
end
forget(job, now())
call('SET', P .. 'gone:' .. job, token, 'EX', 60)
return {'ok'}
