#!lua flags=allow-oom
local job, number, fence = unpack(ARGV)
if standing(job, number, fence) == 'running' then
    queue_again(job, number, false)
    call('HINCRBY', job_key(job), field(number, 'retries'), 1)
end
return {'ok'}
