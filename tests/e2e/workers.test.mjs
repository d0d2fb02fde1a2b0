// Several workers in one process are one server to its clients, whichever of them a connection comes to.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { Agent, request } from "node:http";
import path from "node:path";
import { afterEach, describe, it } from "node:test";
import { Clients, modes } from "../lib/clients.mjs";
import { scratch, skuaIsTested, startSkuaText } from "../lib/servers.mjs";
import { next, until, within } from "../lib/wait.mjs";

const [websocket, polling, upgrade] = modes;
const options = { skip: !skuaIsTested && "skua is not under test" };

// "who" tells workers apart: each has a state of its own.
const APP = `
health "/health"
drain { window = "300ms" }
recovery { window = "60s" }
local root = namespace "/"
local room = namespace "/room"
local me = tostring({})
root:on("echo", function(socket, value) return value end)
root:on("who", function() return me end)
root:on("all", function(socket, value) root:emit("all", value) end)
root:on("join", function(socket, name) socket:join(name) return true end)
root:on("to", function(socket, name, value) root:to(name):emit("to", value) end)
root:on("count", function() return root:count() end)
root:on("servers", function() return root:servers() end)
root:on("leave them", function(socket, name) root:to(name):disconnect() end)
root:on("ask", function() return root:timeout("5s"):emit_with_ack("question") end)
root:on("ask workers", function() return root:server_emit_with_ack("who is there?") end)
root:on_server("who is there?", function() return me end)
root:on("note", function(socket, n) log.info("a note", { n = n, text = string.rep("x", 500) }) return true end)
`;
const LISTEN = 'listen "127.0.0.1:0"\n';

const health = async (server) => (await fetch(`${server.url}/health`)).json();
const asked = (socket, ...event) => within(socket.emitWithAck(...event), `the answer to ${event[0]}`);

// What came for an event, in order.
function recorded(sockets, event) {
  for (const socket of sockets) {
    socket.got = [];
    socket.on(event, (value) => socket.got.push(value));
  }
  return sockets;
}

const numbers = (count) => Array.from({ length: count }, (_, i) => i);

describe("skua: several workers", options, () => {
  const running = [];
  const crowds = [];

  async function start(workers, text = LISTEN + APP, more = {}) {
    const server = await startSkuaText(`workers(${workers})\n${text}`, more);
    running.push(server);
    return server;
  }

  function clientsOf(server, mode = websocket) {
    const clients = new Clients(server.url, mode);
    crowds.push(clients);
    return clients;
  }

  // One in each of as many workers as there are.
  async function oneEach(server, count) {
    const found = new Map();
    while (found.size < count) {
      const socket = await clientsOf(server).connect();
      found.set(await asked(socket, "who"), socket);
    }
    return [...found.values()];
  }

  afterEach(async () => {
    for (const clients of crowds.splice(0)) clients.close();
    for (const server of running.splice(0)) await server.stop();
  });

  it("share the connections, and count all of them", async () => {
    const server = await start(4);
    const sockets = await clientsOf(server).many(60);
    const workers = new Set(await Promise.all(sockets.map((socket) => asked(socket, "who"))));
    assert.equal(workers.size, 4);
    assert.equal(await asked(sockets[0], "count"), 60);
    assert.equal(await asked(sockets[0], "servers"), 4);
    const { status, sessions } = await health(server);
    assert.deepEqual({ status, sessions }, { status: "ok", sessions: 60 });
  });

  it("bring broadcasts to everybody once and in order, however they are connected", async () => {
    const server = await start(4);
    const crowd = await Promise.all(modes.map((mode) => clientsOf(server, mode).many(12)));
    const sockets = recorded(crowd.flat(), "all");
    for (const n of numbers(30)) sockets[n % sockets.length].emit("all", n);
    await until(() => sockets.every(({ got }) => got.length >= 30), "everybody has them");
    for (const { got } of sockets) assert.deepEqual(got.toSorted((a, b) => a - b), numbers(30));

    for (const socket of sockets) socket.got.length = 0;
    for (const n of numbers(30)) sockets[0].emit("all", n);
    await until(() => sockets.every(({ got }) => got.length >= 30), "everybody has those of one sender");
    for (const { got } of sockets) assert.deepEqual(got, numbers(30));
  });

  it("have rooms, acknowledgements, and events among themselves in common", async () => {
    const server = await start(3);
    const sockets = await oneEach(server, 3);
    const others = recorded(sockets, "to").slice(1);
    for (const socket of others) await asked(socket, "join", "both");
    sockets[0].emit("to", "both", "x");
    await until(() => others.every(({ got }) => got.length === 1), "the room has it");
    assert.deepEqual(sockets[0].got, []);

    for (const [i, socket] of sockets.entries()) socket.on("question", (answer) => answer(i));
    const all = await clientsOf(server).connect();
    all.on("question", (answer) => answer(3));
    const answers = await asked(sockets[0], "ask");
    assert.deepEqual(answers.filter((value) => value !== null).toSorted(), [0, 1, 2, 3]);
    assert.equal(new Set(await asked(sockets[0], "ask workers")).size, 2);

    const gone = Promise.all(others.map((socket) => next(socket, "disconnect")));
    sockets[0].emit("leave them", "both");
    await gone;
  });

  it("hand polls over to each other, whatever connection these come by", async () => {
    const server = await start(4);
    const agent = new Agent({ keepAlive: false });
    const sockets = recorded(await clientsOf(server, polling).many(8, "/", { agent }), "all");
    for (const n of numbers(50)) assert.equal(await asked(sockets[n % 8], "echo", n), n);
    for (const n of numbers(50)) sockets[0].emit("all", n);
    await until(() => sockets.every(({ got }) => got.length >= 50), "all have all");
    for (const { got } of sockets) assert.deepEqual(got, numbers(50));
    for (const socket of await clientsOf(server, upgrade).many(12)) assert.equal(await asked(socket, "echo", 1), 1);
  });

  it("recover each other's clients: every event once, in order", async () => {
    const server = await start(3);
    const back = { reconnection: true, reconnectionDelay: 5, reconnectionDelayMax: 20, randomizationFactor: 0.5 };
    const sockets = recorded(await clientsOf(server).many(20, "/", back), "all");
    const workers = new Set();
    const counts = { back: 0, recovered: 0, cuts: 0 };
    for (const socket of sockets)
      socket.on("connect", () => {
        counts.back++;
        counts.recovered += socket.recovered;
        socket.emit("who", (worker) => workers.add(`${socket.id} ${worker}`));
      });

    const publisher = await clientsOf(server).connect();
    await asked(publisher, "echo", 1);
    publisher.emit("all", 0);
    await until(() => sockets.every(({ got }) => got.length === 1), "the first event");
    for (let n = 1; n <= 600; n++) {
      publisher.emit("all", n);
      if (n % 2 === 0) await asked(publisher, "echo", n);
      const socket = sockets[n % sockets.length];
      if (n % 3 === 0 && socket.connected) {
        socket.io.engine.close();
        counts.cuts++;
      }
    }
    await until(() => counts.back === counts.cuts && sockets.every(({ connected }) => connected), "everybody is back");
    await until(() => sockets.every(({ got }) => got.length >= 601), "everybody has all");
    for (const { got } of sockets) assert.deepEqual(got, numbers(601));
    assert.equal(counts.recovered, counts.back);
    assert.ok(counts.cuts > 60, `${counts.cuts} cuts`);
    assert.ok(workers.size > sockets.length, "some came back to another worker");
  });

  it("count connections together where these are limited", async () => {
    const server = await start(3, `${LISTEN}limits { connections_per_address = 10 }\n${APP}`);
    const sockets = await clientsOf(server).many(10);
    for (let i = 0; i < 6; i++) await assert.rejects(clientsOf(server).connect());
    sockets.forEach((socket) => socket.disconnect());
    await until(async () => (await clientsOf(server).connect().catch(() => null))?.connected, "there is room again");
  });

  it("end together, each of their clients at its time", async () => {
    const server = await start(4);
    const sockets = await clientsOf(server).many(40);
    const losses = Promise.all(sockets.map((socket) => next(socket, "disconnect")));
    server.signal("SIGTERM");
    for (const [reason] of await losses) assert.equal(reason, "transport close");
    await within(server.ended, "the end");
    assert.deepEqual(server.end, { code: 0, signal: null });
    assert.equal(server.log(/\bdraining sessions=40\b/).length, 1);
    assert.equal(server.log(/\bclosing sessions=40\b/).length, 1);
  });

  it("end at once when they are told a second time", async () => {
    const server = await start(4, `${LISTEN}${APP.replace("300ms", "60s")}`);
    await clientsOf(server).many(20);
    server.signal("SIGTERM");
    await server.logged(/\bdraining\b/);
    server.signal("SIGTERM");
    await within(server.ended, "the end");
    assert.deepEqual(server.end, { code: 0, signal: null });
  });

  it("write whole lines", async () => {
    const server = await start(4);
    const sockets = await oneEach(server, 4);
    await Promise.all(numbers(400).map((n) => asked(sockets[n % 4], "note", n)));
    const lines = await server.logged(/\ba note\b/, 400);
    for (const line of lines) assert.match(line, /^\S+ info a note n=\d+ text=x{500}$/);
  });

  it("accept from one unix socket, whose file the last of them takes away", async () => {
    const file = path.join(scratch(), "skua.sock");
    const server = await start(3, `${LISTEN}listen "unix:${file}"\n${APP}`);
    const status = () =>
      new Promise((resolve, reject) => {
        const asking = request({ socketPath: file, path: "/health", agent: false }, (response) => resolve(response.resume().statusCode));
        asking.on("error", reject).end();
      });
    assert.deepEqual(new Set(await Promise.all(numbers(50).map(status))), new Set([200]));
    await server.stop();
    assert.equal(existsSync(file), false);
  });

  it("tell of a fault once", async () => {
    const server = await start(2);
    const clash = await startSkuaText(`workers(3)\nlisten "127.0.0.1:${server.port}"\n${APP}`).catch((error) => error);
    assert.match(clash.message, /address 127\.0\.0\.1:\d+ is in use/);
    assert.equal(clash.message.match(/is in use/g).length, 1);
  });
});
