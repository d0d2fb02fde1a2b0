listen "0.0.0.0:3000"
redis "redis://127.0.0.1:6379"
cluster { listen = "10.0.0.5:7493", forward = false }
