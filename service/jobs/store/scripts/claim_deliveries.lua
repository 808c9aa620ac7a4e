#!lua flags=allow-oom
local limit, lease_seconds, max_to_receiver, max_of_owner = unpack(ARGV)

local at = now()
call('ZREMRANGEBYSCORE', P .. 'sending', '-inf', seconds(at))
-- What is in somebody's hands: of each owner, and to each receiver.
local of_owners, to_receivers = {}, {}
local function count(owner, receiver)
    local lane = owner .. ' ' .. receiver
    of_owners[owner] = (of_owners[owner] or 0) + 1
    to_receivers[lane] = (to_receivers[lane] or 0) + 1
end
for _, id in ipairs(call('ZRANGE', P .. 'sending', 0, -1)) do
    count(unpack(call('HMGET', P .. 'webhook:' .. id, 'owner', 'receiver')))
end

-- The receiver of an owner whose turn it is, and since when. No more of them are full than may be in hand.
local function find_receiver(owner)
    local lanes = call('ZRANGEBYSCORE', P .. 'outbox:' .. owner, '-inf', seconds(at), 'WITHSCORES', 'LIMIT', 0, max_of_owner)
    for place = 1, #lanes, 2 do
        if (to_receivers[owner .. ' ' .. lanes[place]] or 0) < tonumber(max_to_receiver) then
            return lanes[place], tonumber(lanes[place + 1])
        end
    end
end

local owners = call('SMEMBERS', P .. 'outbox')
local claimed = {'ok'}
while #claimed <= tonumber(limit) do
    local chosen, receiver, least, since
    for _, owner in ipairs(owners) do
        local held = of_owners[owner] or 0
        if held < tonumber(max_of_owner) and (not least or held <= least) then
            local lane, due = find_receiver(owner)
            if lane and (not least or held < least or due < since or (due == since and owner < chosen)) then
                chosen, receiver, least, since = owner, lane, held, due
            end
        end
    end
    if not chosen then
        break
    end
    local id = call('ZRANGE', P .. 'lane:' .. chosen .. ' ' .. receiver, 0, 0)[1]
    local key = P .. 'webhook:' .. id
    local ends = at + tonumber(lease_seconds)
    call('HINCRBY', key, 'tries', 1)
    call('HINCRBY', key, 'attempts', 1)
    call('HSET', key, 'lease', seconds(ends))
    call('ZADD', P .. 'sending', seconds(ends), id)
    schedule(id, ends)
    count(chosen, receiver)
    claimed[#claimed + 1] = {id,
        unpack(call('HMGET', key, 'job', 'owner', 'url', 'receiver', 'event', 'number', 'tries', 'attempts'))}
end
return claimed
