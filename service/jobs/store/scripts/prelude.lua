-- Shared by all scripts: put after the first line of each. Every script may run twice, as a reply can be lost.
--
-- Redis 7 or newer: the first line of a script says whether it may run with memory full. Without `allow-oom` Redis
-- refuses the whole script before its first write, so that nothing is left half written; what has been accepted may
-- be finished, and what frees memory may always run.
--
-- job:ID          hash: the record, the job, and per chunk c0.state, .fence, .attempts, .retries, .progress, .revision
-- results:ID      hash: chunk -> what it came to but for its pictures, as long as somebody needs it
-- images:ID       hash: chunk -> its pictures, if any  places:ID  hash: a picture's name -> the chunk it is found in
-- lane:NAME:OWNER zset: 'ID:chunk' by position     leases   zset: 'ID:chunk' by the lease's end
-- turns:NAME      zset: owners with chunks in that queue, by whose turn it is
-- jobs            zset: ID by order of creation    expiry   zset: final jobs by their end
-- jobs:OWNER      zset: the same of one owner
-- owner:OWNER     hash: jobs queued or running, items of those, bytes of inputs and pictures of all
-- inputs          hash: SHA-256 of an input -> how many jobs have it         inputs:OWNER  the same of one owner
-- active          set: jobs queued or running      queues   set: names of queues
-- hold:FENCE      hash: what a process holds; outlives the job, and has `ended` from the job's end on
-- process:NAME    the fence that a process holds   ended:WORKER  zset: fences of ended jobs by when they ended
-- gone:ID         the owner of an expired job      duplicate:KEY  ID
-- requests:ID     set: the submissions that the job answers        deleted:TOKEN  what a delete came to
-- form            the form of all this, set with every job
-- webhooks:ID     list: the job's webhooks          webhook:ID  hash: one of them, as the columns of jobs.sql
-- outbox          set: owners with events to send  outbox:OWNER  zset: their receivers by when the first event is due
-- lane:OWNER RECEIVER  zset: webhooks by when they are due, or by the end of an attempt's lease
-- sending         zset: webhooks by that lease     outcomes  hash: what came of attempts
-- signing:OWNER   hash: the secrets that webhooks are signed with
-- idempotency:KEY hash                             idempotency    zset: those keys by when they end
local P = 'convscope:'
local DAY = 86400

local call = redis.call

-- The form of these keys, and of the JSON in them: a change raises the number. Records without one are of the first.
-- Nothing is brought over, as jobs are kept for a day: what has another form is left to the version that wrote it.
local FORM = '4'
local form = call('GET', P .. 'form') or '1'
if form ~= FORM and call('EXISTS', P .. 'jobs') == 1 then
    return redis.error_reply('FORM ' .. form)
end

local function now()
    local time = call('TIME')
    return tonumber(time[1]) + tonumber(time[2]) / 1e6
end

local function seconds(time)
    return string.format('%.6f', time)
end

local function milliseconds(duration)
    return string.format('%.0f', math.max(1, tonumber(duration) * 1000))
end

local function job_key(job)
    return P .. 'job:' .. job
end

local function field(number, name)
    return 'c' .. number .. '.' .. name
end

local function member(job, number)
    return job .. ':' .. number
end

local function split(entry)
    return string.match(entry, '^(.*):(%d+)$')
end

-- `sees` is empty for who may see all jobs, or '=' and the owner whose jobs they are.
local function is_seen(owner, sees)
    return owner and (sees == '' or sees == '=' .. owner)
end

-- What is answered instead where the job is not there, or is not to be seen; nil where it is.
local function absent(job, sees)
    if is_seen(call('HGET', job_key(job), 'owner'), sees) then
        return nil
    end
    return {is_seen(call('GET', P .. 'gone:' .. job), sees) and 'expired' or 'missing'}
end

-- When an event of the webhook is due; nil: there is none to be sent.
local function schedule(id, due)
    local key = P .. 'webhook:' .. id
    local facts = call('HMGET', key, 'owner', 'receiver')
    local lanes = P .. 'outbox:' .. facts[1]
    local lane = P .. 'lane:' .. facts[1] .. ' ' .. facts[2]
    if due then
        call('HSET', key, 'due', seconds(due))
        call('ZADD', lane, seconds(due), id)
    else
        call('HDEL', key, 'due')
        call('ZREM', lane, id)
    end
    local first = call('ZRANGE', lane, 0, 0, 'WITHSCORES')
    if first[1] then
        call('ZADD', lanes, first[2], facts[2])
        call('SADD', P .. 'outbox', facts[1])
    else
        call('ZREM', lanes, facts[2])
        if call('EXISTS', lanes) == 0 then
            call('SREM', P .. 'outbox', facts[1])
        end
    end
end

local EVENTS = {'completed', 'output', 'progress'}
local RANKS = {completed = 1, output = 2, progress = 3}

-- Whether what is to be sent already says all that this event does.
local function is_told_by(before, event, is_held)
    if not before or before ~= event then
        return before and RANKS[before] < RANKS[event]
    end
    return event == 'progress' and not is_held
end

local function announce_to(id, events, at, rules)
    local key = P .. 'webhook:' .. id
    local facts = call('HMGET', key, 'events', 'ending', 'event', 'lease', 'due', 'attempts', 'sent')
    local event
    for _, one in ipairs(events) do
        if not event and string.find(' ' .. facts[1] .. ' ', ' ' .. one .. ' ', 1, true) then
            event = one
        end
    end
    local is_held = facts[4] and tonumber(facts[4]) > at
    if facts[2] == 'stopped' or not event or is_told_by(facts[3], event, is_held) then
        return
    end
    call('HSET', key, 'event', event, 'until', seconds(at + tonumber(rules[1])))
    call('HINCRBY', key, 'number', 1)
    call('HDEL', key, 'ending')
    -- Else its turn comes with the end of the attempt, or of the pause.
    if not is_held and not (facts[5] and tonumber(facts[6]) > 0 and event ~= 'completed') then
        call('HSET', key, 'attempts', 0)
        schedule(id, event == 'progress' and math.max(at, tonumber(facts[7] or 0) + tonumber(rules[2])) or at)
    end
end

-- Queue, for each of the job's webhooks, the first of these events that it asks for. `rules` are for how many seconds
-- an event is sent, and how often progress is told.
local function announce(job, events, at, rules)
    for _, id in ipairs(call('LRANGE', P .. 'webhooks:' .. job, 0, -1)) do
        announce_to(id, events, at, rules)
    end
end

local function forget_webhooks(job)
    for _, id in ipairs(call('LRANGE', P .. 'webhooks:' .. job, 0, -1)) do
        schedule(id, nil)
        call('ZREM', P .. 'sending', id)
        call('UNLINK', P .. 'webhook:' .. id)
    end
    call('UNLINK', P .. 'webhooks:' .. job)
end

-- As many keys as may be; the oldest are forgotten, a few at a time.
local function remember_key(key, idempotency_seconds, keys)
    local at = now()
    call('PEXPIRE', P .. 'idempotency:' .. key, milliseconds(idempotency_seconds))
    call('ZADD', P .. 'idempotency', seconds(at + tonumber(idempotency_seconds)), key)
    local ended = call('ZRANGEBYSCORE', P .. 'idempotency', '-inf', seconds(at), 'LIMIT', 0, 100)
    local surplus = call('ZCARD', P .. 'idempotency') - #ended - tonumber(keys)
    if surplus > 0 then
        ended = call('ZRANGE', P .. 'idempotency', 0, math.min(#ended + surplus, 100) - 1)
    end
    for _, old in ipairs(ended) do
        call('ZREM', P .. 'idempotency', old)
        call('DEL', P .. 'idempotency:' .. old)
    end
end

-- `job` alone, the submission that made it, where a version before this one did not note it.
local function add_request(job, submission, max_requests)
    local requests = P .. 'requests:' .. job
    if call('EXISTS', requests) == 0 then
        call('SADD', requests, job)
    end
    if call('SCARD', requests) < tonumber(max_requests) then
        call('SADD', requests, submission)
    end
end

local function lane_key(queue, owner)
    return P .. 'lane:' .. queue .. ':' .. owner
end

-- Before the first of a sorted set, or behind the last.
local function place(key, at_head)
    local edge = call(at_head and 'ZRANGE' or 'ZREVRANGE', key, 0, 0, 'WITHSCORES')
    return (tonumber(edge[2]) or 0) + (at_head and -1 or 1)
end

-- Behind the owner's other chunks, or before them. An owner who had none is the last in turn.
local function enqueue(queue, owner, job, number, at_head)
    local lane, turns = lane_key(queue, owner), P .. 'turns:' .. queue
    call('ZADD', lane, place(lane, at_head), member(job, number))
    call('ZADD', turns, 'NX', place(turns, false), owner)
    call('SADD', P .. 'queues', queue)
end

-- The first chunk of the owner whose turn it is, who is the last in turn then.
local function take_next(queue)
    local turns = P .. 'turns:' .. queue
    local owner = call('ZRANGE', turns, 0, 0)[1]
    if not owner then
        return nil
    end
    local lane = lane_key(queue, owner)
    local first = call('ZPOPMIN', lane)[1]
    call('ZREM', turns, owner)
    if call('EXISTS', lane) == 1 then
        call('ZADD', turns, place(turns, false), owner)
    end
    return first
end

local function dequeue(queue, owner, job, number)
    local lane = lane_key(queue, owner)
    call('ZREM', lane, member(job, number))
    if call('EXISTS', lane) == 0 then
        call('ZREM', P .. 'turns:' .. queue, owner)
    end
end

local function count_queued(queue)
    local count = 0
    for _, owner in ipairs(call('ZRANGE', P .. 'turns:' .. queue, 0, -1)) do
        count = count + call('ZCARD', lane_key(queue, owner))
    end
    return count
end

local function let_go(fence)
    local hold = call('HMGET', P .. 'hold:' .. fence, 'process', 'worker')
    if hold[1] then
        call('DEL', P .. 'hold:' .. fence, P .. 'process:' .. hold[1])
        call('ZREM', P .. 'ended:' .. hold[2], fence)
    end
end

-- The job ends under the process that holds a chunk. A worker whose machine is gone never lets go: a day is enough.
local function end_hold(fence, at)
    local hold = call('HMGET', P .. 'hold:' .. fence, 'process', 'worker')
    if hold[1] then
        call('HSET', P .. 'hold:' .. fence, 'ended', seconds(at))
        call('ZADD', P .. 'ended:' .. hold[2], seconds(at), fence)
        call('EXPIRE', P .. 'hold:' .. fence, DAY)
        call('EXPIRE', P .. 'process:' .. hold[1], DAY)
        call('EXPIRE', P .. 'ended:' .. hold[2], DAY)
    end
end

-- How an attempt stands: running, done (it has committed something), cancel or fenced.
local function standing(job, number, fence)
    local chunk = call('HMGET', job_key(job), field(number, 'state'), field(number, 'fence'))
    if chunk[1] and chunk[2] ~= fence then
        return 'fenced'
    end
    if not chunk[1] or chunk[1] == 'cancelled' then
        let_go(fence)
        return 'cancel'
    end
    return chunk[1] == 'running' and 'running' or 'done'
end

local function stop_chunks(job, at)
    local key = job_key(job)
    local facts = call('HMGET', key, 'queue', 'count', 'owner')
    for number = 0, tonumber(facts[2]) - 1 do
        local state = call('HGET', key, field(number, 'state'))
        if state == 'queued' then
            dequeue(facts[1], facts[3], job, number)
        elseif state == 'running' then
            call('ZREM', P .. 'leases', member(job, number))
            end_hold(call('HGET', key, field(number, 'fence')), at)
        end
        if state == 'queued' or state == 'running' or state == 'waiting' then
            call('HSET', key, field(number, 'state'), 'cancelled')
        end
    end
end

local function free_duplicate(job)
    local key = P .. 'duplicate:' .. call('HGET', job_key(job), 'duplicate_key')
    if call('GET', key) == job then
        call('DEL', key)
    end
end

-- Count what an owner has; of who has nothing there is no record.
local function add(owner, name, amount)
    local key = P .. 'owner:' .. owner
    if tonumber(amount) ~= 0 and call('HINCRBY', key, name, amount) == 0 then
        call('HDEL', key, name)
    end
end

-- Why a new job is refused: as many are queued or running as may be, or of which limit of its owner how much is used, and
-- what it adds. nil where it is not.
local function beyond_bounds(owner, items, input, input_bytes, max_queued, max_jobs, max_items, max_bytes)
    if max_queued ~= '' and call('SCARD', P .. 'active') >= tonumber(max_queued) then
        return {'full'}
    end
    if max_jobs == '' then
        return nil
    end
    if input == '' or call('HEXISTS', P .. 'inputs:' .. owner, input) == 1 then
        input_bytes = 0
    end
    local used = call('HMGET', P .. 'owner:' .. owner, 'jobs', 'items', 'bytes')
    for at, limit in ipairs({
        {'queued_jobs', max_jobs, 1}, {'job_items', max_items, items}, {'stored_bytes', max_bytes, input_bytes},
    }) do
        local before, more = tonumber(used[at] or '0'), tonumber(limit[3])
        if before + math.max(more, 1) > tonumber(limit[2]) then
            return {'limit', limit[1], before, more}
        end
    end
    return nil
end

local function leave_work(job)
    if call('SREM', P .. 'active', job) == 1 then
        local facts = call('HMGET', job_key(job), 'owner', 'items')
        add(facts[1], 'jobs', -1)
        add(facts[1], 'items', '-' .. facts[2])
    end
end

local function set_final(job, state, at, result_seconds)
    local expires = seconds(at + tonumber(result_seconds))
    call('HSET', job_key(job), 'state', state, 'finished', seconds(at), 'expires', expires)
    leave_work(job)
    call('ZADD', P .. 'expiry', expires, job)
end

local function end_job(job, state, at, result_seconds, rules)
    stop_chunks(job, at)
    call('UNLINK', P .. 'results:' .. job)
    free_duplicate(job)
    set_final(job, state, at, result_seconds)
    call('HINCRBY', job_key(job), 'revision', 1)
    announce(job, {'completed'}, at, rules)
end

local function fail(job, number, error, at, result_seconds, rules)
    local key = job_key(job)
    let_go(call('HGET', key, field(number, 'fence')))
    call('ZREM', P .. 'leases', member(job, number))
    call('HSET', key, field(number, 'state'), 'failed', 'error', error)
    end_job(job, 'failed', at, result_seconds, rules)
end

local function forget(job, at)
    local key = job_key(job)
    forget_webhooks(job)
    local facts = call('HMGET', key, 'owner', 'input', 'input_bytes', 'picture_bytes')
    local owner, input = facts[1], facts[2]
    if call('SISMEMBER', P .. 'active', job) == 1 then
        stop_chunks(job, at)
    end
    free_duplicate(job)
    if input and call('HINCRBY', P .. 'inputs', input, -1) <= 0 then
        call('HDEL', P .. 'inputs', input)
    end
    if input and call('HINCRBY', P .. 'inputs:' .. owner, input, -1) <= 0 then
        call('HDEL', P .. 'inputs:' .. owner, input)
        add(owner, 'bytes', '-' .. facts[3])
    end
    add(owner, 'bytes', '-' .. (facts[4] or '0'))
    leave_work(job)
    call('UNLINK', key, P .. 'results:' .. job, P .. 'images:' .. job, P .. 'places:' .. job, P .. 'requests:' .. job)
    call('ZREM', P .. 'jobs', job)
    call('ZREM', P .. 'jobs:' .. owner, job)
    call('ZREM', P .. 'expiry', job)
end

-- Queue a running chunk again, before its owner's others or behind them.
local function queue_again(job, number, at_head)
    local key = job_key(job)
    let_go(call('HGET', key, field(number, 'fence')))
    call('ZREM', P .. 'leases', member(job, number))
    call('HDEL', key, field(number, 'fence'), field(number, 'progress'))
    call('HSET', key, field(number, 'state'), 'queued')
    call('HINCRBY', key, 'revision', 1)
    local facts = call('HMGET', key, 'queue', 'owner')
    enqueue(facts[1], facts[2], job, number, at_head)
end

-- As the next of all.
local function hand_back(job, number)
    queue_again(job, number, true)
    local facts = call('HMGET', job_key(job), 'queue', 'owner')
    local turns = P .. 'turns:' .. facts[1]
    call('ZADD', turns, place(turns, true), facts[2])
    call('HINCRBY', job_key(job), field(number, 'attempts'), -1)
end

-- End the attempt of a worker that is gone: the chunk goes behind its owner's others, or its job fails with `error`.
local function take_back(job, number, max_attempts, error, result_seconds, rules)
    local counts = call('HMGET', job_key(job), field(number, 'attempts'), field(number, 'retries'))
    if tonumber(counts[1]) - tonumber(counts[2] or '0') < tonumber(max_attempts) then
        queue_again(job, number, false)
    else
        fail(job, number, error, now(), result_seconds, rules)
        call('HDEL', job_key(job), field(number, 'fence'))
    end
end
