listen "0.0.0.0:3000"
limits {
  max_payload = "ten",
}
