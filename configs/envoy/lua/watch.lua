-- Serves browsers' EventSource, on the REST routes of streams only. EventSource cannot send a token as a header, so it is taken from the
-- parameter access_token. It sends the header Last-Event-ID when it connects again, and it needs events with an id. The token reaches
-- neither the service's path nor a log. The stream is passed on as it comes.

-- The form of a token. A key is not accepted: it lives too long to be part of an address, which browsers and proxies keep.
local SESSION_TOKEN = "^[%w_-]+%.[%w_-]+%.[%w_-]+$"

local function escaped(text)
  return (text:gsub("[^%w_.~-]", function(char) return ("%%%02X"):format(char:byte()) end))
end

-- Removes the parameters for which `taken` has a function, and calls the function with the value. Returns the other parameters.
local function without(query, taken)
  local kept = {}
  for part in query:gmatch("[^&]+") do
    local name, value = part:match("^([^=]*)=?(.*)$")
    if taken[name] then taken[name](value) else kept[#kept + 1] = part end
  end
  return kept
end

-- Called by access.lua after it has checked the other headers: a log keeps the request's id.
local function refuse(handle, message)
  handle:streamInfo():dynamicMetadata():set("convergence", "refusal", message)
end

function envoy_on_request(handle)
  local headers = handle:headers()
  local path, query = headers:get(":path"):match("^([^?]*)%??(.*)$")
  local tokens, last = {}, headers:get("last-event-id") or ""
  local taken = {access_token = function(value) tokens[#tokens + 1] = value end}
  -- The header is newer: the parameter is part of the address of the first connection.
  if last ~= "" then taken.last_event_id = function() end end
  local kept = without(query, taken)
  if last ~= "" then kept[#kept + 1] = "last_event_id=" .. escaped(last) end
  headers:replace(":path", path .. (#kept > 0 and "?" .. table.concat(kept, "&") or ""))
  headers:remove("last-event-id")
  if #tokens == 0 then return end
  if #tokens > 1 or headers:get("authorization") then
    refuse(handle, "Send one token: as the parameter access_token, or as the header Authorization.")
  elseif not tokens[1]:find(SESSION_TOKEN) then
    refuse(handle, "access_token takes a session token, which your backend gets by POST /api/v1/tenants/{tenant_id}/session-tokens. A key must not be part of an address: send it as X-API-Key, and replace this one.")
  else
    headers:add("authorization", "Bearer " .. tokens[1])
  end
end

-- How the transcoder ends the frame of an event that has an id; no character of it is escaped. RunEvent's last field is its id.
local END_OF_EVENT = '("id":"([%w-]+)"})\n\n'
local WITH_ID = "%1\nid: %2\n\n"

function envoy_on_response(handle)
  local headers = handle:headers()
  if headers:get(":status") ~= "200" then return end
  if headers:get("grpc-status") then
    -- Nothing follows the last event that the watcher has. After 204 EventSource stays away; after an empty stream it would come again.
    headers:replace(":status", "204")
    for _, name in ipairs({"content-type", "content-length", "grpc-status", "grpc-message"}) do headers:remove(name) end
    return
  end
  headers:remove("grpc-accept-encoding")
  headers:replace("cache-control", "no-store")
  -- For an nginx in front, which would keep events back.
  headers:replace("x-accel-buffering", "no")
  for chunk in handle:bodyChunks() do
    local text, found = chunk:getBytes(0, chunk:length()):gsub(END_OF_EVENT, WITH_ID)
    if found > 0 then chunk:setBytes(text) end
  end
end
