// What a handshake may be asked for and what its answer carries: engine { allow_request, cookie, headers, … }.
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { connected, refused } from "../lib/clients.mjs";
import { Raw, send, upgradeRequest } from "../lib/raw.mjs";
import { skuaIsTested, startSkuaText } from "../lib/servers.mjs";
import { rawSuite, suite } from "../lib/table.mjs";

const POLLING = "EIO=4&transport=polling";
const ATTRIBUTES = "; Path=/; HttpOnly; SameSite=Lax";

suite("allow_request", { DENY: "on" }, (context) => {
  it("refuses clients, and lets others in", async () => {
    const denied = await refused(context.clients.socket("/", { query: { deny: 1 } }));
    assert.ok(denied instanceof Error);
    await connected(context.clients.socket("/"));
  });
});

rawSuite("a path without a slash at its end", { TRAILING_SLASH: "off" }, (context) => {
  it("is served, and so is all that begins with it", async () => {
    for (const path of ["/socket.io", "/socket.io/", "/socket.ioxyz"])
      assert.equal((await send(context.server, { path: `${path}?${POLLING}` })).status, 200, path);
    assert.equal((await send(context.server, { path: `/socket.i?${POLLING}` })).status, 404);
  });
});

rawSuite("a cookie", { COOKIE: "on" }, (context) => {
  it("comes with the answer to a polling handshake and no other", async () => {
    const path = `/socket.io/?${POLLING}`;
    const { headers, body } = await send(context.server, { path });
    const { sid } = JSON.parse(body.slice(1));
    assert.equal(headers["set-cookie"].toString(), `io=${sid}${ATTRIBUTES}`);
    const post = await send(context.server, { method: "POST", path: `${path}&sid=${sid}`, body: "40" });
    assert.equal(post.headers["set-cookie"], undefined);
    const poll = await send(context.server, { path: `${path}&sid=${sid}` });
    assert.equal(poll.headers["set-cookie"], undefined);
    const upgrade = new Raw(context.server).write(upgradeRequest("/socket.io/?EIO=4&transport=websocket"));
    assert.doesNotMatch(await upgrade.until(/\r\n\r\n/), /cookie/i);
    upgrade.destroy();
  });
});

const dressed = `
listen "127.0.0.1:0"
engine {
  cookie = { name = "node", path = "/x", domain = "example.com", max_age = "90s", http_only = false, secure = true,
    partitioned = true, priority = "high", same_site = "none" },
  headers = { ["x-served-by"] = "skua", ["x-also"] = "this" },
  initial_headers = { ["x-welcome"] = "yes" },
  destroy_upgrade_timeout = "20ms",
  allow_request = function(request)
    local query = request.query
    if query.slow then sleep("30ms") end
    if query.fail then error("broken") end
    if query.odd then return "no" end
    if query.no then return false end
    if query.tell then return reject(json.encode(request)) end
  end,
}`;

describe("skua: a handshake's options", { skip: !skuaIsTested && "skua is not tested" }, () => {
  let server;
  const handshake = (more = "", headers = {}) => send(server, { path: `/socket.io/?${POLLING}${more}`, headers });

  before(async () => {
    server = await startSkuaText(dressed);
  });
  after(() => server.stop());

  it("the cookie has the attributes that were chosen", async () => {
    const { headers } = await handshake();
    assert.match(
      headers["set-cookie"].toString(),
      /^node=[\w-]{20}; Max-Age=90; Domain=example\.com; Path=\/x; Secure; Partitioned; Priority=High; SameSite=None$/,
    );
  });

  it("headers come in the order of their names, those of handshakes first", async () => {
    const { rawHeaders, body } = await handshake();
    const own = (list) => list.map(([name]) => name).filter((name) => name.startsWith("x-"));
    assert.deepEqual(own(rawHeaders), ["x-welcome", "x-also", "x-served-by"]);
    const { sid } = JSON.parse(body.slice(1));
    const post = await send(server, { method: "POST", path: `/socket.io/?${POLLING}&sid=${sid}`, body: "40" });
    assert.deepEqual(own(post.rawHeaders), ["x-also", "x-served-by"]);
    const upgrade = new Raw(server).write(upgradeRequest("/socket.io/?EIO=4&transport=websocket"));
    assert.match(await upgrade.until(/\r\n\r\n/), /\r\nx-welcome: yes\r\nx-also: this\r\nx-served-by: skua\r\n\r\n/);
    upgrade.destroy();
  });

  it("allow_request may wait", async () => {
    assert.equal((await handshake("&slow=1")).status, 200);
    const upgrade = new Raw(server).write(upgradeRequest("/socket.io/?EIO=4&transport=websocket&slow=1"));
    assert.match(await upgrade.until(/\r\n\r\n.*"sid"/s), /^HTTP\/1\.1 101 /);
    upgrade.destroy();
    const left = new Raw(server).write(`GET /socket.io/?${POLLING}&slow=1 HTTP/1.1\r\nHost: a\r\n\r\n`);
    left.destroy();
    assert.equal((await handshake("&slow=1")).status, 200);
  });

  it("allow_request sees the request", async () => {
    const { status, body } = await handshake("&tell=%C3%BC%20x", { Origin: "http://o.example", "X-Key": "k" });
    assert.equal(status, 403);
    const { code, message } = JSON.parse(body);
    assert.equal(code, 4);
    const { headers, ...seen } = JSON.parse(message);
    assert.equal(headers["x-key"], "k");
    assert.deepEqual(seen, {
      method: "GET",
      url: `/socket.io/?${POLLING}&tell=%C3%BC%20x`,
      address: "127.0.0.1",
      query: { EIO: "4", transport: "polling", tell: "ü x" },
      secure: false,
      origin: "http://o.example",
    });
  });

  it("whoever allow_request does not clearly let in stays out, and the log says why", async () => {
    for (const what of ["no", "fail", "odd"]) {
      const { status, body } = await handshake(`&${what}=1`);
      assert.deepEqual([status, body], [403, '{"code":4,"message":"Forbidden"}'], what);
    }
    await server.logged(/error .*: broken event=allow_request/);
    await server.logged(/error .*the allow_request function of line 9 returned a string value/);
  });

  it("upgrades of others are ended after the time that was set", async () => {
    const other = new Raw(server).write(upgradeRequest("/other"));
    assert.equal(await other.untilClosed(), "");
  });
});
