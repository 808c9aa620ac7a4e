#!lua flags=allow-oom
local id, number, fence, verdict, status, error, pause_seconds, progress_seconds = unpack(ARGV)

local key = P .. 'webhook:' .. id
local facts = call('HMGET', key, 'tries', 'lease', 'number', 'event', 'until')
if facts[1] ~= fence or not facts[2] then
    return {'fenced'}
end
local at = now()
call('ZREM', P .. 'sending', id)
call('HDEL', key, 'lease')
call('HSET', key, 'last_status', status, 'last_error', error)
local is_newer = facts[3] ~= number

local function close(ending)
    call('HDEL', key, 'event')
    call('HSET', key, 'ending', ending)
    schedule(id, nil)
end

local settlement = verdict
if verdict == 'stopped' then
    close('stopped')
elseif verdict == 'failed' then
    -- The last event of all has not been tried yet.
    local due = is_newer and facts[4] == 'completed' and at or at + tonumber(pause_seconds)
    if due > tonumber(facts[5]) then
        settlement = 'given_up'
        close('failed')
    else
        settlement = 'retried'
        schedule(id, due)
    end
else
    call('HSET', key, 'sent', seconds(at))
    if is_newer then
        call('HSET', key, 'attempts', 0)
        schedule(id, facts[4] == 'progress' and at + tonumber(progress_seconds) or at)
    else
        call('HDEL', key, 'event')
        schedule(id, nil)
    end
end
call('HINCRBY', P .. 'outcomes', settlement, 1)
return {settlement}
