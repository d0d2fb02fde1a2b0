listen "0.0.0.0:3000"
engine { max_payload = "1MB" }
limits {
  max_payload = "2MB",
}
