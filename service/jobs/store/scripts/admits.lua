#!lua
-- Without a flag, though it writes nothing: with memory full it is refused, as `submit` would be.
local duplicate_key, max_queued = unpack(ARGV)
if duplicate_key ~= '' and call('EXISTS', P .. 'duplicate:' .. duplicate_key) == 1 then
    return {'earlier'}
end
if max_queued ~= '' and call('SCARD', P .. 'active') >= tonumber(max_queued) then
    return {'full'}
end
return {'new'}
