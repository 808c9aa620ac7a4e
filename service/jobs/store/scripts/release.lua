#!lua flags=allow-oom
call('SET', P .. 'release:' .. ARGV[1], '1', 'EX', DAY)
return {'ok'}
