// Servers of both kinds in one cluster, told what to do by a control client, and clients that record what they get.
import { EventEmitter } from "node:events";
import path from "node:path";
import { io } from "socket.io-client";
import msgpack from "socket.io-msgpack-parser";
import { connected } from "./clients.mjs";
import { ServerProcess } from "./process.mjs";
import { startSkua, TESTS } from "./servers.mjs";
import { PATIENCE, until, within } from "./wait.mjs";

const NAMESPACES = ["/", "/room"]; // those that the applications have from the start

// kind: "skua" or "Node"; env: options of the applications
const starts = {
  skua: (env) => startSkua(app, { env }),
  Node: (env) => new ServerProcess(process.execPath, [path.join(TESTS, "lib/reference_node.mjs")], { env }).ready(),
};
const app = path.join(TESTS, "cluster/app.lua");
const chosenKinds = (process.env.SERVERS ?? "skua,Node").replace("reference", "Node").split(",");
export const kinds = Object.keys(starts).filter((kind) => chosenKinds.includes(kind));

// Every pair of kinds, or those that a test is about.
export const pairs = kinds.flatMap((one) => kinds.map((other) => [one, other]));

export class Server {
  static async start(kind, env) {
    const server = new Server();
    server.kind = kind;
    server.name = env.NAME ?? kind;
    server.process = await starts[kind](env);
    ({ port: server.port, url: server.url } = server.process);
    server.control = io(`${server.url}/control`, { transports: ["websocket"], forceNew: true, reconnection: false, ...parserOf(env) });
    try {
      await connected(server.control);
    } catch (error) {
      await server.kill();
      throw error;
    }
    return server;
  }

  // Has the server do it, and gives the result.
  async do(op, command = {}, ms = PATIENCE) {
    const args = command.event === undefined ? {} : { args: [] };
    const result = await within(this.#asked({ op, ns: "/room", ...args, ...command }), `what ${this.kind} answers to "${op}"`, ms);
    if (result?.failed) throw new Error(`${this.kind} could not ${op}: ${result.failed}`);
    return result;
  }

  #asked(command) {
    return new Promise((resolve, reject) => {
      if (!this.control.connected) return reject(new Error(`${this.name} is gone`));
      const gone = (reason) => reject(new Error(`${this.name} is gone: ${reason}`));
      this.control.once("disconnect", gone);
      this.control.emit("do", command, (result) => {
        this.control.off("disconnect", gone);
        resolve(result);
      });
    });
  }

  // To the namespace, or with { rooms, except, … } to a part of it.
  emit(event, args = [], to = {}) {
    return this.do("emit", { event, args, ...to });
  }

  async stop() {
    this.control.disconnect();
    await this.process.stop();
  }

  async kill() {
    this.control.disconnect();
    this.process.signal("SIGKILL");
    await within(this.process.ended, "the end of a killed server");
  }
}

const parserOf = (env) => (env.PARSER === "msgpack" ? { parser: msgpack } : {});

// Servers of these kinds on one Redis, once each knows of all others. `redis.urls` are by kind where kinds differ; `urls`
// are by place, for servers that reach Redis in ways of their own; `env` may be a function of the kind.
export async function startCluster(chosen, { redis, adapter, urls = [], env = {} }) {
  const servers = [];
  try {
    for (const [i, kind] of chosen.entries()) {
      const more = typeof env === "function" ? env(kind) : env;
      const own = { REDIS: urls[i] ?? redis.urls?.[kind] ?? redis.url, ADAPTER: adapter, NAME: `${kind}-${i}`, ...more };
      servers.push(await Server.start(kind, own));
    }
    await complete(servers, adapter === "streams" ? redis : null, env);
  } catch (error) {
    await Promise.all(servers.map((server) => server.kill()));
    throw error;
  }
  return servers;
}

export async function complete(servers, streams, { PREFIX = "socket.io", STREAMS = "1" } = {}) {
  for (const server of servers)
    for (const ns of NAMESPACES)
      await until(async () => (await server.do("servers", { ns })) === servers.length, `${server.kind} counts ${servers.length} servers`);
  const names = STREAMS === "1" ? [PREFIX] : Array.from({ length: Number(STREAMS) }, (_, i) => `${PREFIX}-${i}`);
  if (streams) await readersStarted(streams, names, servers.reduce((sum, { kind }) => sum + (kind === "Node" ? names.length : 1), 0));
}

// The official streams adapter reads from "what comes next" until something has come, and between two such reads things
// get lost. An entry that means nothing gets each reader over that.
async function readersStarted(redis, streams, count) {
  const reading = async () => (await redis.command("CLIENT", "LIST")).split("\n").filter((line) => / cmd=xread /.test(line)).length;
  await until(async () => (await reading()) >= count, `${count} connections read streams`);
  for (const stream of streams) await redis.command("XADD", stream, "*", "nothing", "");
}

// A client in a namespace; `got` holds [event, ...args] of all that came, in order.
export class Client extends EventEmitter {
  constructor(url, namespace = "/room", options = {}) {
    super();
    this.got = [];
    this.socket = io(url + namespace, { transports: ["websocket"], forceNew: true, reconnection: false, ...options });
    this.socket.onAny((...event) => {
      if (typeof event.at(-1) !== "function") this.got.push(event);
      this.emit("got");
    });
  }

  static async connect(server, { namespace, rooms = [], ...options } = {}) {
    const client = new Client(server.url, namespace, options);
    await connected(client.socket);
    client.id = client.socket.id;
    if (rooms.length > 0) await client.ask("join", rooms);
    return client;
  }

  ask(event, ...args) {
    return within(new Promise((resolve) => this.socket.emit(event, ...args, resolve)), `the answer to "${event}"`);
  }

  // Another namespace on the same connection: a socket of the client library.
  async join(namespace) {
    const socket = this.socket.io.socket(namespace);
    await connected(socket);
    return socket;
  }

  // What came with this event's name: lists of arguments.
  of(event) {
    return this.got.filter(([name]) => name === event).map(([, ...args]) => args);
  }

  close() {
    this.socket.io._close();
  }
}
