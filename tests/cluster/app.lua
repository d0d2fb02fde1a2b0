-- The application of the cluster tests. lib/reference_node.mjs is the same for the reference server with an official
-- adapter; what one does the other does, so that a test can put either in any place of a cluster.
--
-- A control client sends "do" with a command in /control and gets its result as the acknowledgement, or { failed }.
-- A command is { op, ns, rooms, except, volatile, local, timeout, … }; what else it has is where it is carried out.
-- Other clients join the other namespaces and record what they get.

local function on(name) return env(name, "off") == "on" end

listen "127.0.0.1:0"

workers(tonumber(env("WORKERS", "1")))

engine {
  ping_interval  = tonumber(env("PING_INTERVAL", "25000")),
  ping_timeout   = tonumber(env("PING_TIMEOUT", "20000")),
  legacy_clients = on "LEGACY",
  parser         = env("PARSER", "json"),
  serve_client   = false,
  max_payload    = "100MB",
}

if env("ADAPTER", "") ~= "" then
  local options = { adapter = env "ADAPTER", prefix = env("PREFIX", "socket.io") }
  if on "REQUIRED" then options.required = true end
  if on "SPECIFIC" then options.specific_response_channel = true end
  if options.adapter == "sharded" then options.subscription_mode = env("MODE", "dynamic") end
  if options.adapter == "streams" then
    options.stream = { name = options.prefix, count = tonumber(env("STREAMS", "1")) }
  end
  if env("REDIS_CA", "") ~= "" then options.tls = { ca = env "REDIS_CA" } end
  redis(env "REDIS")(options)
end

if env("RECOVERY", "") ~= "" then
  local options = { window = tonumber(env "RECOVERY"), skip_middlewares = on "SKIP_MIDDLEWARES" }
  if env("BUFFER", "") ~= "" then options.buffer = env "BUFFER" end
  recovery(options)
end

if env("DRAIN", "") ~= "" then drain { window = tonumber(env "DRAIN") } end

local server = env("NAME", "skua")
local spaces = {}              -- namespaces by their names
local sockets = {}             -- by id: the latest socket that had it
local notes = json.array {}    -- events of other servers

local function serve(ns)
  ns:use(function(socket)
    socket.data.admitted = (socket.data.admitted or 0) + 1
    if socket.handshake.auth.refuse then return reject("refused") end
  end)
  ns:on("connection", function(socket)
    spaces[socket.namespace.name] = socket.namespace
    sockets[socket.id] = socket
    if socket.handshake.auth.greet then socket:emit("hello", socket.recovered) end
  end)
  ns:on("join", function(socket, rooms) socket:join(rooms) return socket.rooms end)
  ns:on("leave", function(socket, room) socket:leave(room) return socket.rooms end)
  ns:on("set-data", function(socket, key, value) socket.data[key] = value return socket.data end)
  ns:on("about", function(socket)
    return { id = socket.id, recovered = socket.recovered, rooms = json.array(socket.rooms), data = socket.data }
  end)
  ns:on("echo", function(_, ...) return ... end)
  ns:on("no-values", function() end)
  ns:on("say", function(socket, room, event, ...) socket.namespace:to(room):emit(event, ...) end)
  ns:on("ask-throw-out", function(socket, close) socket:disconnect(close) end)
  return ns
end

local function listen_to_servers(ns, name)
  ns:on_server("note", function(...) notes[#notes + 1] = { ns = name, args = json.array { ... } } end)
  ns:on_server("question", function(...) return { from = server, args = json.array { ... } } end)
  ns:on_server("no-answer", function() sleep "1m" end)
end

local root = namespace "/"
if env("ROOT_RECOVERY", "") ~= "" then root { recovery = env "ROOT_RECOVERY" } end

for name, ns in pairs { ["/"] = root, ["/room"] = namespace "/room" } do
  spaces[name] = serve(ns)
  if env("ADAPTER", "") ~= "" then listen_to_servers(spaces[name], name) end
end
serve(namespace "/org-*")

local function target(command)
  local to = spaces[command.ns] or error("no namespace " .. command.ns)
  if command.rooms and #command.rooms > 0 then to = to:to(command.rooms) end
  if command.except and #command.except > 0 then to = to:except(command.except) end
  if command.volatile then to = to:volatile() end
  if command["local"] then to = to:local_only() end
  if command.timeout then to = to:timeout(command.timeout) end
  return to
end

local operations = {
  name = function() return server end,
  emit = function(command) return target(command):emit(command.event, table.unpack(command.args)) end,
  ["emit-with-ack"] = function(command)
    local answers, err = target(command):emit_with_ack(command.event, table.unpack(command.args))
    return { answers = json.array(answers), error = err }
  end,
  fetch = function(command)
    local found, err
    if command["local"] then found = target(command):sockets() else found, err = target(command):fetch() end
    local list = json.array {}
    for i, socket in ipairs(found or {}) do
      list[i] = {
        id = socket.id,
        rooms = json.array(socket.rooms),
        data = socket.data,
        auth = socket.handshake.auth,
        query = socket.handshake.query.name,
      }
    end
    return { sockets = list, error = err }
  end,
  count = function(command) return target(command):count() end,
  join = function(command) target(command):join(command.names) end,
  leave = function(command) target(command):leave(command.names) end,
  disconnect = function(command) target(command):disconnect(command.close) end,
  ["server-emit"] = function(command) return spaces[command.ns]:server_emit(command.event, table.unpack(command.args)) end,
  ["server-emit-with-ack"] = function(command)
    local answers, err = spaces[command.ns]:timeout(command.timeout or "5s"):server_emit_with_ack(command.event, table.unpack(command.args))
    return { answers = json.array(answers or {}), error = err }
  end,
  servers = function(command) return spaces[command.ns]:servers() end,
  direct = function(command)
    local socket = sockets[command.sid]
    return socket and socket:emit(command.event, table.unpack(command.args)) or false
  end,
  notes = function() return notes end,
}

namespace "/control":on("do", function(_, command)
  local good, result = pcall(operations[command.op], command)
  if not good then return { failed = tostring(result) } end
  return result
end)
