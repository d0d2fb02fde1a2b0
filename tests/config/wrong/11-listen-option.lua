listen "0.0.0.0:3000" {
  backlog = 10,
}
