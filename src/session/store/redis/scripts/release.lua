-- ARGV: name, lease packed, due packed or nothing, process, channel.
local head = head_of(KEYS[1])
if not head or bytes(head, LEASE) ~= ARGV[2] then return 0 end
needs_no_room()
local due = ARGV[3] == '' and bytes(head, DUE) or ARGV[3]
redis.call('SETRANGE', KEYS[1], DUE - 1, due .. string.rep('\0', 16))
schedule(number(due, 1), 0)
redis.call('PUBLISH', ARGV[5], ARGV[4] .. ' changed ' .. ARGV[1])
return 1
