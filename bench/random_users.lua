-- Sends requests for random users, user-0 to user-<USERS-1>:
--
--   wrk -s random_users.lua URL -- USERS METHOD PATH BODY [NAME VALUE]…
--
-- The user replaces the * in PATH; BODY may be empty; NAME and VALUE are headers. The requests are
-- built in advance, so that building them does not compete with the server for processor time. Each
-- run draws the same users in the same order.

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
