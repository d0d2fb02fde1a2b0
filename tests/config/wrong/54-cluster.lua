listen "0.0.0.0:3000"
cluster {
  listen    = "cache.internal:7493",
  advertise = "10.0.0.5",
  forward   = "yes",
  port      = 7493,
}
