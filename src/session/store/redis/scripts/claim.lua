-- ARGV: name, now, lease with its end packed, end of the lease, `due` where only a session that is due is wanted. The value
-- and 1 where it is the caller's, or 0 where somebody else holds it; nothing where there is no such session, or it is not due.
local value = redis.pcall('GET', KEYS[1])
if not is_session(value) then
  redis.call('ZREM', KEYS[2], ARGV[1])
  return false
end
local now, due, held_until = tonumber(ARGV[2]), number(value, DUE), number(value, HELD_UNTIL)
-- The very claim may have arrived before, and its answer was lost: no two leases have one number.
if bytes(value, LEASE) == string.sub(ARGV[3], 1, 8) then return {value, 1} end
if ARGV[5] == 'due' and (due == 0 or now < math.max(due, held_until)) then
  needs_no_room()
  schedule(due, held_until)
  return false
end
if now < held_until then return {value, 0} end
needs_no_room()
redis.call('SETRANGE', KEYS[1], LEASE - 1, ARGV[3])
schedule(due, tonumber(ARGV[4]))
return {value, 1}
