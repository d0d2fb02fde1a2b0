-- options of compression
listen "127.0.0.1:0"

engine {
  serve_client = "yes",
  compression = "gzip",
}
