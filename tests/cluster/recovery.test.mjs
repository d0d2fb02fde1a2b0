// Connection state recovery across servers: clients are cut while both servers publish, half of them come back to the
// other server, and everybody has every event once and in order for each sender.
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { complete, kinds, Server, startCluster } from "../lib/cluster.mjs";
import { account, Crowd, Publisher, returnsOf } from "../lib/crowd.mjs";
import { Redis } from "../lib/redis.mjs";
import { until } from "../lib/wait.mjs";
import { offsetOf, Wire } from "../lib/wire.mjs";

const CLIENTS = 40;
const RATE = 100; // events a second
const env = { RECOVERY: "60000", PING_INTERVAL: "400", PING_TIMEOUT: "400" };

// Those whose adapters recover, which the reference's do over streams alone.
const clusters = ["pubsub", "sharded", "streams"].flatMap((adapter) =>
  kinds
    .flatMap((one) => kinds.map((other) => [one, other]))
    .filter((pair) => adapter === "streams" || !pair.includes("Node"))
    .map((pair) => ({ adapter, pair })),
);

function inOrder(result) {
  for (const fault of ["missing", "repeated", "disordered", "strange"])
    assert.deepEqual(result[fault].slice(0, 5), [], `${result[fault].length} ${fault} of ${result.delivered}`);
}

async function areGone(servers, members) {
  const ids = new Set(members.map(({ id }) => id));
  const present = async (server) => (await server.do("fetch", { local: true })).sockets.some(({ id }) => ids.has(id));
  await until(async () => !(await Promise.all(servers.filter((server) => server).map(present))).includes(true), "the servers noticed");
}

// Lets those who were away in. The reference loses what is published between its reading of the stream and the socket's
// return to its rooms: with it nothing is.
async function letIn(crowd, publisher, members, exact) {
  if (!exact) await publisher.pause();
  crowd.proxy.accept();
  await crowd.back(members);
  publisher.resume();
  await publisher.more(50);
}

// Half of the crowd is cut, and half of those will come back elsewhere.
async function loseHalf(crowd, how) {
  const homes = new Map(crowd.members.map((member) => [member, member.place]));
  const cut = crowd.members.filter(({ i }) => i % 4 < 2);
  crowd.proxy.refuse();
  crowd.cut(cut, how);
  for (const member of cut) if (member.i % 8 >= 4) member.place = 1 - member.place;
  return { homes, cut };
}

async function checkWhole(cut) {
  for (const { client, id, name, i } of cut) {
    const about = await client.ask("about");
    assert.deepEqual([about.id, about.recovered, about.data.name], [id, true, name]);
    assert.deepEqual(about.rooms.sort(), [id, "all", `room-${i % 4}`].sort());
  }
}

for (const { adapter, pair } of clusters)
  describe(`${adapter}: ${pair.join(" and ")}`, () => {
    const context = {};
    const exact = !pair.includes("Node");
    before(async () => {
      context.redis = await Redis.start();
    });
    after(() => context.redis?.stop());

    // body(crowd, publisher, servers), in a cluster of its own
    async function published(body) {
      const servers = await startCluster(pair, { redis: context.redis, adapter, env });
      let crowd;
      let publisher;
      try {
        crowd = await Crowd.start(servers, { count: CLIENTS });
        publisher = new Publisher(crowd, RATE);
        await publisher.more(50);
        await body(crowd, publisher, servers);
      } finally {
        await publisher?.stop();
        await crowd?.stop();
        await Promise.all(servers.map((server) => server?.stop()));
      }
    }

    for (const [how, title] of [["rst", "cut"], ["silent", "cut so that the server notices late"]])
      it(`clients that are ${title} are back when it has noticed, with all events`, () =>
        published(async (crowd, publisher, servers) => {
          const { homes, cut } = await loseHalf(crowd, how);
          await publisher.more(30);
          await areGone(servers, cut);
          await publisher.more(30);
          await letIn(crowd, publisher, cut, exact);
          await publisher.stop();
          inOrder(await account(crowd, publisher));
          const { same, other } = returnsOf(cut, homes);
          assert.deepEqual([same.fresh, other.fresh], [0, 0]);
          assert.ok(same.recovered > 0 && other.recovered > 0);
          await checkWhole(cut);
        }));

    if (exact)
      it("clients whose loss was not noticed are back at once, on either server, with all events", () =>
        published(async (crowd, publisher) => {
          const { homes, cut } = await loseHalf(crowd, "silent");
          await letIn(crowd, publisher, cut, exact);
          await publisher.stop();
          inOrder(await account(crowd, publisher));
          const { same, other } = returnsOf(cut, homes);
          assert.deepEqual([same.fresh, other.fresh], [0, 0]);
          await checkWhole(cut);
        }));

    it("the first server is killed: those whose sessions were written are back on the other with all events, nobody has a gap", () =>
      published(async (crowd, publisher, servers) => {
        const { homes, cut } = await loseHalf(crowd, "rst");
        await areGone(servers, cut);
        await publisher.more(30);
        const [dead] = servers;
        await dead.kill();
        servers[0] = null;
        const stranded = crowd.members.filter((member) => homes.get(member) === 0 && !cut.includes(member));
        for (const member of crowd.members) member.place = 1;
        await publisher.more(30);
        await letIn(crowd, publisher, [...cut, ...stranded], exact);
        await publisher.stop();
        const result = await account(crowd, publisher);
        // What it had been told in its last moment it may not have told Redis.
        const doubtful = new Set(publisher.published.filter(({ sender }) => sender === dead.name).slice(-3).map(({ number }) => `${dead.name}/${number}`));
        result.missing = result.missing.filter((one) => !doubtful.has(one.split(": ")[1]));
        inOrder(result);
        const { same, other } = returnsOf(cut, homes);
        assert.deepEqual([same.fresh, other.fresh], [0, 0]);
        await checkWhole(cut);
      }));
  });

// The log of what was published is in Redis over streams alone.
for (const { adapter, pair } of clusters.filter(({ pair: [one, other] }) => one === other))
  describe(`${adapter}: ${pair[0]} restarted while a client is away`, () => {
    it(`${adapter === "streams" ? "it is back on a server that came later, with all events" : "it is told that it is new, and is given no part of what it missed"}`, async () => {
      const redis = await Redis.start();
      const own = { ...env, DRAIN: "100" };
      const servers = await startCluster(pair, { redis, adapter, env: own });
      const wire = await Wire.open(servers[0]);
      const { sid, pid } = await wire.join("/room");
      await servers[0].emit("n", [0]);
      const { offset } = offsetOf((await wire.take())[0]);
      await wire.end();
      await areGone(servers, [{ id: sid }]);
      for (const n of [1, 2]) await servers[n - 1].emit("n", [n]);
      const later = await Server.start(pair[0], { REDIS: redis.url, ADAPTER: adapter, NAME: "later", ...own });
      await complete([...servers, later]);
      for (const server of servers) await server.stop();
      await later.emit("n", [3]);
      const back = await Wire.open(later);
      const answer = await back.join("/room", { pid, offset });
      const numbers = answer.before.map((message) => offsetOf(message).args[1]);
      assert.deepEqual([answer.sid === sid, numbers], adapter === "streams" ? [true, [1, 2, 3]] : [false, []]);
      await back.end();
      await later.stop();
      await redis.stop();
    });
  });
