listen "0.0.0.0:3000"
engine { ping_timeout = "1ms" }
