// How the server leaves: clients are sent away over a window, with a reason on which they connect again by themselves,
// and what runs is finished.
import assert from "node:assert/strict";
import { connect as dial } from "node:net";
import { afterEach, describe, it } from "node:test";
import { ask, Clients, connected, modes } from "../lib/clients.mjs";
import { Raw, send } from "../lib/raw.mjs";
import { skuaIsTested, startSkuaText } from "../lib/servers.mjs";
import { gather, next, until, within } from "../lib/wait.mjs";

const [websocket, polling] = modes;
const options = { skip: !skuaIsTested && "skua is not under test" };

const APP = `
listen "127.0.0.1:0"
health "/health" { live = "/live" }
limits { max_payload = "20MB", backlog = "100MB" }
local root = namespace "/"
root:on("connection", function(socket) log.info("connected", { transport = socket.transport }) end)
root:on("disconnect", function(socket, reason) log.info("goodbye", { reason = reason }) end)
root:on("echo", function(socket, value) return value end)
root:on("tell", function(_, value) root:emit("told", value) end)
root:on("flood", function(socket, size) for _ = 1, 10 do socket:emit("flood", ("x"):rep(size)) end end)
root:on("publish", function()
  local n = 0
  timer.every("10ms", function() n = n + 1 root:emit("tick", n) end)
  return true
end)
`;

const ENDED = { code: 0, signal: null };

describe("skua: drain", options, () => {
  const running = [];
  const crowds = [];

  async function start(drain) {
    const server = await startSkuaText(`${APP}\ndrain { ${drain} }`);
    running.push(server);
    return server;
  }

  function clientsOf(server, mode) {
    const clients = new Clients(server.url, mode);
    crowds.push(clients);
    return clients;
  }

  afterEach(async () => {
    for (const clients of crowds.splice(0)) clients.close();
    for (const server of running.splice(0)) {
      if (!server.end) server.signal("SIGTERM");
      if (!server.end) server.signal("SIGTERM");
      await server.stop();
    }
  });

  // Clients that go to another server once they have lost this one.
  async function returning(server, other, mode, count) {
    const sockets = await clientsOf(server, mode).many(count, "/", { reconnection: true, reconnectionDelay: 20, reconnectionDelayMax: 200 });
    return sockets.map((socket, i) => {
      const one = { socket, i, id: socket.id, losses: [] };
      socket.on("disconnect", (reason) => one.losses.push({ reason, at: Date.now() }));
      socket.io.uri = other.url;
      return one;
    });
  }

  it("sends 200 clients away over the window, not by age, and they come back to another server by themselves", async () => {
    const window = 4000;
    const server = await start(`window = "${window}ms"`);
    const other = await start("");
    const all = [...(await returning(server, other, websocket, 100)), ...(await returning(server, other, polling, 100))];
    server.signal("SIGTERM");
    await until(() => all.every(({ losses }) => losses.length > 0), "all are sent away");
    assert.deepEqual(await within(server.ended, "the server's end"), ENDED);
    for (const { losses } of all) assert.deepEqual(losses.map(({ reason }) => reason), ["transport close"]);
    assert.equal(server.log(/goodbye .*reason="server shutting down"/).length, all.length);
    await Promise.all(all.map(({ socket }) => connected(socket)));
    for (const { socket, id } of all) assert.notEqual(socket.id, id);
    await other.logged(/ connected /, all.length);

    const times = all.map(({ losses }) => losses[0].at).sort((a, b) => a - b);
    for (const from of times) {
      const quarter = times.filter((at) => at >= from && at < from + window / 4).length;
      assert.ok(quarter <= all.length / 2, `${quarter} of ${all.length} in a quarter of the window`);
    }
    for (const kind of [all.slice(0, 100), all.slice(100)]) {
      const order = [...kind].sort((a, b) => a.losses[0].at - b.losses[0].at).map(({ i }) => i);
      const rises = order.filter((i, n) => n > 0 && order[n - 1] < i).length;
      assert.ok(rises > 20 && rises < 80, `${rises} of 99 are followed by a younger one`);
    }
  });

  it("loses no event of a client that polls, while it publishes all the time", async () => {
    const server = await start('window = "1s"');
    const other = await start("");
    const publisher = await clientsOf(server, websocket).connect();
    const all = await returning(server, other, polling, 30);
    for (const one of all) one.ticks = gather(one.socket, "tick").all;
    await ask(publisher, "publish");
    await until(() => all.every(({ ticks }) => ticks.length > 5), "events come");
    server.signal("SIGTERM");
    await until(() => all.every(({ losses }) => losses.length > 0), "all are sent away");
    assert.deepEqual(await within(server.ended, "the server's end"), ENDED);
    for (const { losses, ticks } of all) {
      assert.deepEqual(losses.map(({ reason }) => reason), ["transport close"]);
      assert.deepEqual(ticks.map(([n]) => n - ticks[0][0]), ticks.map((_, n) => n));
    }
    await Promise.all(all.map(({ socket }) => connected(socket)));
  });

  it("keeps a polling client that keeps its connection until its turn comes", async () => {
    const server = await start('window = "1h"');
    const witness = await clientsOf(server, websocket).connect();
    const client = new Raw(server);
    // The body of the answer to a request on that one connection.
    const request = async (method, target, body = "") => {
      const before = client.text.length;
      client.write(`${method} ${target} HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
      const whole = /^HTTP\/1\.1 200 OK\r\n(.*\r\n)*?Content-Length: (\d+)\r\n(.*\r\n)*?\r\n(.*)$/s;
      const answer = await until(() => {
        const match = whole.exec(client.text.slice(before));
        return match && match[4].length === Number(match[2]) && match[4];
      }, `an answer to ${method}`);
      return answer;
    };
    const path = "/socket.io/?EIO=4&transport=polling";
    const target = `${path}&sid=${JSON.parse((await request("GET", path)).slice(1)).sid}`;
    await request("POST", target, "40");
    assert.match(await request("GET", target), /^40\{"sid"/);
    const first = request("GET", target);
    server.signal("SIGTERM");
    await server.logged(/ closing /);
    witness.emit("tell", "one");
    assert.equal(await first, '42["told","one"]');
    assert.equal(await request("POST", target, '420["echo",1]'), "ok");
    assert.equal(await request("GET", target), "430[1]");
    const last = request("GET", target);
    witness.emit("tell", "two");
    assert.equal(await last, '42["told","two"]');
    assert.equal(client.closed, false);
  });

  it("closes idle connections at once, answers new ones once more, and refuses those that come later", async () => {
    const server = await start('window = "1h"');
    await clientsOf(server, websocket).connect(); // which makes it last
    const idle = new Raw(server).write("GET /health HTTP/1.1\r\nHost: x\r\n\r\n");
    await idle.until(/\}\n$/);
    const fresh = new Raw(server);
    await next(fresh.socket, "connect");
    assert.equal((await send(server, { path: "/health" })).status, 200); // so that one is accepted
    server.signal("SIGTERM");
    await idle.untilClosed();
    fresh.write("GET /health HTTP/1.1\r\nHost: x\r\n\r\n");
    const answer = await fresh.untilClosed();
    assert.match(answer, /^HTTP\/1\.1 503 /);
    assert.match(answer, /\r\nConnection: close\r\n/);
    const [error] = await next(dial(server.port, "127.0.0.1"), "error");
    assert.equal(error.code, "ECONNREFUSED");
    assert.equal(server.end, undefined);
  });

  it("is unready, but as before, for the time of grace", async () => {
    const server = await start('grace = "1h", deadline = "2h"');
    const socket = await clientsOf(server, websocket).connect();
    server.signal("SIGTERM");
    const unready = await until(async () => {
      const answer = await send(server, { path: "/health?from=balancer" });
      return answer.status === 503 && answer;
    }, "it is unready");
    const body = JSON.parse(unready.body);
    assert.deepEqual([body.status, body.reasons, body.sessions], ["unavailable", ["draining"], 1]);
    assert.equal((await send(server, { path: "/live" })).status, 200);
    assert.deepEqual(await ask(await clientsOf(server, polling).connect(), "echo", 1), [1]);
    assert.deepEqual(await ask(socket, "echo", 2), [2]);
    assert.equal(server.end, undefined);
  });

  it("without sessions it ends at once", async () => {
    const server = await start('window = "1h", deadline = "2h"');
    server.signal("SIGTERM");
    assert.deepEqual(await within(server.ended, "the server's end"), ENDED);
  });

  it("a second signal ends it at once", async () => {
    const server = await start('window = "1h", deadline = "2h"');
    const sockets = await clientsOf(server, websocket).many(3);
    const told = sockets.map((socket) => next(socket, "disconnect"));
    server.signal("SIGINT");
    await server.logged(/ closing /);
    server.signal("SIGTERM");
    assert.deepEqual(await within(server.ended, "the server's end"), ENDED);
    for (const one of told) assert.match((await one)[0], /^transport (close|error)$/);
  });

  it("the deadline ends what does not read", async () => {
    const server = await start('window = 0, deadline = "700ms"');
    const socket = await clientsOf(server, websocket).connect();
    socket.io.engine.transport.ws._socket.pause();
    socket.emit("flood", 4_000_000);
    assert.deepEqual(await ask(await clientsOf(server, websocket).connect(), "echo", 1), [1]);
    server.signal("SIGTERM");
    assert.deepEqual(await within(server.ended, "the server's end"), ENDED);
  });

  it("waits for a reader that is slow, and takes what it was sent before", async () => {
    const server = await start('window = 0, deadline = "1h"');
    const socket = await clientsOf(server, websocket).connect();
    const came = gather(socket, "flood");
    socket.io.engine.transport.ws._socket.pause();
    socket.emit("flood", 4_000_000);
    assert.deepEqual(await ask(await clientsOf(server, websocket).connect(), "echo", 1), [1]);
    server.signal("SIGTERM");
    await server.logged(/goodbye/, 2);
    assert.equal(server.end, undefined);
    socket.io.engine.transport.ws._socket.resume();
    await came.take(10);
    assert.deepEqual(await within(server.ended, "the server's end"), ENDED);
  });
});
