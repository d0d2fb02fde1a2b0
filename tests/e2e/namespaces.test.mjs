// Namespaces: joining, refusing, dynamic ones, what a handler knows of its socket.
import assert from "node:assert/strict";
import { it } from "node:test";
import { ask, ask1, connected, flushed, refused } from "../lib/clients.mjs";
import { suite } from "../lib/table.mjs";
import { gather, next, until } from "../lib/wait.mjs";

suite("namespaces", {}, (context) => {
  it("refuses one that is not declared", async () => {
    const error = await refused(context.clients.socket("/nowhere"));
    assert.equal(error.message, "Invalid namespace");
    assert.equal(error.data, undefined);
  });

  it("refuses a name that differs in case, or goes on", async () => {
    for (const name of ["/Custom", "/custom/", "/custom/more"])
      assert.equal((await refused(context.clients.socket(name))).message, "Invalid namespace", name);
  });

  it("refuses with the message and data of a middleware, and lets the same client try again", async () => {
    const auth = {};
    const socket = context.clients.socket("/admin", { auth });
    const error = await refused(socket);
    assert.equal(error.message, "unauthorized");
    assert.deepEqual(error.data, { code: 401 });
    auth.token = "s3cret";
    socket.connect();
    await connected(socket);
    assert.deepEqual(await ask(socket, "message-with-ack", 1), [1]);
  });

  it("refuses without data", async () => {
    const error = await refused(context.clients.socket("/plain-refusal"));
    assert.equal(error.message, "no");
    assert.equal(error.data, undefined);
  });

  it("tells of a middleware that fails no more than that", async () => {
    const error = await refused(context.clients.socket("/throwing"));
    assert.equal(error.message, "internal error");
    assert.equal(error.data, undefined);
  });

  it("runs middleware in order, and waits for those that wait", async () => {
    const socket = await context.clients.connect("/chain");
    assert.deepEqual(await ask1(socket, "get-data"), { steps: ["first", "second"] });
    const error = await refused(context.clients.socket("/chain", { auth: { stop: true } }));
    assert.equal(error.message, "stopped");
    assert.deepEqual(error.data, ["first", "second"]);
  });

  it("does not let the refusal of one namespace touch the others of a connection", async () => {
    const manager = context.clients.manager();
    const root = manager.socket("/");
    await connected(root);
    assert.equal((await refused(manager.socket("/admin"))).message, "unauthorized");
    assert.equal((await refused(manager.socket("/nowhere"))).message, "Invalid namespace");
    assert.deepEqual(await ask(root, "message-with-ack", 1), [1]);
  });

  it("carries many on one connection, each with its own events, rooms and ids", async () => {
    const manager = context.clients.manager();
    const names = ["/", "/custom", "/any", ...Array.from({ length: 50 }, (_, i) => `/org-${i}`)];
    const sockets = names.map((name) => manager.socket(name));
    await Promise.all(sockets.map(connected));
    assert.equal(new Set(sockets.map(({ id }) => id)).size, names.length);
    const answers = await Promise.all(sockets.map((socket, i) => ask(socket, "message-with-ack", i)));
    for (const [i, answer] of answers.entries()) assert.equal(answer.at(-1), i);
    const others = gather(sockets[3], "hello");
    const own = next(sockets[4], "hello");
    await ask(sockets[4], "everybody", "hello", 4);
    assert.deepEqual(await own, [4]);
    await flushed(sockets[3]);
    assert.deepEqual(others.all, []);
  });

  it("makes dynamic ones of a pattern, which only its names match", async () => {
    const one = await context.clients.connect("/org-Ada", { auth: { x: 1 } });
    const same = await context.clients.connect("/org-Ada");
    const other = await context.clients.connect("/org-Bob");
    assert.equal(await ask1(one, "count"), 2);
    assert.equal(await ask1(other, "count"), 1);
    const came = next(same, "hello");
    await ask(one, "others", "hello", "Ada's");
    assert.deepEqual(await came, ["Ada's"]);
    for (const name of ["/org", "/Xorg-1", "/org-a/b"])
      assert.equal((await refused(context.clients.socket(name))).message, "Invalid namespace", name);
  });

  it("takes UTF-8 in a dynamic name", async () => {
    const socket = await context.clients.connect("/org-Grüße😀");
    assert.deepEqual(await ask(socket, "message-with-ack", "ö"), ["ö"]);
  });

  it("can be left and joined again on the same connection", async () => {
    const manager = context.clients.manager();
    const root = manager.socket("/");
    const socket = manager.socket("/custom");
    await connected(root);
    await connected(socket);
    const first = socket.id;
    socket.disconnect();
    await until(() => ask1(root, "no-values").then(() => socket.disconnected), "it is disconnected");
    socket.connect();
    await connected(socket);
    assert.notEqual(socket.id, first);
    assert.deepEqual(await ask(socket, "message-with-ack", 2), [2]);
    assert.deepEqual(await ask(root, "message-with-ack", 3), [3]);
  });
});

suite("what a handler knows of its socket", {}, (context) => {
  it("the handshake", async () => {
    const socket = await context.clients.connect("/custom", {
      auth: { user: "ada", roles: ["a"], none: null },
      query: { token: "a b+ü", empty: "" },
      extraHeaders: { "X-Token": "t1", Origin: "http://app.example", Cookie: "a=1; b=2" },
    });
    const shake = await ask1(socket, "describe");
    assert.deepEqual(shake.auth, { user: "ada", roles: ["a"], none: null });
    assert.equal(shake.headers["x-token"], "t1");
    assert.equal(shake.headers.cookie, "a=1; b=2");
    assert.equal(shake.headers.origin, "http://app.example");
    assert.equal(shake.headers.host, new URL(context.server.url).host);
    assert.equal(shake.query.token, "a b+ü");
    assert.equal(shake.query.empty, "");
    assert.equal(shake.query.EIO, "4");
    assert.equal(shake.query.transport, context.mode.transports[0]);
    assert.ok(shake.url.startsWith("/socket.io/?"), shake.url);
    assert.equal(shake.xdomain, true);
    assert.equal(shake.secure, context.server.url.startsWith("https:"));
    assert.ok(shake.address.endsWith("127.0.0.1"), shake.address);
    assert.deepEqual([shake.time, shake.issued], ["string", "number"]);
  });

  it("no origin, no auth", async () => {
    const socket = await context.clients.connect();
    const shake = await ask1(socket, "describe");
    assert.equal(shake.xdomain, false);
    assert.deepEqual(shake.auth, {});
  });

  it("its id and its transport of the moment", async () => {
    const socket = await context.clients.connect();
    const transport = context.mode.name === "polling" ? "polling" : "websocket";
    assert.deepEqual(await ask(socket, "whoami"), [socket.id, transport]);
  });

  it("data, which is its own and stays", async () => {
    const [one, two] = await context.clients.many(2);
    const value = { list: [1, [], {}], nested: { a: null, b: 1.5 }, text: "ü" };
    await ask(one, "set-data", "value", value);
    await ask(one, "set-data", "n", 2 ** 40);
    assert.deepEqual(await ask1(one, "get-data"), { value, n: 2 ** 40 });
    assert.deepEqual(await ask1(two, "get-data"), {});
  });
});
