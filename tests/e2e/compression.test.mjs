// Compression of WebSocket messages and of answers to polls, with the reference's own clients.
import assert from "node:assert/strict";
import { afterEach, it } from "node:test";
import { gunzipSync, inflateSync } from "node:zlib";
import WebSocket from "ws";
import { ask, modes } from "../lib/clients.mjs";
import { PollingSession } from "../lib/raw.mjs";
import { rawSuite, suite } from "../lib/table.mjs";
import { next, until } from "../lib/wait.mjs";

const env = { WS_COMPRESSION: "on", HTTP_COMPRESSION: "on" };
const text = "Compression pays for text like this. ".repeat(200);
const bytes = Buffer.from(text);

// Bytes of TCP, both ways, of a client's WebSocket.
const traffic = (socket) => socket.io.engine.transport.ws._socket;

// In Node the client polls without Accept-Encoding, and offers the extension if it is told to; browsers do both.
suite("compressed", env, (context) => {
  const connect = () => context.clients.connect("/", { perMessageDeflate: { threshold: 0 } });

  it("acknowledgements of texts and binaries come as they were sent", async () => {
    const socket = await connect();
    const values = [text, { binary: bytes }, "short", "", [1, 2.5, null], "é€😀".repeat(500)];
    assert.deepEqual(await ask(socket, "message-with-ack", ...values), values);
  });

  it("events come back in their order", async () => {
    const socket = await connect();
    for (let i = 0; i < 20; i++) {
      socket.emit("message", i, i % 2 ? text : "small", i % 3 ? bytes : null);
      const [number, first, second] = await next(socket, "message-back");
      assert.deepEqual([number, first, second], [i, i % 2 ? text : "small", i % 3 ? bytes : null]);
    }
  });
});

suite(
  "bytes on the wire",
  env,
  (context) => {
    it("are fewer for what is long, in both directions", async () => {
      const socket = await context.clients.connect("/", { perMessageDeflate: { threshold: 0 } });
      const wire = traffic(socket);
      const before = [wire.bytesRead, wire.bytesWritten];
      assert.deepEqual(await ask(socket, "message-with-ack", text), [text]);
      assert.ok(wire.bytesRead - before[0] < text.length / 10, `${wire.bytesRead - before[0]} bytes came`);
      assert.ok(wire.bytesWritten - before[1] < text.length / 10, `${wire.bytesWritten - before[1]} bytes went`);
    });

    it("are the same for what is short", async () => {
      const socket = await context.clients.connect("/", { perMessageDeflate: true });
      const before = traffic(socket).bytesRead;
      await ask(socket, "message-with-ack", "a".repeat(500));
      assert.ok(traffic(socket).bytesRead - before > 500);
    });
  },
  modes.filter(({ name }) => name === "websocket"),
);

rawSuite("the extension", env, (context) => {
  const open = [];
  afterEach(() => open.splice(0).forEach((socket) => socket.terminate()));

  async function connect(options) {
    const socket = new WebSocket(`${context.server.url.replace("http", "ws")}/socket.io/?EIO=4&transport=websocket`, options);
    open.push(socket);
    socket.messages = [];
    socket.on("message", (data) => socket.messages.push(data.toString()));
    const [response] = await next(socket, "upgrade");
    await until(() => socket.messages.length === 1, "the open packet");
    socket.send("40");
    await until(() => socket.messages.length === 3, "the namespace and its first event");
    return { socket, answer: response.headers["sec-websocket-extensions"] };
  }

  const parameters = (answer) => new Set(answer.split("; "));
  const both = ["permessage-deflate", "server_no_context_takeover", "client_no_context_takeover"];

  it("is agreed on without contexts", async () => {
    const { answer } = await connect({ perMessageDeflate: true });
    assert.deepEqual(parameters(answer), new Set(both));
  });

  it("keeps to the window that the client can hold", async () => {
    for (const bits of [9, 12, 15]) {
      const { socket, answer } = await connect({ perMessageDeflate: { serverMaxWindowBits: bits, clientMaxWindowBits: bits } });
      assert.ok(parameters(answer).has(`server_max_window_bits=${bits}`), answer);
      socket.send(`420["message-with-ack","${text}"]`);
      await until(() => socket.messages.length === 4, "the answer");
      assert.equal(socket.messages[3], `430["${text}"]`);
    }
  });

  it("is not there for who does not ask", async () => {
    const { answer } = await connect({ perMessageDeflate: false });
    assert.equal(answer, undefined);
  });

  it("lets nobody send more than the limit in disguise", async () => {
    const { socket } = await connect({ perMessageDeflate: true });
    socket.send(`42["message","${"a".repeat(1000001)}"]`);
    const [code] = await next(socket, "close");
    assert.equal(code, 1009);
  });
});

rawSuite("answers to polls", env, (context) => {
  async function joined() {
    const session = await new PollingSession(context.server).open();
    await session.join();
    return session;
  }

  it("are compressed as the client wants them", async () => {
    const session = await joined();
    for (const [accept, coding, unpack] of [
      ["gzip, deflate, br", "gzip", gunzipSync],
      ["deflate, gzip;q=0.5", "deflate", inflateSync],
      ["br", undefined, (body) => body],
      ["gzip;q=0", undefined, (body) => body],
    ]) {
      await session.post(`42["message","${text}"]`);
      const answer = await session.poll({ "accept-encoding": accept });
      assert.equal(answer.headers["content-encoding"], coding, accept);
      assert.equal(answer.headers["transfer-encoding"], coding && "chunked");
      assert.equal(unpack(answer.bytes).toString(), `42["message-back","${text}"]`);
    }
  });

  it("are not when all was said to be plain", async () => {
    const session = await joined();
    const accept = { "accept-encoding": "gzip" };
    await session.post(`42["message-plain","${text}"]`);
    const plain = await session.poll(accept);
    assert.equal(plain.headers["content-encoding"], undefined);
    assert.equal(plain.body, `42["message-back","${text}"]`);
    await session.post(`42["message-plain","${text}"]\x1e42["message","x"]`);
    assert.equal((await session.poll(accept)).headers["content-encoding"], "gzip");
  });

  it("to posts are never", async () => {
    const session = await joined();
    const answer = await session.post("3", { "accept-encoding": "gzip" });
    assert.equal(answer.body, "ok");
    assert.equal(answer.headers["content-encoding"], undefined);
  });
});
