-- ARGV: name, version expected, version new, end, due or nothing, sealed record, time to live, process,
-- channel, lease that ends with it packed or nothing; version, end and due packed. 1 where it is stored, 0 where another write came first, -1 where
-- the session is gone.
local head = head_of(KEYS[1])
if not head then return -1 end
if bytes(head, VERSION) ~= ARGV[2] then
  -- The very write may have arrived before, and its answer was lost: no two records are sealed alike.
  if bytes(head, VERSION) == ARGV[3] and redis.call('GETRANGE', KEYS[1], HEAD, -1) == ARGV[6] then return 1 end
  return 0
end
needs_no_room()
local due = ARGV[5] == '' and bytes(head, DUE) or ARGV[5]
local held = string.sub(head, LEASE, LEASE + 15)
if string.sub(held, 1, 8) == ARGV[10] then held = string.rep('\0', 16) end
head = 'S' .. ARGV[3] .. bytes(head, LAST_SEEN) .. bytes(head, CREATED) .. ARGV[4] .. due .. held .. string.sub(head, HELD_UNTIL + 8, HEAD)
redis.call('SET', KEYS[1], head .. ARGV[6], 'PX', ARGV[7])
-- An end that has come nearer has to be looked at earlier; one that has moved away is found out when it is looked at.
redis.call('ZADD', KEYS[3], 'LT', decimal(number(head, ENDS)), ARGV[1])
schedule(number(head, DUE), number(head, HELD_UNTIL))
redis.call('PUBLISH', ARGV[9], ARGV[8] .. ' changed ' .. ARGV[1])
return 1
