// Real redis-server processes on free ports, each with a folder of its own, stopped by their process ids.
import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { createServer } from "node:net";
import path from "node:path";
import { createClient } from "redis";
import { Certificates } from "./certificates.mjs";
import { scratch } from "./servers.mjs";
import { until, within } from "./wait.mjs";

const PROGRAM = process.env.REDIS_SERVER ?? "redis-server";
const ATTEMPTS = 5; // another process may take a free port before Redis does

// What a test that fails half-way leaves behind ends with its process.
const running = new Set();
process.once("exit", () => running.forEach((child) => child.kill("SIGKILL")));
for (const signal of ["SIGTERM", "SIGINT"]) process.once(signal, () => process.exit(1));

export async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

// Lines of a configuration file: { port: 1, user: ["a on", "b on"] }
function lines(settings) {
  const quote = (value) => (value === "" ? '""' : value);
  return Object.entries(settings).flatMap(([name, value]) => [value].flat().map((one) => `${name} ${quote(one)}\n`));
}

// One redis-server. `settings` are those of redis.conf.
export class Redis {
  constructor(settings = {}) {
    this.folder = scratch();
    this.settings = { bind: "127.0.0.1", dir: this.folder, save: "", appendonly: "no", "enable-debug-command": "yes", ...settings };
    this.args = [];
    this.host = "127.0.0.1";
    this.log = "";
  }

  static async start(settings) {
    return new Redis(settings).start();
  }

  // On its port of before if it ran before, else on a free one.
  async start() {
    for (let attempt = 1; ; attempt++) {
      const own = this.port ?? (await freePort());
      try {
        await this.#launch(own);
        this.port = own;
        return this;
      } catch (error) {
        if (this.port !== undefined || attempt === ATTEMPTS) throw error;
      }
    }
  }

  // The settings that a port leads to.
  listening(port) {
    return { port };
  }

  async #launch(port) {
    const file = path.join(this.folder, "redis.conf");
    writeFileSync(file, lines({ ...this.settings, ...this.listening(port) }).join(""));
    const child = spawn(PROGRAM, [file, ...this.args], { stdio: ["ignore", "pipe", "pipe"] });
    running.add(child);
    const from = this.log.length;
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text) => (this.log += text));
    let failure;
    this.ended = new Promise((resolve) => {
      child.on("error", (error) => resolve((failure = error)));
      child.on("close", () => resolve((failure ??= new Error(`redis-server ended:\n${this.log.slice(-2000)}`))));
    });
    this.ended.then(() => running.delete(child));
    this.child = child;
    await until(() => {
      if (failure) throw failure;
      return /Ready to accept connections|Sentinel ID is/.test(this.log.slice(from));
    }, "redis-server is ready");
  }

  get pid() {
    return this.child.pid;
  }

  get url() {
    return `redis://${this.host}:${this.port}`;
  }

  // What the client of package "redis" wants to know.
  clientOptions() {
    return { url: this.url };
  }

  // A connected client, which the caller disconnects.
  async client(options = {}) {
    const client = createClient({ ...this.clientOptions(), ...options });
    client.on("error", () => {});
    await within(client.connect(), "the connection to Redis");
    return client;
  }

  // One command: redis.command("PUBLISH", "channel", "text")
  async command(...args) {
    const client = await this.client();
    try {
      return await within(client.sendCommand(args.map((arg) => (Buffer.isBuffer(arg) ? arg : String(arg)))), `Redis' answer to ${args[0]}`);
    } finally {
      await client.disconnect();
    }
  }

  // Ends it with what it keeps in memory, as a crash would.
  async kill() {
    if (!this.child) return;
    this.child.kill("SIGCONT");
    this.child.kill("SIGKILL");
    await within(this.ended, "redis-server's end");
  }

  async stop() {
    await this.kill();
  }

  // All it had in memory is lost, unless `settings` say that it keeps it.
  async restart() {
    await this.kill();
    await this.start();
  }

  // It takes what comes and does nothing.
  stall() {
    this.child.kill("SIGSTOP");
  }

  resume() {
    this.child.kill("SIGCONT");
  }
}

// With a certificate; only over TLS. `certificates` signs itself as "redis".
export class SecureRedis extends Redis {
  constructor(settings = {}) {
    super(settings);
    this.certificates = new Certificates(this.folder).make("redis");
    this.certificate = this.certificates.path("redis.pem");
    this.host = "localhost";
  }

  static async start(settings) {
    return new SecureRedis(settings).start();
  }

  listening(port) {
    const file = (name) => this.certificates.path(name);
    return {
      port: 0,
      "tls-port": port,
      "tls-cert-file": file("redis.pem"),
      "tls-key-file": file("redis.key"),
      "tls-ca-cert-file": file("redis.pem"),
      "tls-auth-clients": "no",
    };
  }

  get url() {
    return `rediss://${this.host}:${this.port}`;
  }

  clientOptions() {
    return { url: this.url, socket: { tls: true, ca: [this.certificates.read("redis.pem")] } };
  }
}

// Only this user may do anything.
export async function startWithUser(name, password, settings = {}) {
  const redis = new Redis({ ...settings, user: ["default off", `${name} on >${password} ~* &* +@all`] });
  redis.clientOptions = () => ({ url: `redis://${name}:${password}@${redis.host}:${redis.port}` });
  return redis.start();
}

// Masters that share the slots.
export class RedisCluster {
  static async start(count = 3) {
    const cluster = new RedisCluster();
    cluster.nodes = [];
    try {
      for (let i = 0; i < count; i++) cluster.nodes.push(await ClusterNode.start());
      await cluster.#join();
    } catch (error) {
      await cluster.stop();
      throw error;
    }
    return cluster;
  }

  async #join() {
    const { nodes } = this;
    const slots = 16384;
    for (const [i, node] of nodes.entries()) {
      const [from, to] = [i, i + 1].map((n) => Math.floor((n * slots) / nodes.length));
      await node.command("CLUSTER", "ADDSLOTSRANGE", from, to - 1);
      await node.command("CLUSTER", "SET-CONFIG-EPOCH", i + 1);
    }
    for (const node of nodes.slice(1)) await nodes[0].command("CLUSTER", "MEET", node.host, node.port, node.busPort);
    await until(async () => {
      const all = await Promise.all(nodes.map((node) => node.command("CLUSTER", "INFO")));
      return all.every((text) => /cluster_state:ok/.test(text) && text.includes(`cluster_known_nodes:${nodes.length}`));
    }, "the cluster is whole", 20_000);
  }

  // For each kind of server, as it wants to be told.
  get urls() {
    const ports = this.nodes.map(({ host, port }) => `${host}:${port}`);
    return { skua: `redis+cluster://${ports.join(",")}`, Node: ports.map((one) => `redis://${one}`).join(",") };
  }

  async stop() {
    await Promise.all(this.nodes.map((node) => node.stop()));
  }
}

class ClusterNode extends Redis {
  static async start() {
    const node = new ClusterNode({ "cluster-enabled": "yes", "cluster-node-timeout": 2000, "cluster-config-file": "nodes.conf" });
    node.busPort = await freePort();
    return node.start();
  }

  listening(port) {
    return { port, "cluster-port": this.busPort };
  }
}

// A master with a replica, and sentinels that put the one in the other's place.
export class SentinelSet {
  static NAME = "skua";

  static async start(count = 3) {
    const set = new SentinelSet();
    set.sentinels = [];
    try {
      set.master = await Redis.start({ "repl-diskless-sync-delay": 0 });
      set.replica = await Redis.start({ replicaof: `127.0.0.1 ${set.master.port}`, "repl-diskless-sync-delay": 0 });
      await until(async () => /master_link_status:up/.test(await set.replica.command("INFO", "replication")), "the replica is synchronised", 20_000);
      for (let i = 0; i < count; i++) set.sentinels.push(await Sentinel.start(set.master.port, Math.floor(count / 2) + 1));
      await until(() => set.#complete(count), "the sentinels know each other", 20_000);
    } catch (error) {
      await set.stop();
      throw error;
    }
    return set;
  }

  async #complete(count) {
    for (const sentinel of this.sentinels) {
      const about = await sentinel.command("SENTINEL", "MASTER", SentinelSet.NAME);
      const value = (name) => Number(about[about.indexOf(name) + 1]);
      if (value("num-other-sentinels") !== count - 1 || value("num-slaves") !== 1) return false;
    }
    return true;
  }

  get urls() {
    const ports = this.sentinels.map(({ host, port }) => `${host}:${port}`);
    return { skua: `redis+sentinel://${ports.join(",")}/${SentinelSet.NAME}` };
  }

  // Whom the sentinels take for the master.
  async currentPort() {
    const [, port] = await this.sentinels[0].command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", SentinelSet.NAME);
    return Number(port);
  }

  async stop() {
    const all = [...this.sentinels, this.replica, this.master].filter((one) => one);
    await Promise.all(all.map((one) => one.stop()));
  }
}

class Sentinel extends Redis {
  constructor(masterPort, quorum) {
    super();
    this.args = ["--sentinel"];
    this.settings = {
      bind: "127.0.0.1",
      dir: this.folder,
      "sentinel monitor": `${SentinelSet.NAME} 127.0.0.1 ${masterPort} ${quorum}`,
      "sentinel down-after-milliseconds": `${SentinelSet.NAME} 500`,
      "sentinel failover-timeout": `${SentinelSet.NAME} 5000`,
    };
  }

  static async start(...args) {
    return new Sentinel(...args).start();
  }
}
