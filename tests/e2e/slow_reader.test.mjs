// The reader that pauses: what it asked for waits for it, or its connection is closed with a word in the log. Nothing
// is lost in silence.
import assert from "node:assert/strict";
import { it } from "node:test";
import { ask, ask1, flushed, modes } from "../lib/clients.mjs";
import { servers, skuaIsTested } from "../lib/servers.mjs";
import { suite } from "../lib/table.mjs";
import { gather, next, until } from "../lib/wait.mjs";

const ECHOES = 600;
const PAYLOAD = Buffer.alloc(100_000, 7);

const websocketOnly = modes.filter(({ name }) => name === "websocket");
const skuaOnly = servers.filter(({ name }) => name === "skua" && skuaIsTested);

// The TCP socket below a client's connection: paused, it is read no more, and the kernel's buffers fill.
const tcp = (socket) => socket.io.engine.transport.ws._socket;

// Waits until nothing more goes out on it for some turns: the server has stopped reading, or has taken all.
async function sentOrStuck(socket) {
  let before = -1;
  let same = 0;
  await until(() => {
    const now = tcp(socket).writableLength + socket.io.engine.writeBuffer.length;
    same = now === before ? same + 1 : 0;
    before = now;
    return same === 200;
  }, "the client's output stands still", 60_000);
}

suite("a reader that pauses", { MAX_PAYLOAD: 1_000_000, BACKLOG: 16_000_000 }, (context) => {
  it("gets 600 of its 600 echoes of 100 kB when it reads on, in order", async () => {
    const socket = await context.clients.connect("/custom");
    const back = gather(socket, "message-back");
    tcp(socket).pause();
    for (let i = 0; i < ECHOES; i++) socket.emit("message", i, PAYLOAD);
    await sentOrStuck(socket);
    assert.equal(back.all.length, 0);
    tcp(socket).resume();
    const came = await back.take(ECHOES, 60_000);
    for (const [i, [n, payload]] of came.entries()) {
      assert.equal(n, i);
      assert.ok(PAYLOAD.equals(payload));
    }
    assert.deepEqual(await ask(socket, "message-with-ack", "goes on"), ["goes on"]);
  });

  it("does not hold up others", async () => {
    const [slow, quick] = await context.clients.many(2, "/custom");
    tcp(slow).pause();
    for (let i = 0; i < ECHOES; i++) slow.emit("message", i, PAYLOAD);
    for (let i = 0; i < 100; i++) assert.deepEqual(await ask(quick, "message-with-ack", i), [i]);
    tcp(slow).resume();
  });
}, websocketOnly);

suite("a reader that pauses while others send to it", { MAX_PAYLOAD: 200_000, BACKLOG: 1_000_000 }, (context) => {
  it("is closed over the backlog limit, with one log line that says why, and the others are served", async () => {
    const [slow, quick, sender] = await context.clients.many(3, "/custom");
    const { id } = slow;
    const came = gather(quick, "news");
    const seen = gather(slow, "news");
    const told = next(slow, "disconnect", 60_000);
    tcp(slow).pause();
    const gone = until(() => ask1(sender, "goodbye", id), "the server has closed the slow one", 60_000);
    let sent = 0;
    let closed = null;
    gone.then((goodbye) => (closed = goodbye));
    while (!closed) {
      assert.deepEqual(await ask(sender, "others", "news", sent++, PAYLOAD), [true]);
      assert.ok(sent < 2000, "the kernel's buffers cannot hold this much");
    }
    assert.match(closed.disconnect, /^(transport error|forced close)$/);
    await flushed(sender);
    const all = await came.take(sent);
    assert.deepEqual(all.map(([n]) => n), Array.from({ length: sent }, (_, i) => i));

    const lines = await context.server.logged(/queued/);
    assert.equal(lines.length, 1, lines.join("\n"));
    assert.match(lines[0], /warn .*slow client.*session=\S+.*queued=\d+.*limit=1000000/);

    tcp(slow).resume();
    await told;
    // What did arrive has no gap.
    assert.deepEqual(seen.all.map(([n]) => n), Array.from({ length: seen.all.length }, (_, i) => i));
  });

  it("gets all of a broadcast that the limit allows", async () => {
    const [slow, sender] = await context.clients.many(2, "/custom");
    const seen = gather(slow, "news");
    tcp(slow).pause();
    for (let i = 0; i < 8; i++) await ask(sender, "others", "news", i, PAYLOAD);
    tcp(slow).resume();
    assert.deepEqual((await seen.take(8)).map(([n]) => n), [0, 1, 2, 3, 4, 5, 6, 7]);
  });
}, websocketOnly, skuaOnly);

suite("a poller that does not come back", { MAX_PAYLOAD: 200_000, BACKLOG: 1_000_000, PING_INTERVAL: 60_000 }, (context) => {
  it("is closed over the backlog limit, with one log line", async () => {
    const [slow, sender] = await context.clients.many(2, "/custom");
    const { id } = slow;
    const { transport } = slow.io.engine;
    await flushed(slow);
    transport._poll = () => {}; // no further poll
    const lines = context.server.log(/queued/).length;
    let sent = 0;
    while (!(await ask1(sender, "goodbye", id))) {
      await ask(sender, "others", "news", sent++, PAYLOAD);
      assert.ok(sent < 50, "nothing but the limit holds them");
    }
    assert.ok(sent >= 8, `closed after ${sent} messages of 100 kB`);
    assert.equal((await context.server.logged(/queued/, lines + 1)).length, lines + 1);
  });
}, modes.filter(({ name }) => name === "polling"), skuaOnly);
