-- Looks up users at random:
--
--   wrk -s users.lua URL -- TOKEN USERS
--
-- The requests are made beforehand, so that making them costs the hub none of its time.

local threads = 0

function setup(thread)
   threads = threads + 1
   thread:set("number", threads)
end

local requests = {}
local count = 0
local random = math.random

function init(args)
   wrk.headers["Authorization"] = "token " .. args[1]
   count = tonumber(args[2])
   for n = 1, count do
      requests[n] = wrk.format("GET", "/hub/api/users/user-" .. (n - 1))
   end
   math.randomseed(number)
end

function request()
   return requests[random(count)]
end
