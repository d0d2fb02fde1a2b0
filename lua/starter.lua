-- skua.lua: a Socket.IO server. `skua check skua.lua` finds mistakes, `skua run skua.lua` serves.
-- All keys are described in skua.lua(5).

-- Where to listen: "host:port", "[::1]:port", ":port" (every address) or "unix:/run/skua.sock".
listen "0.0.0.0:3000"

-- HTTPS and secure WebSocket; SIGHUP loads the files anew.
-- listen "0.0.0.0:443" { tls = { cert = "cert.pem", key = "key.pem" } }
-- listen "0.0.0.0:80" { redirect = true }

-- Which web pages may connect. Without this statement no CORS header is sent and none is refused.
cors {
  origins     = { "http://localhost:5173", "https://*.example.com" },
  credentials = true,
}

-- Engine.IO; what is commented out shows the default.
engine {
  -- path            = "/socket.io/",
  -- transports      = { "polling", "websocket" },
  -- ping_interval   = "25s",
  -- ping_timeout    = "20s",
  -- upgrade_timeout = "10s",
  -- connect_timeout = "45s",
}

-- Clients that lose their connection are who they were when they are back in time, and miss nothing.
-- recovery { window = "2m" }

-- Several servers that are one, together with Node servers on socket.io's Redis adapters.
-- redis "redis://127.0.0.1:6379" { adapter = "pubsub", prefix = "socket.io" }

limits {
  max_payload = "1MB",    -- one message
  -- connections = 10000, -- default: the descriptor limit, less a reserve
  -- backlog     = "16MB", -- bytes that may wait for one client before it is closed
}

-- For balancers: status 200, or 503 while the server ends, which it does by sending its clients away over a while.
health "/health"
-- drain { window = "5s", deadline = "30s" }

-- log { level = "info", format = "text" }    -- or "json"

local chat = namespace "/chat"

-- Runs for each socket that wants to join the namespace; reject() refuses it.
chat:use(function(socket)
  local name = socket.handshake.auth.name
  if type(name) ~= "string" or name == "" then
    return reject("a name is needed", { code = 400 })
  end
  socket.data.name = name -- kept by the server, as JSON
end)

chat:on("connection", function(socket)
  socket:emit("welcome", { id = socket.id, online = chat:count() })
end)

-- What a handler returns is the acknowledgement, if the client asked for one.
chat:on("join", function(socket, room)
  if type(room) ~= "string" then return { ok = false } end
  socket:join(room)
  socket:to(room):emit("joined", { name = socket.data.name })
  return { ok = true }
end)

chat:on("say", function(socket, room, text)
  chat:to(room):emit("said", { from = socket.data.name, text = text })
end)

chat:on("disconnect", function(socket, reason)
  log.info("left", { name = socket.data.name, reason = reason })
end)
