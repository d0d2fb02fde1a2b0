// lua/examples/relay.lua: agents, viewers, runners, terminals and the hub, as their programs would use it.
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import path from "node:path";
import { it } from "node:test";
import { ask, ask1, connected, modes, refused } from "../lib/clients.mjs";
import { ROOT, skuaIsTested, startSkua } from "../lib/servers.mjs";
import { suite } from "../lib/table.mjs";
import { gather, next } from "../lib/wait.mjs";

const env = { RELAY_LISTEN: "127.0.0.1:0", RELAY_API_KEYS: "key-1,key-2", RELAY_TOKENS: "token-1", RELAY_ORIGINS: "http://app.example" };
const relay = { name: "skua", start: (more) => startSkua(path.join(ROOT, "lua/examples/relay.lua"), { env: { ...env, ...more } }) };

const agent = { auth: { apiKey: "key-1" } };
const browser = { extraHeaders: { Cookie: "theme=dark; relay_token=token-1", Origin: "http://app.example" } };
const hash = (value) => createHash("sha256").update(value).digest("hex");

suite("relay.lua", {}, (context) => {
  const connect = (...args) => context.clients.connect(...args);
  let sessions = 0;
  const newId = () => `${context.mode.name}-${++sessions}`;

  it("lets in with an API key, a cookie or a token, and nobody else", async () => {
    for (const namespace of ["/relay", "/runner"]) {
      await connect(namespace, agent);
      assert.equal((await refused(context.clients.socket(namespace))).message, "missing apiKey");
      const wrong = await refused(context.clients.socket(namespace, { auth: { apiKey: "key-9" } }));
      assert.deepEqual([wrong.message, wrong.data], ["unauthorized", { code: 401 }]);
    }
    for (const namespace of ["/viewer", "/hub"]) {
      await connect(namespace, browser);
      await connect(namespace, { auth: { token: "token-1" } });
      const wrong = await refused(context.clients.socket(namespace, { auth: { token: "token-9" } }));
      assert.deepEqual([wrong.message, wrong.data], ["unauthorized", { code: 401 }]);
    }
    await connect("/terminal", agent);
    await connect("/terminal", browser);
    assert.equal((await refused(context.clients.socket("/terminal"))).message, "unauthorized");
    assert.equal((await refused(context.clients.socket("/other"))).message, "Invalid namespace");
  });

  it("refuses foreign origins, over WebSocket too", async () => {
    const socket = context.clients.socket("/hub", { extraHeaders: { Origin: "http://evil.example" }, auth: { token: "token-1" } });
    await refused(socket);
  });

  it("carries all five namespaces on one connection", async () => {
    const manager = context.clients.manager();
    const auth = { apiKey: "key-1", token: "token-1" };
    const sockets = ["/relay", "/viewer", "/runner", "/terminal", "/hub"].map((name) => manager.socket(name, { auth }));
    await Promise.all(sockets.map(connected));
  });

  it("shows a session live on /hub from its registration to its end", async () => {
    const id = newId();
    const hub = await connect("/hub", browser);
    const added = next(hub, "session_added");
    const socket = await connect("/relay", agent);
    const { ok, session } = await ask1(socket, "register_session", id, "a title");
    assert.equal(ok, true);
    assert.deepEqual(await added, [session]);
    assert.deepEqual([session.id, session.title, typeof session.startedAt], [id, "a title", "number"]);

    const late = context.clients.socket("/hub", browser);
    const [list] = await next(late, "sessions");
    assert.ok(list.some((one) => one.id === id));

    const removed = next(hub, "session_removed");
    socket.disconnect();
    assert.deepEqual(await removed, [{ id }]);
  });

  it("does not let an agent take another's session", async () => {
    const id = newId();
    const [one, two] = [await connect("/relay", agent), await connect("/relay", { auth: { apiKey: "key-2" } })];
    await ask(one, "register_session", id);
    assert.deepEqual(await ask1(two, "register_session", id), { ok: false, error: "the session has an agent" });
    assert.equal((await ask1(one, "register_session", newId())).ok, false);
    assert.equal((await ask1(two, "register_session", { not: "a name" })).ok, false);
    assert.equal((await ask1(two, "agent_event", {})).ok, false);
  });

  it("brings an agent's events to the viewers of its session, in order, and to no others", async () => {
    const [id, other] = [newId(), newId()];
    const [socket, viewer, stranger] = [await connect("/relay", agent), await connect("/viewer", browser), await connect("/viewer", browser)];
    await ask(socket, "register_session", id);
    const subscribed = next(viewer, "subscribed");
    assert.deepEqual(await ask1(viewer, "subscribe", id), { ok: true });
    assert.deepEqual(await subscribed, [{ sessionId: id, live: true }]);
    await ask(stranger, "subscribe", other);

    const seen = gather(viewer, "agent_event");
    const strange = gather(stranger, "agent_event");
    for (let i = 0; i < 200; i++) socket.emit("agent_event", { type: "delta", n: i, text: "Grüße 😀", empty: [], none: null });
    assert.deepEqual(
      await seen.take(200),
      Array.from({ length: 200 }, (_, n) => [{ type: "delta", n, text: "Grüße 😀", empty: [], none: null }]),
    );
    assert.equal((await ask1(stranger, "unsubscribe", other)).ok, true);
    assert.deepEqual(strange.all, []);

    const ended = next(viewer, "session_ended");
    socket.disconnect();
    assert.deepEqual(await ended, [{ id }]);
  });

  it("brings 10 MB from the agent to the viewer, and back", async () => {
    const id = newId();
    const [socket, viewer] = [await connect("/relay", agent), await connect("/viewer", browser)];
    await ask(socket, "register_session", id);
    await ask(viewer, "subscribe", id);

    const large = randomBytes(10_000_000);
    const seen = next(viewer, "agent_event", 30_000);
    socket.emit("agent_event", { type: "file", large });
    assert.equal(hash((await seen)[0].large), hash(large));

    const text = randomBytes(7_500_000).toString("base64");
    socket.on("input", ({ input }, done) => done({ got: hash(input), input }));
    const { ok, answer } = await ask1(viewer, "input", id, text);
    assert.equal(ok, true);
    assert.equal(answer.got, hash(text));
    assert.equal(hash(answer.input), hash(text));
  });

  it("brings a viewer's input to the agent and its answer back", async () => {
    const id = newId();
    const [socket, viewer] = [await connect("/relay", agent), await connect("/viewer", browser)];
    await ask(socket, "register_session", id);
    socket.on("input", ({ from, input }, done) => done({ echo: input, from }));
    assert.deepEqual(await ask1(viewer, "input", id, { text: "hello", keys: [] }), {
      ok: true,
      answer: { echo: { text: "hello", keys: [] }, from: viewer.id },
    });
    assert.deepEqual(await ask1(viewer, "input", newId(), "x"), { ok: false, error: "no such session" });
  });

  it("has runners carry out commands", async () => {
    const name = newId();
    const [runner, hub] = [await connect("/runner", agent), await connect("/hub", browser)];
    const runners = next(hub, "runners");
    assert.deepEqual(await ask1(runner, "register_runner", name), { ok: true });
    assert.ok((await runners)[0].includes(name));
    runner.on("command", ({ run }, done) => done({ status: 0, output: Buffer.from(`ran ${run}`) }));
    assert.deepEqual(await ask1(hub, "run_command", name, { run: "ls" }), {
      ok: true,
      result: { status: 0, output: Buffer.from("ran ls") },
    });
    assert.deepEqual(await ask1(hub, "run_command", newId(), {}), { ok: false, error: "no such runner" });
    const { pong, ts } = await ask1(runner, "runner_ping");
    assert.deepEqual([pong, typeof ts], [true, "number"]);

    const again = await connect("/runner", agent);
    assert.deepEqual(await ask1(again, "register_runner", name), { ok: false, error: "the name is taken" });
    const gone = next(hub, "runners");
    runner.disconnect();
    assert.ok(!(await gone)[0].includes(name));
  });

  it("connects the two ends of a terminal", async () => {
    const id = newId();
    const [shell, screen, second] = [await connect("/terminal", agent), await connect("/terminal", browser), await connect("/terminal", browser)];
    assert.deepEqual(await ask1(shell, "attach", id), { ok: true });
    const attached = next(shell, "attached");
    assert.deepEqual(await ask1(screen, "attach", id), { ok: true });
    assert.deepEqual(await attached, [screen.id]);
    await ask(second, "attach", id);

    const inputs = gather(shell, "input");
    const sizes = gather(shell, "resize");
    assert.deepEqual(await ask1(screen, "input", "ls\r"), { ok: true });
    await ask(screen, "input", Buffer.from([27, 91, 65]));
    await ask(second, "resize", { cols: 80, rows: 24 });
    assert.deepEqual(await inputs.take(2), [["ls\r"], [Buffer.from([27, 91, 65])]]);
    assert.deepEqual(await sizes.take(1), [[{ cols: 80, rows: 24 }]]);

    const outputs = [gather(screen, "output"), gather(second, "output")];
    for (let i = 0; i < 100; i++) shell.emit("output", Buffer.from([i, 0xff]));
    for (const output of outputs)
      assert.deepEqual(await output.take(100), Array.from({ length: 100 }, (_, i) => [Buffer.from([i, 0xff])]));

    assert.equal((await ask1(shell, "input", "x")).ok, false);
    assert.equal((await ask1(screen, "output", "x")).ok, false);
    const closed = next(screen, "closed");
    shell.disconnect();
    assert.deepEqual(await closed, [id]);
  });

  it("ends a terminal over more than its 1 MB, with a log line, and no other connection", async () => {
    const [terminal, other] = [await connect("/terminal", agent), await connect("/relay", agent)];
    const lines = context.server.log(/payload too large/).length;
    await ask(terminal, "attach", newId());
    const told = next(terminal, "disconnect");
    terminal.emit("output", Buffer.alloc(1_500_000));
    await told;
    const found = (await context.server.logged(/payload too large/, lines + 1)).slice(lines);
    assert.equal(found.length, 1);
    assert.match(found[0], /socket=\S+ namespace=\/terminal size=\d+ limit=\d+/);
    assert.equal((await ask1(other, "register_session", newId())).ok, true);
  });
}, modes, skuaIsTested ? [relay] : []);

suite("an agent that leaves", {}, (context) => {
  it("before it answers: the viewer who asked is told when the time is over", async () => {
    const socket = await context.clients.connect("/relay", agent);
    const viewer = await context.clients.connect("/viewer", browser);
    await ask(socket, "register_session", "leaves");
    const came = next(socket, "input");
    const answer = viewer.timeout(20_000).emitWithAck("input", "leaves", "x");
    await came;
    socket.disconnect();
    assert.deepEqual(await answer, { ok: false, error: "operation has timed out" });
  });
}, modes.slice(0, 1), skuaIsTested ? [relay] : []);
