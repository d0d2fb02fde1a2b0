// Connection state recovery with one server, in its memory, on the wire.
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import ioLegacy from "socket.io-client-2";
import { Client, kinds, Server } from "../lib/cluster.mjs";
import { connected } from "../lib/clients.mjs";
import { FaultProxy } from "../lib/fault_proxy.mjs";
import { PollingSession } from "../lib/raw.mjs";
import { next, until } from "../lib/wait.mjs";
import { offsetOf, Wire } from "../lib/wire.mjs";

const WINDOW = { RECOVERY: "60000" };
const NS = "/room";
const OFFSET_LIMIT = 200; // bytes

// A suite for every kind of server; `only` names one, for what the reference does not do.
function suite(title, env, body, only) {
  for (const kind of kinds.filter((one) => !only || one === only))
    describe(`${kind}: ${title}`, () => {
      const context = { kind };
      before(async () => {
        context.server = await Server.start(kind, { ...WINDOW, ...env });
      });
      after(() => context.server?.stop());
      body(context);
    });
}

// A client that has had one event: { wire, sid, pid, offset }
async function met(server, { ns = NS, rooms = [], auth } = {}) {
  const wire = await Wire.open(server);
  const { sid, pid } = await wire.join(ns, auth);
  if (rooms.length > 0) await wire.ask(ns, "join", rooms);
  await server.emit("first", [], { ns, rooms: [sid] });
  const [message] = await wire.take();
  const { args, offset } = offsetOf(message, ns);
  assert.deepEqual(args, ["first"]);
  return { wire, sid, pid, offset };
}

const gone = (server, sid, ns = NS) =>
  until(async () => !(await server.do("fetch", { ns, local: true })).sockets.some(({ id }) => id === sid), "the server has seen it go");

// Ends the connection and waits until the server knows.
async function lose(server, { wire, sid }, how) {
  await wire.end(how);
  await gone(server, sid);
}

async function comeBack(server, auth, ns = NS) {
  const wire = await Wire.open(server);
  return { wire, ...(await wire.join(ns, auth)) };
}

const events = (messages, ns) => messages.map((message) => offsetOf(message, ns).args);

suite("offsets", {}, (context) => {
  it("the answer to CONNECT has a secret id of its own for each namespace", async () => {
    const wire = await Wire.open(context.server);
    const [one, two] = [await wire.join("/"), await wire.join(NS)];
    for (const { sid, pid, answer } of [one, two]) {
      assert.match(pid, /^[A-Za-z0-9_-]{20}$/);
      assert.notEqual(pid, sid);
      assert.match(answer, /^40(\/room,)?\{"sid":"[^"]+","pid":"[^"]+"\}$/);
    }
    assert.notEqual(one.pid, two.pid);
    await wire.end();
  });

  it("broadcasts and direct events carry one, a string that is never the same", async () => {
    const { wire, sid, offset } = await met(context.server);
    await context.server.emit("all", [1]);
    await context.server.emit("own", [2], { rooms: [sid] });
    await context.server.emit("here", [3], { local: true });
    await context.server.do("direct", { sid, event: "direct", args: [4] });
    const all = (await wire.take(4)).map((message) => offsetOf(message));
    assert.deepEqual(all.map(({ args }) => args), [["all", 1], ["own", 2], ["here", 3], ["direct", 4]]);
    const offsets = [offset, ...all.map((one) => one.offset)];
    assert.equal(new Set(offsets).size, 5);
    for (const one of offsets) assert.ok(typeof one === "string" && one.length > 0 && one.length < OFFSET_LIMIT, one);
    await wire.end();
  });

  it("volatile events, acknowledgements and events that ask for one carry none", async () => {
    const { wire, sid } = await met(context.server);
    await context.server.emit("now", [1], { volatile: true });
    const asked = context.server.do("emit-with-ack", { event: "ask", args: [2], timeout: 5000, rooms: [sid] });
    const [now, question] = await wire.take(2);
    assert.equal(now, '42/room,["now",1]');
    const [, id] = /^42\/room,(\d+)\["ask",2\]$/.exec(question);
    wire.send(`43/room,${id}["answer"]`);
    assert.deepEqual((await asked).answers, ["answer"]);
    assert.deepEqual(await wire.ask(NS, "join", ["r"]), [[sid, "r"]]);
    await wire.end();
  });

  it("binary events carry it behind their arguments", async () => {
    const { wire } = await met(context.server);
    await context.server.emit("bytes", [Buffer.from([1, 2, 3])]);
    const [text, attachment] = await wire.take(2);
    assert.match(text, /^451-\/room,\["bytes",\{"_placeholder":true,"num":0\},"[^"]+"\]$/);
    assert.deepEqual(attachment, Buffer.from([1, 2, 3]));
    await wire.end();
  });
});

suite("a client that comes back", {}, (context) => {
  it("gets what it missed, in order, and then its old ids", async () => {
    const one = await met(context.server);
    await lose(context.server, one);
    for (let i = 0; i < 20; i++) await context.server.emit("missed", [i, "Grüße", { a: [null] }]);
    const back = await comeBack(context.server, one);
    assert.deepEqual(events(back.before), Array.from({ length: 20 }, (_, i) => ["missed", i, "Grüße", { a: [null] }]));
    assert.equal(back.answer, `40/room,{"sid":"${one.sid}","pid":"${one.pid}"}`);
    const offsets = back.before.map((message) => offsetOf(message).offset);
    assert.equal(new Set([one.offset, ...offsets]).size, 21);
    await context.server.emit("live", [1]);
    assert.deepEqual(events(await back.wire.take()), [["live", 1]]);
    await back.wire.end();
  });

  it("gets again what it had not had when it was lost, from the offset that it names", async () => {
    const one = await met(context.server);
    for (let i = 0; i < 5; i++) await context.server.emit("sent", [i]);
    const sent = await one.wire.take(5);
    await lose(context.server, one);
    const back = await comeBack(context.server, { ...one, offset: offsetOf(sent[1]).offset });
    assert.deepEqual(back.before, sent.slice(2)); // the same bytes
    assert.equal(back.sid, one.sid);
    await back.wire.end();
  });

  it("gets events of its rooms and to itself, not those of other rooms or that excepted it", async () => {
    const one = await met(context.server, { rooms: ["red", "blue"] });
    await lose(context.server, one);
    const { server } = context;
    await server.emit("red", [], { rooms: ["red"] });
    await server.emit("green", [], { rooms: ["green"] });
    await server.emit("green-or-blue", [], { rooms: ["green", "blue"] });
    await server.emit("not-red", [], { except: ["red"] });
    await server.emit("not-me", [], { except: [one.sid] });
    await server.emit("blue-not-red", [], { rooms: ["blue"], except: ["red"] });
    await server.emit("me", [], { rooms: [one.sid] });
    await server.emit("elsewhere", [], { ns: "/" });
    await server.emit("now", [], { volatile: true });
    await server.emit("here", [], { local: true });
    const back = await comeBack(server, one);
    assert.deepEqual(events(back.before).flat(), ["red", "green-or-blue", "me", "here"]);
    await back.wire.end();
  });

  it("has its id, rooms and data, and is told to the application as recovered", async () => {
    const one = await met(context.server, { rooms: ["red", "blue"] });
    await one.wire.ask(NS, "set-data", "user", { name: "Ü", list: [1, null] });
    await lose(context.server, one);
    const back = await comeBack(context.server, { ...one, greet: true });
    const [hello] = await back.wire.take();
    assert.deepEqual(offsetOf(hello).args, ["hello", true]);
    const [about] = await back.wire.ask(NS, "about");
    assert.deepEqual([about.id, about.recovered], [one.sid, true]);
    assert.deepEqual(about.rooms.sort(), [one.sid, "red", "blue"].sort());
    assert.deepEqual(about.data.user, { name: "Ü", list: [1, null] });
    await context.server.emit("to-red", [1], { rooms: ["red"] });
    assert.deepEqual(events(await back.wire.take()), [["to-red", 1]]);
    await back.wire.end();
  });

  it("may be lost and come back again and again", async () => {
    const one = await met(context.server);
    let offset = one.offset;
    let { wire } = one;
    for (let i = 0; i < 5; i++) {
      await lose(context.server, { wire, sid: one.sid });
      await context.server.emit("missed", [i]);
      const back = await comeBack(context.server, { pid: one.pid, offset });
      assert.deepEqual(events(back.before), [["missed", i]]);
      assert.equal(back.sid, one.sid);
      ({ offset } = offsetOf(back.before[0]));
      ({ wire } = back);
    }
    await wire.end();
  });

  it("gets binary events with their bytes", async () => {
    const one = await met(context.server);
    await lose(context.server, one);
    await context.server.emit("bytes", [Buffer.from([1, 2]), { deep: Buffer.alloc(0) }]);
    const back = await comeBack(context.server, one);
    const [text, ...attachments] = back.before;
    assert.match(text, /^452-\/room,\["bytes",\{"_placeholder":true,"num":0\},\{"deep":\{"_placeholder":true,"num":1\}\},"[^"]+"\]$/);
    assert.deepEqual(attachments, [Buffer.from([1, 2]), Buffer.alloc(0)]);
    await back.wire.end();
  });

  it("over polling has all of it in one answer", async () => {
    const one = await met(context.server);
    await lose(context.server, one);
    for (let i = 0; i < 3; i++) await context.server.emit("missed", [i]);
    const session = await new PollingSession(context.server).open();
    const payload = await session.join(`${NS},${JSON.stringify({ pid: one.pid, offset: one.offset })}`);
    const packets = payload.split("\x1e");
    assert.deepEqual(events(packets.slice(0, 3)), [["missed", 0], ["missed", 1], ["missed", 2]]);
    assert.equal(packets[3], `40/room,{"sid":"${one.sid}","pid":"${one.pid}"}`);
    await session.post("1");
  });

  it("comes back to a namespace of a pattern", async () => {
    const ns = "/org-7";
    const stays = await Wire.open(context.server);
    await stays.join(ns);
    const one = await met(context.server, { ns, rooms: ["red"] });
    await one.wire.end();
    await gone(context.server, one.sid, ns);
    await context.server.emit("missed", [1], { ns, rooms: ["red"] });
    const back = await comeBack(context.server, one, ns);
    assert.deepEqual(events(back.before, ns), [["missed", 1]]);
    assert.equal(back.sid, one.sid);
    for (const wire of [stays, back.wire]) await wire.end();
  });

  it("gets a thousand events of a kilobyte that it missed", async () => {
    const one = await met(context.server);
    await lose(context.server, one);
    const text = "x".repeat(1000);
    for (let i = 0; i < 1000; i++) await context.server.emit("missed", [i, text]);
    const back = await comeBack(context.server, one);
    assert.equal(back.sid, one.sid);
    assert.deepEqual(events(back.before).map(([, i]) => i), Array.from({ length: 1000 }, (_, i) => i));
    await back.wire.end();
  });

  it("is back in each of its namespaces for itself", async () => {
    const wire = await Wire.open(context.server);
    const ids = {};
    for (const ns of ["/", NS]) {
      ids[ns] = await wire.join(ns);
      await context.server.emit("first", [], { ns });
      ids[ns].offset = offsetOf((await wire.take())[0], ns).offset;
    }
    await lose(context.server, { wire, sid: ids[NS].sid });
    await context.server.emit("missed", [], { ns: "/" });
    const again = await Wire.open(context.server);
    const root = await again.join("/", ids["/"]);
    assert.deepEqual(events(root.before, "/"), [["missed"]]);
    assert.equal(root.sid, ids["/"].sid);
    const room = await again.join(NS, { pid: ids[NS].pid, offset: "unknown" });
    assert.notEqual(room.sid, ids[NS].sid);
    await again.end();
  });
});

suite("a client that does not recover", {}, (context) => {
  const fresh = (back, one) => {
    assert.deepEqual(back.before, []);
    assert.notEqual(back.sid, one.sid);
    assert.notEqual(back.pid, one.pid);
    assert.match(back.answer, /^40\/room,\{"sid":"[^"]+","pid":"[^"]+"\}$/);
  };

  for (const [title, auth] of [
    ["names no offset that is known", ({ pid }) => ({ pid, offset: "unknown" })],
    ["names no session that is known", ({ offset }) => ({ pid: "x".repeat(20), offset })],
    ["names an offset alone", ({ offset }) => ({ offset })],
    ["names ids that are no strings", ({ pid }) => ({ pid: [pid], offset: 7 })],
    ["names an offset of a megabyte", ({ pid }) => ({ pid, offset: "9".repeat(900_000) })],
    ["names an offset with odd characters", ({ pid }) => ({ pid, offset: "\u0000\ud83d\ude00,;:-.%s'\"" })],
  ])
    it(`${title}: gets a new session, without a hint`, async () => {
      const one = await met(context.server);
      await lose(context.server, one);
      await context.server.emit("missed");
      const back = await comeBack(context.server, auth(one));
      fresh(back, one);
      const [about] = await back.wire.ask(NS, "about");
      assert.equal(about.recovered, false);
      await back.wire.end();
    });

  it("names the session of another namespace", async () => {
    const one = await met(context.server);
    await lose(context.server, one);
    const back = await comeBack(context.server, one, "/");
    assert.notEqual(back.sid, one.sid);
    await back.wire.end();
  });

  it("had a last event that carries no offset but ends in a string, which clients take for one", async () => {
    const one = await met(context.server);
    await context.server.emit("now", ["text"], { volatile: true });
    assert.deepEqual(await one.wire.take(), ['42/room,["now","text"]']);
    await lose(context.server, one);
    fresh(await comeBack(context.server, { pid: one.pid, offset: "text" }), one);
  });

  it("left the namespace itself", async () => {
    const one = await met(context.server);
    one.wire.send("41/room,");
    await gone(context.server, one.sid);
    const { before: early, sid } = await one.wire.join(NS, { pid: one.pid, offset: one.offset });
    assert.deepEqual(early, []);
    assert.notEqual(sid, one.sid);
    await one.wire.end();
  });

  for (const close of [false, true])
    it(`was thrown out by the server, ${close ? "with" : "without"} its connection`, async () => {
      const one = await met(context.server);
      one.wire.send(`42/room,["ask-throw-out",${close}]`);
      await gone(context.server, one.sid);
      fresh(await comeBack(context.server, { pid: one.pid, offset: one.offset }), one);
      await one.wire.end();
    });
});

suite("the reason of the loss", { PING_INTERVAL: "200", PING_TIMEOUT: "200" }, (context) => {
  async function recoversAfter(lost) {
    const one = await met(context.server);
    await lost(one.wire);
    await gone(context.server, one.sid);
    await context.server.emit("missed", [1]);
    const back = await comeBack(context.server, one);
    assert.deepEqual([back.sid, events(back.before)], [one.sid, [["missed", 1]]]);
    await back.wire.end();
  }

  it("may be the end of the connection", () => recoversAfter((wire) => wire.end("fin")));
  it("may be a reset", () => recoversAfter((wire) => wire.end("rst")));
  it("may be a WebSocket's close", () => recoversAfter((wire) => wire.end("close")));
  it("may be a ping without answer", () => recoversAfter((wire) => (wire.answersPings = false)));
  it("may be a packet that is none", () => recoversAfter((wire) => wire.send("4nonsense")));
});

for (const [skip, admitted] of [["off", 2], ["on", 1]])
  suite(`skip_middlewares ${skip}`, { SKIP_MIDDLEWARES: skip }, (context) => {
    it(`runs the namespace's middleware ${admitted === 1 ? "only once" : "again"} for a client that comes back`, async () => {
      const one = await met(context.server);
      await lose(context.server, one);
      const back = await comeBack(context.server, one);
      const [about] = await back.wire.ask(NS, "about");
      assert.deepEqual([about.id, about.recovered, about.data.admitted], [one.sid, true, admitted]);
      await back.wire.end();
    });

    it(`${skip === "on" ? "lets in" : "keeps out"} a client that the middleware refuses meanwhile`, async () => {
      const one = await met(context.server);
      await lose(context.server, one);
      const back = await comeBack(context.server, { ...one, wire: undefined, refuse: true });
      if (skip === "on") assert.equal(back.sid, one.sid);
      else assert.equal(back.answer, '44/room,{"message":"refused"}');
      await back.wire.end();
    });
  });

const passed = (ms, since = Date.now()) => until(() => Date.now() - since > ms, "the time has passed");

suite("the window", { RECOVERY: "400" }, (context) => {
  it("is over: a new session", async () => {
    const one = await met(context.server);
    await lose(context.server, one);
    await context.server.emit("missed");
    await passed(500);
    const back = await comeBack(context.server, one);
    assert.notEqual(back.sid, one.sid);
    assert.deepEqual(back.before, []);
    await back.wire.end();
  });

  it("begins at the loss, however long ago the last event was", async () => {
    const one = await met(context.server);
    await passed(600);
    await lose(context.server, one);
    await context.server.emit("missed");
    const back = await comeBack(context.server, one);
    assert.deepEqual([back.sid, events(back.before)], [one.sid, [["missed"]]]);
    await back.wire.end();
  });
});

suite("without recovery", { RECOVERY: "" }, (context) => {
  it("no event has an offset, no session an id, nobody is recovered", async () => {
    const wire = await Wire.open(context.server);
    const { sid, pid } = await wire.join(NS);
    assert.equal(pid, undefined);
    await context.server.emit("plain", [1]);
    assert.deepEqual(await wire.take(), ['42/room,["plain",1]']);
    await lose(context.server, { wire, sid });
    const back = await comeBack(context.server, { pid: "x".repeat(20), offset: "1" });
    assert.notEqual(back.sid, sid);
    await back.wire.end();
  });
});

suite("official clients", { PING_INTERVAL: "300", PING_TIMEOUT: "300" }, (context) => {
  const reconnecting = { reconnection: true, reconnectionDelay: 20, reconnectionDelayMax: 50 };

  async function cutAndBack(options) {
    const proxy = await FaultProxy.start(context.server.port);
    const client = await Client.connect(proxy, { rooms: ["red"], ...reconnecting, ...options });
    try {
      const expected = [];
      const publish = async (count) => {
        for (let i = 0; i < count; i++) {
          const direct = expected.length % 2 === 0;
          expected.push(expected.length);
          await context.server.emit("n", [expected.at(-1), Buffer.from([7])], { rooms: [direct ? client.id : "red"] });
        }
      };
      await publish(10);
      await until(() => client.of("n").length === 10, "ten came");
      for (const how of ["rst", "fin"]) {
        proxy.refuse();
        proxy.cut({ client: how, server: how });
        await next(client.socket, "disconnect");
        await publish(10);
        await gone(context.server, client.id);
        await publish(10);
        proxy.accept();
        await until(() => client.socket.connected, "it is back");
        assert.deepEqual([client.socket.recovered, client.socket.id], [true, client.id]);
        await publish(10);
      }
      await until(() => client.of("n").length >= expected.length, "all came");
      assert.deepEqual(client.of("n").map(([n, bytes]) => [n, bytes]), expected.map((n) => [n, Buffer.from([7])]));
    } finally {
      client.close();
      await proxy.stop();
    }
  }

  it("over WebSocket have every event once, in order, through cuts", () => cutAndBack({}));
  it("over polling have every event once, in order, through cuts", () => cutAndBack({ transports: ["polling"] }));
});

suite("the msgpack parser", { PARSER: "msgpack" }, (context) => {
  it("recovers the same way", async () => {
    const { default: parser } = await import("socket.io-msgpack-parser");
    const proxy = await FaultProxy.start(context.server.port);
    const client = await Client.connect(proxy, { parser, reconnection: true, reconnectionDelay: 20, reconnectionDelayMax: 50 });
    await context.server.emit("n", [0, Buffer.from("bytes")]);
    await until(() => client.of("n").length === 1, "the first came");
    proxy.refuse();
    proxy.cut();
    await gone(context.server, client.id);
    await context.server.emit("n", [1, Buffer.from("bytes")]);
    proxy.accept();
    await until(() => client.of("n").length === 2, "the missed one came");
    assert.deepEqual(client.of("n").map(([n, bytes]) => [n, bytes]), [0, 1].map((n) => [n, Buffer.from("bytes")]));
    await until(() => client.socket.connected, "it is back");
    assert.deepEqual([client.socket.recovered, client.socket.id], [true, client.id]);
    client.close();
    await proxy.stop();
  });
});

suite("a client of protocol 3", { LEGACY: "on" }, (context) => {
  it("sees the offset as a last argument, and works", async () => {
    const socket = ioLegacy(context.server.url + NS, { transports: ["websocket"], forceNew: true, reconnection: false });
    await connected(socket);
    const came = next(socket, "event");
    await context.server.emit("event", [1]);
    const args = await came;
    assert.deepEqual([args.length, args[0], typeof args[1]], [2, 1, "string"]);
    socket.disconnect();
  });
});

// What the reference does not do, though the bytes are the same.
suite("better than the reference", {}, (context) => {
  it("a client that never got an event recovers with its session's id alone", async () => {
    const wire = await Wire.open(context.server);
    const { sid, pid } = await wire.join(NS);
    await lose(context.server, { wire, sid });
    await context.server.emit("missed", [1]);
    const back = await comeBack(context.server, { pid });
    assert.deepEqual([back.sid, back.pid, events(back.before)], [sid, pid, [["missed", 1]]]);
    await back.wire.end();
  });

  it("a client whose loss was not noticed takes its old socket over", async () => {
    const one = await met(context.server, { rooms: ["red"] });
    await one.wire.ask(NS, "set-data", "user", "Ü");
    one.wire.answersPings = false;
    await context.server.emit("unseen", [1], { rooms: ["red"] });
    const back = await comeBack(context.server, one);
    assert.deepEqual([back.sid, back.pid, events(back.before)], [one.sid, one.pid, [["unseen", 1]]]);
    await one.wire.closed;
    const { sockets } = await context.server.do("fetch", { local: true });
    assert.deepEqual(sockets.map(({ id }) => id), [one.sid]);
    const [about] = await back.wire.ask(NS, "about");
    assert.deepEqual([about.recovered, about.data.user], [true, "Ü"]);
    assert.deepEqual(about.rooms.sort(), [one.sid, "red"].sort());
    await context.server.emit("live", [2], { rooms: ["red"] });
    assert.deepEqual(events(await back.wire.take()), [["live", 2]]);
    await back.wire.end();
  });

  it("a client that asks again on the same connection, with its own session, does no harm", async () => {
    const one = await met(context.server);
    one.wire.send(`40/room,${JSON.stringify({ pid: one.pid, offset: one.offset })}`);
    const other = await met(context.server);
    const { sockets } = await context.server.do("fetch", { local: true });
    assert.ok(sockets.filter(({ id }) => id === one.sid).length <= 1);
    for (const { wire } of [one, other]) await wire.end();
  });

  it("a session is restored once: two that come at the same time are never both there", async () => {
    const one = await met(context.server);
    await lose(context.server, one);
    const wires = await Promise.all([Wire.open(context.server), Wire.open(context.server)]);
    await Promise.all(wires.map((wire) => wire.join(NS, { pid: one.pid, offset: one.offset })));
    const { sockets } = await context.server.do("fetch", { local: true });
    assert.ok(sockets.filter(({ id }) => id === one.sid).length <= 1, "one socket has the id");
    await context.server.emit("live", [1], { rooms: [one.sid] });
    await until(() => wires.some(({ messages }) => messages.length > 0), "the event came");
    await context.server.emit("all", [2]);
    await until(() => wires.some(({ messages }) => messages.some((message) => message.includes('"all"'))), "the next came");
    assert.equal(wires.flatMap(({ messages }) => messages.filter((message) => message.includes('"live"'))).length, 1);
    for (const wire of wires) await wire.end();
  });
}, "skua");

suite("the bound of the log in bytes", { BUFFER: "64KB" }, (context) => {
  it("is over: a client that missed more is told that it is new, and the log says so once", async () => {
    const one = await met(context.server);
    const other = await met(context.server);
    await lose(context.server, one);
    for (let i = 0; i < 80; i++) await context.server.emit("missed", ["x".repeat(2000)]);
    await other.wire.take(80);
    const last = await met(context.server);
    await lose(context.server, last);
    await context.server.emit("missed", ["y"]);
    const back = await comeBack(context.server, one);
    assert.notEqual(back.sid, one.sid);
    assert.deepEqual(back.before, []);
    await context.server.process.logged(/recovery.*buffer/);
    assert.equal(context.server.process.log(/recovery.*buffer/).length, 1);
    const within = await comeBack(context.server, last);
    assert.deepEqual([within.sid, events(within.before)], [last.sid, [["missed", "y"]]]);
    for (const { wire } of [other, back, within]) await wire.end();
  });
}, "skua");

suite("a namespace's own window", { ROOT_RECOVERY: "300ms" }, (context) => {
  it("holds for it alone", async () => {
    const [short, long] = [await met(context.server, { ns: "/" }), await met(context.server)];
    for (const { wire } of [short, long]) await wire.end();
    await gone(context.server, short.sid, "/");
    await gone(context.server, long.sid);
    const early = await comeBack(context.server, short, "/");
    assert.equal(early.sid, short.sid);
    await early.wire.end();
    await gone(context.server, short.sid, "/");
    await passed(400);
    const late = await comeBack(context.server, short, "/");
    const other = await comeBack(context.server, long);
    assert.notEqual(late.sid, short.sid);
    assert.equal(other.sid, long.sid);
    for (const { wire } of [late, other]) await wire.end();
  });
}, "skua");
