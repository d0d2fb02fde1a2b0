listen { port = 3000 }
