// One client over polling through a balancer without stickiness over two servers: events both ways, none lost.
//
//   node tests/tools/round_robin.mjs --messages 1000
//   node tests/tools/round_robin.mjs --upgrade          it goes over to WebSocket where it lands
import { Balancer } from "../lib/balancer.mjs";
import { Client, startCluster } from "../lib/cluster.mjs";
import { upgraded } from "../lib/clients.mjs";
import { options } from "../lib/options.mjs";
import { Redis } from "../lib/redis.mjs";
import { until } from "../lib/wait.mjs";

const chosen = options("node tests/tools/round_robin.mjs [--OPTION VALUE]…", {
  adapter: "pubsub",
  servers: "skua,skua",
  messages: 1000, // each way
  upgrade: false,
});

const redis = await Redis.start();
const servers = await startCluster(chosen.servers.split(","), { redis, adapter: chosen.adapter });
const balancer = await Balancer.start(servers);
const transports = chosen.upgrade ? ["polling", "websocket"] : ["polling"];
const client = await Client.connect(balancer, { transports, rooms: ["red"] });
if (chosen.upgrade) await upgraded(client.socket.io);
let disconnects = 0;
client.socket.on("disconnect", () => disconnects++);

const start = Date.now();
const answers = [];
for (let i = 0; i < chosen.messages; i++) {
  client.socket.emit("echo", i, (n) => answers.push(n)); // up, and an acknowledgement down
  await servers[i % 2].emit("down", [i], { rooms: ["red"] });
}
await until(() => answers.length >= chosen.messages && client.of("down").length >= chosen.messages, "all have come", 30_000).catch(() => {});
const inOrder = (list) => list.every((n, i) => n === i);
const down = client.of("down").map(([n]) => n);
console.log(`${chosen.messages} events each way in ${((Date.now() - start) / 1000).toFixed(1)} s, ${disconnects} disconnects`);
console.log(`acknowledged ${answers.length}, ${inOrder(answers) ? "in order" : "NOT in order"}`);
console.log(`received ${down.length} from both servers, ${new Set(down).size} different`);
console.log(`requests by server: ${balancer.counts.join(" and ")}; upgrades: ${balancer.upgrades.join(" and ")}`);

client.close();
await balancer.stop();
await Promise.all(servers.map((server) => server.stop()));
await redis.stop();
process.exit(answers.length === chosen.messages && new Set(down).size === chosen.messages && down.length === chosen.messages && disconnects === 0 ? 0 : 1);
