#!lua flags=no-writes,allow-oom
local found = {'ok'}
for _, job in ipairs(ARGV) do
    if call('EXISTS', job_key(job)) == 1 then
        found[#found + 1] = job
    end
end
return found
