listen "0.0.0.0:3000"
limits { connections = 10 }
limits { connections = 20 }
