-- Lets ARGV[1] keep the lock KEYS[1] for ARGV[2] milliseconds, if that one has it.

if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
