-- The application of the end-to-end tests. lib/reference-app.mjs is the same for the reference
-- server; what one does the other does, so that a test holds both to the same behaviour.
--
-- Options come from the environment, the same names for both. A handler speaks of socket.namespace, for that of a
-- pattern stands for all its children.

local function number(name, default)
  return tonumber(env(name, tostring(default)))
end

local listener = listen(env("LISTEN", "127.0.0.1:0"))
if env("TLS", "") ~= "" then
  listener { tls = { cert = env("TLS", "") .. ".pem", key = env("TLS", "") .. ".key" } }
end

if env("CORS", "on") == "on" then
  cors {
    origins     = { "http://app.example", "http://other.example" },
    credentials = true,
    enforce     = env("ENFORCE", "no") == "yes",
  }
end

workers(number("WORKERS", 1))

engine {
  path            = env("ENGINE_PATH", "/socket.io/"),
  ping_interval   = number("PING_INTERVAL", 25000),
  ping_timeout    = number("PING_TIMEOUT", 20000),
  upgrade_timeout = number("UPGRADE_TIMEOUT", 10000),
  connect_timeout = number("CONNECT_TIMEOUT", 45000),
  legacy_clients  = env("LEGACY", "off") == "on",
  parser          = env("PARSER", "json"),
  cookie          = env("COOKIE", "off") == "on",
  serve_client    = env("SERVE_CLIENT", "off") == "on",
  compression     = {
    http      = env("HTTP_COMPRESSION", "off") == "on",
    websocket = env("WS_COMPRESSION", "off") == "on",
  },
  add_trailing_slash = env("TRAILING_SLASH", "on") == "on",
  allow_request   = env("DENY", "off") == "on" and function(request)
    if request.query.deny then return reject("denied by app") end
  end or nil,
}

limits {
  max_payload = number("MAX_PAYLOAD", 1000000),
  backlog     = number("BACKLOG", 256 * 1024 * 1024),
}

local goodbyes = {} -- by socket id: what was seen when it left
local errors   = {} -- by socket id: messages of its "error" events

-- Tells the handshake as the application sees it.
local function describe(socket)
  local shake = socket.handshake
  return {
    headers = shake.headers,
    query   = shake.query,
    auth    = shake.auth,
    url     = shake.url,
    xdomain = shake.xdomain,
    secure  = shake.secure,
    address = shake.address,
    time    = type(shake.time),
    issued  = type(shake.issued),
  }
end

local function talk(ns)
  ns:on("connection", function(socket)
    socket:emit("auth", socket.handshake.auth)
  end)
  ns:on("message", function(socket, ...) socket:emit("message-back", ...) end)
  ns:on("message-plain", function(socket, ...) socket:compress(false):emit("message-back", ...) end)
  ns:on("message-with-ack", function(_, ...) return ... end)
  ns:on("no-values", function() end)
  ns:on("null-and-more", function() return nil, "more" end)
  ns:on("patch", function(_, object)
    object.patched = true
    object.list[1] = "first"
    return object
  end)
  ns:on("5", function(_, ...) return "five", ... end)
  ns:on("throw", function() error("thrown on purpose") end)
  ns:on("describe", describe)
  ns:on("whoami", function(socket) return socket.id, socket.transport end)
end

local function ask(ns)
  ns:on("ask-me", function(socket, event, ...)
    return socket:timeout("10s"):emit_with_ack(event, ...)
  end)
  ns:on("ask-me-within", function(socket, ms, event, ...)
    local ok, reason = socket:timeout(ms):emit_with_ack(event, ...)
    return ok, reason
  end)
  ns:on("ask-room", function(socket, room, ms, event, ...)
    local answers, err = socket.namespace:to(room):timeout(ms):emit_with_ack(event, ...)
    return json.array(answers), err
  end)
end

local function rooms(ns)
  ns:on("join", function(socket, ...) socket:join(...) return socket.rooms end)
  ns:on("leave", function(socket, room) socket:leave(room) return socket.rooms end)
  ns:on("rooms", function(socket) return socket.rooms end)
  ns:on("to", function(socket, names, event, ...) socket:to(names):emit(event, ...) return true end)
  ns:on("ns-to", function(socket, names, except, event, ...)
    local target = #names > 0 and socket.namespace:to(names) or socket.namespace
    if #except > 0 then target = target:except(except) end
    target:emit(event, ...)
    return true
  end)
  ns:on("others", function(socket, event, ...) socket:broadcast():emit(event, ...) return true end)
  ns:on("others-but", function(socket, except, event, ...)
    socket:except(except):emit(event, ...)
    return true
  end)
  ns:on("everybody", function(socket, event, ...) socket.namespace:emit(event, ...) return true end)
  ns:on("everybody-volatile", function(socket, event, ...) socket.namespace:volatile():emit(event, ...) return true end)
  ns:on("burst", function(socket, count, payload)
    for i = 1, count do socket:emit("burst", i, payload) end
    return true
  end)
  ns:on("count", function(socket, room)
    if room then return socket.namespace:to(room):count() end
    return socket.namespace:count()
  end)
  ns:on("move", function(socket, from, to)
    socket.namespace:to(from):join(to)
    socket.namespace:to(from):leave(from)
    return true
  end)
end

local function life(ns)
  ns:on("disconnecting", function(socket, reason)
    goodbyes[socket.id] = { disconnecting = reason, rooms = json.array(socket.rooms) }
  end)
  ns:on("disconnect", function(socket, reason)
    local goodbye = goodbyes[socket.id]
    goodbye.disconnect = reason
    goodbye.rooms_after = json.array(socket.rooms)
    log.info("goodbye", { reason = reason, namespace = socket.namespace.name })
  end)
  ns:on("error", function(socket, err)
    local list = errors[socket.id] or {}
    list[#list + 1] = err.message
    errors[socket.id] = list
  end)
  ns:on("goodbye", function(_, id) return goodbyes[id] or json.null end)
  ns:on("errors", function(_, id) return json.array(errors[id] or {}) end)
  ns:on("bye", function(socket, close) socket:disconnect(close) end)
  ns:on("throw-out", function(socket, room, close) socket.namespace:to(room):disconnect(close) return true end)
  ns:on("set-data", function(socket, key, value) socket.data[key] = value return true end)
  ns:on("get-data", function(socket) return socket.data end)
end

local function serve(ns)
  talk(ns)
  ask(ns)
  rooms(ns)
  life(ns)
  return ns
end

serve(namespace "/")
serve(namespace "/custom")
serve(namespace "/org-*")

local admin = namespace "/admin"
admin:use(function(socket)
  if socket.handshake.auth.token ~= "s3cret" then
    return reject("unauthorized", { code = 401 })
  end
end)
admin:on("message-with-ack", function(_, ...) return ... end)

namespace "/plain-refusal":use(function() return reject("no") end)

namespace "/throwing":use(function() error("the reason stays here") end)

-- Middleware in order, one of which waits.
local chain = namespace "/chain"
chain:use(function(socket)
  socket.data.steps = { "first" }
  sleep(20)
end)
chain:use(function(socket)
  socket.data.steps[#socket.data.steps + 1] = "second"
  if socket.handshake.auth.stop then return reject("stopped", socket.data.steps) end
end)
serve(chain)

-- Middleware of events.
local guarded = serve(namespace "/guarded")
guarded:use_event(function(_, event)
  if event == "forbidden" then return reject("not allowed") end
end)
guarded:on("forbidden", function() return "must not run" end)

local any = namespace "/any"
any:on("*", function(socket, event, ...)
  socket:emit("caught", event, ...)
  return event, ...
end)
any:on("own", function() return "own" end)

-- The namespaces of the recorded transcripts.
for _, name in ipairs { "/hub", "/runner" } do
  local ns = namespace(name)
  ns:on("bye", function(socket, close) socket:disconnect(close) end)
  ns:on("all", function(_, ...) ns:emit("all", ...) end)
  ns:on("say", function(_, room, ...) ns:to(room):emit("said", ...) end)
end
