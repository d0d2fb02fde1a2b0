listen "0.0.0.0:3000"
engine {
  ping_intervall = "25s",
}
