listen "0.0.0.0:3000"
engine { "/socket.io/" }
cors "https://a.example"
