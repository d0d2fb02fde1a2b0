listen "0.0.0.0:3000"
redis "http://user:secret@localhost:6379" {
  prefix  = 5,
  require = true,
}
