-- Takes the lock KEYS[1] from ARGV[1], if that one has it.

if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1
