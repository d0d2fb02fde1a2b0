listen "0.0.0.0:3000"
namespace "/chat"
namespace "chat"
