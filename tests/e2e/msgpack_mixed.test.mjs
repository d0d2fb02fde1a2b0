// The msgpack parser together with compression, and with old clients.
import assert from "node:assert/strict";
import { it } from "node:test";
import io2 from "socket.io-client-2";
import msgpack from "socket.io-msgpack-parser";
import { ask, Clients } from "../lib/clients.mjs";
import { suite } from "../lib/table.mjs";
import { next } from "../lib/wait.mjs";

process.env.PARSER = "msgpack";

const text = "Compression pays for text like this. ".repeat(200);
const values = [text, { binary: Buffer.from(text), deep: [{ bytes: Buffer.from([0, 255]) }] }, "short", "", [1, 2.5, null]];

suite("msgpack, compressed", { WS_COMPRESSION: "on", HTTP_COMPRESSION: "on" }, (context) => {
  const connect = () => context.clients.connect("/", { perMessageDeflate: { threshold: 0 } });

  it("values come back as they were sent", async () => {
    const socket = await connect();
    assert.deepEqual(await ask(socket, "message-with-ack", ...values), values);
    const back = next(socket, "message-back");
    socket.emit("message", ...values);
    assert.deepEqual(await back, values);
  });

  it("a message for a room is spelled for each member", async () => {
    const plain = await context.clients.connect();
    const sockets = [plain, await connect(), await connect()];
    for (const socket of sockets) await ask(socket, "join", "mixed");
    const heard = Promise.all(sockets.map((socket) => next(socket, "said")));
    await ask(plain, "ns-to", ["mixed"], [], "said", ...values);
    for (const got of await heard) assert.deepEqual(got, values);
  });

  it("fewer bytes are on the wire", async () => {
    if (context.mode.name !== "websocket") return; // elsewhere the client asks for no compression
    const socket = await connect();
    const wire = socket.io.engine.transport.ws._socket;
    const before = [wire.bytesRead, wire.bytesWritten];
    assert.deepEqual(await ask(socket, "message-with-ack", text), [text]);
    assert.ok(wire.bytesRead - before[0] < text.length / 10, `${wire.bytesRead - before[0]} bytes came`);
    assert.ok(wire.bytesWritten - before[1] < text.length / 10, `${wire.bytesWritten - before[1]} bytes went`);
  });
});

// Clients of socket.io 2 hand their parser a callback, and packets that they call binary.
const PLAIN = { 5: 2, 6: 3 }; // types
class Encoder extends msgpack.Encoder {
  encode(packet, callback) {
    callback(super.encode({ ...packet, type: PLAIN[packet.type] ?? packet.type }));
  }
}
const parser = { protocol: msgpack.protocol, Encoder, Decoder: msgpack.Decoder };

suite("msgpack, clients of socket.io 2", { LEGACY: "on" }, (context) => {
  it("values come back as they were sent, from namespaces too", async (t) => {
    const clients = new Clients(context.server.url, context.mode, io2);
    t.after(() => clients.close());
    for (const namespace of ["/", "/custom"]) {
      const socket = await clients.connect(namespace, { parser });
      assert.deepEqual(await ask(socket, "message-with-ack", ...values), values);
      const back = next(socket, "message-back");
      socket.emit("message", ...values);
      assert.deepEqual(await back, values);
    }
  });
});
