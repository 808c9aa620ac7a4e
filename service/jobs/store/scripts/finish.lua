#!lua flags=allow-oom
local job, number, fence, result, error, result_seconds = unpack(ARGV)

local found = standing(job, number, fence)
if found ~= 'running' then
    return {found == 'done' and 'continue' or found}
end
if error ~= '' then
    fail(job, number, error, now(), result_seconds)
    return {'continue'}
end
local key = job_key(job)
let_go(fence)
call('ZREM', P .. 'leases', member(job, number))
call('HSET', P .. 'results:' .. job, number, result)
call('HSET', key, field(number, 'state'), 'succeeded', field(number, 'progress'), '1',
    field(number, 'revision'), call('HINCRBY', key, 'revision', 1))
local left = call('HINCRBY', key, 'left', -1)
local last = tonumber(call('HGET', key, 'count')) - 1
if left == 0 then
    set_final(job, 'succeeded', now(), result_seconds)
elseif left == 1 and call('HGET', key, field(last, 'state')) == 'waiting' then
    call('HSET', key, field(last, 'state'), 'queued')
    -- At the head: it takes a moment, and the job is done.
    enqueue(call('HGET', key, 'queue'), job, last, true)
end
return {'continue'}
