-- Passes the names of a REST body's fields to the services. The transcoder, which runs next, drops unknown fields silently; the services
-- compare and refuse (services/platform/rpc/body_fields.py). Nothing is refused here: the transcoder refuses what is no JSON.
--
-- Text is parsed as the transcoder does, which accepts more than JSON: 'single quotes', bare keys, any character after a backslash.

local HEADER = "x-internal-body-fields"
-- Several times the size that any request needs. The last name may go over it by 3 * NAME_BYTES.
local HEADER_BYTES = 1024
-- Longer than any field's name.
local NAME_BYTES = 64
-- Represents all names that did not fit. No field has this name, so such a body is refused.
local AND_MORE = "..."

-- Windows tools write it before a file's text. The transcoder does not know it; RFC 8259 lets a reader pass over it.
local BYTE_ORDER_MARK = "\239\187\191"

local SPACE, DOUBLE_QUOTE, SINGLE_QUOTE, COMMA, BACKSLASH = 0x20, 0x22, 0x27, 0x2C, 0x5C
local OPEN_BRACE, CLOSE_BRACE, OPEN_BRACKET, CLOSE_BRACKET = 0x7B, 0x7D, 0x5B, 0x5D
local byte = string.byte

-- A key without its escapes. Those of control characters, and beyond ASCII, stay as they are written: no field's name has such characters.
local function unescaped(key)
  return (key:gsub("\\(.)(%x?%x?%x?%x?)", function(char, hex)
    if char == "u" then
      local code = tonumber(hex, 16)
      return code and code < 0x80 and string.char(code)
    end
    return not char:find("[bfnrtv]") and char .. hex
  end))
end

-- A key as it may appear in a header. Cut first, so that a long one costs little: an escape has six bytes.
local function encoded(key)
  local name = unescaped(key:sub(1, 6 * NAME_BYTES)):sub(1, NAME_BYTES)
  return (name:gsub("[^%w_.-]", function(char) return ("%%%02X"):format(byte(char)) end))
end

-- Where the string that begins at `at` ends.
local function closing_quote(text, at)
  local quote = byte(text, at)
  at = at + 1
  while at <= #text and byte(text, at) ~= quote do
    at = at + (byte(text, at) == BACKSLASH and 2 or 1)
  end
  return at
end

-- The keys of the object that `text` is, comma-separated, repeated ones included; none if it is no object. A body may be 1 MiB,
-- so the code for each byte uses only what LuaJIT compiles, which excludes patterns.
local function body_fields(text)
  local names, size, depth, expects_key = {}, 0, 0, false
  local function add(key)
    names[#names + 1] = encoded(key)
    size = size + #names[#names] + 1
  end
  local at = text:match("^%s*(){") or #text + 1
  while at <= #text and size < HEADER_BYTES do
    local char = byte(text, at)
    if char == DOUBLE_QUOTE or char == SINGLE_QUOTE then
      local ends = closing_quote(text, at)
      if expects_key then add(text:sub(at + 1, ends - 1)) end
      at, expects_key = ends, false
    elseif char == OPEN_BRACE or char == OPEN_BRACKET then
      depth = depth + 1
      expects_key = depth == 1
    elseif char == CLOSE_BRACE or char == CLOSE_BRACKET then
      depth = depth - 1
      expects_key = false
    elseif char == COMMA then
      expects_key = depth == 1
    elseif expects_key and char > SPACE then
      local key = text:match("^[%w_$]*", at)
      add(key)
      at, expects_key = at + #key - 1, false
    end
    at = at + 1
  end
  if size >= HEADER_BYTES then names[#names + 1] = AND_MORE end
  return table.concat(names, ",")
end

function envoy_on_request(handle)
  local body = handle:body()
  local text = body and body:getBytes(0, body:length()) or ""
  if text:sub(1, 3) == BYTE_ORDER_MARK then
    text = text:sub(4)
    body:setBytes(text)
  end
  local names = body_fields(text)
  if names ~= "" then handle:headers():replace(HEADER, names) end
end
