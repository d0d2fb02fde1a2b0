// No stickiness: requests of one session come to any server of the cluster, which forwards them to the session's own.
import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, describe, it } from "node:test";
import { Balancer } from "../lib/balancer.mjs";
import { connected, upgraded } from "../lib/clients.mjs";
import { Client, kinds, Server, startCluster } from "../lib/cluster.mjs";
import { PollingSession, Raw, send } from "../lib/raw.mjs";
import { Redis } from "../lib/redis.mjs";
import { until, within } from "../lib/wait.mjs";

const polling = { transports: ["polling"] };
const numbers = (count) => Array.from({ length: count }, (_, n) => n);

for (const adapter of kinds.includes("skua") ? ["pubsub", "sharded", "streams"] : [])
  describe(`${adapter}: a balancer without stickiness`, () => {
    const context = {};
    before(async () => {
      context.redis = await Redis.start();
      context.servers = await startCluster(["skua", "skua"], { redis: context.redis, adapter });
    });
    after(async () => {
      await Promise.all((context.servers ?? []).map((server) => server.stop()));
      await context.redis?.stop();
    });
    beforeEach(async () => {
      context.balancer = await Balancer.start(context.servers);
      context.clients = [];
    });
    // A client that is cut off before its first poll stays until its ping is missing.
    afterEach(async () => {
      for (const client of context.clients) client.close();
      await until(async () => (await context.servers[0].do("count")) === 0, "all clients are gone");
      await context.balancer.stop();
    });

    async function connect(options) {
      const client = await Client.connect(context.balancer, { rooms: ["red"], ...options });
      client.disconnects = 0;
      client.socket.on("disconnect", () => client.disconnects++);
      context.clients.push(client);
      return client;
    }

    async function bothWays(client, count) {
      const answers = [];
      for (const n of numbers(count)) {
        client.socket.emit("echo", n, Buffer.from([n & 255]), (...values) => answers.push(values));
        await context.servers[n % 2].emit("down", [n, Buffer.from([n & 255])], { rooms: ["red"] });
      }
      await until(() => answers.length >= count && client.of("down").length >= count, "all have come");
      assert.deepEqual(answers, numbers(count).map((n) => [n, Buffer.from([n & 255])]));
      for (const half of [0, 1])
        assert.deepEqual(client.of("down").map(([n]) => n).filter((n) => n % 2 === half), numbers(count).filter((n) => n % 2 === half));
      assert.equal(client.disconnects, 0);
    }

    it("a polling client has every event both ways, once, in order of each server", async () => {
      const client = await connect(polling);
      await bothWays(client, 300);
      for (const count of context.balancer.counts) assert.ok(count > 10, `${context.balancer.counts}`);
    });

    it("a thousand events each way, none lost and none twice", async () => {
      await bothWays(await connect(polling), 1000);
    });

    it("several namespaces of one client", async () => {
      const client = await connect(polling);
      const namespaces = ["/", "/org-1", "/org-2"];
      for (const name of namespaces) {
        const socket = await client.join(name);
        assert.deepEqual(await within(socket.emitWithAck("echo", Buffer.from(name)), name), Buffer.from(name));
      }
      assert.equal(client.disconnects, 0);
    });

    it("a client goes over to WebSocket on the server that its upgrade comes to", async () => {
      for (let i = 0; i < 4; i++) {
        const client = await connect({ transports: ["polling", "websocket"] });
        await upgraded(client.socket.io);
        await client.ask("echo", 1);
      }
      await bothWays(context.clients[0], 50);
    });

    it("twenty clients at once", async () => {
      const clients = await Promise.all(numbers(20).map(() => connect(polling)));
      await Promise.all(clients.map(async (client) => assert.equal(await client.ask("echo", client.id), client.id)));
      await context.servers[0].emit("all", [1]);
      for (const client of clients) await until(() => client.of("all").length === 1, "it came");
    });

    it("a megabyte each way", async () => {
      const client = await connect(polling);
      for (const value of [Buffer.alloc(1_000_000, "bytes"), "Grüße ".repeat(100_000)]) {
        const [came] = [await client.ask("echo", value)];
        assert.ok(Buffer.isBuffer(value) ? value.equals(came) : value === came);
      }
    });

    it("a client that leaves is gone, and one whose connection ends too", async () => {
      const [one, two] = [await connect(polling), await connect(polling)];
      one.close();
      two.socket.io.engine.close();
      await until(async () => (await context.servers[0].do("count")) === 0, "both are gone");
    });

    it("a session that nobody has is unknown at once, on every server", async () => {
      for (const server of context.servers)
        for (const sid of ["nobody", "x".repeat(20), (await new PollingSession(server).open()).sid.replace(/.$/, (last) => (last === "A" ? "B" : "A"))]) {
          const answer = await send(server, { path: `/socket.io/?EIO=4&transport=polling&sid=${sid}` });
          assert.deepEqual([answer.status, JSON.parse(answer.body)], [400, { code: 1, message: "Session ID unknown" }]);
        }
    });

    it("a client of a server that was killed is told so at once, and connects anew", async () => {
      const third = await Server.start("skua", { REDIS: context.redis.url, ADAPTER: adapter, NAME: "third" });
      const turns = await Balancer.start([third, ...context.servers]);
      const client = await Client.connect(turns, { ...polling, reconnection: true, reconnectionDelay: 10 });
      context.clients.push(client);
      assert.equal(await client.ask("echo", 1), 1);
      turns.servers[0] = null;
      const gone = new Promise((resolve) => client.socket.once("disconnect", resolve));
      await third.kill();
      await within(gone, "the end of the session");
      await connected(client.socket);
      assert.equal(await client.ask("echo", 2), 2);
      client.close();
      await until(async () => (await context.servers[0].do("count")) === 0, "the client is gone");
      await turns.stop();
    });

    it("who has not the cluster's secret is refused by the listener for servers", async () => {
      const [line] = await context.servers[0].process.logged(/listening for requests of other servers/);
      const door = { port: Number(/address=127\.0\.0\.1:(\d+)/.exec(line)[1]) };
      const { target } = await new PollingSession(context.servers[0]).open();
      const secret = await context.redis.command("GET", "socket.io:skua:secret");
      const ask = async (method, path, ...headers) => {
        const lines = [`${method} ${path} HTTP/1.1`, "Host: x", "Connection: close", "Content-Length: 2", ...headers, "", "40"];
        return (await new Raw(door).write(lines.join("\r\n")).untilClosed()).slice(0, 12);
      };
      const good = `X-Skua-Forwarded: ${secret} http 10.0.0.9`;
      for (const headers of [[], ["X-Skua-Forwarded:"], [good.replace(secret, "0".repeat(32))], [good.replace(secret, secret.slice(1))], [good, "Last: 1"]])
        assert.equal(await ask("POST", target, ...headers), "HTTP/1.1 403", headers);
      const upgrade = new Raw(door).write(`GET ${target} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`);
      assert.match(await upgrade.untilClosed(), /^HTTP\/1.1 403 /);
      await context.servers[0].process.logged(/forwarded request refused/);
      assert.equal(await ask("POST", target, good), "HTTP/1.1 200");
      assert.equal(await ask("POST", "/health", good), "HTTP/1.1 404");
    });

    it("the header means nothing at the port for clients", async () => {
      const secret = await context.redis.command("GET", "socket.io:skua:secret");
      const { target } = await new PollingSession(context.servers[0]).open();
      const headers = { "X-Skua-Forwarded": `${secret} http 10.0.0.9` };
      assert.equal((await send(context.servers[1], { method: "POST", path: target, body: "40", headers })).status, 200);
    });

    it("a session of a server that was killed is unknown", async () => {
      const third = await Server.start("skua", { REDIS: context.redis.url, ADAPTER: adapter, NAME: "third" });
      const session = await new PollingSession(third).open();
      const there = await within(send(context.servers[0], { method: "POST", path: session.target, body: "40" }), "the forwarded post");
      assert.equal(there.status, 200);
      await third.kill();
      const answer = await send(context.servers[0], { path: session.target });
      assert.deepEqual([answer.status, JSON.parse(answer.body)], [400, { code: 1, message: "Session ID unknown" }]);
    });
  });

if (kinds.includes("skua") && kinds.includes("Node"))
  describe("a balancer without stickiness in front of skua and Node", () => {
    it("leaves Node's sessions to Node: unknown here, and none of its requests go there", async () => {
      const redis = await Redis.start();
      const servers = await startCluster(["skua", "Node"], { redis, adapter: "pubsub" });
      const [skua, node] = servers;
      const there = await new PollingSession(node).open();
      const answer = await send(skua, { path: there.target });
      assert.deepEqual([answer.status, JSON.parse(answer.body)], [400, { code: 1, message: "Session ID unknown" }]);
      assert.equal((await send(node, { method: "POST", path: there.target, body: "40" })).status, 200);
      const here = await new PollingSession(skua).open();
      assert.equal((await send(node, { path: here.target })).status, 400);
      await Promise.all(servers.map((server) => server.stop()));
      await redis.stop();
    });
  });
