-- ARGV: name, time, time packed.
local head = head_of(KEYS[1])
if head and number(head, LAST_SEEN) < tonumber(ARGV[2]) then
  needs_no_room()
  redis.call('SETRANGE', KEYS[1], LAST_SEEN - 1, ARGV[3])
end
return 1
