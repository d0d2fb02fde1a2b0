// The msgpack parser: the suites that others pass as JSON, and what only MessagePack can carry.
import assert from "node:assert/strict";
import { it } from "node:test";
import { decode, encode } from "notepack.io";
import { Socket } from "engine.io-client";
import { ask, modes } from "../lib/clients.mjs";
import { suite } from "../lib/table.mjs";
import { next, until } from "../lib/wait.mjs";

process.env.PARSER = "msgpack";
for (const name of ["binary", "events", "namespaces", "rooms"]) await import(`./${name}.test.mjs`);

suite("msgpack", { MAX_PAYLOAD: 4_000_000 }, (context) => {
  const numbers = [
    0, 1, 127, 128, 255, 256, 65535, 65536, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1, -1, -32, -33, -128, -129, -32768,
    -32769, -(2 ** 31), -(2 ** 31) - 1, 1 - 2 ** 53, 0.5, -1.25, 1e-7, Math.PI, Number.MIN_VALUE, Number.MAX_VALUE,
  ];

  it("sends numbers of every width back", async () => {
    const socket = await context.clients.connect();
    const sent = numbers.filter((value) => value !== Number.MAX_VALUE); // which the parser itself cannot write
    assert.deepEqual(await ask(socket, "message-with-ack", ...sent), sent);
  });

  it("sends texts and containers of every width back", async () => {
    const socket = await context.clients.connect();
    for (const size of [0, 15, 16, 31, 32, 255, 256, 65535, 65536]) {
      const list = Array.from({ length: size }, (_, i) => i & 7);
      const object = Object.fromEntries(list.map((value, i) => [`key ${i}`, value]));
      assert.deepEqual(await ask(socket, "message-with-ack", "x".repeat(size), list, object), ["x".repeat(size), list, object]);
    }
  });

  it("sends binary values of every width back", async () => {
    const socket = await context.clients.connect();
    for (const size of [0, 255, 256, 65535, 65536]) {
      const sent = [Buffer.alloc(size, 7), { deep: [Buffer.alloc(size, 8)] }];
      assert.deepEqual(await ask(socket, "message-with-ack", ...sent), sent);
    }
  });

  it("leaves an object that looks like a placeholder alone", async () => {
    const socket = await context.clients.connect();
    const sent = [{ _placeholder: true, num: 7 }];
    assert.deepEqual(await ask(socket, "message-with-ack", ...sent), sent);
  });

  it("speaks of undefined and dates in JSON's words", async () => {
    if (context.name !== "skua") return; // the reference hands the objects themselves on
    const socket = await context.clients.connect();
    const sent = [undefined, { gone: undefined, kept: 1 }, new Date(1e12), new Date(-1), new Date(-62198755200000)];
    assert.deepEqual(await ask(socket, "message-with-ack", ...sent), JSON.parse(JSON.stringify(sent)));
  });
});

// The engine's client alone: packets that no client would send.
suite("msgpack on the wire", {}, (context) => {
  async function open() {
    const socket = new Socket(context.server.url.replace("http", "ws"), { path: "/socket.io/", transports: context.mode.transports });
    socket.binaryType = "nodebuffer";
    const packets = [];
    socket.on("message", (message) => packets.push(decode(message)));
    await next(socket, "open");
    const say = (packet) => socket.send(Buffer.isBuffer(packet) ? packet : encode(packet));
    say({ type: 0, nsp: "/" });
    const [connect, auth] = await until(() => packets.length >= 2 && packets.splice(0), "the socket has been greeted");
    assert.equal(connect.type, 0);
    assert.match(connect.data.sid, /^[\w-]{20}$/);
    assert.deepEqual(auth, { type: 2, data: ["auth", {}], nsp: "/" });
    return { socket, packets, say };
  }

  it("writes the keys of a packet in the reference's order", async () => {
    const { socket, packets, say } = await open();
    say({ type: 2, data: ["message-with-ack", 1], id: 300, nsp: "/" });
    const answer = await until(() => packets.shift(), "the answer");
    assert.deepEqual(Object.entries(answer), Object.entries({ id: 300, type: 3, data: [1], nsp: "/" }));
    say({ nsp: "/nowhere", unknown: [{ key: 1 }], data: { token: 1 }, type: 0 });
    const refusal = await until(() => packets.shift(), "the refusal");
    assert.deepEqual(refusal, { type: 4, data: { message: "Invalid namespace" }, nsp: "/nowhere" });
    socket.close();
  });

  const faults = {
    "text": "2[\"x\"]",
    "nothing": Buffer.alloc(0),
    "bytes that are no MessagePack": Buffer.from([0xc1]),
    "a packet that is cut off": encode({ type: 2, data: ["x"], nsp: "/" }).subarray(0, -1),
    "bytes behind a packet": Buffer.concat([encode({ type: 2, data: ["x"], nsp: "/" }), Buffer.from([0])]),
    "a list of four thousand million": Buffer.from([0x82, 0xa4, ...Buffer.from("type"), 2, 0xa4, ...Buffer.from("data"), 0xdd, 255, 255, 255, 255]),
    "no object": encode([2, ["x"]]),
    "no type": encode({ data: ["x"], nsp: "/" }),
    "an unknown type": encode({ type: 5, data: ["x"], nsp: "/" }),
    "half a type": encode({ type: 1.5, data: ["x"], nsp: "/" }),
    "no namespace": encode({ type: 2, data: ["x"] }),
    "data that is no list": encode({ type: 2, data: { 0: "x" }, nsp: "/" }),
    "a disconnect with data": encode({ type: 1, data: [], nsp: "/" }),
    "an id that is text": encode({ type: 2, data: ["x"], nsp: "/", id: "1" }),
    "a second connect": encode({ type: 0, nsp: "/" }),
  };
  for (const [what, packet] of Object.entries(faults)) {
    it(`closes the connection over ${what}`, async () => {
      const { socket } = await open();
      const closed = next(socket, "close");
      socket.send(packet);
      await closed;
    });
  }

  it("closes the connection over more binary values than are allowed", async () => {
    if (context.name !== "skua") return; // the reference has no limit here
    const { socket, packets, say } = await open();
    const values = (count) => Array.from({ length: count }, (_, i) => Buffer.from([i]));
    say({ type: 2, data: ["message-with-ack", ...values(10)], id: 1, nsp: "/" });
    assert.deepEqual((await until(() => packets.shift(), "the answer")).data, values(10));
    const closed = next(socket, "close");
    say({ type: 2, data: ["message-with-ack", ...values(11)], id: 2, nsp: "/" });
    await closed;
  });
}, modes.filter(({ name }) => name !== "upgrade"));
