#!lua flags=no-writes,allow-oom
return {'ok', call('HGETALL', P .. 'results:' .. ARGV[1])}
