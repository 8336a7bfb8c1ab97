-- What all scripts share. `entry.rs` describes the value of a session.
--
-- KEYS begin with the session, the index of due times and the index of ends, which share a hash tag. ARGV begins with the
-- session's name in the indexes.

local HEAD = 89
local VERSION, LAST_SEEN, CREATED, ENDS, DUE, LEASE, HELD_UNTIL = 2, 10, 18, 26, 34, 42, 50

local function is_session(value)
  return type(value) == 'string' and #value >= HEAD and string.sub(value, 1, 1) == 'S'
end

-- The head of a session. Nil where there is none, or something else.
local function head_of(key)
  local head = redis.pcall('GETRANGE', key, 0, HEAD - 1)
  if is_session(head) then return head end
end

local function bytes(head, at) return string.sub(head, at, at + 7) end
local function number(head, at) return (struct.unpack('>I8', head, at)) end

-- A script that has written something may go on writing while Redis is out of memory. This writes nothing.
local function needs_no_room() redis.call('ZREM', KEYS[2], '') end

-- Notes when the session can be claimed: when it is due, or when the lease on it is over.
local function schedule(due, held_until)
  if due == 0 then
    redis.call('ZREM', KEYS[2], ARGV[1])
  else
    redis.call('ZADD', KEYS[2], math.max(due, held_until), ARGV[1])
  end
end

local function unlink()
  redis.call('ZREM', KEYS[2], ARGV[1])
  redis.call('ZREM', KEYS[3], ARGV[1])
end

local function decimal(n) return string.format('%.0f', n) end
