listen "0.0.0.0:3000"
cors {
  origins = "*",
  credentials = true,
}
