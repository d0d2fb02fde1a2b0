-- The demo that skua runs when there is no file: events come back, "broadcast" goes to the others.
listen "127.0.0.1:3000"

cors { origins = "*" }

local root = namespace "/"

root:on("connection", function(socket)
  log.info("connected", { socket = socket.id, transport = socket.transport })
  socket:emit("welcome", { id = socket.id, now = now() })
end)

-- Any event without a handler of its own: sent back, and acknowledged with its arguments.
root:on("*", function(socket, event, ...)
  socket:emit(event, ...)
  return ...
end)

-- socket.emit("broadcast", …) reaches everybody else.
root:on("broadcast", function(socket, ...)
  socket:broadcast():emit("broadcast", ...)
end)

root:on("disconnect", function(socket, reason)
  log.info("disconnected", { socket = socket.id, reason = reason })
end)
