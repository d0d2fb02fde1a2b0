// Events and acknowledgements: what is sent arrives, as it was, in order.
import assert from "node:assert/strict";
import { it } from "node:test";
import { ask, ask1, flushed } from "../lib/clients.mjs";
import { suite } from "../lib/table.mjs";
import { gather, next, within } from "../lib/wait.mjs";

const values = {
  "no arguments": [],
  "several arguments": [1, "two", false, { three: 3 }],
  null: [null],
  "null among others": [1, null, "x", null],
  "an empty array": [[]],
  "an empty object": [{}],
  "empty ones inside": [{ list: [], object: {}, text: "" }, [[], {}, [[]]]],
  "UTF-8": ["Grüße, 世界, 😀, \u0000, \u2028\u2029, \u007f, \ufeff"],
  "a lone surrogate": ["\ud83d!"],
  "UTF-8 as keys": [{ "schlüssel": 1, "鍵": 2, "😀": 3, "": 4, "a.b": 5 }],
  "control characters": ["\b\f\n\r\t\u0001\u001f\"\\/"],
  "big integers": [9007199254740991, -9007199254740991, 2 ** 53, 1e21, -1e300],
  fractions: [0.1, -2.5, 1e-7, 5e-324, 1.7976931348623157e308, 0],
  "nested values": [{ a: [{ b: { c: [1, [2, [3, { d: null }]]] } }] }],
  "deep nesting": [JSON.parse("[".repeat(150) + "]".repeat(150))],
  "keys in order": [{ z: 1, a: 2, m: 3, Z: 4 }],
  "keys that look like indices": [{ 10: "ten", 2: "two", x: 1 }],
  "names of methods": [{ emit: 1, __index: 2, constructor: 3, length: 4, n: 5 }],
  "what looks like a placeholder": [{ _placeholder: true, num: 0 }, { _placeholder: false }],
  "long text": ["x".repeat(100_000) + "€"],
};

suite("events", {}, (context) => {
  it("tells the auth payload on connection", async () => {
    const socket = context.clients.socket("/", { auth: { user: "ada", list: [1, {}] } });
    assert.deepEqual(await next(socket, "auth"), [{ user: "ada", list: [1, {}] }]);
  });

  it("tells an empty auth payload as an object", async () => {
    const socket = context.clients.socket("/custom");
    assert.deepEqual(await next(socket, "auth"), [{}]);
  });

  // socket.io-msgpack-parser itself cannot write these.
  const skipped = process.env.PARSER === "msgpack" ? ["a lone surrogate", "big integers", "fractions"] : [];
  for (const [what, args] of Object.entries(values)) {
    if (skipped.includes(what)) continue;
    it(`sends back ${what}, as an event and as an acknowledgement`, async () => {
      const socket = await context.clients.connect();
      const back = next(socket, "message-back");
      socket.emit("message", ...args);
      assert.deepEqual(await back, args);
      assert.deepEqual(await ask(socket, "message-with-ack", ...args), args);
      assert.equal(JSON.stringify(await ask(socket, "message-with-ack", ...args)), JSON.stringify(args));
    });
  }

  it("keeps what a handler did not touch", async () => {
    const socket = await context.clients.connect();
    const sent = { list: ["one", {}, [], null], empty: {}, none: null, big: 2 ** 53, nested: { a: [1.5] } };
    assert.deepEqual(await ask(socket, "patch", sent), [
      { ...sent, list: ["first", {}, [], null], patched: true },
    ]);
  });

  it("acknowledges without values, and with null and more", async () => {
    const socket = await context.clients.connect();
    assert.deepEqual(await ask(socket, "no-values", 1, 2), []);
    assert.deepEqual(await ask(socket, "null-and-more"), [null, "more"]);
  });

  it("knows events whose names are numbers", async () => {
    const socket = await context.clients.connect();
    assert.deepEqual(await ask(socket, 5, "x"), ["five", "x"]);
  });

  it("never acknowledges an event that has no handler, nor one whose handler fails", async () => {
    const socket = await context.clients.connect();
    const answers = [];
    socket.emit("nobody-listens", 1, (...args) => answers.push(args));
    socket.emit("throw", 1, (...args) => answers.push(args));
    await flushed(socket);
    assert.deepEqual(answers, []);
    assert.deepEqual(await ask(socket, "message-with-ack", "still here"), ["still here"]);
  });

  it("gives events without a handler to the catch-all", async () => {
    const socket = await context.clients.connect("/any");
    const caught = gather(socket, "caught");
    assert.deepEqual(await ask(socket, "something", 1, { a: [] }), ["something", 1, { a: [] }]);
    assert.deepEqual(await ask(socket, "own"), ["own"]);
    assert.deepEqual(await ask(socket, "other"), ["other"]);
    assert.deepEqual(caught.all, [["something", 1, { a: [] }], ["other"]]);
  });

  it("refuses events in a middleware, and tells the error handler", async () => {
    const socket = await context.clients.connect("/guarded");
    const answers = [];
    socket.emit("forbidden", (...args) => answers.push(args));
    assert.deepEqual(await ask(socket, "message-with-ack", 1), [1]);
    assert.deepEqual(answers, []);
    assert.deepEqual(await ask1(socket, "errors", socket.id), ["not allowed"]);
  });

  it("acknowledges many questions at once, each with its own answer", async () => {
    const socket = await context.clients.connect();
    const questions = Array.from({ length: 500 }, (_, i) => i);
    const answers = await Promise.all(questions.map((i) => ask1(socket, "message-with-ack", i)));
    assert.deepEqual(answers, questions);
  });

  it("keeps the order of 10,000 messages, both ways", async () => {
    const socket = await context.clients.connect();
    const back = gather(socket, "message-back");
    for (let i = 0; i < 10_000; i++) socket.emit("message", i);
    const came = await back.take(10_000, 60_000);
    assert.ok(came.every(([i], at) => i === at));
    assert.equal(came.length, 10_000);
  });

  it("keeps the order of a burst from the server", async () => {
    const socket = await context.clients.connect();
    const burst = gather(socket, "burst");
    assert.deepEqual(await ask(socket, "burst", 5000, "payload"), [true]);
    assert.deepEqual(
      burst.all,
      Array.from({ length: 5000 }, (_, i) => [i + 1, "payload"]),
    );
  });
});

suite("questions from the server", {}, (context) => {
  it("gets the client's answer with all its values", async () => {
    const socket = await context.clients.connect();
    socket.on("question", (a, b, done) => done(a + b, { seen: [] }, null, "end"));
    assert.deepEqual(await ask(socket, "ask-me", "question", 2, 3), [true, 5, { seen: [] }, null, "end"]);
  });

  it("gets binary answers", async () => {
    const socket = await context.clients.connect();
    socket.on("question", (bytes, done) => done({ bytes: Buffer.concat([bytes, Buffer.from([9])]) }));
    assert.deepEqual(await ask(socket, "ask-me", "question", Buffer.from([1, 2])), [true, { bytes: Buffer.from([1, 2, 9]) }]);
  });

  it("gives up after the time-out, and ignores the late answer", async () => {
    const socket = await context.clients.connect();
    const asked = next(socket, "question");
    assert.deepEqual(await ask(socket, "ask-me-within", 50, "question"), [false, "operation has timed out"]);
    const [late] = await asked;
    late("too late");
    assert.deepEqual(await ask(socket, "message-with-ack", 1), [1]);
  });

  it("is answered while the handlers of other events run", async () => {
    const socket = await context.clients.connect();
    const asked = next(socket, "question");
    const outcome = ask(socket, "ask-me", "question");
    const [answer] = await asked;
    assert.deepEqual(await ask(socket, "message-with-ack", "meanwhile"), ["meanwhile"]);
    answer("now");
    assert.deepEqual(await outcome, [true, "now"]);
  });

  it("collects the answers of a room", async () => {
    const sockets = await context.clients.many(3);
    for (const [i, socket] of sockets.entries()) {
      await ask(socket, "join", "asked");
      socket.on("question", (x, done) => done(x * (i + 1), "second values are left out"));
    }
    const [answers, error] = await ask(sockets[0], "ask-room", "asked", 5000, "question", 10);
    assert.deepEqual([...answers].sort(), [10, 20, 30]);
    assert.equal(error, null);
  });

  it("gives the answers so far when a room does not answer in time", async () => {
    const sockets = await context.clients.many(2);
    for (const socket of sockets) await ask(socket, "join", "half-asked");
    sockets[0].on("question", (done) => done("one"));
    assert.deepEqual(await ask(sockets[0], "ask-room", "half-asked", 200, "question"), [["one"], "operation has timed out"]);
  });

  it("is told at once that a room is empty", async () => {
    const socket = await context.clients.connect();
    assert.deepEqual(await ask(socket, "ask-room", "nobody-is-here", 5000, "question"), [[], null]);
  });

  it("lets the client's time-out strike when nobody answers", async () => {
    const socket = await context.clients.connect();
    await within(
      assert.rejects(socket.timeout(30).emitWithAck("nobody-listens"), { message: "operation has timed out" }),
      "the client's time-out",
    );
  });
});
