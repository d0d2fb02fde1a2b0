// The same tests as without TLS: official clients by every transport, 10 MB messages, readers that pause.
process.env.SERVERS = "skua-tls";
for (const name of ["events", "binary", "rooms", "namespaces", "limits", "slow_reader"]) await import(`./${name}.test.mjs`);
