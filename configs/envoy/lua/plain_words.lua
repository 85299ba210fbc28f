-- Rewords the transcoder's error about a request that it cannot read: the new text names the field and the values that it takes. The error
-- quotes the request, but never a body that may hold secrets: such answers were replaced before (envoy.yaml). All texts here are parts of a
-- JSON string.

local MALFORMED = '"reason":"REQUEST_MALFORMED"}'
local BAD_FIELD = '"metadata":{"field":"%s"},"reason":"BAD_FIELD"},{"@type":"type.googleapis.com/google.rpc.BadRequest","field_violations":[{"field":"%s","description":"%s"}]}'
local OBJECT = [[{\"name\": \"value\"}]]

-- What a field takes, by the transcoder's name of its type.
local TAKES = {
  TYPE_INT32 = "a whole number from -2147483648 to 2147483647",
  TYPE_INT64 = [[a whole number, as 5 or \"5\"]],
  TYPE_DOUBLE = "a number",
  TYPE_BOOL = "true or false",
  TYPE_STRING = [[text in quotes, as \"this\"]],
  ["type.googleapis.com/google.protobuf.Struct"] = "a JSON object, as " .. OBJECT,
  ["type.googleapis.com/google.protobuf.Timestamp"] = [[a time, as \"2026-03-01T00:00:00Z\"]],
}

-- Which fields a call takes, and where, by the name of its request: filled in from the protos.
local FIELDS = {
  -- ${FIELDS}
}

-- The message for `said`, and the field that is wrong if it is known.
local function in_plain_words(said)
  local parameter, request = said:match([[^Could not find field \"([^"]*)\" in the type \"([%w.]*)\"%.$]])
  if parameter then
    return ([[There is no query parameter \"%s\" here. Check its name, or leave it out.%s]]):format(parameter, FIELDS[request] or "")
  end
  local field, value, kind = said:match("^([%w_.]*): invalid value (.*) for type ([%w_./]+)$")
  if value == "Starting an object on a scalar field" then return "takes one value, not an object.", kind end
  if field and field ~= "" then return ("%s is not %s."):format(value, TAKES[kind] or "of the kind that it takes"), field end
  if said == ": Root element must be a message." then return "The body must be a JSON object, as " .. OBJECT .. "." end
  if said == ": Proto field is not repeating, cannot start list." then return "There is a list, [...], where this call takes one value or an object." end
  -- If the text cannot be read, a line of the text follows, and a line that points into it. Each may have control characters in two
  -- spellings.
  local lines = said:gsub([[\u000a]], [[\n]])
  local what, near = lines:match([[^(.-)\n(.*)\n *%^$]])
  if not what then return end
  if near:find("\\u00[89a-f]") or near:find("[\128-\255]") then near = "" end
  return "The body is no JSON that can be read. " .. what .. (near ~= "" and " Near: " .. near .. "." or "") .. " Send an object in UTF-8, as " .. OBJECT .. "."
end

function envoy_on_response(handle)
  local headers = handle:headers()
  if headers:get(":status") ~= "400" or headers:get("content-type") ~= "application/json" then return end
  local body = handle:body()
  if not body then return end
  local text = body:getBytes(0, body:length())
  local before, said, after = text:match('^(.*"message":")(.*)("}\n?)$')
  if not said or not before:find(MALFORMED, 1, true) then return end
  local message, field = in_plain_words(said)
  if not message then return end
  if field then
    local at, ends = before:find(MALFORMED, 1, true)
    before = before:sub(1, at - 1) .. BAD_FIELD:format(field, field, message) .. before:sub(ends + 1)
    message = field .. ": " .. message
  end
  -- Header objects from before the wait for the body are no longer valid.
  handle:headers():replace("content-length", tostring(body:setBytes(before .. message .. after)))
end
