listen "0.0.0.0:3000"
namespace "/terminal" {
  max_paylod = "64KB",
}
