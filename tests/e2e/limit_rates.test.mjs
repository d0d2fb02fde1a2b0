// skua's limits on how many and how fast: each is enforced, logged, and counted in the last line of the log.
import assert from "node:assert/strict";
import { connect } from "node:net";
import { after, before, describe, it } from "node:test";
import { ask, Clients, connected, modes } from "../lib/clients.mjs";
import { Raw, send } from "../lib/raw.mjs";
import { skuaIsTested, startSkuaText } from "../lib/servers.mjs";
import { next, until, within } from "../lib/wait.mjs";

const HANDSHAKE = "/socket.io/?EIO=4&transport=polling";
const UPGRADE =
  "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
  "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

const [websocket] = modes;

// A server with these limits, for the tests of the body; counted: what its last line must tell.
function limited(limits, body, counted) {
  describe(`limits { ${limits} }`, { skip: !skuaIsTested }, () => {
    const context = {};
    before(async () => {
      context.server = await startSkuaText(`
listen "127.0.0.1:0"
limits { ${limits} }
local root = namespace "/"
root:on("echo", function(_, ...) return ... end)
root:on("volatile", function(socket, count, text)
  for i = 1, count do socket:volatile():emit("news", i, text) end
end)
root:on("emit", function(socket, count, text)
  for i = 1, count do socket:emit("news", i, text) end
end)
`);
      context.clients = new Clients(context.server.url, websocket);
    });
    body(context);
    after(async () => {
      context.clients.close();
      await context.server.stop();
      const [closing] = context.server.log(/\bclosing\b/);
      for (const pattern of counted) assert.match(closing, pattern);
    });
  });
}

// A session over polling that polls when it is told to.
class Polling {
  constructor(server) {
    this.server = server;
  }

  async open() {
    const { body } = await send(this.server, { path: HANDSHAKE });
    this.path = `${HANDSHAKE}&sid=${JSON.parse(body.slice(1)).sid}`;
    await this.post("40");
    assert.match((await this.poll()).body, /^40\{"sid"/);
    return this;
  }

  post(body) {
    return send(this.server, { method: "POST", path: this.path, headers: { "Content-Type": "text/plain" }, body });
  }

  poll() {
    return send(this.server, { path: this.path });
  }
}

limited("connections_per_address = 3", (context) => {
  it("closes more connections of one address, and takes those of others", async () => {
    const held = await context.clients.many(3);
    const late = new Raw(context.server).write(UPGRADE);
    await within(late.end, "the end of the fourth connection");
    assert.equal(late.text, "");
    await context.server.logged(/warn connection refused: its address has too many address=127\.0\.0\.1 limit=3/);

    const other = connect({ port: context.server.port, host: "127.0.0.1", localAddress: "127.0.0.2" });
    other.write(UPGRADE);
    assert.match(String((await next(other, "data"))[0]), /^HTTP\/1\.1 101 /);
    other.destroy();

    held[0].disconnect();
    const again = await until(async () => {
      const socket = context.clients.socket();
      return connected(socket).then(() => socket, () => null);
    }, "there is room again");
    assert.deepEqual(await ask(again, "echo", 1), [1]);
  });
}, [/\brefused_address_connections=[1-9]/]);

limited("handshakes_per_second = 5", (context) => {
  const statuses = async (count) =>
    (await Promise.all(Array.from({ length: count }, () => send(context.server, { path: HANDSHAKE })))).map(({ status }) => status);

  it("answers 503 to more of them, upgrades too, and lets clients in later", async () => {
    const seen = await statuses(40);
    assert.ok(seen.filter((status) => status === 200).length >= 5);
    assert.ok(seen.includes(503));
    assert.deepEqual(seen.filter((status) => status !== 200 && status !== 503), []);
    await context.server.logged(/warn handshake refused: too many a second address=127\.0\.0\.1 limit=5/);

    const raw = await until(async () => {
      await statuses(10);
      const one = new Raw(context.server).write(UPGRADE);
      await until(() => one.text, "an answer to the upgrade");
      one.socket.destroy();
      return one.text.startsWith("HTTP/1.1 503 ") ? one : null;
    }, "an upgrade is refused");
    assert.match(raw.text, /^HTTP\/1\.1 503 Service Unavailable\r\nConnection: close\r\n/);

    await statuses(10);
    const socket = context.clients.socket("/", { reconnection: true, reconnectionDelay: 50 });
    await until(() => socket.connected, "the client has come in");
    assert.deepEqual(await ask(socket, "echo", 1), [1]);
  });
}, [/\brefused_handshakes=[1-9]/]);

limited("events_per_second = 50", (context) => {
  it("takes a second's worth at once", async () => {
    const socket = await context.clients.connect();
    const answers = await Promise.all(Array.from({ length: 50 }, (_, i) => ask(socket, "echo", i)));
    assert.deepEqual(answers, Array.from({ length: 50 }, (_, i) => [i]));
    assert.ok(socket.connected);
  });

  it("closes the connection of a socket that sends more, and no other", async () => {
    const witness = await context.clients.connect();
    const socket = await context.clients.connect();
    const told = next(socket, "disconnect");
    for (let i = 0; i < 500; i++) socket.emit("echo", i);
    assert.equal((await told)[0], "transport close");
    await context.server.logged(/warn too many events, connection closed socket=\S+ address=127\.0\.0\.1 namespace=\/ limit=50/);
    assert.deepEqual(await ask(witness, "echo", 1), [1]);
  });
}, [/\btoo_many_events=1\b/]);

limited("packets_per_payload = 10", (context) => {
  const payload = (count) => Array(count).fill('42["echo"]').join("\x1e");

  it("takes so many packets in one body, and ends the session over one more", async () => {
    const session = await new Polling(context.server).open();
    assert.equal((await session.post(payload(10))).body, "ok");
    assert.equal((await session.post(payload(10))).body, "ok");
    assert.equal((await session.post(payload(11))).body, "ok");
    assert.match((await session.poll()).body, /Session ID unknown/);
    await context.server.logged(/warn too many packets in a payload, session closed session=\S+ address=127\.0\.0\.1 limit=10/);
  });
}, [/\btoo_many_packets=1\b/]);

const news = (body) => body.split("\x1e").filter((packet) => packet.startsWith('42["news"'));

limited('backlog = "64KB"', (context) => {
  it("drops volatile events between polls, and closes over others", async () => {
    const session = await new Polling(context.server).open();
    await session.post(`42["volatile",5,"${"x".repeat(1000)}"]\x1e420["echo"]`);
    const { body } = await session.poll();
    assert.deepEqual(news(body), []);
    await session.post(`42["emit",100,"${"x".repeat(1000)}"]`);
    assert.match((await session.poll()).body, /Session ID unknown/);
    await context.server.logged(/warn too much queued for a slow client, session closed .*limit=65536/);
  });
}, [/\bdropped_volatile=5\b/, /\bfull_backlogs=1\b/]);

limited('backlog = "64KB", backlog_policy = "drop_volatile"', (context) => {
  it("keeps volatile events until half of the backlog is queued, and closes over others", async () => {
    const session = await new Polling(context.server).open();
    await session.post(`42["volatile",100,"${"x".repeat(1000)}"]\x1e420["echo"]`);
    const { body } = await session.poll();
    const kept = news(body);
    assert.ok(kept.length >= 30 && kept.length <= 33, `${kept.length} were kept`);
    assert.match(kept[0], /^42\["news",1,/);
    assert.match(body, /430\[\]/);
    await context.server.logged(/info volatile events dropped for a slow client session=\S+ address=127\.0\.0\.1 queued=3\d{4} limit=32768/);
    await session.post(`42["emit",100,"${"x".repeat(1000)}"]`);
    assert.match((await session.poll()).body, /Session ID unknown/);
  });
}, [/\bdropped_volatile=(6[789]|70)\b/, /\bfull_backlogs=1\b/]);

limited('header_bytes = "1KB", http_headers = "200ms", http_body = "300ms", http_idle = "100ms", max_payload = "1KB", attachments = 2', (context) => {
  const answer = async (text) => {
    const raw = new Raw(context.server).write(text);
    await within(raw.end, "the end of the connection");
    return raw.text;
  };
  const told = (counter, limit) =>
    context.server.logged(new RegExp(`info request refused: too large or too slow address=127\\.0\\.0\\.1 counter=${counter} limit=${limit}`));

  it("refuses large heads", async () => {
    assert.match(await answer(`GET / HTTP/1.1\r\nHost: x\r\nCookie: ${"x".repeat(2000)}\r\n\r\n`), /^HTTP\/1\.1 431 /);
    await told("too_large_headers", 1024);
  });

  it("does not wait long for heads", async () => {
    assert.match(await answer("GET / HTTP/1.1\r\nHost: x\r\n"), /^HTTP\/1\.1 408 /);
    await told("slow_headers", 200);
  });

  it("does not wait long for bodies", async () => {
    const { body } = await send(context.server, { path: HANDSHAKE });
    const { sid } = JSON.parse(body.slice(1));
    assert.match(await answer(`POST ${HANDSHAKE}&sid=${sid} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n4`), /^HTTP\/1\.1 408 /);
    await told("slow_bodies", 300);
  });

  it("closes idle connections without a word", async () => {
    assert.match(await answer("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), /^HTTP\/1\.1 404 [^]*\r\n\r\n$/);
  });

  it("refuses large bodies, and packets with many attachments", async () => {
    const session = await new Polling(context.server).open();
    assert.equal((await session.post("4".repeat(1025))).status, 413);
    await context.server.logged(/warn payload too large session=\S+ address=127\.0\.0\.1 size=1025 limit=1024/);
    const socket = await context.clients.connect();
    const gone = next(socket, "disconnect");
    socket.emit("echo", Buffer.from("1"), Buffer.from("2"), Buffer.from("3"));
    await gone;
    await context.server.logged(/info undecodable packet session=\S+ error="too many attachments"/);
  });
}, [
  /\btoo_large_headers=1\b/,
  /\bslow_headers=1\b/,
  /\bslow_bodies=1\b/,
  /\btoo_large_payloads=1\b/,
  /\btoo_many_attachments=1\b/,
]);
