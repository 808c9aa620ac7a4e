#!lua flags=no-writes,allow-oom
local job = ARGV[1]
if call('EXISTS', job_key(job)) == 0 then
    return absent(job)
end
return {'ok', call('HGETALL', job_key(job)), call('HGETALL', P .. 'results:' .. job)}
