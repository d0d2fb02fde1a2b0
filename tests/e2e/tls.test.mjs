// TLS: what clients of all kinds see, certificates for several names, reloading, and wrong files.
import assert from "node:assert/strict";
import { execFile, spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import https from "node:https";
import net from "node:net";
import { after, before, describe, it } from "node:test";
import tls from "node:tls";
import { io } from "socket.io-client";
import { WebSocket } from "ws";
import { Certificates, ports } from "../lib/certificates.mjs";
import { connected, modes, upgraded } from "../lib/clients.mjs";
import { scratch, SKUA, skuaIsTested, startSkuaText } from "../lib/servers.mjs";
import { next, PATIENCE, until, within } from "../lib/wait.mjs";

const APP = `
log { level = "debug" }
limits { max_payload = "20MB" }
local root = namespace "/"
root:on("echo", function(socket, ...) socket:emit("echo", ...) return ... end)
root:on("describe", function(socket) return { secure = socket.handshake.secure, address = socket.handshake.address } end)
root:on("everybody", function(socket, ...) root:emit("everybody", ...) end)
`;

const options = { skip: !skuaIsTested && "skua is not under test" };
const certificates = new Certificates();

// Runs openssl s_client with what it is to send on its input; gives all it printed.
function sClient(port, args, input = "") {
  return new Promise((resolve) => {
    const child = execFile(
      "openssl",
      ["s_client", "-connect", `127.0.0.1:${port}`, ...args],
      { timeout: PATIENCE },
      (error, stdout, stderr) => resolve(stdout + stderr),
    );
    child.stdin.on("error", () => {});
    child.stdin.end(input);
  });
}

function curl(...args) {
  const { status, stdout, stderr } = spawnSync("curl", ["-sS", "-m", "10", ...args], { encoding: "utf8" });
  assert.equal(status, 0, stderr);
  return stdout;
}

// A TLS connection, with what came so far.
function open(port, more = {}) {
  const socket = tls.connect({ port, host: "127.0.0.1", rejectUnauthorized: false, ...more });
  socket.text = "";
  socket.setEncoding("latin1").on("data", (data) => (socket.text += data));
  socket.on("error", (error) => (socket.failure = error));
  return socket;
}

const subject = (socket) => socket.getPeerCertificate().subject.CN;

async function shown(port, servername, more = {}) {
  const socket = open(port, { servername, ...more });
  await next(socket, "secureConnect");
  const name = subject(socket);
  socket.destroy();
  return name;
}

describe("skua: TLS", options, () => {
  let server, ecPort, rsaPort, chainPort;

  before(async () => {
    certificates.make("ec").make("rsa", { kind: "rsa" }).make("ca", { names: "DNS:ca.test" });
    writeFileSync(certificates.path("chain.pem"), certificates.makeSigned("chain", "ca").chain);
    server = await startSkuaText(`
listen "127.0.0.1:0" { tls = ${certificates.lua("ec")} }
listen "127.0.0.1:0" { tls = ${certificates.lua("rsa")} }
listen "127.0.0.1:0" { tls = ${certificates.lua("chain")} }
${APP}`);
    [ecPort, rsaPort, chainPort] = await ports(server, 3);
  });
  after(() => server?.stop());

  for (const mode of modes) {
    it(`serves the official client by ${mode.name}`, async () => {
      const socket = io(`https://localhost:${ecPort}/`, {
        transports: mode.transports,
        ca: certificates.read("ec.pem"),
        forceNew: true,
        reconnection: false,
      });
      try {
        await connected(socket);
        if (mode.name === "upgrade") await upgraded(socket.io);
        assert.deepEqual(await socket.timeout(PATIENCE).emitWithAck("describe"), {
          secure: true,
          address: "127.0.0.1",
        });
        for (const size of [1, 16_000, 16_384, 16_385, 70_000, 3_000_000]) {
          const text = "x".repeat(size);
          const back = next(socket, "echo");
          socket.emit("echo", text, Buffer.alloc(size, 7));
          const [first, second] = await back;
          assert.equal(first, text);
          assert.deepEqual(second, Buffer.alloc(size, 7));
        }
        const all = [];
        socket.on("echo", (n) => all.push(n));
        for (let i = 0; i < 2000; i++) socket.emit("echo", i);
        await until(() => all.length === 2000, "2,000 echoes");
        assert.deepEqual(all, Array.from({ length: 2000 }, (_, i) => i));
      } finally {
        socket.disconnect();
      }
    });
  }

  it("broadcasts to clients of several listeners", async () => {
    const sockets = Array.from({ length: 20 }, (_, i) =>
      io(`https://localhost:${i % 2 ? ecPort : rsaPort}/`, {
        transports: ["websocket"],
        rejectUnauthorized: false,
        forceNew: true,
        reconnection: false,
      }),
    );
    try {
      await Promise.all(sockets.map(connected));
      const got = sockets.map((socket) => next(socket, "everybody"));
      sockets[0].emit("everybody", "hello", "x".repeat(100_000));
      for (const [word, text] of await Promise.all(got)) {
        assert.equal(word, "hello");
        assert.equal(text.length, 100_000);
      }
    } finally {
      for (const socket of sockets) socket.disconnect();
    }
  });

  it("serves curl, which checks the certificate", () => {
    for (const [port, name] of [[ecPort, "ec"], [rsaPort, "rsa"], [chainPort, "ca"]]) {
      const text = curl("--cacert", certificates.path(`${name}.pem`), `https://localhost:${port}/socket.io/?EIO=4&transport=polling`);
      assert.match(text, /^0\{"sid":/);
    }
  });

  it("serves a plain WebSocket client", async () => {
    const socket = new WebSocket(`wss://127.0.0.1:${rsaPort}/socket.io/?EIO=4&transport=websocket`, {
      rejectUnauthorized: false,
    });
    const [data] = await next(socket, "message");
    assert.match(String(data), /^0\{"sid":/);
    socket.close();
    const [code] = await next(socket, "close");
    assert.equal(code, 1005);
  });

  it("keeps HTTP connections alive", async () => {
    const agent = new https.Agent({ keepAlive: true, maxSockets: 1, rejectUnauthorized: false });
    const used = new Set();
    for (let i = 0; i < 3; i++) {
      await within(
        new Promise((resolve, reject) => {
          https
            .get({ port: ecPort, host: "127.0.0.1", path: "/none", agent }, (response) => {
              used.add(response.socket);
              assert.equal(response.statusCode, 404);
              response.resume().on("end", resolve);
            })
            .on("error", reject);
        }),
        "the answer",
      );
    }
    assert.equal(used.size, 1);
    agent.destroy();
  });

  it("refuses TLS 1.0 and 1.1, and answers clients of TLS 1.3 with 1.2", async () => {
    for (const version of ["-tls1", "-tls1_1"])
      assert.match(await sClient(ecPort, [version, "-cipher", "ALL:@SECLEVEL=0"]), /alert protocol version|unsupported protocol/);
    assert.match(await sClient(ecPort, []), /New, TLSv1\.2, Cipher is ECDHE-ECDSA-AES128-GCM-SHA256/);
    assert.match(await sClient(rsaPort, []), /New, TLSv1\.2, Cipher is ECDHE-RSA-AES128-GCM-SHA256/);
    assert.match(await sClient(ecPort, ["-tls1_3"]), /alert/);
  });

  it("chooses the suite by its own order", async () => {
    const list = "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256";
    assert.match(await sClient(ecPort, ["-tls1_2", "-cipher", list]), /Cipher is ECDHE-ECDSA-AES128-GCM-SHA256/);
    for (const one of list.split(":"))
      assert.match(await sClient(ecPort, ["-tls1_2", "-cipher", one]), new RegExp(`Cipher is ${one}`));
    assert.match(await sClient(rsaPort, ["-tls1_2", "-cipher", "AES128-GCM-SHA256"]), /handshake failure/);
  });

  it("sends the whole chain", async () => {
    const text = await sClient(chainPort, ["-showcerts", "-CAfile", certificates.path("ca.pem")]);
    assert.match(text, /^ 0 s:CN ?= ?chain[^]*^ 1 s:CN ?= ?ca$/m);
    assert.match(text, /Verify return code: 0 \(ok\)/);
  });

  it("resumes sessions", async () => {
    const text = await sClient(ecPort, ["-tls1_2", "-reconnect", "-no_ticket"]);
    assert.equal(text.match(/^New, TLSv1\.2/gm).length, 1);
    assert.equal(text.match(/^Reused, TLSv1\.2/gm).length, 5);
  });

  it("agrees on http/1.1 and refuses clients that do not offer it", async () => {
    assert.match(await sClient(ecPort, ["-alpn", "h2,http/1.1"]), /ALPN protocol: http\/1\.1/);
    assert.match(await sClient(ecPort, []), /No ALPN negotiated/);
    assert.match(await sClient(ecPort, ["-alpn", "h2"]), /alert no application protocol/);
  });

  it("refuses to renegotiate", async () => {
    assert.match(await sClient(ecPort, ["-tls1_2"], "R\n"), /no renegotiation/);
  });

  it("says close_notify behind its last answer", async () => {
    const socket = open(ecPort);
    socket.write("GET /none HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    await next(socket, "end"); // Node does not end on a bare FIN without an error
    assert.match(socket.text, /^HTTP\/1\.1 404 /);
    assert.equal(socket.failure, undefined);
  });

  it("answers what came before the client's close_notify", async () => {
    const socket = open(ecPort, { allowHalfOpen: true });
    await next(socket, "secureConnect");
    socket.end("GET /none HTTP/1.1\r\nHost: x\r\n\r\n");
    await next(socket, "end");
    assert.match(socket.text, /^HTTP\/1\.1 404 /);
  });

  it("drops a client that does not finish its handshake in time", async () => {
    const hasty = await startSkuaText(
      `listen "127.0.0.1:0" { tls = ${certificates.lua("ec")} }\nlimits { http_headers = "100ms" }`,
    );
    const socket = net.connect(hasty.port, "127.0.0.1");
    socket.on("error", () => {});
    socket.write(Buffer.from("1603010200010001fc0303", "hex"));
    await next(socket.resume(), "close");
    await hasty.stop();
  });

  it("drops plain HTTP, and lives", async () => {
    const socket = net.connect(ecPort, "127.0.0.1");
    socket.on("error", () => {});
    socket.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    await next(socket.resume(), "close");
    assert.ok(await server.logged(/TLS connection failed.*reason="not TLS 1.2"/));
    assert.equal(await shown(ecPort, "localhost"), "ec");
  });
});

describe("skua: certificates", options, () => {
  it("shows each server name its own, by exact name and wildcard", async () => {
    certificates
      .make("first", { names: "DNS:first.test" })
      .make("second", { names: "DNS:second.test,DNS:*.second.test" })
      .make("third", { kind: "rsa", names: "DNS:second.test" });
    const server = await startSkuaText(`listen "127.0.0.1:0" { tls = ${certificates.lua("first", "second", "third")} }\n${APP}`);
    try {
      const rsaOnly = { ciphers: "ECDHE-RSA-AES128-GCM-SHA256", maxVersion: "TLSv1.2" };
      assert.equal(await shown(server.port, "first.test"), "first");
      assert.equal(await shown(server.port, "second.test"), "second");
      assert.equal(await shown(server.port, "www.second.test"), "second");
      assert.equal(await shown(server.port, "WWW.Second.Test"), "second");
      assert.equal(await shown(server.port, "a.b.second.test"), "first");
      assert.equal(await shown(server.port, "unknown.test"), "first");
      assert.equal(await shown(server.port, ""), "first");
      assert.equal(await shown(server.port, "second.test", rsaOnly), "third"); // what the client's suites allow
    } finally {
      await server.stop();
    }
  });

  it("are loaded anew on SIGHUP; connections live on", async () => {
    certificates.make("live", { common: "before" });
    const server = await startSkuaText(`listen "127.0.0.1:0" { tls = ${certificates.lua("live")} }\n${APP}`);
    const socket = io(`https://localhost:${server.port}/`, {
      transports: ["websocket"],
      rejectUnauthorized: false,
      reconnection: false,
      forceNew: true,
    });
    try {
      await connected(socket);
      assert.equal(await shown(server.port, "localhost"), "before");
      certificates.make("live", { common: "after" });
      server.signal("SIGHUP");
      await server.logged(/certificates reloaded.*listeners=1/);
      assert.equal(await shown(server.port, "localhost"), "after");
      assert.deepEqual(await socket.timeout(PATIENCE).emitWithAck("echo", "still"), "still");

      writeFileSync(certificates.path("live.pem"), "nothing\n");
      server.signal("SIGHUP");
      const [line] = await server.logged(/certificates not reloaded/);
      assert.match(line, /live\.pem.*found no certificate/);
      assert.equal(await shown(server.port, "localhost"), "after");
      assert.deepEqual(await socket.timeout(PATIENCE).emitWithAck("echo", "still"), "still");
    } finally {
      socket.disconnect();
      await server.stop();
    }
  });

  it("SIGHUP without TLS changes nothing", async () => {
    const server = await startSkuaText(`listen "127.0.0.1:0"\n${APP}`);
    server.signal("SIGHUP");
    await server.logged(/certificates reloaded.*listeners=0/);
    await server.stop();
  });

  const wrong = [
    ["a missing certificate", "none.pem", "ok.key", /listen\.tls\.cert: ".*none\.pem": No such file or directory/],
    ["a missing key", "ok.pem", "none.key", /listen\.tls\.key: ".*none\.key": No such file or directory/],
    ["a file without a certificate", "ok.key", "ok.key", /listen\.tls\.cert: .*found no certificate/],
    ["a file without a key", "ok.pem", "ok.pem", /listen\.tls\.key: .*found no key/],
    ["an expired certificate", "old.pem", "old.key", /listen\.tls\.cert: .*expired on 20\d\d-\d\d-\d\dT/],
    ["another certificate's key", "ok.pem", "old.key", /listen\.tls\.key: .*does not belong to the certificate/],
    ["an encrypted key", "ok.pem", "secret.key", /listen\.tls\.key: .*is encrypted/],
    ["a broken key", "ok.pem", "broken.key", /listen\.tls\.key: .*cannot be read/],
  ];
  for (const [what, cert, key, pattern] of wrong) {
    it(`are refused by check and by run: ${what}`, () => {
      const files = new Certificates(scratch());
      files.make("ok").make("old");
      const past = ["x509", "-in", "old.pem", "-signkey", "old.key", "-days", "-1", "-out", "old.pem"];
      files.openssl(...past);
      files.openssl("pkey", "-in", "ok.key", "-aes256", "-passout", "pass:x", "-out", "secret.key");
      writeFileSync(files.path("broken.key"), files.read("ok.key").replace(/\n.*\n/, "\nAAAA\n"));
      writeFileSync(
        files.path("test.lua"),
        `listen "127.0.0.1:0"\nlisten "127.0.0.1:0" {\n  tls = { cert = "${cert}", key = "${key}" },\n}\n`,
      );
      for (const command of ["check", "run"]) {
        const { status, stderr } = spawnSync(SKUA, [command, "test.lua"], { cwd: files.folder, encoding: "utf8", timeout: 20_000 });
        assert.equal(status, 1);
        assert.match(stderr, pattern);
        assert.match(stderr, /^test\.lua:3: /m);
      }
    });
  }

  it("are looked for from the working directory; check says they are good", () => {
    const files = new Certificates(scratch()).make("ok");
    writeFileSync(files.path("test.lua"), `listen "127.0.0.1:0" { tls = { cert = "ok.pem", key = "ok.key" } }\n`);
    const { status, stdout } = spawnSync(SKUA, ["check", "test.lua"], { cwd: files.folder, encoding: "utf8", timeout: 20_000 });
    assert.equal(status, 0);
    assert.equal(stdout, "test.lua: good\n");
  });
});
