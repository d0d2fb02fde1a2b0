-- relay.lua: five namespaces that let browsers watch and steer agents that run elsewhere.
--
--   /relay     agents (API key): register a session, publish its events, take input
--   /viewer    browsers (cookie): watch a session, send input to its agent
--   /runner    daemons (API key): carry out commands, each answered by an acknowledgement
--   /terminal  a shell's two ends: the daemon that has it, the browsers that show it
--   /hub       browsers (cookie): the live list of sessions and runners, and commands to runners
--
-- Environment: RELAY_LISTEN, RELAY_ORIGINS, RELAY_API_KEYS and RELAY_TOKENS (lists with commas); RELAY_RECOVERY, a window
-- such as 2m (clients then see one more argument of each event); RELAY_REDIS_URL for several servers that are one.

local function split(text)
  local items = {}
  for item in text:gmatch("[^,%s]+") do items[#items + 1] = item end
  return items
end

local function set(items)
  local members = {}
  for _, item in ipairs(items) do members[item] = true end
  return members
end

listen(env("RELAY_LISTEN", "0.0.0.0:7492"))

cors {
  origins     = split(env("RELAY_ORIGINS", "http://localhost:5173,https://*.example.com")),
  credentials = true,
}

engine {
  transports    = { "websocket", "polling" },
  ping_interval = "30s",
  ping_timeout  = "60s",
}

limits { max_payload = "100MB" }
health "/health"

local window = env("RELAY_RECOVERY", "")
if window ~= "" then recovery { window = window } end

local redis_url = env("RELAY_REDIS_URL", "")
if redis_url ~= "" then redis(redis_url) { prefix = "relay" } end

local relay    = namespace "/relay"
local viewer   = namespace "/viewer"
local runner   = namespace "/runner"
local terminal = namespace "/terminal" { max_payload = "1MB" }
local hub      = namespace "/hub"

-- Who may come in -----------------------------------------------------------------------------

local api_keys = set(split(env("RELAY_API_KEYS", "demo-key")))
local tokens   = set(split(env("RELAY_TOKENS", "demo-token")))

local function cookie(socket, name)
  local header = socket.handshake.headers.cookie or ""
  for key, value in header:gmatch("([^=;%s]+)=([^;%s]*)") do
    if key == name then return value end
  end
end

local function has_api_key(socket)
  local key = socket.handshake.auth.apiKey
  return type(key) == "string" and api_keys[key] == true
end

local function has_token(socket)
  local token = cookie(socket, "relay_token") or socket.handshake.auth.token
  return type(token) == "string" and tokens[token] == true
end

local function need_api_key(socket)
  if not socket.handshake.auth.apiKey then return reject("missing apiKey") end
  if not has_api_key(socket) then return reject("unauthorized", { code = 401 }) end
  socket.data.role = "agent"
end

local function need_token(socket)
  if not has_token(socket) then return reject("unauthorized", { code = 401 }) end
  socket.data.role = "browser"
end

relay:use(need_api_key)
runner:use(need_api_key)
viewer:use(need_token)
hub:use(need_token)

-- Both ends of a shell meet here; what each may send depends on how it came in.
terminal:use(function(socket)
  if socket.handshake.auth.apiKey then return need_api_key(socket) end
  return need_token(socket)
end)

-- A wrong argument is the client's mistake: say so in the acknowledgement.
local function fault(reason)
  return { ok = false, error = reason }
end

local function is_name(value)
  return type(value) == "string" and value ~= "" and #value <= 200
end

-- Sessions: agents publish, viewers watch -----------------------------------------------------

local sessions = {} -- by id: what /hub shows, and which socket the agent has

local function session_room(id)
  return "session:" .. id
end

local function session_info(session)
  return { id = session.id, title = session.title, startedAt = session.started_at }
end

relay:on("register_session", function(socket, id, title)
  if not is_name(id) then return fault("a session id is needed") end
  local known = sessions[id]
  if known and known.agent ~= socket.id then return fault("the session has an agent") end
  if socket.data.session and socket.data.session ~= id then
    return fault("this connection has a session")
  end

  local session = { id = id, title = title, started_at = now(), agent = socket.id }
  sessions[id] = session
  socket.data.session = id
  socket:join(session_room(id))
  hub:emit(known and "session_updated" or "session_added", session_info(session))
  return { ok = true, session = session_info(session) }
end)

relay:on("agent_event", function(socket, event)
  local id = socket.data.session
  if not id then return fault("register_session comes first") end
  viewer:to(session_room(id)):emit("agent_event", event)
  return { ok = true }
end)

relay:on("disconnect", function(socket)
  local id = socket.data.session
  if not id or not sessions[id] or sessions[id].agent ~= socket.id then return end
  sessions[id] = nil
  viewer:to(session_room(id)):emit("session_ended", { id = id })
  hub:emit("session_removed", { id = id })
end)

viewer:on("subscribe", function(socket, id)
  if not is_name(id) then return fault("a session id is needed") end
  socket:join(session_room(id))
  socket:emit("subscribed", { sessionId = id, live = sessions[id] ~= nil })
  return { ok = true }
end)

viewer:on("unsubscribe", function(socket, id)
  if not is_name(id) then return fault("a session id is needed") end
  socket:leave(session_room(id))
  return { ok = true }
end)

-- The agent's acknowledgement is handed on to the viewer who typed.
viewer:on("input", function(socket, id, input)
  if not is_name(id) or not sessions[id] then return fault("no such session") end
  local answers, err = relay:to(session_room(id)):timeout("10s")
    :emit_with_ack("input", { from = socket.id, input = input })
  if err or #answers == 0 then return fault(err or "the agent is gone") end
  return { ok = true, answer = answers[1] }
end)

-- Runners: commands with acknowledgements -----------------------------------------------------

local runners = {} -- by name: the socket's id

local function runner_names()
  local names = {}
  for name in pairs(runners) do names[#names + 1] = name end
  table.sort(names)
  return json.array(names)
end

runner:on("register_runner", function(socket, name)
  if not is_name(name) then return fault("a name is needed") end
  if runners[name] and runners[name] ~= socket.id then return fault("the name is taken") end
  if socket.data.runner and socket.data.runner ~= name then
    return fault("this connection has a name")
  end
  runners[name] = socket.id
  socket.data.runner = name
  hub:emit("runners", runner_names())
  return { ok = true }
end)

runner:on("runner_ping", function()
  return { pong = true, ts = now() }
end)

runner:on("disconnect", function(socket)
  local name = socket.data.runner
  if not name or runners[name] ~= socket.id then return end
  runners[name] = nil
  hub:emit("runners", runner_names())
end)

hub:on("run_command", function(_, name, command)
  if not is_name(name) or not runners[name] then return fault("no such runner") end
  local answers, err = runner:to(runners[name]):timeout("30s"):emit_with_ack("command", command)
  if err or #answers == 0 then return fault(err or "the runner is gone") end
  return { ok = true, result = answers[1] }
end)

hub:on("connection", function(socket)
  local list = {}
  for _, session in pairs(sessions) do list[#list + 1] = session_info(session) end
  table.sort(list, function(a, b) return a.id < b.id end)
  socket:emit("sessions", json.array(list))
  socket:emit("runners", runner_names())
end)

-- Terminals: input and resize go to the shell, output to the browsers -------------------------

local function terminal_room(id, end_)
  return "terminal:" .. id .. ":" .. end_
end

terminal:on("attach", function(socket, id)
  if not is_name(id) then return fault("a terminal id is needed") end
  if socket.data.terminal then return fault("this connection has a terminal") end
  local shell = socket.data.role == "agent"
  socket.data.terminal = id
  socket:join(terminal_room(id, shell and "shell" or "screen"))
  if not shell then terminal:to(terminal_room(id, "shell")):emit("attached", socket.id) end
  return { ok = true }
end)

local function to_shell(event)
  terminal:on(event, function(socket, ...)
    local id = socket.data.terminal
    if not id or socket.data.role ~= "browser" then return fault("not a browser's terminal") end
    terminal:to(terminal_room(id, "shell")):emit(event, ...)
    return { ok = true }
  end)
end

to_shell("input")  -- text or binary
to_shell("resize") -- { cols = …, rows = … }

terminal:on("output", function(socket, output)
  local id = socket.data.terminal
  if not id or socket.data.role ~= "agent" then return fault("not a shell's terminal") end
  terminal:to(terminal_room(id, "screen")):emit("output", output)
  return { ok = true }
end)

terminal:on("disconnect", function(socket)
  local id = socket.data.terminal
  if id and socket.data.role == "agent" then
    terminal:to(terminal_room(id, "screen")):emit("closed", id)
  end
end)
