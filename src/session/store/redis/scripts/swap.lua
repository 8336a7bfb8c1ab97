-- Puts ARGV[2] in the place of ARGV[1] in the record KEYS[1]; an empty ARGV[1] is a record that is not there. Where ARGV[3]
-- names a holder, only while that one has the lock KEYS[2].

local present = redis.call('GET', KEYS[1]) or ''
-- It has arrived before.
if present == ARGV[2] then return 1 end
if ARGV[3] ~= '' and redis.call('GET', KEYS[2]) ~= ARGV[3] then return 0 end
if present ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
return 1
