listen "systemd"
listen "systemd:"
listen "systemd"
drain {
  window = "soon",
  grace = -1,
  linger = "1s",
}
drain {}
health "health"
health "/health" {
  live = "/health",
  ready = "/ready",
}
