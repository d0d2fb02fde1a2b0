listen "127.0.0.1:3001" { tls = { cert = "cert.pem", key = "key.pem" }, redirect = true }
