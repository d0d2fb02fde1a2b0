// A rolling restart: each server is told to end while clients are connected and both publish; its clients go to the
// other, recovered, and nobody loses an event.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { complete, kinds, Server, startCluster } from "../lib/cluster.mjs";
import { account, Crowd, Publisher } from "../lib/crowd.mjs";
import { Redis } from "../lib/redis.mjs";
import { within } from "../lib/wait.mjs";

const env = { RECOVERY: "60000", DRAIN: "500" };

for (const adapter of kinds.includes("skua") ? ["pubsub", "sharded", "streams"] : [])
  describe(`${adapter}: a rolling restart`, () => {
    it("of both servers costs no client its session and no event", async () => {
      const redis = await Redis.start();
      const servers = await startCluster(["skua", "skua"], { redis, adapter, env });
      const crowd = await Crowd.start(servers, { count: 40 });
      const publisher = new Publisher(crowd, 100);
      try {
        for (const place of [0, 1]) {
          await publisher.more(50);
          const leaving = crowd.members.filter((member) => member.place === place);
          for (const member of leaving) member.place = 1 - place; // the balancer hears of it
          servers[place].process.signal("SIGTERM");
          assert.deepEqual(await within(servers[place].process.ended, "its end", 30_000), { code: 0, signal: null });
          servers[place].control.disconnect();
          await crowd.back(leaving);
          for (const { name, returns, id } of leaving)
            assert.deepEqual([returns.at(-1).recovered, returns.at(-1).id], [true, id], name);
          servers[place] = await Server.start("skua", { REDIS: redis.url, ADAPTER: adapter, NAME: `skua-${place}-new`, ...env });
          await complete(servers);
        }
        await publisher.more(50);
        await publisher.stop();
        const result = await account(crowd, publisher);
        for (const fault of ["missing", "repeated", "disordered", "strange"]) assert.deepEqual(result[fault].slice(0, 5), [], `${result[fault].length} ${fault}`);
      } finally {
        await publisher.stop();
        await crowd.stop();
        await Promise.all(servers.map((server) => (server.process.end ? null : server.stop())));
        await redis.stop();
      }
    });
  });
