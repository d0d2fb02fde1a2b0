listen "0.0.0.0:3000"
cors {
  credentials = "yes",
  origins = { "https://a.example" },
}
