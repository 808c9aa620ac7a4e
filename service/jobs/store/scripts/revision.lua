#!lua flags=no-writes,allow-oom
local revision = call('HGET', job_key(ARGV[1]), 'revision')
return revision and {'ok', revision} or absent(ARGV[1])
