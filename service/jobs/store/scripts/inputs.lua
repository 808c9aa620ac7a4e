#!lua flags=no-writes,allow-oom
return {'ok', call('HKEYS', P .. 'inputs')}
