-- One use of the allowance KEYS[1]: one in ARGV[1] microseconds, ARGV[2] of them ahead of time at most.
-- The value is the time at which the allowance is whole again. Returns how long to wait, or, as a negative number, after
-- how long the allowance is whole again.

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local whole_at = tonumber(redis.call('GET', KEYS[1]) or now)
if whole_at < now then whole_at = now end
local next_at = whole_at + tonumber(ARGV[1])
local wait = next_at - tonumber(ARGV[2]) - now
if wait > 0 then return wait end
redis.call('SET', KEYS[1], string.format('%.0f', next_at), 'PX', math.ceil((next_at - now) / 1000) + 1)
return now - next_at
