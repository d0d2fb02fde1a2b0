// Every generation of clients, from 2.5 (Engine.IO 3) to the newest, in every way to connect.
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import io25 from "socket.io-client-2";
import { io as io31 } from "socket.io-client-3";
import { io as io48 } from "socket.io-client";
import { io as io40 } from "socket.io-client-4.0";
import { ask, ask1, Clients, connected } from "../lib/clients.mjs";
import { servers } from "../lib/servers.mjs";
import { suite } from "../lib/table.mjs";
import { gather, next, until, within } from "../lib/wait.mjs";

const generations = [
  { name: "2.5", connect: io25, old: true },
  { name: "3.1", connect: io31 },
  { name: "4.0", connect: io40 },
  { name: "4.8", connect: io48 },
];

const bytes = Buffer.from([0, 1, 2, 250, 255]);
const values = ["text ü 😀", 1.5, null, [], {}, { nested: [{ deep: true }] }];

// What a namespace refuses with: old clients get the data alone, or the message.
async function refusal(socket, { old }) {
  if (old) return (await next(socket, "error"))[0];
  const [error] = await next(socket, "connect_error");
  return error.data ?? error.message;
}

// How a client says who it is: in the address, or as auth.
function withToken(clients, { old }, namespace, token) {
  return old ? clients.socket(`${namespace}?token=${token}`) : clients.socket(namespace, { auth: { token } });
}

suite("clients of every generation", { LEGACY: "on" }, (context) => {
  for (const generation of generations) {
    describe(generation.name, () => {
      let clients;
      before(() => {
        clients = new Clients(context.server.url, context.mode, generation.connect);
      });
      after(() => clients.close());

      it("events and acknowledgements, both ways", async () => {
        const socket = await clients.connect();
        const back = next(socket, "message-back");
        socket.emit("message", ...values);
        assert.deepEqual(await back, values);
        assert.deepEqual(await ask(socket, "message-with-ack", ...values), values);
        assert.deepEqual(await ask(socket, "no-values"), []);
        socket.on("question", (a, b, answer) => answer(a + b, "and more"));
        assert.deepEqual(await ask(socket, "ask-me", "question", 1, 2), [true, 3, "and more"]);
      });

      it("binary, both ways, at any depth", async () => {
        const socket = await clients.connect();
        const sent = [bytes, { a: [bytes, "text"], empty: Buffer.alloc(0) }];
        const back = next(socket, "message-back");
        socket.emit("message", ...sent);
        assert.deepEqual(await back, sent);
        assert.deepEqual(await ask(socket, "message-with-ack", ...sent), sent);
      });

      it("many messages, in order", async () => {
        const socket = await clients.connect();
        const back = gather(socket, "message-back");
        for (let i = 0; i < 500; i++) socket.emit("message", i, i % 7 ? "ü😀".repeat(i % 13) : Buffer.alloc(i, 1));
        for (const [i, [number, what]] of (await back.take(500)).entries()) {
          assert.equal(number, i);
          assert.equal(what.length, i % 7 ? (i % 13) * 3 : i);
        }
      });

      it("rooms", async () => {
        const room = `${generation.name} ${context.mode.name}`;
        const [member, other] = [await clients.connect(), await clients.connect()];
        assert.deepEqual(await ask1(member, "join", room), [member.id, room]);
        const came = next(member, "said");
        const passed = gather(other, "said");
        await ask(other, "ns-to", [room], [], "said", "text", bytes);
        assert.deepEqual(await came, ["text", bytes]);
        const direct = next(other, "said");
        await ask(member, "to", [other.id], "said", "directly");
        assert.deepEqual(await direct, ["directly"]);
        assert.equal(passed.all.length, 1);
      });

      it("namespaces, with what they are told", async () => {
        const socket = withToken(clients, generation, "/custom", "a%20b");
        assert.deepEqual(await next(socket, "auth"), [{ token: generation.old ? "a b" : "a%20b" }]);
        await connected(socket);
        assert.deepEqual(await ask(socket, "message-with-ack", 1, bytes), [1, bytes]);
        const [id, transport] = await ask(socket, "whoami");
        assert.equal(id, socket.id);
        assert.equal(transport, context.mode.transports.at(-1) === "websocket" ? transport : "polling");
      });

      it("a namespace that refuses, and lets in", async () => {
        assert.deepEqual(await refusal(withToken(clients, generation, "/admin", "wrong"), generation), { code: 401 });
        assert.equal(await refusal(clients.socket("/plain-refusal"), generation), "no");
        const unknown = await refusal(clients.socket("/nowhere"), generation);
        assert.deepEqual(unknown, generation.old ? { message: "Invalid namespace" } : "Invalid namespace");
        const admitted = withToken(clients, generation, "/admin", "s3cret");
        await connected(admitted);
        assert.deepEqual(await ask(admitted, "message-with-ack", 1), [1]);
      });

      it("leaving, by either side", async () => {
        const [left, thrown, witness] = [await clients.connect(), await clients.connect(), await clients.connect()];
        const { id } = left;
        left.disconnect();
        const seen = await until(() => ask1(witness, "goodbye", id), "the server has seen it go");
        assert.match(seen.disconnect, /^(client namespace disconnect|transport close)$/);
        const told = next(thrown, "disconnect");
        thrown.emit("bye", false);
        assert.equal((await told)[0], "io server disconnect");
      });
    });
  }
});

suite("clients of every generation together", { LEGACY: "on" }, (context) => {
  it("receive one broadcast, each in its own form", async () => {
    const sets = generations.map(({ connect }) => new Clients(context.server.url, context.mode, connect));
    const sockets = (await Promise.all(sets.map((clients) => clients.many(3)))).flat();
    const came = sockets.map((socket) => gather(socket, "all"));
    for (let i = 0; i < 5; i++) await ask(sockets[i], "everybody", "all", i, bytes, { more: [Buffer.from([i])] });
    for (const one of came)
      for (const [i, args] of (await one.take(5)).entries()) assert.deepEqual(args, [i, bytes, { more: [Buffer.from([i])] }]);
    for (const clients of sets) clients.close();
  });
});

suite("the heartbeat of old clients", { LEGACY: "on", PING_INTERVAL: 100, PING_TIMEOUT: 150 }, (context) => {
  it("keeps them for longer than both of its times", async () => {
    const clients = new Clients(context.server.url, context.mode, io25);
    const socket = await clients.connect();
    const pongs = gather(socket.io, "pong");
    const gone = gather(socket, "disconnect");
    await pongs.take(6);
    assert.deepEqual(await ask(socket, "message-with-ack", 1), [1]);
    assert.equal(gone.all.length, 0);
    clients.close();
  });

  // The reference stops its clock at the upgrade and never ends those.
  const endless = context.name === "reference" && context.mode.name === "upgrade";

  it("ends those that are silent", { skip: endless }, async () => {
    const clients = new Clients(context.server.url, context.mode, io25);
    const [witness, socket] = [await context.clients.connect(), await clients.connect()];
    const { id } = socket;
    const { engine } = socket.io; // sends no more pings, and misses no pong
    engine.onHeartbeat = engine.sendPacket = () => {};
    engine.removeAllListeners("heartbeat"); // what still arrives would start its own time-out again
    clearTimeout(engine.pingTimeoutTimer);
    const seen = await until(() => ask1(witness, "goodbye", id), "the server has seen it go");
    assert.equal(seen.disconnect, "ping timeout");
    clients.close();
  });
});

for (const under of servers) {
  describe(`${under.name}: without legacy clients`, () => {
    let server;
    before(async () => {
      server = await under.start({});
    });
    after(() => server.stop());

    it("old ones are told that their protocol is not spoken", async () => {
      for (const mode of [["polling"], ["websocket"]]) {
        const socket = io25(server.url, { transports: mode, reconnection: false, forceNew: true });
        await within(new Promise((resolve) => socket.once("connect_error", resolve)), "the refusal");
        socket.close();
      }
    });
  });
}
