listen "0.0.0.0:3000"
redis "rediss://127.0.0.1:6379/1" {
  adapter         = "pub/sub",
  request_timeout = 0,
  queue           = "much",
  tls             = { verify = "no" },
}
