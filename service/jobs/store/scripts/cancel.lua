#!lua flags=allow-oom
-- `token` tells a repeated call from a second request.
local job, sees, token, result_seconds, delivery_seconds, progress_seconds = unpack(ARGV)

local absence = absent(job, sees)
if absence then
    return absence
end
local key = job_key(job)
local facts = call('HMGET', key, 'state', 'cancel_token', 'cancel_before')
if facts[2] == token then
    return {'ok', facts[3]}
end
if facts[1] == 'succeeded' or facts[1] == 'failed' then
    return {'ended', facts[1]}
end
if facts[1] ~= 'cancelled' then
    call('HSET', key, 'cancel_token', token, 'cancel_before', facts[1])
    end_job(job, 'cancelled', now(), result_seconds, {delivery_seconds, progress_seconds})
end
return {'ok', facts[1]}
