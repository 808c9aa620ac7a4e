#!lua flags=allow-oom
local job, number, fence, progress, lease_seconds, delivery_seconds, progress_seconds = unpack(ARGV)

local found = standing(job, number, fence)
if found ~= 'running' then
    return {found == 'done' and 'fenced' or found}
end
call('ZADD', P .. 'leases', seconds(now() + tonumber(lease_seconds)), member(job, number))
local shown = call('HGET', job_key(job), field(number, 'progress'))
if tonumber(progress) > (tonumber(shown or '0')) then
    call('HSET', job_key(job), field(number, 'progress'), progress)
    call('HINCRBY', job_key(job), 'revision', 1)
    announce(job, {'progress'}, now(), {delivery_seconds, progress_seconds})
end
local worker = call('HGET', P .. 'hold:' .. fence, 'worker')
return {call('EXISTS', P .. 'release:' .. worker) == 1 and 'release' or 'continue'}
