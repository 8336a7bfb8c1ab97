-- ARGV: name, lease packed, its end packed, its end. 1 where the lease is held, else 0.
local head = head_of(KEYS[1])
if not head or bytes(head, LEASE) ~= ARGV[2] then return 0 end
needs_no_room()
redis.call('SETRANGE', KEYS[1], HELD_UNTIL - 1, ARGV[3])
schedule(number(head, DUE), tonumber(ARGV[4]))
return 1
