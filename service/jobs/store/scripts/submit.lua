#!lua
local job, owner, record, queue, count, combines, input = unpack(ARGV, 1, 7)
local duplicate_key, fresh, idempotency_key, max_queued = unpack(ARGV, 8, 11)
local result_seconds, idempotency_seconds, keys, max_requests = unpack(ARGV, 12, 15)

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
if not earlier and max_queued ~= '' and call('SCARD', P .. 'active') >= tonumber(max_queued) then
    return {'full'}
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
call('HSET', job_key(job), 'owner', owner, 'record', record, 'queue', queue, 'count', count, 'left', count, 'combines', combines,
    'duplicate_key', duplicate_key, 'state', 'queued', 'revision', 1,
    'created', seconds(at), 'expires', seconds(at + tonumber(result_seconds)))
if input ~= '' then
    call('HSET', job_key(job), 'input', input)
    call('HINCRBY', P .. 'inputs', input, 1)
end
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
