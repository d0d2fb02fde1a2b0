listen "127.0.0.1:0"

engine {
  compression = {
    websocket = 1,
    threshold = "big",
    level = 10,
    http2 = true,
  },
}
