#!lua flags=allow-oom
-- A thousand of each kind at a time: Redis does nothing else meanwhile. `token` tells a repeated call from a new one.
local token, max_attempts, error, result_seconds, delivery_seconds, progress_seconds, tombstone_seconds = unpack(ARGV)

local at = now()
for _, entry in ipairs(call('ZRANGEBYSCORE', P .. 'leases', '-inf', seconds(at), 'LIMIT', 0, 1000)) do
    -- Another chunk may just have failed the job, and taken this one's lease.
    if call('ZSCORE', P .. 'leases', entry) then
        local job, number = split(entry)
        take_back(job, number, max_attempts, error, result_seconds, {delivery_seconds, progress_seconds})
    end
end

local reply = P .. 'swept:' .. token
local expired = call('LRANGE', reply, 0, -1)
if #expired == 0 then
    expired = call('ZRANGEBYSCORE', P .. 'expiry', '-inf', seconds(at), 'LIMIT', 0, 1000)
    for _, job in ipairs(expired) do
        local owner = call('HGET', job_key(job), 'owner')
        forget(job, at)
        call('SET', P .. 'gone:' .. job, owner, 'PX', milliseconds(tombstone_seconds))
        call('RPUSH', reply, job)
    end
    call('EXPIRE', reply, 60)
end

local queued = {}
for _, queue in ipairs(call('SMEMBERS', P .. 'queues')) do
    local length = count_queued(queue)
    if length > 0 then
        queued[#queued + 1] = {queue, length}
    end
end
return {'ok', expired, queued}
