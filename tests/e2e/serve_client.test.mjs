// The client's files, byte for byte those of the pinned package, with the reference's headers.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { gunzipSync } from "node:zlib";
import { send } from "../lib/raw.mjs";
import { reference, servers, skua } from "../lib/servers.mjs";
import { rawSuite } from "../lib/table.mjs";

const version = JSON.parse(readFileSync(new URL("../node_modules/socket.io-client/package.json", import.meta.url))).version;
const names = ["socket.io.js", "socket.io.min.js", "socket.io.msgpack.min.js", "socket.io.esm.min.js"].flatMap((name) => [name, `${name}.map`]);
const file = (name) => readFileSync(new URL(`../node_modules/socket.io-client/dist/${name}`, import.meta.url));

rawSuite("the client's files", { SERVE_CLIENT: "on" }, (context) => {
  for (const name of names) {
    it(`${name} is the package's, packed and unpacked`, async () => {
      const plain = await send(context.server, { path: `/socket.io/${name}` });
      assert.equal(plain.status, 200);
      assert.equal(plain.headers["content-encoding"], undefined);
      assert.equal(plain.headers.etag, `"${version}"`);
      assert.ok(plain.bytes.equals(file(name)));
      const packed = await send(context.server, { path: `/socket.io/${name}?v=1`, headers: { "accept-encoding": "gzip" } });
      assert.equal(packed.headers["content-encoding"], "gzip");
      assert.ok(gunzipSync(packed.bytes).equals(file(name)));
    });
  }

  it("are the engine's when their name is no file's", async () => {
    for (const path of ["/socket.io/socket.io.j", "/socket.io/socket.io.js.ma", "/socket.io/x/socket.io.js", "/socket.io/SOCKET.IO.JS"])
      assert.equal((await send(context.server, { path })).status, 400, path);
  });

  it("are nobody's outside of the path", async () => {
    assert.equal((await send(context.server, { path: "/socket.i/socket.io.js" })).status, 404);
  });
});

rawSuite("serve_client = false", { SERVE_CLIENT: "off" }, (context) => {
  it("leaves the names to the engine", async () => {
    const { status, body } = await send(context.server, { path: "/socket.io/socket.io.js" });
    assert.equal(status, 400);
    assert.equal(body, '{"code":0,"message":"Transport unknown"}');
  });
});

describe("the client's files", { skip: servers.length < 2 && "needs both servers" }, () => {
  it("are answered with the reference's headers to every kind of request", async () => {
    const requests = [
      {},
      { headers: { "accept-encoding": "gzip" } },
      { headers: { "accept-encoding": "gzip;q=0.1, identity" } },
      { headers: { origin: "http://app.example" } },
      { headers: { origin: "http://evil.example" } },
      { headers: { "if-none-match": `"${version}"` } },
      { headers: { "if-none-match": `W/"${version}"`, origin: "http://app.example" } },
      { headers: { "if-none-match": `"1.0.0"` } },
      { headers: { "if-none-match": version } },
      { method: "HEAD" },
      { method: "POST", body: "x" },
      { method: "OPTIONS", headers: { origin: "http://app.example", "access-control-request-method": "GET" } },
      { path: "/socket.io/socket.io.min.js.map" },
      { path: "/socket.ioXsocket.io.js?x=1" },
      { path: "/socket.io/socket.io.js#x" },
    ];
    for (const env of [{ SERVE_CLIENT: "on" }, { SERVE_CLIENT: "on", CORS: "off" }]) {
      const both = await Promise.all([skua.start(env), reference.start(env)]);
      for (const one of requests) {
        const [ours, theirs] = await Promise.all(both.map((server) => send(server, { path: "/socket.io/socket.io.js", ...one })));
        assert.equal(ours.status, theirs.status, JSON.stringify(one));
        assert.deepEqual(ours.rawHeaders, theirs.rawHeaders, JSON.stringify(one));
        const unpacked = ({ bytes, headers }) => (headers["content-encoding"] && bytes.length ? gunzipSync(bytes) : bytes);
        assert.ok(unpacked(ours).equals(unpacked(theirs)), JSON.stringify(one));
      }
      await Promise.all(both.map((server) => server.stop()));
    }
  });
});
