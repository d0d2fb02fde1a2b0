// How connections end and begin again, and what both sides are told.
import assert from "node:assert/strict";
import { it } from "node:test";
import { Socket as Engine } from "engine.io-client";
import { WebSocket } from "ws";
import { ask, ask1, connected, modes, upgraded } from "../lib/clients.mjs";
import { suite } from "../lib/table.mjs";
import { gather, next, until, within } from "../lib/wait.mjs";

// What the server noted of a socket that left, told to another one.
function goodbye(witness, id) {
  return until(() => ask1(witness, "goodbye", id), "the server has seen it go");
}

suite("disconnecting", {}, (context) => {
  async function pair(namespace = "/") {
    return context.clients.many(2, namespace);
  }

  it("by the client: the server sees its rooms, then none, and why", async () => {
    const [socket, witness] = await pair();
    const { id } = socket;
    await ask(socket, "join", "a");
    const told = next(socket, "disconnect");
    socket.disconnect();
    assert.equal((await told)[0], "io client disconnect");
    assert.deepEqual(await goodbye(witness, id), {
      disconnecting: "client namespace disconnect",
      disconnect: "client namespace disconnect",
      rooms: [id, "a"],
      rooms_after: [],
    });
  });

  it("by the client's engine, without a word", async () => {
    const [socket, witness] = await pair();
    const { id } = socket;
    socket.io.engine.close();
    assert.equal((await goodbye(witness, id)).disconnect, "transport close");
  });

  it("by the server: the client is told, the connection stays", async () => {
    const manager = context.clients.manager();
    const [socket, other, witness] = [manager.socket("/custom"), manager.socket("/"), await context.clients.connect("/custom")];
    await Promise.all([connected(socket), connected(other)]);
    const { id } = socket;
    const told = next(socket, "disconnect");
    socket.emit("bye", false);
    assert.equal((await told)[0], "io server disconnect");
    assert.equal((await goodbye(witness, id)).disconnect, "server namespace disconnect");
    assert.deepEqual(await ask(other, "message-with-ack", 1), [1]);
  });

  it("by the server with the connection: all its namespaces are told", async () => {
    const manager = context.clients.manager();
    const [socket, other, witness] = [manager.socket("/custom"), manager.socket("/"), await context.clients.connect("/")];
    await Promise.all([connected(socket), connected(other)]);
    const ids = [socket.id, other.id];
    const told = [next(socket, "disconnect"), next(other, "disconnect")];
    const closed = next(manager, "close");
    socket.emit("bye", true);
    for (const one of told) assert.equal((await one)[0], "io server disconnect");
    assert.ok(["transport close", "forced close"].includes((await closed)[0]));
    for (const id of ids) assert.equal((await goodbye(witness, id)).disconnect, "server namespace disconnect");
  });

  it("a whole room by the server", async () => {
    const [one, two, three] = await context.clients.many(3);
    for (const socket of [one, two]) await ask(socket, "join", "thrown out");
    const told = [next(one, "disconnect"), next(two, "disconnect")];
    await ask(three, "throw-out", "thrown out", false);
    for (const reason of told) assert.equal((await reason)[0], "io server disconnect");
    assert.deepEqual(await ask(three, "message-with-ack", 1), [1]);
  });

  it("by the server, then connecting again", async () => {
    const [socket] = await pair();
    const first = socket.id;
    const told = next(socket, "disconnect");
    socket.emit("bye", true);
    await told;
    socket.connect();
    await connected(socket);
    assert.notEqual(socket.id, first);
    assert.deepEqual(await ask(socket, "message-with-ack", 1), [1]);
  });

  it("reconnects by itself after the connection broke, and sends what it kept", async () => {
    const socket = await context.clients.connect("/", { reconnection: true, reconnectionDelay: 10 });
    const first = socket.id;
    const told = next(socket, "disconnect");
    socket.io.engine.close();
    await told;
    const answer = ask(socket, "message-with-ack", "kept until then");
    await connected(socket);
    assert.notEqual(socket.id, first);
    assert.deepEqual(await answer, ["kept until then"]);
  });

  it("does not answer questions of the server for ever", async () => {
    const [socket, witness] = await pair();
    const { id } = socket;
    const asked = next(socket, "question");
    socket.emit("ask-me", "question");
    await asked;
    socket.disconnect();
    await goodbye(witness, id);
    assert.deepEqual(await ask(witness, "message-with-ack", 1), [1]);
  });
});

// An Engine.IO client without Socket.IO: what it sends is up to the test.
function engine(context, options = {}) {
  const rejectUnauthorized = !context.server.url.startsWith("https:"); // a test's certificate
  const socket = new Engine(context.server.url, {
    path: "/socket.io/",
    transports: context.mode.transports,
    rejectUnauthorized,
    ...options,
  });
  context.clients.open.push(() => socket.close());
  return socket;
}

suite("connections that join nothing", { CONNECT_TIMEOUT: 500 }, (context) => {
  it("are closed when they join no namespace in time", async () => {
    const socket = engine(context);
    assert.equal((await next(socket, "close"))[0], "transport close");
  });

  it("are closed when the namespace they ask for refuses them", async () => {
    const socket = engine(context);
    await next(socket, "open");
    const messages = gather(socket, "message");
    socket.send("0/nowhere,{}");
    assert.deepEqual(await messages.take(1), [['4/nowhere,{"message":"Invalid namespace"}']]);
    assert.equal((await next(socket, "close"))[0], "transport close");
  });

  it("stay when they have joined one, even if they leave it", async () => {
    const socket = engine(context);
    const other = engine(context);
    const messages = gather(socket, "message");
    await next(socket, "open");
    socket.send("0/custom,");
    await messages.take(2);
    socket.send("1/custom,");
    await next(other, "close"); // that one, opened later, joined none
    socket.send("0/hub,");
    await messages.take(3);
    assert.match(messages.all[2][0], /^0\/hub,\{"sid":"[\w-]{20}"\}$/);
  });
});

suite("connections that do not behave", {}, (context) => {
  for (const [what, packets] of Object.entries({
    "an undecodable packet": ["9"],
    "broken JSON": ['2["x"'],
    "an event for a namespace that was not joined": ['2/hub,["x"]'],
    "a second CONNECT": ["0"],
    "a CONNECT_ERROR": ['4{"message":"x"}'],
    "binary that nobody announced": [Buffer.from([1])],
    "text where an attachment is due": ['51-["x",{"_placeholder":true,"num":0}]', '2["y"]'],
    "a placeholder that points nowhere": ['51-["x",{"_placeholder":true,"num":7}]', Buffer.from([1])],
    "too many attachments": ['511-["x"]'],
    "a reserved event": ['2["connect"]'],
  })) {
    it(`are closed after ${what}`, async () => {
      const witness = await context.clients.connect();
      const socket = engine(context);
      if (context.mode.name === "upgrade") await next(socket, "upgrade");
      else await next(socket, "open");
      const messages = gather(socket, "message");
      socket.send("0");
      const [[connect]] = await messages.take(1);
      const id = JSON.parse(connect.slice(1)).sid;
      const closed = next(socket, "close");
      for (const packet of packets) socket.send(packet);
      assert.equal((await closed)[0], "transport close");
      assert.match((await goodbye(witness, id)).disconnect, /^forced (server )?close$/);
    });
  }
});

suite("the heartbeat", { PING_INTERVAL: 150, PING_TIMEOUT: 250 }, (context) => {
  it("keeps a connection that is silent", async () => {
    const socket = await context.clients.connect();
    const pings = gather(socket.io, "ping");
    await pings.take(5);
    assert.deepEqual(await ask(socket, "message-with-ack", 1), [1]);
  });

  it("ends a connection whose pongs do not come", async () => {
    const [socket, witness] = await context.clients.many(2);
    const { id } = socket;
    const { engine } = socket.io;
    const send = engine._sendPacket;
    engine._sendPacket = (type, ...rest) => (type === "pong" ? undefined : send.call(engine, type, ...rest));
    const told = next(socket, "disconnect");
    assert.equal((await goodbye(witness, id)).disconnect, "ping timeout");
    assert.match((await told)[0], /^(transport close|transport error)$/);
  });

  it("tells a client whose server stands still", async () => {
    const socket = await context.clients.connect();
    const { id } = socket;
    const told = next(socket, "disconnect");
    context.server.signal("SIGSTOP");
    try {
      assert.equal((await told)[0], "ping timeout");
    } finally {
      context.server.signal("SIGCONT");
    }
    const witness = await context.clients.connect();
    assert.match((await goodbye(witness, id)).disconnect, /^(transport (close|error)|ping timeout)$/);
  });
});

suite("the upgrade", { PING_INTERVAL: 100 }, (context) => {
  it("loses nothing and keeps the order while messages flow both ways", async () => {
    for (let round = 0; round < 5; round++) {
      const socket = context.clients.socket();
      await connected(socket);
      const back = gather(socket, "message-back");
      let sent = 0;
      let after = 0; // sent since the connection was upgraded
      while (after < 200) {
        for (let i = 0; i < 10; i++) socket.emit("message", sent++);
        if (socket.io.engine.transport.name === "websocket") after += 10;
        await new Promise(setImmediate);
      }
      await back.take(sent);
      assert.deepEqual(back.all.map(([i]) => i), Array.from({ length: sent }, (_, i) => i));
      socket.disconnect();
    }
  });

  it("keeps binary messages whole", async () => {
    const socket = context.clients.socket();
    await connected(socket);
    const back = gather(socket, "message-back");
    let sent = 0;
    while (socket.io.engine.transport.name !== "websocket" || sent < 100) {
      socket.emit("message", sent, { bytes: Buffer.alloc(50, sent & 0xff) });
      sent++;
      await new Promise(setImmediate);
    }
    await back.take(sent);
    for (const [i, [n, { bytes }]] of back.all.entries()) {
      assert.equal(n, i);
      assert.deepEqual(bytes, Buffer.alloc(50, i & 0xff));
    }
  });

  it("leaves the connection on polling when WebSockets do not come through", async () => {
    const { clients } = context;
    const socket = clients.socket("/", { transports: ["polling"], upgrade: false });
    await connected(socket);
    // a probe that is not answered, because it asks the wrong thing
    const url = `${context.server.url.replace("http", "ws")}/socket.io/?EIO=4&transport=websocket&sid=${socket.io.engine.id}`;
    const probe = new WebSocket(url);
    probe.on("open", () => probe.send("2wrong"));
    await next(probe, "close");
    assert.deepEqual(await ask(socket, "message-with-ack", 1), [1]);
  });

  it("is seen by the application", async () => {
    const socket = context.clients.socket();
    await connected(socket);
    await upgraded(socket.io);
    assert.equal((await ask(socket, "whoami"))[1], "websocket");
  });
}, modes.filter(({ name }) => name === "upgrade"));

suite("a server that ends", {}, (context) => {
  it("tells all clients, logs why each socket left, and exits with status 0", async () => {
    const sockets = [
      ...(await context.clients.many(3)),
      ...(await context.clients.many(2, "/custom")),
      await context.clients.connect("/org-1"),
    ];
    const told = sockets.map((socket) => next(socket, "disconnect"));
    context.server.signal("SIGTERM");
    for (const one of told) assert.match((await one)[0], /^transport (close|error)$/);
    assert.deepEqual(await within(context.server.ended, "the server's end"), { code: 0, signal: null });
    assert.equal(context.server.log(/goodbye .*reason="server shutting down"/).length, sockets.length);
    await context.restart();
  });
});
