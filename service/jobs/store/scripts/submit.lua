#!lua
local job, record, queue, count, combines = unpack(ARGV, 1, 5)
local duplicate_key, fresh, idempotency_key = unpack(ARGV, 6, 8)
local result_seconds, idempotency_seconds, keys, max_requests = unpack(ARGV, 9, 12)
local owner, items, input, input_bytes = unpack(ARGV, 13, 16)
local delivery_seconds, progress_seconds, max_webhooks, url, receiver, events = unpack(ARGV, 21, 26)

-- The webhook of that job that equals the one that is given, and how many there are.
local function find_webhook(of)
    local webhooks = call('LRANGE', P .. 'webhooks:' .. of, 0, -1)
    for _, id in ipairs(webhooks) do
        local facts = call('HMGET', P .. 'webhook:' .. id, 'url', 'events')
        if facts[1] == url and facts[2] == events then
            return id, #webhooks
        end
    end
    return nil, #webhooks
end

local function add_webhook(of)
    if url == '' or call('EXISTS', job_key(of)) == 0 then
        return
    end
    local id = find_webhook(of)
    if not id then
        id = job
        if call('EXISTS', P .. 'webhook:' .. id) == 1 then
            return
        end
        call('RPUSH', P .. 'webhooks:' .. of, id)
        call('HSET', P .. 'webhook:' .. id, 'job', of, 'owner', call('HGET', job_key(of), 'owner'), 'url', url,
            'receiver', receiver, 'events', events, 'number', 0, 'tries', 0, 'attempts', 0)
    end
    if call('SISMEMBER', P .. 'active', of) == 0 then
        announce_to(id, EVENTS, now(), {delivery_seconds, progress_seconds})
    end
end

if call('EXISTS', job_key(job)) == 1 then
    return {'created', job}
end
local answers = P .. 'idempotency:' .. idempotency_key
local is_duplicate = false
local earlier = idempotency_key ~= '' and call('HGET', answers, 'job')
if not earlier and fresh == '0' then
    is_duplicate = call('GET', P .. 'duplicate:' .. duplicate_key)
    earlier = is_duplicate
end
if earlier and url ~= '' then
    -- Before anything is written.
    local equal, count = find_webhook(earlier)
    if not equal and count >= tonumber(max_webhooks) and call('EXISTS', P .. 'webhook:' .. job) == 0 then
        return {'webhooks', earlier}
    end
end
local refusal = not earlier and beyond_bounds(unpack(ARGV, 13, 20))
if refusal then
    return refusal
end
if is_duplicate then
    add_request(earlier, job, max_requests)
end
if idempotency_key ~= '' then
    call('HSET', answers, 'job', earlier or job)
    remember_key(idempotency_key, idempotency_seconds, keys)
end
if earlier then
    add_webhook(earlier)
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
add_webhook(job)
return {'created', job}
