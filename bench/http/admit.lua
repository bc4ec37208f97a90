-- Admits of users at random, as a product's backend asks for them on every request:
--
--   wrk -s admit.lua URL -- PLATFORM_KEY USERS
--
-- The requests are made beforehand, so that making them costs no server any of its time; and each run draws the same
-- users in the same order.

local threads = 0

function setup(thread)
   threads = threads + 1
   thread:set("number", threads)
end

local requests = {}
local count = 0
local random = math.random

function init(args)
   wrk.method = "POST"
   wrk.body = '{"auto_provision":true,"auto_wake":true}'
   wrk.headers["Content-Type"] = "application/json"
   wrk.headers["X-Platform-Key"] = args[1]
   count = tonumber(args[2])
   for n = 1, count do
      requests[n] = wrk.format(nil, "/engines/user-" .. (n - 1) .. "/admit")
   end
   math.randomseed(number)
end

function request()
   return requests[random(count)]
end
