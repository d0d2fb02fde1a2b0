// Two servers with 1,000 sockets on one Redis: how long an event of a client of the one takes to clients of the other,
// and what a delivery costs in processor time, Redis' included; skua and then the reference with the same adapter.
//
//   node tests/tools/latency.mjs --adapter pubsub
//
// All clients are in this process. Viewers read WebSocket messages and no more, so that what is measured is the servers.
import { setTimeout as sleep } from "node:timers/promises";
import { startCluster } from "../lib/cluster.mjs";
import { cpuSeconds, residentBytes } from "../lib/cpu.mjs";
import { options } from "../lib/options.mjs";
import { Redis } from "../lib/redis.mjs";
import { until } from "../lib/wait.mjs";
import { Wire } from "../lib/wire.mjs";

const chosen = options("node tests/tools/latency.mjs [--OPTION VALUE]…", {
  adapter: "pubsub",
  servers: "skua,Node", // each for itself, in this order
  sockets: 1000,
  viewers: 10, // of the event whose time is taken, on the other server
  rate: 20, // events a second, for the time
  load: 20, // events to all sockets a second, for the cost
  seconds: 10,
  recovery: false,
});

const percentile = (sorted, p) => sorted[Math.min(sorted.length - 1, Math.floor((sorted.length * p) / 100))];

class Viewer {
  static async join(server, room) {
    const viewer = new Viewer();
    viewer.count = 0;
    viewer.times = null;
    viewer.wire = await Wire.open(server);
    await viewer.wire.join("/room");
    await viewer.wire.ask("/room", "join", ["all", ...(room ? [room] : [])]);
    const { ws } = viewer.wire;
    ws.removeAllListeners("message");
    ws.on("message", (data) => viewer.#take(data));
    return viewer;
  }

  #take(data) {
    if (data.length === 1) return this.wire.ws.send("3"); // the ping
    this.count++;
    if (!this.times) return;
    const sent = /"at",([\d.]+)/.exec(data.toString("latin1", 0, 80));
    if (sent) this.times.push(performance.now() - Number(sent[1]));
  }
}

async function paced(rate, seconds, act) {
  const start = performance.now();
  const total = rate * seconds;
  for (let i = 0; i < total; i++) {
    act(i);
    await sleep(Math.max(0, start + ((i + 1) * 1000) / rate - performance.now()));
  }
  return total;
}

async function measure(kind, redis) {
  const env = chosen.recovery ? { RECOVERY: "120000" } : {};
  const servers = await startCluster([kind, kind], { redis, adapter: chosen.adapter, env });
  const viewers = [];
  const open = Array.from({ length: chosen.sockets - 1 }, (_, i) => i);
  const joinSome = async () => {
    for (let i; (i = open.pop()) !== undefined; ) viewers.push(await Viewer.join(servers[i % 2], i % 2 === 1 && i < 2 * chosen.viewers ? "session" : null));
  };
  await Promise.all(Array.from({ length: 20 }, joinSome));
  const agent = await Wire.open(servers[0]);
  await agent.join("/room");
  const say = (room) => agent.send(`42/room,["say","${room}","event","at",${performance.now()},{"type":"delta","text":"some words of it"}]`);
  const received = () => viewers.reduce((sum, { count }) => sum + count, 0);

  await paced(chosen.load, 3, () => say("all")); // warm
  await sleep(500);

  const session = viewers.filter(({ wire }) => wire).slice();
  for (const viewer of session) viewer.times = [];
  const before = received();
  const sent = await paced(chosen.rate, chosen.seconds, () => say("session"));
  await until(() => received() - before >= sent * chosen.viewers, "all have come");
  const times = session.flatMap((viewer) => viewer.times).sort((a, b) => a - b);
  for (const viewer of session) viewer.times = null;

  const pids = servers.map((server) => server.process.pid);
  const cpu = () => [...pids, redis.pid].map(cpuSeconds);
  const [from, start] = [cpu(), received()];
  const events = await paced(chosen.load, chosen.seconds, () => say("all"));
  await until(() => received() - start >= events * viewers.length, "all have come", 30_000);
  const spent = cpu().map((seconds, i) => seconds - from[i]);
  const deliveries = received() - start;
  const memory = pids.map((pid) => residentBytes(pid) / 1e6);
  await Promise.all([agent, ...viewers.map(({ wire }) => wire)].map((wire) => wire.end()));
  await Promise.all(servers.map((server) => server.stop()));
  const total = spent.reduce((a, b) => a + b);
  return { times, deliveries, spent, memory, each: (total / deliveries) * 1e6 };
}

const redis = await Redis.start();
const results = {};
console.log(`${chosen.adapter}: two servers, ${chosen.sockets} sockets${chosen.recovery ? ", with recovery" : ""}`);
for (const kind of chosen.servers.split(",")) {
  const { times, deliveries, spent, memory, each } = (results[kind] = await measure(kind, redis));
  const ms = (p) => percentile(times, p).toFixed(2);
  console.log(`${kind}: across servers at ${chosen.rate} events a second: p50 ${ms(50)} ms, p99 ${ms(99)} ms, max ${times.at(-1).toFixed(2)} ms (${times.length} deliveries)`);
  const [one, other, bus] = spent.map((seconds) => `${seconds.toFixed(2)} s`);
  console.log(`  ${deliveries} deliveries to all: servers ${one} and ${other}, Redis ${bus}: ${each.toFixed(2)} µs a delivery; servers hold ${memory.map((mb) => mb.toFixed(1)).join(" and ")} MB`);
}
if (results.skua && results.Node) console.log(`a delivery of skua is ${(results.Node.each / results.skua.each).toFixed(1)} times cheaper`);
await redis.stop();
