#!lua flags=allow-oom
-- What follows the tenth are the names of the pictures.
local job, number, fence, result, images, error, result_seconds, picture_bytes = unpack(ARGV, 1, 8)
local rules = {ARGV[9], ARGV[10]}

local found = standing(job, number, fence)
if found ~= 'running' then
    return {found == 'done' and 'continue' or found}
end
if error ~= '' then
    fail(job, number, error, now(), result_seconds, rules)
    return {'continue'}
end
local key = job_key(job)
local facts = call('HMGET', key, 'count', 'combines', 'queue', 'owner')
local last, combines = tonumber(facts[1]) - 1, facts[2] == '1'
let_go(fence)
call('ZREM', P .. 'leases', member(job, number))
if combines and tonumber(number) == last then
    -- Nobody needs any more what the others came to.
    call('UNLINK', P .. 'results:' .. job)
end
call('HSET', P .. 'results:' .. job, number, result)
if images ~= '' then
    call('HSET', P .. 'images:' .. job, number, images)
    call('HINCRBY', key, 'picture_bytes', picture_bytes)
    add(facts[4], 'bytes', picture_bytes)
end
local places = P .. 'places:' .. job
for at = 11, #ARGV do
    -- Of several pictures of one name the combining chunk's is found, else that of the chunk that comes first.
    local found = tonumber(call('HGET', places, ARGV[at]))
    if not found or (combines and tonumber(number) == last) or found > tonumber(number) then
        call('HSET', places, ARGV[at], number)
    end
end
call('HSET', key, field(number, 'state'), 'succeeded', field(number, 'progress'), '1',
    field(number, 'revision'), call('HINCRBY', key, 'revision', 1))
local left = call('HINCRBY', key, 'left', -1)
if left == 0 then
    set_final(job, 'succeeded', now(), result_seconds)
    announce(job, EVENTS, now(), rules)
else
    announce(job, {'output', 'progress'}, now(), rules)
end
if left == 1 and call('HGET', key, field(last, 'state')) == 'waiting' then
    call('HSET', key, field(last, 'state'), 'queued')
    -- Before the owner's others, when its turn comes: it takes a moment, and the job is done.
    enqueue(facts[3], facts[4], job, last, true)
end
return {'continue'}
