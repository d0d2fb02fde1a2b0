listen "0.0.0.0:3000"
log {
  level = "verbose",
  format = "xml",
}
