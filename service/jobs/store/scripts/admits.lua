#!lua
-- Without a flag, though it writes nothing: with memory full it is refused, as `submit` would be.
local duplicate_key = ARGV[1]
if duplicate_key ~= '' and call('EXISTS', P .. 'duplicate:' .. duplicate_key) == 1 then
    return {'earlier'}
end
return beyond_bounds(unpack(ARGV, 2)) or {'new'}
