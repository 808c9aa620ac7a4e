#!lua flags=allow-oom
local process, max_attempts, error, result_seconds, delivery_seconds, progress_seconds = unpack(ARGV)

local fence = call('GET', P .. 'process:' .. process)
if fence then
    local hold = call('HMGET', P .. 'hold:' .. fence, 'job', 'chunk', 'ended')
    if hold[3] then
        let_go(fence)
    else
        take_back(hold[1], hold[2], max_attempts, error, result_seconds, {delivery_seconds, progress_seconds})
    end
end
return {'ok'}
