-- recovery: of all namespaces, and of one
listen "127.0.0.1:3000"
recovery {
  window = "1ms",
  skip_middleware = true,
  buffer = 10,
}

namespace "/a" { recovery = "2 weeks" }
namespace "/b" { recovery = print }
namespace "/c" { recovery = { windows = "1m" } }
