#!lua flags=allow-oom
local answers = P .. 'idempotency:' .. ARGV[1]
if not call('HGET', answers, 'job') then
    call('DEL', answers)
    call('ZREM', P .. 'idempotency', ARGV[1])
end
return {'ok'}
