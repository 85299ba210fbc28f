-- Refuses calls that no service would answer, before the filters that wait for their bodies: calls of unknown paths, calls without the
-- credential that the RPC needs, and calls that watch.lua refuses. Whether a credential is valid is checked by the services, not here. Each
-- route says which credential it needs (gateway/routes.py).

-- As Envoy sees it: the transcoder leaves such a call alone.
local function is_grpc(headers)
  local kind = headers:get("content-type") or ""
  return kind == "application/grpc" or kind:find("^application/grpc%+") ~= nil
end

local function is_sent(headers, name)
  return (headers:get(name) or "") ~= ""
end

-- The part of protobuf that is needed to add RequestInfo to a google.rpc.Status.
local function varint(number)
  if number < 128 then return string.char(number) end
  return string.char(number % 128 + 128) .. varint(math.floor(number / 128))
end

local function field(number, text)
  return string.char(number * 8 + 2) .. varint(#text) .. text
end

-- `details` is base64 of whole groups, so that more may follow (gateway/routes.py).
local function with_request(handle, details, id)
  if not id or id:find("[\128-\255]") then return details end
  local request = field(1, "type.googleapis.com/google.rpc.RequestInfo") .. field(2, field(1, id))
  return details .. handle:base64Escape(field(3, request)):gsub("=", "")
end

-- A preflight request that the filter before this one has not answered.
local function is_strangers_preflight(headers)
  return headers:get(":method") == "OPTIONS" and headers:get("origin") and headers:get("access-control-request-method")
end

function envoy_on_request(handle)
  local route, headers = handle:filterContext(), handle:headers()
  local refusal = (handle:streamInfo():dynamicMetadata():get("convergence") or {}).refusal
  if refusal then
    handle:respond({[":status"] = "400"}, refusal)
  elseif is_strangers_preflight(headers) then
    handle:respond({[":status"] = "403"}, "Pages of this origin may not call here. The operator adds it to GATEWAY_CORS_ORIGIN, a list of origins as https://app.example.com.")
  elseif route:get("allow") and not is_grpc(headers) then
    handle:respond({[":status"] = "405", ["allow"] = route:get("allow")}, "This path takes " .. route:get("allow") .. ", not " .. headers:get(":method") .. ".")
  elseif not route:get("rpc") or (route:get("rest") and is_grpc(headers)) then
    handle:respond({[":status"] = "404"}, "There is nothing at this path.")
  elseif route:get("credential") and not is_sent(headers, route:get("credential")) and not is_sent(headers, "authorization") then
    handle:streamInfo():dynamicMetadata():set("convergence", "reason", route:get("reason"))
    -- ErrorInfo, for clients of gRPC.
    local details = not route:get("rest") and with_request(handle, route:get("status_details"), headers:get("x-request-id")) or nil
    handle:respond({[":status"] = "401", ["grpc-status-details-bin"] = details}, route:get("message"))
  end
end

-- Refusals by the buffer and by the rate limit: Envoy's own answers say too little to gRPC clients.
function envoy_on_response(handle)
  local route, headers = handle:filterContext(), handle:headers()
  local status, message = headers:get("grpc-status"), headers:get("grpc-message")
  local refusal = nil
  if status == "2" and message == "Payload Too Large" then refusal = route:get("too_large") end
  if status == "8" and message == "local_rate_limited" then refusal = route:get("rate_limited") end
  if refusal then
    headers:replace("grpc-status", refusal["code"])
    headers:replace("grpc-message", refusal["message"])
    local ours = handle:streamInfo():dynamicMetadata():get("convergence") or {}
    headers:replace("grpc-status-details-bin", with_request(handle, refusal["details"], ours.request_id))
  end
end
