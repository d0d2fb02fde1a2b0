listen "0.0.0.0:3000"
namespace "/hub" { origins = { "app.example.com" } }
