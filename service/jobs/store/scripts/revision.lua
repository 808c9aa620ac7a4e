#!lua flags=no-writes,allow-oom
local job, sees = unpack(ARGV)
return absent(job, sees) or {'ok', call('HGET', job_key(job), 'revision')}
