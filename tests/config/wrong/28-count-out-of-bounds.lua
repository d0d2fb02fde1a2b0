listen "0.0.0.0:3000"
limits {
  connections = 0,
  attachments = 2.5,
}
