#!lua flags=allow-oom
local queue, worker, process, lease_seconds = unpack(ARGV)

local at = now()
local fence = call('GET', P .. 'process:' .. process)
local job, number
if fence then
    local hold = call('HMGET', P .. 'hold:' .. fence, 'job', 'chunk', 'ended')
    job, number = hold[1], hold[2]
    -- One that claims has stopped computing whatever has ended.
    if hold[3] then
        let_go(fence)
        fence, job = nil, nil
    end
end
if call('EXISTS', P .. 'release:' .. worker) == 1 then
    if job then
        hand_back(job, number)
    end
    return {'none'}
end
if not job then
    local first = take_next(queue)
    if not first then
        return {'none'}
    end
    job, number = split(first)
    fence = string.format('%.0f', call('INCR', P .. 'fence'))
    local key = job_key(job)
    call('HSET', key, 'state', 'running', field(number, 'state'), 'running', field(number, 'fence'), fence)
    call('HSETNX', key, 'started', seconds(at))
    call('HDEL', key, field(number, 'progress'))
    call('HINCRBY', key, field(number, 'attempts'), 1)
    call('HINCRBY', key, 'revision', 1)
    call('HSET', P .. 'hold:' .. fence, 'process', process, 'worker', worker, 'job', job, 'chunk', number)
    call('SET', P .. 'process:' .. process, fence)
end
call('ZADD', P .. 'leases', seconds(at + tonumber(lease_seconds)), member(job, number))
local facts = call('HMGET', job_key(job), 'record', field(number, 'attempts'), field(number, 'retries'))
return {'claim', facts[1], number, fence, facts[2], facts[3] or '0'}
