-- Refuses calls that no service would answer, before the filters that wait for their bodies: of unknown paths, and without the credential that
-- the RPC needs. What is sent is not checked here; that is up to the services. Each route says what it needs (localcloud/gateway/routes.py).

-- As Envoy sees it: the transcoder leaves such a call alone.
local function is_grpc(headers)
  local kind = headers:get("content-type") or ""
  return kind == "application/grpc" or kind:find("^application/grpc%+") ~= nil
end

local function is_sent(headers, name)
  return (headers:get(name) or "") ~= ""
end

function envoy_on_request(handle)
  local route, headers = handle:filterContext(), handle:headers()
  if not route:get("rpc") or (route:get("rest") and is_grpc(headers)) then
    handle:respond({[":status"] = "404"}, "There is nothing at this path.")
  elseif route:get("credential") and not is_sent(headers, route:get("credential")) and not is_sent(headers, "authorization") then
    handle:streamInfo():dynamicMetadata():set("convergence", "reason", route:get("reason"))
    -- ErrorInfo, for clients of gRPC.
    local details = not route:get("rest") and route:get("status_details") or nil
    handle:respond({[":status"] = "401", ["grpc-status-details-bin"] = details}, route:get("message"))
  end
end

-- Refusals of the buffer and of the rate limit, of which Envoy says too little to clients of gRPC.
function envoy_on_response(handle)
  local route, headers = handle:filterContext(), handle:headers()
  local status, message = headers:get("grpc-status"), headers:get("grpc-message")
  local refusal = nil
  if status == "2" and message == "Payload Too Large" then refusal = route:get("too_large") end
  if status == "8" and message == "local_rate_limited" then refusal = route:get("rate_limited") end
  if refusal then
    headers:replace("grpc-status", refusal["code"])
    headers:replace("grpc-message", refusal["message"])
    headers:replace("grpc-status-details-bin", refusal["details"])
  end
end
