-- a file with many faults: all are reported in one run
listen "0.0.0.0"

cors {
  origin = "*",
  max_age = "soon",
}

engine {
  path = "socket.io",
  ping_interval = true,
}

local chat = namespace ""
chat:on("say", 1)

limits { conections = 5 }
