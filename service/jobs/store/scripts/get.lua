#!lua flags=no-writes,allow-oom
-- With `after` only the pictures of chunks that have succeeded after that revision, no answer and no webhooks.
local job, sees, after = unpack(ARGV)
local absence = absent(job, sees)
if absence then
    return absence
end
local flat = call('HGETALL', job_key(job))
if after == '' then
    local facts = call('HMGET', job_key(job), 'state', 'count', 'combines')
    local chunk = facts[3] == '1' and tonumber(facts[2]) - 1 or 0
    local answer = facts[1] == 'succeeded' and call('HGET', P .. 'results:' .. job, chunk)
    local webhooks = {}
    for number, id in ipairs(call('LRANGE', P .. 'webhooks:' .. job, 0, -1)) do
        webhooks[number] = call('HGETALL', P .. 'webhook:' .. id)
    end
    return {'ok', flat, call('HGETALL', P .. 'images:' .. job), answer or '', webhooks}
end
local images = {}
for at = 1, #flat, 2 do
    local number = string.match(flat[at], '^c(%d+)%.revision$')
    local found = number and tonumber(flat[at + 1]) > tonumber(after) and call('HGET', P .. 'images:' .. job, number)
    if found then
        images[#images + 1] = number
        images[#images + 1] = found
    end
end
return {'ok', flat, images, '', {}}
