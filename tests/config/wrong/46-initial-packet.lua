listen "127.0.0.1:3000"
engine { initial_packet = "\xff" }
