-- ARGV: name, value, time to live, end, due or 0. 1 where it is stored, 0 where the key is taken.
local found = redis.pcall('GET', KEYS[1])
-- The very write may have arrived before, and its answer was lost: no two records are sealed alike.
if found == ARGV[2] then return 1 end
if found then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
redis.call('ZADD', KEYS[3], ARGV[4], ARGV[1])
schedule(tonumber(ARGV[5]), 0)
return 1
