-- HTTP features that REST clients expect and that neither Envoy nor its transcoder has. It sees responses after the transcoder; native gRPC
-- calls pass unchanged but for headers with names that gRPC refuses.

-- Seconds, for a service that does not say when to retry.
local RETRY_AFTER = "2"

-- As Envoy sees it: the transcoder leaves such a call alone.
local function is_grpc(headers)
  local kind = headers:get("content-type") or ""
  return kind == "application/grpc" or kind:find("^application/grpc%+") ~= nil
end

-- The characters of UTF-8 beyond ASCII, as RFC 3629 has them.
local TAIL = "[\128-\191]"
local CHARACTERS = {
  {2, "^[\194-\223]" .. TAIL},
  {3, "^\224[\160-\191]" .. TAIL}, {3, "^[\225-\236\238\239]" .. TAIL .. TAIL}, {3, "^\237[\128-\159]" .. TAIL},
  {4, "^\240[\144-\191]" .. TAIL .. TAIL}, {4, "^[\241-\243]" .. TAIL .. TAIL .. TAIL}, {4, "^\244[\128-\143]" .. TAIL .. TAIL},
}

-- Services cannot read other text: they could not distinguish the request from garbage.
local function is_utf8(text)
  local at = text:find("[\128-\255]")
  while at do
    local length
    for _, character in ipairs(CHARACTERS) do
      if text:find(character[2], at) then length = character[1] end
    end
    if not length then return false end
    at = text:find("[\128-\255]", at + length)
  end
  return true
end

local function unescaped(path)
  return (path:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

-- Header names that HTTP accepts and gRPC does not, e.g. `x!`: gRPC would answer INTERNAL. None of them has a meaning here.
local function is_no_name_of_grpc(name)
  return name:find("[^%l%d_.-]") and name:sub(1, 1) ~= ":"
end

-- Headers that have a meaning for gRPC itself, e.g. the time limit of a call, and headers that it would decode: a REST client must not set
-- them.
local function is_grpcs_own(name)
  return name:find("^grpc%-") or name:find("%-bin$")
end

local function drop(headers, is_unwanted)
  local names = {}
  for name in pairs(headers) do
    if is_unwanted(name) then names[#names + 1] = name end
  end
  for _, name in ipairs(names) do headers:remove(name) end
end

-- The request id is logged, here and by the services, so a key or token that was sent as one is replaced. As has_secret in
-- services/platform/rpc/secret_texts.py.
local SHORTEST = 8

local function has_secret(value, headers)
  local own = {headers:get("x-api-key") or "", headers:get("x-admin-key") or "", (headers:get("authorization") or ""):match("(%S*)%s*$")}
  for _, one in ipairs(own) do
    if one ~= "" and (one == value or (#one >= SHORTEST and value:find(one, 1, true))) then return true end
  end
  return value:find("_api_v1_" .. ("%w"):rep(8)) or value:find("eyJ" .. ("[%w_-]"):rep(6) .. "[%w_-]*%.[%w_-]")
end

math.randomseed(os.time() + tonumber(tostring({}):match("0x(%x+)"), 16) % 2 ^ 31)

local function new_id()
  return (("xxxxxxxx-xxxx-4xxx-8xxx-xxxxxxxxxxxx"):gsub("x", function() return ("%x"):format(math.random(0, 15)) end))
end

function envoy_on_request(handle)
  local headers = handle:headers()
  if has_secret(headers:get("x-request-id") or "", headers) then headers:replace("x-request-id", new_id()) end
  -- When the response arrives, nothing else is left of the request.
  handle:streamInfo():dynamicMetadata():set("convergence", "request_id", headers:get("x-request-id"))
  drop(headers, is_no_name_of_grpc)
  if is_grpc(headers) then return end
  drop(headers, is_grpcs_own)
  local encoding = headers:get("content-encoding") or ""
  if encoding ~= "" and encoding:lower() ~= "identity" then
    handle:respond({[":status"] = "415", ["accept-encoding"] = "identity"}, "")
    return
  end
  if not is_utf8(unescaped(headers:get(":path"))) then
    handle:respond({[":status"] = "400"}, "The path or the query is no UTF-8. Write text in UTF-8, and then escape it: an e with an accent is %C3%A9.")
    return
  end
  local override = headers:get("x-http-method-override") or headers:get("x-http-method") or headers:get("x-method-override")
  if override and override:upper() ~= headers:get(":method") then
    handle:respond({[":status"] = "400"}, "X-HTTP-Method-Override is not read here. Send the request with the method itself, e.g. PATCH or DELETE.")
    return
  end
  if headers:get(":method") == "HEAD" then
    -- A stream ends when its run does, so a HEAD would wait as long.
    if headers:get(":path"):find("^[^?]*:watch") then
      handle:respond({[":status"] = "405", ["allow"] = "GET"}, "A stream has no HEAD. Send GET, or HEAD for the run that it watches.")
      return
    end
    headers:replace(":method", "GET")
    handle:streamInfo():dynamicMetadata():set("convergence", "head", true)
  end
end

-- gRPC itself, or a library, refuses without details. Their messages are known, so the reason is known, too.
local TOO_LARGE = {
  status = "413",
  said = "eceived message larger than max",
  body = '{"code":3,"message":"The body is too large: as a message it is more than 1 MiB.","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"BODY_TOO_LARGE","domain":"convergence"}',
}
-- gRPC's own answer to calls that reach a service while it stops. A caller that has disconnected sees no answer.
local STOPPED = {
  said = "499",
  status = "503",
  body = '{"code":14,"message":"The service stopped before it answered. What was asked for may have been done. Try again in a moment.","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"SERVICE_UNAVAILABLE","domain":"convergence"}',
}
local REASONS = {["500"] = "INTERNAL", ["503"] = "SERVICE_UNAVAILABLE", ["504"] = "SERVICE_TIMEOUT"}
local NO_DETAILS = '"details":%[%]}$'

local function complete(handle, status)
  local body = handle:body()
  if not body then return end
  -- Header objects from before the wait for the body are no longer valid.
  local text, headers = body:getBytes(0, body:length()), handle:headers()
  if not text:find(NO_DETAILS) then return end
  if status == "429" and text:find(TOO_LARGE.said, 1, true) then
    headers:replace(":status", TOO_LARGE.status)
    text = TOO_LARGE.body
  elseif status == STOPPED.said then
    text = STOPPED.body
  elseif REASONS[status] then
    text = text:gsub(NO_DETAILS, '"details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"' .. REASONS[status] .. '","domain":"convergence"}')
  else
    return
  end
  local id = (handle:streamInfo():dynamicMetadata():get("convergence") or {}).request_id
  text = text .. ',{"@type":"type.googleapis.com/google.rpc.RequestInfo","request_id":"' .. (id or ""):gsub('[^%w_.:/+=-]', "") .. '"}]}'
  headers:replace("content-length", tostring(body:setBytes(text)))
end

-- For calls that Envoy counts (rate_limit.yaml): how many calls of the window are left, and in how many seconds all are available again. If
-- none is left: in how many seconds one is available, which is also in Retry-After. The services say the same of calls that they count.
local WINDOW = 60

local function name_rate_limit(headers)
  local limit, left = tonumber(headers:get("x-ratelimit-limit") or ""), tonumber(headers:get("x-ratelimit-remaining") or "")
  local is_refused = headers:get("x-envoy-local-refusal")
  -- A service that counts the call, too, has said what its caller should know.
  if limit and left and (is_refused or not headers:get("ratelimit")) then
    headers:replace("ratelimit-policy", ('"default";q=%d;w=%d'):format(limit, WINDOW))
    headers:replace("ratelimit", ('"default";r=%d;t=%d'):format(left, math.ceil(WINDOW / limit * (left == 0 and 1 or limit - left))))
  end
  if limit and is_refused then headers:replace("retry-after", tostring(math.ceil(WINDOW / limit))) end
  headers:remove("x-envoy-local-refusal")
  for _, name in ipairs({"limit", "remaining", "reset"}) do headers:remove("x-ratelimit-" .. name) end
end

-- Trailers of a service's answer become headers for REST callers: gRPC sends them together with the answer.
local SAID_LAST = {"ratelimit-policy", "ratelimit"}

local function bring_forward(handle)
  local trailers, headers = handle:trailers(), handle:headers()
  for _, name in ipairs(trailers and SAID_LAST or {}) do
    local value = trailers:get(name)
    if value then
      headers:replace(name, value)
      trailers:remove(name)
    end
  end
end

function envoy_on_response(handle)
  local is_native = (handle:headers():get("content-type") or ""):find("^application/grpc")
  -- The transcoder knows how a call has ended once it has the whole answer. It passes streams on as they come.
  local is_whole = not is_native and handle:headers():get("grpc-status") == "0"
  local answer = is_whole and handle:body()
  if is_whole then bring_forward(handle) end
  -- Header objects from before the wait for the body are no longer valid.
  local headers = handle:headers()
  name_rate_limit(headers)
  if is_native then return end
  -- It is for gRPC clients; services cannot distinguish them from REST clients.
  headers:remove("grpc-retry-pushback-ms")
  local status = headers:get(":status")
  if status == STOPPED.said then headers:replace(":status", STOPPED.status) end
  if headers:get(":status") == "503" and not headers:get("retry-after") then headers:add("retry-after", RETRY_AFTER) end
  local ours = handle:streamInfo():dynamicMetadata():get("convergence")
  if ours and ours.head then
    -- The header with its length stays, as HTTP requires.
    if answer then
      local length = headers:get("content-length")
      answer:setBytes("")
      headers:replace("content-length", length)
    elseif not is_whole then
      for chunk in handle:bodyChunks() do chunk:setBytes("") end
    end
  elseif status == "429" or status == STOPPED.said or REASONS[status] then
    complete(handle, status)
  end
end
