#!lua flags=no-writes,allow-oom
local job, name = unpack(ARGV)
local expires = call('HGET', job_key(job), 'expires')
if not expires then
    return absent(job)
end
local chunk = call('HGET', P .. 'places:' .. job, name)
for _, image in ipairs(chunk and cjson.decode(call('HGET', P .. 'images:' .. job, chunk)) or {}) do
    if image.name == name then
        return {'ok', cjson.encode(image), expires}
    end
end
return {'ok'}
