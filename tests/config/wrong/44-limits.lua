listen "127.0.0.1:0"
engine { parser = "messagepack" }
limits {
  backlog_policy          = "drop",
  connections_per_address = -1,
  handshakes_per_second   = "many",
  events_per_second       = 1000001,
  packets_per_payload     = 0,
}
