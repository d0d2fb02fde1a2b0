listen "127.0.0.1:3001"
listen "127.0.0.1:3002" {
  tls = {
    { cert = "40-tls-options.lua", key = "none.key" },
    { cert = "none.pem", key = "none.key" },
  },
}
