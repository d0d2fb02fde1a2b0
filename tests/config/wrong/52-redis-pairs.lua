listen "0.0.0.0:3000"
redis "redis://127.0.0.1:6379" {
  subscription_mode = "static",
  stream            = { maxLen = 5 },
  tls               = { ca = "ca.pem" },
}
redis "redis://127.0.0.1:6379"
