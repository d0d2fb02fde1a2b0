listen "127.0.0.1:3001" { tls = "cert.pem" }
listen "127.0.0.1:3002" {
  tls = { cert = "cert.pem" },
}
listen "127.0.0.1:3003" { tls = { { cert = "a.pem", key = "a.key" }, { key = 5 }, "b.pem" } }
listen "127.0.0.1:3004" { tls = { cert = "", key = "a.key" } }
listen "127.0.0.1:3006" { tls = { cert = "a.pem", key = "a.key", pass = "x" } }
listen "127.0.0.1:3005" { tls = {} }
