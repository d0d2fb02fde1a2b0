// Binary values both ways, at any depth.
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { it } from "node:test";
import { ask } from "../lib/clients.mjs";
import { suite } from "../lib/table.mjs";
import { gather, next } from "../lib/wait.mjs";

const every = Buffer.from(Array.from({ length: 256 }, (_, i) => i));

const values = {
  "one value": [every],
  "an empty value": [Buffer.alloc(0)],
  "values among others": ["a", Buffer.from([1]), null, Buffer.from([2, 3]), { x: 1 }],
  "nested values": [{ a: [{ b: Buffer.from("deep") }, 1], c: Buffer.from("shallow") }, [[Buffer.from("list")]]],
  "as many as are allowed": Array.from({ length: 10 }, (_, i) => Buffer.alloc(i + 1, i)),
  "text beside binary": [{ text: "Grüße 😀", bytes: Buffer.from("Grüße 😀") }],
};

suite("binary", { MAX_PAYLOAD: 4_000_000 }, (context) => {
  for (const [what, args] of Object.entries(values)) {
    it(`sends back ${what}, as an event and as an acknowledgement`, async () => {
      const socket = await context.clients.connect("/custom");
      const back = next(socket, "message-back");
      socket.emit("message", ...args);
      assert.deepEqual(await back, args);
      assert.deepEqual(await ask(socket, "message-with-ack", ...args), args);
    });
  }

  it("takes typed arrays and array buffers", async () => {
    const socket = await context.clients.connect();
    const sent = [new Uint8Array([1, 2, 3]), new Uint8Array([4, 5]).buffer];
    const back = await ask(socket, "message-with-ack", ...sent);
    // with the msgpack parser the reference's are array buffers still
    assert.deepEqual(back.map((value) => Buffer.from(value)), [Buffer.from([1, 2, 3]), Buffer.from([4, 5])]);
  });

  it("broadcasts to a room", async () => {
    const sockets = await context.clients.many(3);
    for (const socket of sockets) await ask(socket, "join", "binary");
    const came = sockets.map((socket) => next(socket, "picture"));
    await ask(sockets[0], "ns-to", ["binary"], [], "picture", { bytes: every }, Buffer.from("2"));
    for (const one of came) assert.deepEqual(await one, [{ bytes: every }, Buffer.from("2")]);
  });

  it("keeps attachments with their packets among other messages", async () => {
    const socket = await context.clients.connect();
    const back = gather(socket, "message-back");
    for (let i = 0; i < 300; i++) {
      socket.emit("message", i, Buffer.from([i & 0xff]), Buffer.from([i >> 8]));
      socket.emit("message", `text ${i}`);
    }
    for (const [i, args] of (await back.take(600)).entries()) {
      if (i % 2) assert.deepEqual(args, [`text ${i >> 1}`]);
      else assert.deepEqual(args, [i >> 1, Buffer.from([(i >> 1) & 0xff]), Buffer.from([i >> 9])]);
    }
  });

  it("sends back a megabyte", async () => {
    const socket = await context.clients.connect();
    const sent = randomBytes(1 << 20);
    const [back] = await ask(socket, "message-with-ack", sent);
    const hash = (bytes) => createHash("sha256").update(bytes).digest("hex");
    assert.equal(hash(back), hash(sent));
  });
});
