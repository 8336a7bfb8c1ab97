-- ARGV: name, time to live, reason, end, process, channel. 1 where the session had come back, else 0.
local value = redis.pcall('GET', KEYS[1])
unlink()
if type(value) == 'string' and string.sub(value, 1, 1) == 'T' then return 0 end
redis.call('SET', KEYS[1], 'T', 'PX', ARGV[2])
if not value then return 0 end
redis.call('PUBLISH', ARGV[6], ARGV[5] .. ' ended ' .. ARGV[1] .. ' ' .. ARGV[3] .. ' ' .. ARGV[4])
return 1
