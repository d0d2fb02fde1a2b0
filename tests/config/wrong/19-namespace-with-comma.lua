listen "0.0.0.0:3000"
namespace "/a,b"
