#!lua
local job, record, queue, count, combines = unpack(ARGV, 1, 5)
local duplicate_key, fresh, idempotency_key = unpack(ARGV, 6, 8)
local result_seconds, idempotency_seconds, keys, max_requests = unpack(ARGV, 9, 12)
local owner, items, input, input_bytes = unpack(ARGV, 13, 16)

if call('EXISTS', job_key(job)) == 1 then
    return {'created', job}
end
local answers = P .. 'idempotency:' .. idempotency_key
local earlier = idempotency_key ~= '' and call('HGET', answers, 'job')
if not earlier and fresh == '0' then
    earlier = call('GET', P .. 'duplicate:' .. duplicate_key)
    if earlier then
        add_request(earlier, job, max_requests)
    end
end
local refusal = not earlier and beyond_bounds(unpack(ARGV, 13))
if refusal then
    return refusal
end
if idempotency_key ~= '' then
    call('HSET', answers, 'job', earlier or job)
    remember_key(idempotency_key, idempotency_seconds, keys)
end
if earlier then
    return {'earlier', earlier}
end

local at = now()
call('SET', P .. 'form', FORM)
call('HSET', job_key(job), 'owner', owner, 'items', items, 'record', record, 'queue', queue, 'count', count, 'left', count, 'combines', combines,
    'duplicate_key', duplicate_key, 'state', 'queued', 'revision', 1,
    'created', seconds(at), 'expires', seconds(at + tonumber(result_seconds)))
if input ~= '' then
    call('HSET', job_key(job), 'input', input, 'input_bytes', input_bytes)
    call('HINCRBY', P .. 'inputs', input, 1)
    if call('HINCRBY', P .. 'inputs:' .. owner, input, 1) == 1 then
        add(owner, 'bytes', input_bytes)
    end
end
add(owner, 'jobs', 1)
add(owner, 'items', items)
for number = 0, tonumber(count) - 1 do
    if combines == '1' and number == tonumber(count) - 1 then
        call('HSET', job_key(job), field(number, 'state'), 'waiting')
    else
        call('HSET', job_key(job), field(number, 'state'), 'queued')
        enqueue(queue, owner, job, number, false)
    end
end
call('SADD', P .. 'requests:' .. job, job)
call('SET', P .. 'duplicate:' .. duplicate_key, job)
call('DEL', P .. 'gone:' .. job)
call('SADD', P .. 'active', job)
local sequence = call('INCR', P .. 'sequence')
call('ZADD', P .. 'jobs', sequence, job)
call('ZADD', P .. 'jobs:' .. owner, sequence, job)
return {'created', job}
