#!lua flags=no-writes,allow-oom
local job, sees, name = unpack(ARGV)
local absence = absent(job, sees)
if absence then
    return absence
end
local expires = call('HGET', job_key(job), 'expires')
local chunk = call('HGET', P .. 'places:' .. job, name)
for _, image in ipairs(chunk and cjson.decode(call('HGET', P .. 'images:' .. job, chunk)) or {}) do
    if image.name == name then
        return {'ok', cjson.encode(image), expires}
    end
end
return {'ok'}
