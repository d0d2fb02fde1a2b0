// HTTP at its edges: malformed requests, foreign paths and upgrades, keep-alive.
import assert from "node:assert/strict";
import { it } from "node:test";
import { Raw, send, upgradeRequest } from "../lib/raw.mjs";
import { rawSuite } from "../lib/table.mjs";

const TARGET = "/socket.io/?EIO=4&transport=polling";
const BAD = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n";

// What the reference lets through on a Node before 20, whose HTTP it is.
const LENIENT = new Set(["a space in a header's name", "no Host"]);

rawSuite("HTTP", {}, (context) => {
  const lenient = context.name === "reference" && Number.parseInt(process.versions.node) < 20;
  const skipped = (what) => ({ skip: lenient && LENIENT.has(what) && "this Node lets it through" });
  const raw = (text) => new Raw(context.server).write(text);

  for (const [what, text] of Object.entries({
    "no HTTP at all": "hello\r\n\r\n",
    "TLS": "\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03",
    "an unknown method": `FETCH ${TARGET} HTTP/1.1\r\nHost: a\r\n\r\n`,
    "a header without a colon": `GET ${TARGET} HTTP/1.1\r\nHost: a\r\nbroken\r\n\r\n`,
    "a space in a header's name": `GET ${TARGET} HTTP/1.1\r\nHost: a\r\nX Y: z\r\n\r\n`,
    "two different lengths": `POST ${TARGET} HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx`,
    "a length beside chunks": `POST ${TARGET} HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    "a length that is no number": `POST ${TARGET} HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n`,
    "a NUL in a header": `GET ${TARGET} HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n`,
  })) {
    it(`answers ${what} with 400 and closes`, skipped(what), async () => {
      const connection = raw(text);
      assert.equal(await connection.untilClosed(), BAD);
    });
  }

  it("answers a request without Host with 400", skipped("no Host"), async () => {
    const connection = raw(`GET ${TARGET} HTTP/1.1\r\n\r\n`);
    await connection.untilClosed();
    assert.match(connection.text, /^HTTP\/1\.1 400 Bad Request\r\nConnection: close\r\nDate: /);
  });

  it("answers headers over 16 KiB with 431 and closes", async () => {
    const connection = raw(`GET ${TARGET} HTTP/1.1\r\nHost: a\r\nX: ${"x".repeat(20_000)}\r\n\r\n`);
    await connection.untilClosed();
    assert.match(connection.text, /^HTTP\/1\.1 431 Request Header Fields Too Large\r\nConnection: close\r\n\r\n/);
  });

  it("keeps the connection for the next request, and says so", async () => {
    const connection = raw(`GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n`);
    await connection.until(/0\r\n\r\n$|Content-Length: 0[^]*\r\n\r\n$/i);
    assert.match(connection.text, /^HTTP\/1\.1 404 Not Found\r\n[^]*Connection: keep-alive\r\nKeep-Alive: timeout=5\r\n/);
    connection.text = "";
    connection.write(`GET ${TARGET} HTTP/1.1\r\nHost: a\r\n\r\n`);
    await connection.until(/maxPayload":\d+}$/);
    connection.destroy();
  });

  it("closes when the client asks for it, and for HTTP/1.0", async () => {
    for (const text of [`GET ${TARGET} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`, `GET ${TARGET} HTTP/1.0\r\n\r\n`]) {
      const connection = raw(text);
      await connection.untilClosed();
      assert.match(connection.text, /^HTTP\/1\.1 200 OK\r\n[^]*Connection: close\r\n[^]*maxPayload":\d+}$/);
    }
  });

  it("answers pipelined requests in their order", async () => {
    const paths = ["/socket.io/?EIO=4&transport=a", "/nothing", TARGET, "/socket.io/?EIO=4&transport=polling&sid=b"];
    const connection = raw(paths.map((path) => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`).join(""));
    await connection.until(/Session ID unknown"}\r\n0\r\n\r\n$/);
    const statuses = [...connection.text.matchAll(/HTTP\/1\.1 (\d+) /g)].map(([, status]) => status);
    assert.deepEqual(statuses, ["400", "404", "200", "400"]);
    connection.destroy();
  });

  it("answers Expect: 100-continue", async () => {
    const { body } = await send(context.server, { path: TARGET });
    const { sid } = JSON.parse(body.slice(1));
    const connection = raw(`POST ${TARGET}&sid=${sid} HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n`);
    await connection.until(/^HTTP\/1\.1 100 Continue\r\n\r\n/);
    connection.write("3");
    await connection.until(/ok$/);
    connection.destroy();
  });

  for (const [path, status] of [
    ["/socket.io", 404],
    ["/SOCKET.IO/?EIO=4&transport=polling", 404],
    ["/socket%2eio/?EIO=4&transport=polling", 404],
    ["/x/socket.io/?EIO=4&transport=polling", 404],
    ["/socket.io//?EIO=4&transport=polling", 200],
    ["/socket.io/x/y?EIO=4&transport=polling", 200],
    ["/socket.io/?transport=polling&EIO=4&EIO=3", 400],
    ["/socket.io/?EIO=3&transport=x&EIO=4&transport=polling", 200],
    ["/socket.io/?EIO=4&transport=p%6flling", 200],
    ["/socket.io/?EIO=4&transport=Polling", 400],
    ["/socket.io/?EIO=4&transport=polling&sid=", 200],
    ["/socket.io/?EIO=4&transport=webtransport", 400],
  ]) {
    it(`${path}: ${status}`, async () => assert.equal((await send(context.server, { path })).status, status));
  }

  it("leaves a foreign upgrade without a word, and ends it after a second", async () => {
    const begin = process.hrtime.bigint();
    const connection = raw(upgradeRequest("/elsewhere"));
    await connection.untilClosed();
    assert.equal(connection.text, "");
    assert.ok(process.hrtime.bigint() - begin > 900_000_000n, "it waits for others to answer");
  });

  for (const [what, request, text] of [
    ["another protocol", upgradeRequest("/socket.io/?EIO=4&transport=websocket").replace("Upgrade: websocket", "Upgrade: h2c"), "Invalid Upgrade header"],
    ["no key", upgradeRequest("/socket.io/?EIO=4&transport=websocket").replace(/Sec-WebSocket-Key.*\r\n/, ""), "Missing or invalid Sec-WebSocket-Key header"],
    ["a short key", upgradeRequest("/socket.io/?EIO=4&transport=websocket").replace("dGhl", ""), "Missing or invalid Sec-WebSocket-Key header"],
    ["another version", upgradeRequest("/socket.io/?EIO=4&transport=websocket").replace("Version: 13", "Version: 12"), "Missing or invalid Sec-WebSocket-Version header"],
    ["another method", upgradeRequest("/socket.io/?EIO=4&transport=websocket").replace("GET", "POST"), "Bad handshake method"],
  ]) {
    it(`refuses an upgrade with ${what}`, async () => {
      const connection = raw(request);
      await connection.untilClosed();
      assert.match(connection.text, /^HTTP\/1\.1 400 Bad Request\r\nConnection: close\r\nContent-[Tt]ype: text\/html\r\n/);
      assert.match(connection.text, new RegExp(`Content-Length: ${text.length}\\r\\n([^]*\\r\\n)?\\r\\n${text}$`));
      if (what === "another version") assert.match(connection.text, /Sec-WebSocket-Version: 13, 8\r\n/);
    });
  }

  it("echoes the first subprotocol that is offered", async () => {
    const connection = raw(upgradeRequest("/socket.io/?EIO=4&transport=websocket", "Sec-WebSocket-Protocol: one, two\r\n"));
    await connection.until(/maxPayload/);
    assert.match(connection.text, /^Sec-WebSocket-Protocol: one\r$/m);
    connection.destroy();
  });

  it("takes a frame that comes with the request", async () => {
    const connection = raw(upgradeRequest("/socket.io/?EIO=4&transport=websocket") + "\x81\x82\0\0\0\x0040");
    await connection.until(/40\{"sid":"[\w-]{20}"\}/);
    connection.destroy();
  });
});
