-- Requests for users at random, user-0 to user-<USERS-1>, as a product's backend makes them:
--
--   wrk -s random_users.lua URL -- USERS METHOD PATH BODY [NAME VALUE]…
--
-- In PATH a * stands for the user; BODY may be empty; NAME and VALUE are of headers. The requests are made beforehand, so
-- that making them costs the server none of its time; and each run draws the same users in the same order.

local threads = 0

function setup(thread)
   threads = threads + 1
   thread:set("number", threads)
end

local requests = {}
local count = 0
local random = math.random

function init(args)
   count = tonumber(args[1])
   local before, after = args[3]:match("^(.*)%*(.*)$")
   if args[4] ~= "" then
      wrk.body = args[4]
   end
   for n = 5, #args, 2 do
      wrk.headers[args[n]] = args[n + 1]
   end
   for n = 1, count do
      requests[n] = wrk.format(args[2], before .. "user-" .. (n - 1) .. after)
   end
   math.randomseed(number)
end

function request()
   return requests[random(count)]
end
