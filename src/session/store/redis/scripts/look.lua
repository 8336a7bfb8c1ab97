-- KEYS: the index of ends, in place of a session, then the two indexes, then sessions. ARGV: now, longest idle time, then the names of the
-- sessions. For each session its end where it is over, else 0. What is no session leaves the indexes.
local now, idle = tonumber(ARGV[1]), tonumber(ARGV[2])
local found = {}
for i = 4, #KEYS do
  local name = ARGV[i - 1]
  local head = head_of(KEYS[i])
  local ends = 0
  if head then
    ends = math.min(number(head, ENDS), number(head, LAST_SEEN) + idle)
    if now < ends then
      redis.call('ZREM', KEYS[3], name)
      redis.call('ZADD', KEYS[3], decimal(ends), name)
      ends = 0
    end
  else
    redis.call('ZREM', KEYS[2], name)
    redis.call('ZREM', KEYS[3], name)
    local value = redis.pcall('GETRANGE', KEYS[i], 0, 0)
    if value ~= 'T' and value ~= '' then redis.call('DEL', KEYS[i]) end
  end
  found[#found + 1] = decimal(ends)
end
return found
