-- options that are no tables where tables are expected
listen "127.0.0.1:0"

engine {
  cookie = "io",
  headers = { ["x y"] = "1" },
  initial_headers = "x-a: b",
}
