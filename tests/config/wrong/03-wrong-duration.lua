listen "0.0.0.0:3000"
engine {
  path = "/socket.io/",
  ping_interval = "25 parsecs",
}
