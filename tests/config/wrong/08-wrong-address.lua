listen "example"
listen "0.0.0.0:99999"
listen "::1:80"
listen "unix:"
