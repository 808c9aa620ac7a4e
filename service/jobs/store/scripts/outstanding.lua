#!lua flags=no-writes,allow-oom
-- There are as many leases as processes that compute: few.
local counts = {}
for _, queue in ipairs(call('SMEMBERS', P .. 'queues')) do
    counts[queue] = count_queued(queue)
end
for _, entry in ipairs(call('ZRANGE', P .. 'leases', 0, -1)) do
    local queue = call('HGET', job_key(split(entry)), 'queue')
    if queue then
        counts[queue] = (counts[queue] or 0) + 1
    end
end
local found = {}
for queue, count in pairs(counts) do
    if count > 0 then
        found[#found + 1] = {queue, count}
    end
end
return {'ok', found}
