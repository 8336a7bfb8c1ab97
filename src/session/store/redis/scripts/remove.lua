-- KEYS: also the last state of the session. ARGV: name, now, longest time to live, reason, process, channel, random number of
-- this removal, time to live of the last state. The value that was removed, or nothing.
local value = redis.pcall('GET', KEYS[1])
unlink()
if not value or type(value) == 'string' and string.sub(value, 1, 1) == 'T' then
  -- The very removal may have arrived before, and its answer was lost: no two removals have one number.
  local last = redis.pcall('GET', KEYS[4])
  if type(last) == 'string' and string.sub(last, 1, 8) == ARGV[7] then return string.sub(last, 9) end
  return false
end
-- What is left keeps a write that arrives late from bringing the session back, for as long as it could have lived.
local rest = tonumber(ARGV[3])
local ends = tonumber(ARGV[2]) + rest
if is_session(value) then
  ends = number(value, ENDS)
  rest = math.min(rest, math.max(ends - tonumber(ARGV[2]), 0) + 60000)
end
redis.call('SET', KEYS[1], 'T', 'PX', decimal(rest))
if type(value) ~= 'string' then value = '' end
redis.call('SET', KEYS[4], ARGV[7] .. value, 'PX', ARGV[8])
redis.call('PUBLISH', ARGV[6], ARGV[5] .. ' ended ' .. ARGV[1] .. ' ' .. ARGV[4] .. ' ' .. decimal(ends))
return value
