listen "127.0.0.1:3001" {
  redirect = true,
}
listen "127.0.0.1:3002" {
  trust_proxy = { "10.0.0.0/8", "10.0.0.0/33", "example.com" },
}
listen "127.0.0.1:3003" {
  trust_proxy = 1,
  proxy_protocol = "v2",
}
listen "127.0.0.1:3004" { proxy_protokol = true }
