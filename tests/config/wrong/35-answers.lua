-- what answers cannot carry, and a decision that is no function
listen "127.0.0.1:0"

engine {
  legacy_clients = "yes",
  cookie = {
    name = "i o",
    same_site = "sometimes",
    path = "/;",
    max_age = "soon",
    http = true,
  },
  headers = { ["content-length"] = "3" },
  initial_headers = { ["x-served-by"] = " skua" },
  allow_request = true,
  destroy_upgrade_timeout = "0ms",
  add_trailing_slash = 1,
}
