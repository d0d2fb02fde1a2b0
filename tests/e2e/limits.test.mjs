// Large payloads, and those that are too large.
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { it } from "node:test";
import { ask, ask1, connected, modes, refused } from "../lib/clients.mjs";
import { skuaIsTested, startSkuaText } from "../lib/servers.mjs";
import { suite } from "../lib/table.mjs";
import { gather, next, until } from "../lib/wait.mjs";

const MB = 1_000_000;
const LIMIT = 100_000; // bytes

const hash = (value) => createHash("sha256").update(value).digest("hex");

suite("100 MB are allowed", { MAX_PAYLOAD: 100 * MB }, (context) => {
  it("passes 10 MB of text intact both ways", async () => {
    const socket = await context.clients.connect();
    const sent = randomBytes(7.5 * MB).toString("base64");
    const [back] = await ask(socket, "message-with-ack", { sent });
    assert.equal(back.sent.length, 10 * MB);
    assert.equal(hash(back.sent), hash(sent));
  });

  it("passes 10 MB of binary intact both ways", async () => {
    const socket = await context.clients.connect();
    const sent = randomBytes(10 * MB);
    const came = next(socket, "message-back", 30_000);
    socket.emit("message", "before", { sent });
    const [before, back] = await came;
    assert.equal(before, "before");
    assert.equal(hash(back.sent), hash(sent));
  });

  it("broadcasts 10 MB, and stays at the service of others", async () => {
    const [sender, ...receivers] = await context.clients.many(4);
    const sent = randomBytes(10 * MB);
    const came = receivers.map((socket) => next(socket, "large", 30_000));
    sender.emit("others", "large", sent);
    assert.deepEqual(await ask(sender, "message-with-ack", "small"), ["small"]);
    for (const one of came) assert.equal(hash((await one)[0]), hash(sent));
  });
});

suite("100 kB are allowed", { MAX_PAYLOAD: LIMIT, PING_INTERVAL: 300, PING_TIMEOUT: 300 }, (context) => {
  // The engine's packet is `420["message-with-ack","xxx…"]`: what is around the text.
  const around = '420["message-with-ack",""]'.length;
  const polling = () => context.mode.name === "polling";

  it("passes a message of exactly the limit", async () => {
    const socket = await context.clients.connect();
    const text = "x".repeat(LIMIT - around);
    assert.deepEqual(await ask(socket, "message-with-ack", text), [text]);
  });

  it("ends the connection over a message that is one byte larger", async () => {
    const witness = await context.clients.connect();
    const socket = await context.clients.connect();
    const { id } = socket;
    const lines = context.server.log(/payload too large/).length;
    const told = next(socket, "disconnect");
    socket.emit("message-with-ack", "x".repeat(LIMIT - around + 1), () => {});
    // WebSocket: close code 1009; polling: status 413, over which the client gives up
    assert.equal((await told)[0], polling() ? "transport error" : "transport close");
    const { disconnect } = await until(() => ask1(witness, "goodbye", id), "the server has seen it go");
    assert.equal(disconnect, polling() ? "transport close" : "transport error");
    if (context.name !== "skua") return;
    const found = (await context.server.logged(/payload too large/, lines + 1)).slice(lines);
    assert.equal(found.length, 1);
    assert.match(found[0], /\bsession=[\w-]+/);
    assert.match(found[0], new RegExp(`\\bsize=${LIMIT + 1}\\b.*\\blimit=${LIMIT}\\b`));
  });

  it("ends the connection over a binary attachment that is too large", async () => {
    const witness = await context.clients.connect();
    const socket = await context.clients.connect();
    const { id } = socket;
    const told = next(socket, "disconnect");
    socket.emit("message", Buffer.alloc(LIMIT + 1));
    await told;
    const { disconnect } = await until(() => ask1(witness, "goodbye", id), "the server has seen it go");
    assert.equal(disconnect, polling() ? "transport close" : "transport error");
  });

  it("may send more at once than it would take", async () => {
    const socket = await context.clients.connect();
    const came = gather(socket, "burst");
    const text = "x".repeat(LIMIT / 2);
    await ask(socket, "burst", 5, text);
    assert.deepEqual(came.all, [1, 2, 3, 4, 5].map((i) => [i, text]));
  });
});

const own = {
  name: "skua",
  start: () =>
    startSkuaText(`
listen "127.0.0.1:0"
limits { max_payload = "1MB", handler_time = "100ms", lua_memory = "16MB", attachments = 12, connections = 30 }
local all = {
  namespace "/",
  namespace "/small" { max_payload = "1KB" },
  namespace "/strict" { origins = { "http://app.example", "https://*.app.example" } },
}
for _, ns in ipairs(all) do
  ns:on("echo", function(_, ...) return ... end)
  ns:on("count", function(_, ...) return select("#", ...) end)
  ns:on("endless", function() pcall(function() while true do end end) while true do end end)
  ns:on("greedy", function() local all = {} for i = 1, 1e9 do all[i] = ("x"):rep(1000) .. i end end)
  ns:on("fails", function() local nothing; return nothing.field end)
end
`),
};

suite("skua's own limits", {}, (context) => {
  it("a namespace's payload limit holds for it alone", async () => {
    const large = "x".repeat(2000);
    const root = await context.clients.connect();
    assert.deepEqual(await ask(root, "echo", large), [large]);
    const small = await context.clients.connect("/small");
    assert.deepEqual(await ask(small, "echo", "x"), ["x"]);
    const told = next(small, "disconnect");
    small.emit("echo", large);
    assert.match((await told)[0], /^transport (close|error)$/);
    await context.server.logged(/\bnamespace=\/small\b.*\blimit=1024\b|\blimit=1024\b.*\bnamespace=\/small\b/);
  });

  it("a handler that computes for too long is stopped, and the next one served", async () => {
    const socket = await context.clients.connect();
    const answers = [];
    const lines = context.server.log(/event=endless/).length;
    socket.emit("endless", () => answers.push(1));
    assert.deepEqual(await ask(socket, "echo", 1), [1]);
    assert.deepEqual(answers, []);
    const found = await context.server.logged(/event=endless/, lines + 1);
    assert.match(found.at(-1), /error .*test\.lua:\d+: .*socket=\S+.*traceback=/);
  });

  it("a handler that takes too much memory is stopped, and the next one served", async () => {
    const socket = await context.clients.connect();
    const lines = context.server.log(/event=greedy/).length;
    socket.emit("greedy", () => {});
    assert.deepEqual(await ask(socket, "echo", 1), [1]);
    await context.server.logged(/event=greedy/, lines + 1);
  });

  it("a handler that fails is logged with line, socket, event and traceback", async () => {
    const socket = await context.clients.connect("/small");
    socket.emit("fails", 1, () => {});
    assert.deepEqual(await ask(socket, "echo", 1), [1]);
    const line = (await context.server.logged(new RegExp(`socket=${socket.id}.*event=fails`)))[0];
    assert.match(line, /error .*test\.lua:\d+: attempt to index a nil value.*namespace=\/small.*traceback="/);
  });

  it("the number of attachments can be raised", async () => {
    const socket = await context.clients.connect();
    const values = Array.from({ length: 12 }, (_, i) => Buffer.from([i]));
    assert.deepEqual(await ask(socket, "count", ...values), [12]); // the client's own limit is 10
  });

  it("a namespace's origins are checked, in every transport", async () => {
    const from = (origin) => ({ extraHeaders: { Origin: origin } });
    await context.clients.connect("/strict", from("http://app.example"));
    await context.clients.connect("/strict", from("https://a.app.example"));
    for (const origin of ["http://evil.example", "https://app.example.evil.example", "http://a.app.example"]) {
      const socket = context.clients.socket("/strict", from(origin));
      await refused(socket);
      await context.clients.connect("/", from(origin));
    }
  });
}, modes, skuaIsTested ? [own] : []);

suite("too many connections", {}, (context) => {
  it("are refused with a log line, and there is room again when others left", async () => {
    const held = await context.clients.many(30);
    const late = context.clients.socket();
    await refused(late);
    await context.server.logged(/connection refused/);
    held[0].disconnect();
    const again = await until(async () => {
      const socket = context.clients.socket();
      return connected(socket).then(() => socket, () => null);
    }, "there is room again");
    assert.deepEqual(await ask(again, "echo", 1), [1]);
  });
}, modes.filter(({ name }) => name === "websocket"), skuaIsTested ? [own] : []);
