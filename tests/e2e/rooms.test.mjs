// Rooms and broadcasts: who gets what, and who does not.
import assert from "node:assert/strict";
import { it } from "node:test";
import { ask, ask1, flushed } from "../lib/clients.mjs";
import { suite } from "../lib/table.mjs";
import { gather, next, until } from "../lib/wait.mjs";

// Which of the sockets got the event, by index, once all of them have been served.
async function reached(sockets, event, act) {
  const seen = sockets.map((socket) => gather(socket, event));
  await act();
  await Promise.all(sockets.map(flushed));
  return seen.map(({ all }) => all.length);
}

suite("rooms", {}, (context) => {
  it("puts a socket into the room of its id, and into those it joins, in that order", async () => {
    const socket = await context.clients.connect();
    assert.deepEqual(await ask1(socket, "rooms"), [socket.id]);
    assert.deepEqual(await ask1(socket, "join", "b", "a"), [socket.id, "b", "a"]);
    assert.deepEqual(await ask1(socket, "join", "b"), [socket.id, "b", "a"]);
    assert.deepEqual(await ask1(socket, "leave", "b"), [socket.id, "a"]);
    assert.deepEqual(await ask1(socket, "leave", "never joined"), [socket.id, "a"]);
  });

  it("takes any text as the name of a room", async () => {
    const socket = await context.clients.connect();
    const names = ["", "with space", "Grüße 😀", "a,b/c", "x".repeat(1000)];
    assert.deepEqual(await ask1(socket, "join", ...names), [socket.id, ...names]);
    for (const name of names) {
      const came = next(socket, "hello");
      await ask(socket, "ns-to", [name], [], "hello", name);
      assert.deepEqual(await came, [name]);
    }
  });

  it("reaches the members of a room, but not the sender that asks", async () => {
    const sockets = await context.clients.many(4);
    for (const i of [0, 1, 2]) await ask(sockets[i], "join", "r");
    assert.deepEqual(await reached(sockets, "x", () => ask(sockets[0], "to", ["r"], "x")), [0, 1, 1, 0]);
    assert.deepEqual(await reached(sockets, "y", () => ask(sockets[0], "ns-to", ["r"], [], "y")), [1, 1, 1, 0]);
    assert.deepEqual(await reached(sockets, "z", () => ask(sockets[3], "to", ["r"], "z")), [1, 1, 1, 0]);
  });

  it("reaches each socket once, however many of the rooms it is in", async () => {
    const sockets = await context.clients.many(4);
    await ask(sockets[0], "join", "one", "two");
    await ask(sockets[1], "join", "two");
    await ask(sockets[2], "join", "one");
    const act = () => ask(sockets[3], "ns-to", ["one", "two"], [], "x");
    assert.deepEqual(await reached(sockets, "x", act), [1, 1, 1, 0]);
  });

  it("leaves out the members of excepted rooms", async () => {
    const sockets = await context.clients.many(4);
    for (const socket of sockets) await ask(socket, "join", "all-of-us");
    await ask(sockets[1], "join", "not-us");
    const some = () => ask(sockets[0], "ns-to", ["all-of-us"], ["not-us", sockets[2].id], "x");
    assert.deepEqual(await reached(sockets, "x", some), [1, 0, 0, 1]);
    const others = () => ask(sockets[0], "others-but", ["not-us"], "y");
    assert.deepEqual(await reached(sockets, "y", others), [0, 0, 1, 1]);
  });

  it("reaches everybody of the namespace, and all others", async () => {
    const sockets = await context.clients.many(3);
    const elsewhere = await context.clients.connect("/custom");
    const all = [...sockets, elsewhere];
    assert.deepEqual(await reached(all, "x", () => ask(sockets[1], "everybody", "x", 1)), [1, 1, 1, 0]);
    assert.deepEqual(await reached(all, "y", () => ask(sockets[1], "others", "y", 1)), [1, 0, 1, 0]);
    assert.deepEqual(await reached(all, "z", () => ask(sockets[1], "ns-to", [], [sockets[1].id], "z")), [1, 0, 1, 0]);
  });

  it("reaches one socket by the room of its id", async () => {
    const sockets = await context.clients.many(3);
    assert.deepEqual(await reached(sockets, "x", () => ask(sockets[0], "to", [sockets[2].id], "x")), [0, 0, 1]);
  });

  it("reaches nobody in a room that is not there, nor in one that was left", async () => {
    const sockets = await context.clients.many(2);
    await ask(sockets[1], "join", "left");
    await ask(sockets[1], "leave", "left");
    assert.deepEqual(await reached(sockets, "x", () => ask(sockets[0], "ns-to", ["left", "never"], [], "x")), [0, 0]);
  });

  it("keeps rooms of different namespaces apart", async () => {
    const [here, there] = [await context.clients.connect("/"), await context.clients.connect("/custom")];
    await ask(here, "join", "same-name");
    await ask(there, "join", "same-name");
    const act = () => ask(here, "ns-to", ["same-name"], [], "x");
    assert.deepEqual(await reached([here, there], "x", act), [1, 0]);
  });

  it("forgets the rooms of a socket that disconnects", async () => {
    const [gone, stays] = await context.clients.many(2);
    await ask(gone, "join", "shared", "own");
    await ask(stays, "join", "shared");
    assert.equal(await ask1(stays, "count", "shared"), 2);
    const { id } = gone;
    gone.disconnect();
    await until(() => ask1(stays, "goodbye", id), "the server has seen it go");
    assert.equal(await ask1(stays, "count", "shared"), 1);
    assert.equal(await ask1(stays, "count", "own"), 0);
  });

  it("moves the members of a room into another", async () => {
    const sockets = await context.clients.many(3);
    for (const i of [0, 1]) await ask(sockets[i], "join", "old");
    await ask(sockets[2], "move", "old", "new");
    assert.equal(await ask1(sockets[2], "count", "old"), 0);
    assert.deepEqual(await reached(sockets, "x", () => ask(sockets[2], "ns-to", ["new"], [], "x")), [1, 1, 0]);
  });

  it("delivers a volatile event to sockets that can take it", async () => {
    const sockets = await context.clients.many(2);
    const came = gather(sockets[1], "now");
    // Over polling, one that has no poll pending at that moment is passed over.
    while (came.all.length === 0) await ask(sockets[0], "everybody-volatile", "now", 1);
    assert.deepEqual(came.all[0], [1]);
  });

  it("keeps the order of a sender's broadcasts", async () => {
    const [sender, receiver] = await context.clients.many(2);
    await ask(receiver, "join", "ordered");
    const came = gather(receiver, "n");
    for (let i = 0; i < 1000; i++) sender.emit("to", ["ordered"], "n", i);
    assert.deepEqual((await came.take(1000)).map(([i]) => i), Array.from({ length: 1000 }, (_, i) => i));
  });
});

suite("a broadcast to 200 clients", {}, (context) => {
  it("reaches every one of them, once, in order", async () => {
    const sockets = await context.clients.many(200, "/custom");
    const seen = sockets.map((socket) => gather(socket, "news"));
    for (let i = 0; i < 20; i++) sockets[0].emit("everybody", "news", i, { text: "for all" });
    const expected = Array.from({ length: 20 }, (_, i) => [i, { text: "for all" }]);
    for (const one of seen) assert.deepEqual(await one.take(20, 30_000), expected);
    assert.equal(await ask1(sockets[0], "count"), 200);
  });
});
