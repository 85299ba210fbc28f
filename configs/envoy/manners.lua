-- HTTP features that REST clients expect and that neither Envoy nor its transcoder has. It sees responses after the transcoder; native gRPC
-- calls pass unchanged.

-- Seconds, if the refusal does not say when to retry: for Envoy itself, which finds a service again within a second.
local RETRY_AFTER = "2"

function envoy_on_request(handle)
  local headers = handle:headers()
  local encoding = headers:get("content-encoding") or ""
  if encoding ~= "" and encoding:lower() ~= "identity" then
    handle:respond({[":status"] = "415", ["accept-encoding"] = "identity"}, "")
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
      handle:respond({[":status"] = "405", ["allow"] = "GET"}, "")
      return
    end
    headers:replace(":method", "GET")
    handle:streamInfo():dynamicMetadata():set("convergence", "head", true)
  end
end

-- The transcoder says which parameter it does not know, and in which of our messages it has looked.
local UNKNOWN = 'Could not find field \\"([^"]*)\\" in the type \\"[%w.]*\\"%.'
local IN_OUR_WORDS = 'There is no query parameter \\"%1\\" here. Check its name, or leave it out.'

local function name_unknown_parameter(headers, body)
  if not body then return end
  local text, found = body:getBytes(0, body:length()):gsub(UNKNOWN, IN_OUR_WORDS)
  if found > 0 then headers:replace("content-length", tostring(body:setBytes(text))) end
end

function envoy_on_response(handle)
  local headers = handle:headers()
  if (headers:get("content-type") or ""):find("^application/grpc") then return end
  -- For gRPC clients, which services cannot tell from REST ones.
  headers:remove("grpc-retry-pushback-ms")
  local status = headers:get(":status")
  if (status == "429" or status == "503") and not headers:get("retry-after") then headers:add("retry-after", RETRY_AFTER) end
  local ours = handle:streamInfo():dynamicMetadata():get("convergence")
  if ours and ours.head then
    -- Its length stays said, as HTTP has it.
    for chunk in handle:bodyChunks() do chunk:setBytes("") end
  elseif status == "400" then
    name_unknown_parameter(headers, handle:body())
  end
end
