// A crowd of clients on two servers, half of it cut hard while both servers publish; half of those come back to the
// other server. Prints how many were recovered and whether everybody had every event once, in order for each sender.
//
//   node tests/tools/recovery.mjs --adapter pubsub --clients 1000 --cut 500 --rate 50
//   node tests/tools/recovery.mjs --adapter streams --how silent --back at-once
//   node tests/tools/recovery.mjs --adapter none --servers skua   one server alone, in its memory
//   node tests/tools/recovery.mjs --adapter pubsub --kill       kill -9 of the first server while the clients are away
import { setTimeout as sleep } from "node:timers/promises";
import { Server, startCluster } from "../lib/cluster.mjs";
import { account, Crowd, Publisher, returnsOf } from "../lib/crowd.mjs";
import { options } from "../lib/options.mjs";
import { Redis } from "../lib/redis.mjs";
import { until } from "../lib/wait.mjs";

const chosen = options("node tests/tools/recovery.mjs [--OPTION VALUE]…", {
  adapter: "pubsub",
  servers: "skua,skua", // or Node
  clients: 1000,
  cut: 500,
  rate: 50, // events a second
  seconds: 5, // before the cut, while they are away, and after
  how: "rst", // "fin", "silent": the server does not notice before its ping's time-out
  back: "noticed", // "at-once": when they like
  kill: false,
  rooms: 10,
  window: 120_000,
  ping: 2000, // interval and time-out
});

const pair = chosen.servers.split(",");
const exact = !pair.includes("Node"); // the reference loses what is published at the moment of the return
const alone = chosen.adapter === "none";
const redis = alone ? null : await Redis.start();
const env = { RECOVERY: String(chosen.window), PING_INTERVAL: String(chosen.ping), PING_TIMEOUT: String(chosen.ping) };
const servers = alone ? [await Server.start(pair[0], env)] : await startCluster(pair, { redis, adapter: chosen.adapter, env });
const crowd = await Crowd.start(servers, { count: chosen.clients, rooms: chosen.rooms, delay: [200, 1000] });
console.log(`${chosen.clients} clients on ${pair.join(" and ")}, adapter ${chosen.adapter}, ${chosen.rate} events a second`);

const publisher = new Publisher(crowd, chosen.rate);
await sleep(chosen.seconds * 1000);

const homes = new Map(crowd.members.map((member) => [member, member.place]));
const cut = crowd.members.slice(0, chosen.cut);
crowd.proxy.refuse();
crowd.cut(cut, chosen.how);
const left = Date.now();
for (const member of cut) if (member.i % 4 >= 2) member.place = (member.place + 1) % servers.length;

const isGone = async () => {
  const ids = new Set(cut.map(({ id }) => id));
  const lists = await Promise.all(servers.map((server) => server.do("fetch", { local: true }, 30_000)));
  return lists.every(({ sockets }) => !sockets.some(({ id }) => ids.has(id)));
};
let stranded = [];
if (chosen.kill) {
  await until(isGone, "the servers noticed", 60_000);
  stranded = crowd.members.filter((member) => homes.get(member) === 0 && !cut.includes(member));
  await servers[0].kill();
  servers[0] = null;
  for (const member of crowd.members) member.place = 1;
} else if (chosen.back === "noticed") await until(isGone, "the servers noticed", 60_000);
if (chosen.back === "noticed") await sleep(chosen.seconds * 1000);
if (!exact) await publisher.pause();
crowd.proxy.accept();
await crowd.back([...cut, ...stranded], 120_000);
publisher.resume();
console.log(`away for ${((Date.now() - left) / 1000).toFixed(1)} s until the last was back`);
await sleep(chosen.seconds * 1000);
await publisher.stop();

const result = await account(crowd, publisher, { ms: 60_000 });
const { same, other } = returnsOf(cut, homes);
console.log(`recovered ${same.recovered + other.recovered} of ${cut.length} that were cut:`);
console.log(`  on their server ${same.recovered} of ${same.recovered + same.fresh}, on the other ${other.recovered} of ${other.recovered + other.fresh}`);
if (stranded.length > 0) {
  const { same: none, other: all } = returnsOf(stranded, homes);
  console.log(`of ${stranded.length} that were connected to the killed server recovered ${none.recovered + all.recovered}`);
}
console.log(`published ${result.published} (${result.unsure} without an answer), delivered ${result.delivered}`);
for (const fault of ["missing", "repeated", "disordered", "strange"])
  console.log(`${fault} ${result[fault].length}${result[fault].length > 0 ? `: ${result[fault].slice(0, 5).join(", ")}` : ""}`);

await crowd.stop();
await Promise.all(servers.map((server) => server?.stop()));
await redis?.stop();
const faults = same.fresh + other.fresh + result.missing.length + result.repeated.length + result.disordered.length + result.strange.length;
process.exit(faults === 0 ? 0 : 1);
