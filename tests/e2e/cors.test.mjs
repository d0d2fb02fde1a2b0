// Who may connect from a web page: the headers are the reference's, and skua refuses where the reference only leaves
// them out.
import assert from "node:assert/strict";
import { it } from "node:test";
import { ask, refused } from "../lib/clients.mjs";
import { Raw, send, upgradeRequest } from "../lib/raw.mjs";
import { servers, skuaIsTested, startSkuaText } from "../lib/servers.mjs";
import { rawSuite, suite } from "../lib/table.mjs";

const POLL = "/socket.io/?EIO=4&transport=polling";
const WEBSOCKET = "/socket.io/?EIO=4&transport=websocket";
const skuaOnly = servers.filter(({ name }) => name === "skua");

const corsHeaders = ({ headers }) =>
  Object.fromEntries(Object.entries(headers).filter(([name]) => name === "vary" || name.startsWith("access-control-")));

rawSuite("CORS headers", {}, (context) => {
  for (const origin of ["http://app.example", "http://other.example"]) {
    it(`reflect ${origin}, which is listed`, async () => {
      assert.deepEqual(corsHeaders(await send(context.server, { path: POLL, headers: { Origin: origin } })), {
        "access-control-allow-origin": origin,
        "access-control-allow-credentials": "true",
        vary: "Origin",
      });
    });
  }

  for (const origin of ["http://evil.example", "https://app.example", "http://app.example:8080", "http://app.example.evil", "null"]) {
    it(`leave out ${origin}, which is not; the request is served, as there is no enforcement`, async () => {
      const answer = await send(context.server, { path: POLL, headers: { Origin: origin } });
      assert.equal(answer.status, 200);
      assert.deepEqual(corsHeaders(answer), { "access-control-allow-credentials": "true", vary: "Origin" });
    });
  }

  it("are on error answers too", async () => {
    const answer = await send(context.server, { path: "/socket.io/?EIO=4&transport=x", headers: { Origin: "http://app.example" } });
    assert.equal(answer.status, 400);
    assert.equal(answer.headers["access-control-allow-origin"], "http://app.example");
  });

  it("answer a preflight before anything else is looked at", async () => {
    const answer = await send(context.server, {
      method: "OPTIONS",
      path: "/socket.io/?sid=nonsense",
      headers: { Origin: "http://app.example", "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-a, x-b" },
    });
    assert.equal(answer.status, 204);
    assert.deepEqual(corsHeaders(answer), {
      "access-control-allow-origin": "http://app.example",
      "access-control-allow-credentials": "true",
      "access-control-allow-methods": "GET,HEAD,PUT,PATCH,POST,DELETE",
      "access-control-allow-headers": "x-a, x-b",
      vary: "Origin, Access-Control-Request-Headers",
    });
  });

  it("are on the answer to an upgrade", async () => {
    const raw = new Raw(context.server).write(upgradeRequest(WEBSOCKET, "Origin: http://app.example\r\n"));
    await raw.until(/\r\n\r\n/);
    assert.match(raw.text, /^HTTP\/1\.1 101 /);
    assert.match(raw.text, /^Access-Control-Allow-Origin: http:\/\/app\.example\r$/m);
    raw.destroy();
  });
});

suite("foreign origins that are only not told", {}, (context) => {
  it("connect all the same", async () => {
    const socket = await context.clients.connect("/", { extraHeaders: { Origin: "http://evil.example" } });
    assert.deepEqual(await ask(socket, "message-with-ack", 1), [1]);
  });
});

suite("foreign origins that are refused", { ENFORCE: "yes" }, (context) => {
  it("do not connect, in any transport", async () => {
    const foreign = context.clients.socket("/", { extraHeaders: { Origin: "http://evil.example" } });
    await refused(foreign);
    for (const more of [{ extraHeaders: { Origin: "http://app.example" } }, {}]) {
      const socket = await context.clients.connect("/", more);
      assert.deepEqual(await ask(socket, "message-with-ack", 1), [1]);
    }
  });
}, undefined, skuaOnly);

rawSuite("enforced origins, byte by byte", { ENFORCE: "yes" }, (context) => {
  it("refuse a handshake with 403 and the engine's error, without an allow-origin header", async () => {
    const answer = await send(context.server, { path: POLL, headers: { Origin: "http://evil.example" } });
    assert.equal(answer.status, 403);
    assert.equal(answer.headers["content-type"], "application/json");
    assert.equal(JSON.parse(answer.body).code, 4);
    assert.equal(answer.headers["access-control-allow-origin"], undefined);
  });

  it("refuse an upgrade", async () => {
    const raw = new Raw(context.server).write(upgradeRequest(WEBSOCKET, "Origin: http://evil.example\r\n"));
    await raw.untilClosed();
    assert.match(raw.text, /^HTTP\/1\.1 40[03] /);
  });
}, skuaOnly);

const text = (cors) => ({
  name: "skua",
  start: () => startSkuaText(`listen "127.0.0.1:0"\n${cors}\nnamespace "/"\n`),
});

function configured(title, cors, body) {
  rawSuite(title, {}, body, skuaIsTested ? [text(cors)] : []);
}

const statusOf = async (server, origin) => (await send(server, { path: POLL, headers: origin ? { Origin: origin } : {} })).status;

configured("origins with a pattern", 'cors { origins = { "https://*.example.com", "http://localhost:*" } }', (context) => {
  for (const [origin, status] of [
    ["https://a.example.com", 200],
    ["https://a.b.example.com", 200],
    ["https://example.com", 403],
    ["http://a.example.com", 403],
    ["https://a.example.com.evil", 403],
    ["https://evil/.example.com", 403],
    ["http://localhost:5173", 200],
    ["http://localhost", 403],
    [undefined, 200],
  ]) {
    it(`${origin ?? "no origin"}: ${status}`, async () => assert.equal(await statusOf(context.server, origin), status));
  }
});

configured("origins decided by a function", 'cors { origins = function(origin) return origin:find("good", 1, true) ~= nil end }', (context) => {
  it("are those for which it returns true", async () => {
    assert.equal(await statusOf(context.server, "http://good.example"), 200);
    assert.equal(await statusOf(context.server, "http://bad.example"), 403);
    const answer = await send(context.server, { path: POLL, headers: { Origin: "http://good.example" } });
    assert.equal(answer.headers["access-control-allow-origin"], "http://good.example");
  });
});

configured("cors { origins = function } that fails", 'cors { origins = function() error("on purpose") end }', (context) => {
  it("lets nobody in, and is logged", async () => {
    assert.equal(await statusOf(context.server, "http://good.example"), 403);
    await context.server.logged(/on purpose/);
  });
});

configured("all origins", 'cors { origins = "*", methods = { "GET", "POST" }, headers = { "x-token" }, expose = { "x-a", "x-b" }, max_age = "10m" }', (context) => {
  it("are told so, with the options of the answer to a preflight", async () => {
    const answer = await send(context.server, { method: "OPTIONS", path: POLL, headers: { Origin: "http://any.example" } });
    assert.deepEqual(corsHeaders(answer), {
      "access-control-allow-origin": "*",
      "access-control-allow-methods": "GET,POST",
      "access-control-allow-headers": "x-token",
      "access-control-expose-headers": "x-a,x-b",
      "access-control-max-age": "600",
    });
  });
});
