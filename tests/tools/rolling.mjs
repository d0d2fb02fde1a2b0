// A rolling restart of two servers under a crowd of clients: SIGTERM to the first, its clients go to the second while
// it drains, a new one takes its place, then the same with the second. Prints what was lost and how the returns spread.
//
//   node tests/tools/rolling.mjs --adapter streams --clients 1000 --rate 50
import { setTimeout as sleep } from "node:timers/promises";
import { complete, Server, startCluster } from "../lib/cluster.mjs";
import { account, Crowd, Publisher } from "../lib/crowd.mjs";
import { options } from "../lib/options.mjs";
import { Redis } from "../lib/redis.mjs";
import { within } from "../lib/wait.mjs";

const chosen = options("node tests/tools/rolling.mjs [--OPTION VALUE]…", {
  adapter: "pubsub",
  servers: "skua,skua",
  clients: 1000,
  rate: 50, // events a second
  seconds: 3, // between the steps
  drain: 5000, // ms
  rooms: 10,
  window: 120_000,
});

const pair = chosen.servers.split(",");
const redis = await Redis.start();
const env = { RECOVERY: String(chosen.window), DRAIN: String(chosen.drain) };
const servers = await startCluster(pair, { redis, adapter: chosen.adapter, env });
const crowd = await Crowd.start(servers, { count: chosen.clients, rooms: chosen.rooms, delay: [50, 200] });
const publisher = new Publisher(crowd, chosen.rate);
console.log(`${chosen.clients} clients on two servers (${pair.join(", ")}), ${chosen.adapter}, ${chosen.rate} events a second, drain window ${chosen.drain} ms`);
await sleep(chosen.seconds * 1000);

async function replace(place) {
  const leaving = crowd.members.filter((member) => member.place === place);
  const old = servers[place];
  const start = Date.now();
  for (const member of leaving) member.place = 1 - place; // the balancer hears of the drain
  old.process.signal("SIGTERM");
  const end = await within(old.process.ended, "the drained server's end", 120_000);
  const took = Date.now() - start;
  old.control.disconnect();
  await crowd.back(leaving, 60_000);
  const back = leaving.map(({ returns }) => returns.at(-1).at - start).sort((a, b) => a - b);
  const tenths = Array(10).fill(0);
  for (const ms of back) tenths[Math.min(9, Math.floor((ms / (back.at(-1) + 1)) * 10))]++;
  const reasons = new Map();
  for (const { lost } of leaving) reasons.set(lost.reason, (reasons.get(lost.reason) ?? 0) + 1);
  const recovered = leaving.filter(({ returns, id }) => returns.at(-1).recovered && returns.at(-1).id === id).length;
  console.log(`server ${place + 1} ended with status ${end.code} after ${took} ms; back ${leaving.length}, recovered ${recovered}`);
  console.log(`  reasons: ${[...reasons].map(([reason, count]) => `${reason} ${count}`).join(", ")}`);
  console.log(`  back between ${back[0]} and ${back.at(-1)} ms, by tenths of that: ${tenths.join(" ")}`);
  servers[place] = null;
  const started = await Server.start(pair[place], { REDIS: redis.url, ADAPTER: chosen.adapter, NAME: `${pair[place]}-${place}-new`, ...env });
  servers[place] = started;
  await complete(servers, chosen.adapter === "streams" ? redis : null);
  return leaving.length - recovered;
}

let fresh = await replace(0);
await sleep(chosen.seconds * 1000);
fresh += await replace(1);
await sleep(chosen.seconds * 1000);
await publisher.stop();
const result = await account(crowd, publisher, { ms: 60_000 });
console.log(`published ${result.published} (${result.unsure} without an answer), delivered ${result.delivered}, not recovered ${fresh}`);
for (const fault of ["missing", "repeated", "disordered", "strange"])
  console.log(`${fault} ${result[fault].length}${result[fault].length > 0 ? `: ${result[fault].slice(0, 5).join(", ")}` : ""}`);

await crowd.stop();
await Promise.all(servers.map((server) => server.stop()));
await redis.stop();
const faults = fresh + result.missing.length + result.repeated.length + result.disordered.length + result.strange.length;
process.exit(faults === 0 ? 0 : 1);
