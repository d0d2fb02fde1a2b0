listen "0.0.0.0:3000"
engine { path = "rt?x" }
