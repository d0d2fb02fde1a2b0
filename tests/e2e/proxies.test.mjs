// Behind balancers and proxies: PROXY headers, X-Forwarded headers, and redirection to TLS.
import assert from "node:assert/strict";
import net from "node:net";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import tls from "node:tls";
import { io } from "socket.io-client";
import { Certificates, ports } from "../lib/certificates.mjs";
import { connected } from "../lib/clients.mjs";
import { scratch, skuaIsTested, startSkuaText } from "../lib/servers.mjs";
import { next, PATIENCE, until, within } from "../lib/wait.mjs";

const APP = `
local root = namespace "/"
root:on("describe", function(socket) return { secure = socket.handshake.secure, address = socket.handshake.address } end)
`;

const options = { skip: !skuaIsTested && "skua is not under test" };

// Sends bytes, piece by piece in packets of their own, and gives all that came until the end.
async function exchange(socket, ...pieces) {
  let text = "";
  socket.setNoDelay?.(true);
  socket.setEncoding("latin1").on("data", (data) => (text += data));
  socket.on("error", () => {});
  for (const piece of pieces) await new Promise((resolve) => socket.write(piece, "latin1", () => setImmediate(resolve)));
  await next(socket, "close");
  return text;
}

const connect = (port) => net.connect({ port, host: "127.0.0.1" });

const GET = "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

// What the application is told of a client that comes over this connection by WebSocket.
async function describedOver(socket, headers = "") {
  let text = "";
  socket.setEncoding("latin1").on("data", (data) => (text += data));
  const frame = (data) => {
    const payload = Buffer.from(data);
    return Buffer.concat([Buffer.from([0x81, 0x80 | payload.length, 0, 0, 0, 0]), payload]);
  };
  socket.write(
    `GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
      `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n${headers}\r\n`,
  );
  await until(() => text.includes('"sid"'), "the handshake");
  socket.write(frame("40"));
  await until(() => text.includes('40{"sid"'), "the connection");
  socket.write(frame('420["describe"]'));
  await until(() => /430\[\{.*\}\]/.test(text), "the description");
  socket.destroy();
  return JSON.parse(/430(\[\{.*\}\])/.exec(text)[1])[0];
}

describe("skua: proxy_protocol", options, () => {
  const certificates = new Certificates();
  let server, plain, secure;

  before(async () => {
    certificates.make("ec");
    server = await startSkuaText(`
listen "127.0.0.1:0" { proxy_protocol = true }
listen "127.0.0.1:0" { proxy_protocol = true, tls = ${certificates.lua("ec")} }
limits { http_headers = "500ms" }
${APP}`);
    [plain, secure] = await ports(server, 2);
  });
  after(() => server?.stop());

  const v2 = (command, family, ...bytes) =>
    Buffer.concat([
      Buffer.from("\r\n\r\n\0\r\nQUIT\n", "latin1"),
      Buffer.from([command, family, bytes.length >> 8, bytes.length & 255, ...bytes]),
    ]);

  it("tells the client's address, in both versions", async () => {
    const cases = [
      ["PROXY TCP4 203.0.113.7 127.0.0.1 5000 443\r\n", "203.0.113.7"],
      ["PROXY TCP6 2001:db8::7 ::1 5000 443\r\n", "2001:db8::7"],
      ["PROXY UNKNOWN\r\n", "127.0.0.1"],
      [v2(0x21, 0x11, 203, 0, 113, 9, 127, 0, 0, 1, 1, 1, 1, 1), "203.0.113.9"],
      [v2(0x20, 0x00), "127.0.0.1"],
    ];
    for (const [header, address] of cases) {
      const socket = connect(plain);
      socket.write(header);
      assert.deepEqual(await describedOver(socket), { secure: false, address });
    }
  });

  it("comes before TLS", async () => {
    const raw = connect(secure);
    raw.write("PROXY TCP4 203.0.113.7 127.0.0.1 5000 443\r\n");
    const socket = tls.connect({ socket: raw, rejectUnauthorized: false });
    assert.deepEqual(await describedOver(socket), { secure: true, address: "203.0.113.7" });
  });

  it("may come in pieces, and in one piece with the request", async () => {
    const header = "PROXY TCP4 203.0.113.7 127.0.0.1 5000 443\r\n";
    assert.match(await exchange(connect(plain), header + GET), /^HTTP\/1\.1 200 /);
    assert.match(await exchange(connect(plain), ...header, GET), /^HTTP\/1\.1 200 /);
  });

  it("is required: others are closed without a word, and logged", async () => {
    for (const bytes of [GET, "PROXY TCP4 nonsense\r\n", "\x16\x03\x01", "PROXX"]) assert.equal(await exchange(connect(plain), bytes), "");
    await server.logged(/a PROXY header must come first.*address=127\.0\.0\.1.*no PROXY header/);
  });

  it("has its time: a silent peer is closed", async () => {
    assert.equal(await exchange(connect(plain)), "");
    assert.equal(await exchange(connect(plain), "PROXY TCP4 "), "");
  });

  it("leaves nothing behind of peers that leave early", async () => {
    for (let i = 0; i < 50; i++) {
      const socket = connect(plain);
      await next(socket, "connect");
      socket.write("PROXY");
      socket.destroy();
    }
    assert.match(await exchange(connect(plain), "PROXY UNKNOWN\r\n" + GET), /^HTTP\/1\.1 200 /);
  });
});

describe("skua: trust_proxy", options, () => {
  let server, listed, everybody, nobody;

  before(async () => {
    server = await startSkuaText(`
listen "127.0.0.1:0" { trust_proxy = { "127.0.0.0/8", "10.0.0.0/8" } }
listen "127.0.0.1:0" { trust_proxy = true }
listen "127.0.0.1:0"
${APP}`);
    [listed, everybody, nobody] = await ports(server, 3);
  });
  after(() => server?.stop());

  async function described(port, headers) {
    const socket = io(`http://127.0.0.1:${port}`, {
      transports: ["websocket"],
      extraHeaders: headers,
      forceNew: true,
      reconnection: false,
    });
    try {
      await connected(socket);
      return await socket.timeout(PATIENCE).emitWithAck("describe");
    } finally {
      socket.disconnect();
    }
  }

  it("takes the last address that is no trusted proxy", async () => {
    const headers = { "X-Forwarded-For": "6.6.6.6, 203.0.113.7, 10.1.2.3", "X-Forwarded-Proto": "https" };
    assert.deepEqual(await described(listed, headers), { secure: true, address: "203.0.113.7" });
    assert.deepEqual(await described(everybody, headers), { secure: true, address: "6.6.6.6" });
    assert.deepEqual(await described(nobody, headers), { secure: false, address: "127.0.0.1" });
  });

  it("keeps the peer's address without the header, or with nonsense in it", async () => {
    assert.deepEqual(await described(listed, {}), { secure: false, address: "127.0.0.1" });
    assert.deepEqual(await described(listed, { "X-Forwarded-For": "<script>" }), { secure: false, address: "127.0.0.1" });
  });

  it("works for polling and for unix sockets", async () => {
    const file = path.join(scratch(), "skua.sock");
    const unix = await startSkuaText(`listen "unix:${file}" { trust_proxy = { "10.0.0.0/8" } }\nlisten "127.0.0.1:0"\n${APP}`);
    const raw = net.connect(file);
    assert.deepEqual(await describedOver(raw, "X-Forwarded-For: 203.0.113.7\r\n"), { secure: false, address: "203.0.113.7" });
    await unix.stop();

    const socket = io(`http://127.0.0.1:${listed}`, {
      transports: ["polling"],
      extraHeaders: { "X-Forwarded-For": "203.0.113.8" },
      forceNew: true,
      reconnection: false,
    });
    await connected(socket);
    const { address } = await socket.timeout(PATIENCE).emitWithAck("describe");
    assert.equal(address, "203.0.113.8");
    socket.disconnect();
  });
});

describe("skua: redirect", options, () => {
  const certificates = new Certificates();
  let server, plain, secure;

  before(async () => {
    certificates.make("ec");
    server = await startSkuaText(`
listen "127.0.0.1:0" { redirect = true }
listen "127.0.0.1:0" { tls = ${certificates.lua("ec")} }
${APP}`);
    [plain, secure] = await ports(server, 2);
  });
  after(() => server?.stop());

  async function ask(head, body = "") {
    const text = await within(exchange(connect(plain), `${head}\r\nConnection: close\r\n\r\n${body}`), "the answer");
    const [, status] = /^HTTP\/1\.1 (\d+) /.exec(text) ?? [];
    const [, location] = /^Location: (.*)\r$/m.exec(text) ?? [];
    return [Number(status), location];
  }

  it("sends clients to the same host and path over TLS", async () => {
    const cases = [
      ["GET / HTTP/1.1\r\nHost: example.test", 301, `https://example.test:${secure}/`],
      ["HEAD /a HTTP/1.1\r\nHost: example.test", 301, `https://example.test:${secure}/a`],
      ["GET /a%2f/b?c=d&e HTTP/1.1\r\nHost: example.test:8080", 301, `https://example.test:${secure}/a%2f/b?c=d&e`],
      ["GET /a HTTP/1.1\r\nHost: [::1]:8080", 301, `https://[::1]:${secure}/a`],
      ["GET /a HTTP/1.1\r\nHost: [::1]", 301, `https://[::1]:${secure}/a`],
      ["GET http://other.test/x?y HTTP/1.1\r\nHost: example.test", 301, `https://example.test:${secure}/x?y`],
      ["GET http://other.test HTTP/1.1\r\nHost: example.test", 301, `https://example.test:${secure}/`],
      ["OPTIONS * HTTP/1.1\r\nHost: example.test", 308, `https://example.test:${secure}/`],
      ["GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: example.test\r\nUpgrade: websocket", 301,
        `https://example.test:${secure}/socket.io/?EIO=4&transport=websocket`],
    ];
    for (const [head, status, location] of cases) assert.deepEqual(await ask(head), [status, location], head);
  });

  it("keeps method and body of others by 308", async () => {
    assert.deepEqual(await ask("POST /a HTTP/1.1\r\nHost: example.test\r\nContent-Length: 4", "data"), [
      308,
      `https://example.test:${secure}/a`,
    ]);
  });

  it("answers 400 to hosts that cannot be in an address", async () => {
    for (const host of ["", "a b", "a/b", "user@host", "a\\b", "[::1", "<x>"])
      assert.deepEqual(await ask(`GET / HTTP/1.1\r\nHost: ${host}`), [400, undefined], host);
  });
});
