// The interop table: servers of each kind beside servers of each kind, over each adapter. What one server is told must
// happen to the clients of both; the first name of a pair is the server that is told.
import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, describe, it } from "node:test";
import { Emitter } from "@socket.io/redis-emitter";
import { Client, pairs, startCluster } from "../lib/cluster.mjs";
import { Redis, RedisCluster } from "../lib/redis.mjs";
import { until } from "../lib/wait.mjs";

const everything = [
  "Grüße 😀 \u2028 \" \\ \u0000",
  [0, -1, 127, 128, -33, 65536, 4294967296, 9007199254740991, -9007199254740991, 0.1, -1.5e-7],
  { "": null, nested: { list: [[], {}, [null], true, false], "key with space": "" } },
  "x".repeat(300),
];
const bytes = Buffer.from(Array.from({ length: 256 }, (_, i) => i));

// All that was sent before has come: an event to all follows it.
let markers = 0;
async function settle(server, clients) {
  const marker = ++markers;
  await server.emit("marker", [marker]);
  for (const client of clients)
    await until(() => client.of("marker").some(([n]) => n === marker), `marker ${marker} is everywhere`);
}

// The room can be reached: the sharded adapters subscribe to a channel for it, which the join does not wait for.
let probes = 0;
async function reachable(server, client, rooms) {
  for (const room of rooms) {
    const probe = `probe-${++probes}`;
    const come = async () => {
      await server.emit(probe, [], { rooms: [room] });
      return client.of(probe).length > 0;
    };
    await until(come, `${client.id} is reached in room "${room}"`);
  }
}

// Which clients get the event: so many times each, and no more once all is settled.
async function reach(server, clients, event, expected, act) {
  await act();
  const counts = () => clients.map((client) => client.of(event).length);
  await until(() => counts().every((count, i) => count >= expected[i]), `"${event}" reached ${expected}`).catch(() => {});
  await settle(server, clients);
  assert.deepEqual(counts(), expected, `who got "${event}"`);
}

const ids = (clients) => clients.map(({ id }) => id).sort();
const sorted = (list) => [...list].sort((a, b) => JSON.stringify(a).localeCompare(JSON.stringify(b)));

// What each client, wherever it is, is taken for by the cluster.
const roomsOf = async (server, ns = "/room") =>
  Object.fromEntries((await server.do("fetch", { ns })).sockets.map(({ id, rooms }) => [id, sorted(rooms)]));

// Two clients of each server, in rooms: a0 {red, all}, a1 {blue}, b0 {red, blue}, b1 {all}.
const ROOMS = [["red", "all"], ["blue"], ["red", "blue"], ["all"]];

async function connectFour([first, second], options = {}) {
  const places = [first, first, second, second];
  return Promise.all(places.map((server, i) => Client.connect(server, { rooms: ROOMS[i], auth: { number: i }, ...options })));
}

function cells(context) {
  const first = () => context.servers[0];
  const emit = (event, to, expected) => reach(first(), context.clients, event, expected, () => first().emit(event, [], to));

  it("broadcast: all clients of both servers, once, in order, with all that JSON can hold", async () => {
    const elsewhere = await Client.connect(context.servers[1], { namespace: "/" });
    for (let i = 0; i < 50; i++) await first().emit("news", [i, ...everything]);
    await settle(first(), context.clients);
    const expected = Array.from({ length: 50 }, (_, i) => [i, ...everything]);
    for (const client of context.clients) assert.deepEqual(client.of("news"), expected);
    assert.deepEqual(elsewhere.got, [], "nothing elsewhere");
    elsewhere.close();
  });

  it("broadcast: a megabyte of text and one of bytes", async () => {
    const [text, large] = ["Grüße ".repeat(150_000), Buffer.alloc(1_000_000, "bytes")];
    await first().emit("large", [text]);
    await first().emit("large", [large]);
    await settle(first(), context.clients);
    for (const client of context.clients) {
      const [[one], [two]] = client.of("large");
      assert.ok(one === text && large.equals(two));
    }
  });

  it("rooms: the members of one, of any of several, each once", async () => {
    await emit("one", { rooms: ["red"] }, [1, 0, 1, 0]);
    await emit("two", { rooms: ["red", "blue"] }, [1, 1, 1, 0]);
    await emit("none", { rooms: ["green"] }, [0, 0, 0, 0]);
    await context.clients[3].ask("leave", "all");
    await emit("left", { rooms: ["all"] }, [1, 0, 0, 0]);
  });

  it("rooms: names that look like something else", async () => {
    const names = ["42", "twenty_characters_xx", "with#hash#", "Grüße 😀", "a*b?[c]", "{tag}", ""];
    await context.clients[3].ask("join", names);
    await reachable(first(), context.clients[3], names);
    for (const name of names) await emit(`to ${name}`, { rooms: [name] }, [0, 0, 0, 1]);
  });

  it("rooms: that of a socket's id reaches it on the other server", async () => {
    await emit("direct", { rooms: [context.clients[2].id] }, [0, 0, 1, 0]);
  });

  it("except: leaves out members of rooms, and single sockets", async () => {
    const [, , third] = context.clients;
    await emit("not-red", { except: ["red"] }, [0, 1, 0, 1]);
    await emit("not-third", { except: [third.id] }, [1, 1, 0, 1]);
    await emit("red-not-blue", { rooms: ["red"], except: ["blue", "green"] }, [1, 0, 0, 0]);
  });

  it("flags: volatile arrives, local does not leave its server", async () => {
    await emit("now", { volatile: true }, [1, 1, 1, 1]);
    await emit("here", { local: true }, [1, 1, 0, 0]);
    await emit("here-red", { local: true, rooms: ["red"] }, [1, 0, 0, 0]);
  });

  it("what a client says to a room reaches the others on both servers", async () => {
    const [sender] = context.clients;
    sender.socket.emit("say", "blue", "said", { by: "a client" }, bytes);
    await until(() => context.clients[1].of("said").length > 0 && context.clients[2].of("said").length > 0, "both have it");
    for (const i of [1, 2]) assert.deepEqual(context.clients[i].of("said"), [[{ by: "a client" }, bytes]]);
  });

  it("binary: bytes in any place of the arguments", async () => {
    const args = [bytes, { deep: [Buffer.alloc(0), { er: Buffer.alloc(70_000, 7) }], text: "Grüße" }, null];
    await first().emit("binary", args);
    await first().emit("binary", args, { rooms: ["red"] });
    await settle(first(), context.clients);
    for (const [i, count] of [2, 1, 2, 1].entries())
      assert.deepEqual(context.clients[i].of("binary"), Array(count).fill(args));
  });

  it("fetchSockets: those of both servers with id, rooms, data and handshake", async () => {
    for (const [i, client] of context.clients.entries()) await client.ask("set-data", "about", { i, list: [null, "ü"] });
    const { sockets, error } = await first().do("fetch");
    assert.equal(error, undefined);
    assert.deepEqual(ids(sockets), ids(context.clients));
    for (const [i, { id }] of context.clients.entries()) {
      const found = sockets.find((socket) => socket.id === id);
      assert.deepEqual(sorted(found.rooms), sorted([id, ...ROOMS[i]]));
      assert.deepEqual(found.data, { admitted: 1, about: { i, list: [null, "ü"] } });
      assert.deepEqual(found.auth, { number: i });
    }
  });

  it("fetchSockets: of rooms, without excepted ones, of this server only", async () => {
    const [one, two, three, four] = context.clients;
    const fetched = async (to) => ids((await first().do("fetch", to)).sockets);
    assert.deepEqual(await fetched({ rooms: ["red"] }), ids([one, three]));
    assert.deepEqual(await fetched({ rooms: ["red", "all"], except: ["blue"] }), ids([one, four]));
    assert.deepEqual(await fetched({ rooms: ["green"] }), []);
    assert.deepEqual(await fetched({ local: true }), ids([one, two]));
    assert.equal(await first().do("count"), 4);
    assert.equal(await first().do("count", { rooms: ["all"] }), 2);
  });

  it("socketsJoin: the sockets of both servers enter rooms", async () => {
    await first().do("join", { rooms: ["red"], names: ["new", "newer"] });
    const expected = (client, i) => sorted([client.id, ...ROOMS[i], ...(i % 2 === 0 ? ["new", "newer"] : [])]);
    await until(async () => (await roomsOf(first()))[context.clients[2].id].includes("newer"), "the other server has them join");
    await settle(first(), context.clients);
    const rooms = await roomsOf(first());
    for (const [i, client] of context.clients.entries()) assert.deepEqual(rooms[client.id], expected(client, i));
    await reachable(first(), context.clients[2], ["new"]);
    await emit("to-new", { rooms: ["new"] }, [1, 0, 1, 0]);
  });

  it("socketsLeave: the sockets of both servers leave rooms", async () => {
    await first().do("leave", { except: [context.clients[1].id], names: ["red", "blue"] });
    await until(async () => (await roomsOf(first()))[context.clients[2].id].length === 1, "the other server has them leave");
    await emit("to-blue", { rooms: ["blue"] }, [0, 1, 0, 0]);
    await emit("to-red", { rooms: ["red"] }, [0, 0, 0, 0]);
  });

  it("disconnectSockets: the sockets of a room leave the namespace and keep their connection", async () => {
    const sameConnection = await Promise.all(context.clients.map((client) => client.join("/")));
    const reasons = context.clients.map((client) => new Promise((resolve) => client.socket.once("disconnect", resolve)));
    await first().do("disconnect", { rooms: ["red"] });
    for (const i of [0, 2]) assert.equal(await reasons[i], "io server disconnect");
    await settle(first(), [context.clients[1], context.clients[3]]);
    assert.deepEqual(context.clients.map(({ socket }) => socket.connected), [false, true, false, true]);
    assert.deepEqual(sameConnection.map((socket) => socket.connected), [true, true, true, true]);
  });

  it("disconnectSockets: with close the whole connection ends", async () => {
    const [, , third] = context.clients;
    const sameConnection = await third.join("/");
    const closed = new Promise((resolve) => sameConnection.once("disconnect", resolve));
    await first().do("disconnect", { rooms: [third.id], close: true });
    await closed;
    assert.deepEqual(context.clients.map(({ socket }) => socket.connected), [true, true, false, true]);
  });

  it("serverSideEmit: the other server gets it, not the one that emits", async () => {
    await first().do("server-emit", { event: "note", args: [markers, ...everything] });
    const notes = async (server) => (await server.do("notes")).filter(({ args }) => args[0] === markers);
    await until(async () => (await notes(context.servers[1])).length > 0, "the other server has it");
    assert.deepEqual(await notes(context.servers[1]), [{ ns: "/room", args: [markers, ...everything] }]);
    assert.deepEqual(await notes(first()), []);
    markers++;
  });

  it("serverSideEmit with ack: one answer of the other server", async () => {
    const from = await context.servers[1].do("name");
    const { answers, error } = await first().do("server-emit-with-ack", { event: "question", args: [1, { two: [3] }] });
    assert.equal(error, undefined);
    assert.deepEqual(answers, [{ from, args: [1, { two: [3] }] }]);
  });

  it("broadcast with ack: the answers of all clients, whatever they are", async () => {
    for (const [i, { socket }] of context.clients.entries())
      socket.on("question", (a, b, done) => done({ i, a, b, none: null, bytes: i % 2 ? bytes : "none" }));
    const { answers, error } = await first().do("emit-with-ack", { event: "question", args: ["Grüße", bytes], timeout: 8000 });
    assert.equal(error, undefined);
    const expected = context.clients.map((_, i) => ({ i, a: "Grüße", b: bytes, none: null, bytes: i % 2 ? bytes : "none" }));
    assert.deepEqual(answers.sort((x, y) => x.i - y.i), expected);
  });

  it("broadcast with ack: of a room, and of nobody", async () => {
    for (const [i, { socket }] of context.clients.entries()) socket.on("question", (done) => done(i));
    const answers = async (to) => {
      const result = await first().do("emit-with-ack", { event: "question", timeout: 8000, ...to });
      assert.equal(result.error, undefined);
      return result.answers.sort();
    };
    assert.deepEqual(await answers({ rooms: ["red"] }), [0, 2]);
    assert.deepEqual(await answers({ rooms: ["red", "all"], except: ["blue"] }), [0, 3]);
    assert.deepEqual(await answers({ rooms: ["blue"], except: [context.clients[1].id] }), [2]);
    assert.deepEqual(await answers({ rooms: ["green"] }), []);
  });

  it("broadcast with ack: one that does not answer is an error with the answers of the others", async () => {
    for (const i of [0, 1, 3]) context.clients[i].socket.on("question", (done) => done(i));
    const { answers, error } = await first().do("emit-with-ack", { event: "question", timeout: 300 });
    assert.match(error, /timed out/);
    assert.deepEqual(answers.sort(), [0, 1, 3]);
  });

  it("servers are counted, also in a namespace that only one has", async () => {
    assert.equal(await first().do("servers"), 2);
    const [one] = [await Client.connect(context.servers[0], { namespace: "/org-1" })];
    await until(async () => (await first().do("servers", { ns: "/org-1" })) === 1, "it is alone with it");
    const other = await Client.connect(context.servers[1], { namespace: "/org-1" });
    await until(async () => (await first().do("servers", { ns: "/org-1" })) === 2, "the other has it too");
    await first().emit("dynamic", [1], { ns: "/org-1" });
    for (const client of [one, other]) await until(() => client.of("dynamic").length === 1, "it reaches both");
    assert.deepEqual(ids((await first().do("fetch", { ns: "/org-1" })).sockets), ids([one, other]));
    for (const client of [one, other]) client.close();
  });
}

// What the emitter, a process without clients, can have the servers of the pub/sub adapter do.
function emitterCells(context) {
  const emitterTo = (rooms, except = []) => context.emitter.of("/room").to(rooms).except(except);
  const reachedBy = (event, expected, act) => reach(context.servers[0], context.clients, event, expected, act);

  it("emitter: broadcasts with all that JSON can hold, and bytes", async () => {
    const args = [...everything, bytes, { deep: [Buffer.from("bytes")] }];
    await reachedBy("news", [1, 1, 1, 1], () => context.emitter.of("/room").emit("news", ...args));
    for (const client of context.clients) assert.deepEqual(client.of("news"), [args]);
  });

  it("emitter: rooms and excepted rooms", async () => {
    const { clients } = context;
    await reachedBy("one", [1, 0, 1, 0], () => emitterTo("red").emit("one"));
    await reachedBy("two", [1, 1, 1, 0], () => emitterTo(["red", "blue"]).emit("two"));
    await reachedBy("not", [1, 0, 0, 0], () => emitterTo(["red", "all"], ["blue", clients[3].id]).emit("not"));
    await reachedBy("id", [0, 0, 1, 0], () => emitterTo(clients[2].id).emit("id"));
    await reachedBy("now", [1, 1, 1, 1], () => context.emitter.of("/room").volatile.emit("now"));
  });

  it("emitter: the default namespace", async () => {
    const clients = await Promise.all(context.servers.map((server) => Client.connect(server, { namespace: "/" })));
    context.emitter.emit("root", 1);
    for (const client of clients) await until(() => client.of("root").length === 1, "it came");
    for (const client of clients) client.close();
  });

  it("emitter: socketsJoin, socketsLeave, disconnectSockets", async () => {
    const { clients } = context;
    emitterTo("red").socketsJoin(["new"]);
    emitterTo("blue").socketsLeave("blue");
    const rooms = async () => Object.values(await roomsOf(context.servers[0])).flat();
    await until(async () => (await rooms()).filter((room) => room === "new").length === 2, "two joined");
    await until(async () => !(await rooms()).includes("blue"), "two left");
    const reasons = [0, 3].map((i) => new Promise((resolve) => clients[i].socket.once("disconnect", resolve)));
    emitterTo("all").disconnectSockets();
    assert.deepEqual(await Promise.all(reasons), Array(2).fill("io server disconnect"));
    assert.deepEqual(clients.map(({ socket }) => socket.connected), [false, true, true, false]);
  });

  it("emitter: serverSideEmit reaches every server", async () => {
    const note = ["emitter", ++markers, ...everything];
    context.emitter.of("/room").serverSideEmit("note", ...note);
    for (const server of context.servers) {
      const found = async () => (await server.do("notes")).filter(({ args }) => args[1] === note[1]);
      await until(async () => (await found()).length > 0, "it came");
      assert.deepEqual(await found(), [{ ns: "/room", args: note }]);
    }
  });
}

// One pair of servers; `options` as for startCluster().
function pair(title, chosen, options, body) {
  describe(`${title}: ${chosen.join(" → ")}`, () => {
    const context = {};
    before(async () => {
      context.servers = await startCluster(chosen, options());
    });
    after(() => Promise.all((context.servers ?? []).map((server) => server.stop())));
    beforeEach(async () => {
      context.clients = await connectFour(context.servers);
      for (const [i, client] of context.clients.entries()) await reachable(context.servers[0], client, ROOMS[i]);
      await settle(context.servers[0], context.clients);
    });
    afterEach(async () => {
      for (const client of context.clients) client.close();
      await until(async () => (await context.servers[0].do("count")) === 0, "all clients have gone");
    });
    body(context);
  });
}

// One Redis for all that the body declares.
function withRedis(title, start, body) {
  describe(title, () => {
    const context = {};
    before(async () => {
      context.redis = await start();
    });
    after(() => context.redis?.stop());
    body(context);
  });
}

for (const adapter of ["pubsub", "sharded", "streams"])
  withRedis(adapter, () => Redis.start(), (own) => {
    for (const chosen of pairs) pair(adapter, chosen, () => ({ redis: own.redis, adapter }), cells);
  });

withRedis("Redis Cluster", () => RedisCluster.start(), (own) => {
  for (const chosen of pairs) pair("sharded on a Redis Cluster", chosen, () => ({ redis: own.redis, adapter: "sharded" }), cells);
});

// skua recovers over adapters that in the reference do not: its clients get offsets, the reference's never see one.
function recoveryCells(context) {
  it("events of both have their arguments everywhere, and an offset behind them at skua's clients", async () => {
    const args = [...everything, bytes];
    for (const [i, server] of context.servers.entries()) {
      await server.emit(`all-${i}`, args);
      await server.emit(`red-${i}`, args, { rooms: ["red"] });
      await server.emit(`own-${i}`, args, { rooms: [context.clients[i === 0 ? 2 : 0].id] });
    }
    for (const [i, client] of context.clients.entries()) {
      const events = ["all-0", "all-1", ...(i % 2 === 0 ? ["red-0", "red-1"] : []), ...(i === 2 ? ["own-0"] : []), ...(i === 0 ? ["own-1"] : [])];
      for (const event of events) {
        await until(() => client.of(event).length > 0, `${event} came`);
        const [got] = client.of(event);
        const offset = context.servers[i < 2 ? 0 : 1].kind === "skua" ? got.pop() : "";
        assert.equal(typeof offset, "string");
        assert.ok(offset.length < 200);
        assert.deepEqual(got, args);
      }
    }
    for (const client of context.clients) for (const event of ["all-0", "all-1"]) assert.equal(client.of(event).length, 1);
  });
}

for (const adapter of ["pubsub", "sharded"])
  withRedis(`${adapter} with recovery at skua`, () => Redis.start(), (own) => {
    const env = (kind) => (kind === "skua" ? { RECOVERY: "60000" } : {});
    for (const chosen of pairs.filter(([one, other]) => one !== other))
      pair(`${adapter} with recovery at skua`, chosen, () => ({ redis: own.redis, adapter, env }), recoveryCells);
  });

// Options that both know.
for (const [title, adapter, env] of [
  ["pubsub with another prefix and responses to the asker alone", "pubsub", { PREFIX: "other", SPECIFIC: "on" }],
  ["sharded with one channel for all", "sharded", { PREFIX: "other", MODE: "static" }],
  ["sharded with a channel for each room", "sharded", { MODE: "dynamic-private" }],
  ["streams with another prefix", "streams", { PREFIX: "other" }],
  ["three streams", "streams", { STREAMS: "3" }],
])
  withRedis(title, () => Redis.start(), (own) => {
    for (const chosen of pairs.filter(([one, other]) => one !== other)) pair(title, chosen, () => ({ redis: own.redis, adapter, env }), cells);
  });

withRedis("emitter", () => Redis.start(), (own) => {
  before(async () => {
    own.client = await own.redis.client();
  });
  after(() => own.client?.disconnect());
  for (const chosen of pairs)
    pair("emitter", chosen, () => ({ redis: own.redis, adapter: "pubsub" }), (context) => {
      before(() => {
        context.emitter = new Emitter(own.client);
      });
      emitterCells(context);
    });
});
