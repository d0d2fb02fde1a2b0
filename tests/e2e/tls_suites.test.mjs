// The same tests as in plain text, over TLS: official clients by every transport.
process.env.SERVERS = "skua-tls";
for (const name of ["events", "binary", "rooms", "namespaces"]) await import(`./${name}.test.mjs`);
