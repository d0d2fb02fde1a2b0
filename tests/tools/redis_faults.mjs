// A crowd on two servers while Redis is restarted or stalls: whether what is local goes on, how soon the cluster is one
// again, and whether those who were away meanwhile are given all or told that they are not recovered.
//
//   node tests/tools/redis_faults.mjs --fault restart --adapter pubsub
//   node tests/tools/redis_faults.mjs --fault stall --seconds 10
import { setTimeout as sleep } from "node:timers/promises";
import { Client, startCluster } from "../lib/cluster.mjs";
import { account, Crowd, Publisher, returnsOf } from "../lib/crowd.mjs";
import { options } from "../lib/options.mjs";
import { Redis } from "../lib/redis.mjs";

const chosen = options("node tests/tools/redis_faults.mjs [--OPTION VALUE]…", {
  fault: "restart", // or "stall"
  adapter: "pubsub",
  servers: "skua,skua",
  clients: 400,
  cut: 100, // away during the fault, half of them back on the other server
  rate: 50, // events a second
  seconds: 10, // of the stall; a restart takes a second
  rooms: 10,
});

const redis = await Redis.start();
const env = { RECOVERY: "120000", PING_INTERVAL: "2000", PING_TIMEOUT: "2000" };
const servers = await startCluster(chosen.servers.split(","), { redis, adapter: chosen.adapter, env });
const crowd = await Crowd.start(servers, { count: chosen.clients, rooms: chosen.rooms, delay: [50, 200] });
const publisher = new Publisher(crowd, chosen.rate);
const probes = await Promise.all(servers.map((server) => Client.connect(server, { rooms: ["probes"] })));
await sleep(2000);

const homes = new Map(crowd.members.map((member) => [member, member.place]));
const cut = crowd.members.slice(0, chosen.cut);
crowd.proxy.refuse();
crowd.cut(cut);
for (const member of cut) if (member.i % 4 >= 2) member.place = 1 - member.place;
await sleep(500);

if (chosen.fault === "restart") {
  await redis.kill();
  await sleep(1000);
  await redis.start();
} else {
  redis.stall();
  await sleep(chosen.seconds * 1000);
  redis.resume();
}

// Each server tells the other's probe until both have heard.
const up = performance.now();
const heard = servers.map(() => null);
for (const [i, probe] of probes.entries()) probe.socket.on(`from-${1 - i}`, () => (heard[i] ??= performance.now() - up));
while (heard.includes(null) && performance.now() - up < 60_000) {
  for (const [i, server] of servers.entries()) server.emit(`from-${i}`, [], { rooms: ["probes"] }).catch(() => {});
  await sleep(20);
}
console.log(`${chosen.adapter}, ${chosen.fault}: events of the other server ${heard.map((ms) => (ms === null ? "do not come" : `after ${ms.toFixed(0)} ms`)).join(" and ")}`);
await sleep(2000);
crowd.proxy.accept();
await crowd.back(cut, 60_000);
await sleep(2000);
await publisher.stop();
console.log(`processes: ${servers.map((server) => (server.process.end ? `ENDED ${JSON.stringify(server.process.end)}` : "alive")).join(" and ")}`);

const stayed = crowd.members.filter((member) => !cut.includes(member));
const local = (publication, member) => publication.server === servers[member.place];
const own = await account({ ...crowd, members: stayed }, publisher, { has: local });
console.log(`those who stayed (${stayed.length}): events of their own server missing ${own.missing.length}, repeated ${own.repeated.length}, disordered ${own.disordered.length}`);
const all = await account({ ...crowd, members: stayed }, publisher, { ms: 0 });
console.log(`  events of the other server that the fault cost: ${all.missing.length} of ${all.delivered + all.missing.length} deliveries`);
const back = await account({ ...crowd, members: cut }, publisher);
const { same, other } = returnsOf(cut, homes);
console.log(`those who were away (${cut.length}): recovered ${same.recovered} on their server and ${other.recovered} on the other, new ${same.fresh} and ${other.fresh}`);
console.log(`  of the recovered: missing ${back.missing.length}, repeated ${back.repeated.length}, disordered ${back.disordered.length}`);
for (const server of servers) for (const line of server.process.log(/redis|cluster/i).slice(0, 12)) console.log(`  ${server.name}: ${line}`);

for (const probe of probes) probe.close();
await crowd.stop();
await Promise.all(servers.map((server) => server.stop()));
await redis.stop();
const faults = [own, back].flatMap((one) => [one.missing, one.repeated, one.disordered].map((list) => list.length)).reduce((a, b) => a + b);
process.exit(faults === 0 && !heard.includes(null) ? 0 : 1);
