// The application of cluster/app.lua for the reference server with an official Redis adapter, run as a process of its
// own. What one does the other does; cluster/app.lua says what that is.
import { createServer } from "node:http";
import { createAdapter as createClassicAdapter, createShardedAdapter } from "@socket.io/redis-adapter";
import { createAdapter as createStreamsAdapter } from "@socket.io/redis-streams-adapter";
import { createClient, createCluster } from "redis";
import { Server } from "socket.io";
import msgpack from "socket.io-msgpack-parser";

const { ADAPTER = "", REDIS = "", PREFIX = "socket.io", NAME = "reference", RECOVERY = "" } = process.env;

async function connected(client) {
  client.on("error", () => {}); // it connects again
  await client.connect();
  return client;
}

// Several addresses are those of a Redis Cluster.
async function clients(count) {
  const urls = REDIS.split(",");
  const make = () => (urls.length === 1 ? createClient({ url: REDIS }) : createCluster({ rootNodes: urls.map((url) => ({ url })) }));
  return Promise.all(Array.from({ length: count }, () => connected(make())));
}

const adapters = {
  pubsub: async () => createClassicAdapter(...(await clients(2)), { key: PREFIX, publishOnSpecificResponseChannel: process.env.SPECIFIC === "on" }),
  sharded: async () => createShardedAdapter(...(await clients(2)), { channelPrefix: PREFIX, subscriptionMode: process.env.MODE ?? "dynamic" }),
  streams: async () => {
    const [client] = await clients(1);
    const streamCount = Number(process.env.STREAMS ?? 1);
    return createStreamsAdapter(client, { streamName: PREFIX, channelPrefix: PREFIX, streamCount });
  },
};

const options = {
  pingInterval: Number(process.env.PING_INTERVAL ?? 25000),
  pingTimeout: Number(process.env.PING_TIMEOUT ?? 20000),
  maxHttpBufferSize: 100_000_000,
  allowEIO3: process.env.LEGACY === "on",
  serveClient: false,
};
if (ADAPTER) options.adapter = await adapters[ADAPTER]();
if (RECOVERY)
  options.connectionStateRecovery = {
    maxDisconnectionDuration: Number(RECOVERY),
    skipMiddlewares: process.env.SKIP_MIDDLEWARES === "on",
  };
if (process.env.PARSER === "msgpack") options.parser = msgpack;

const http = createServer((_, response) => response.writeHead(404).end());
const io = new Server(http, options);
const sockets = new Map(); // by id: the latest socket that had it
const notes = []; // events of other servers

function serve(nsp) {
  nsp.use((socket, next) => {
    socket.data.admitted = (socket.data.admitted ?? 0) + 1;
    next(socket.handshake.auth.refuse ? new Error("refused") : undefined);
  });
  nsp.on("connection", (socket) => {
    sockets.set(socket.id, socket);
    const about = () => ({ id: socket.id, recovered: socket.recovered, rooms: [...socket.rooms], data: socket.data });
    socket.on("join", (rooms, done) => (socket.join(rooms), done([...socket.rooms])));
    socket.on("leave", (room, done) => (socket.leave(room), done([...socket.rooms])));
    socket.on("set-data", (key, value, done) => ((socket.data[key] = value), done(socket.data)));
    socket.on("about", (done) => done(about()));
    socket.on("echo", (...args) => args.pop()(...args));
    socket.on("no-values", (done) => done());
    socket.on("say", (room, event, ...args) => void socket.nsp.to(room).emit(event, ...args));
    socket.on("ask-throw-out", (close) => socket.disconnect(close));
    if (socket.handshake.auth.greet) socket.emit("hello", socket.recovered);
  });
  return nsp;
}

function listen(nsp) {
  nsp.on("note", (...args) => notes.push({ ns: nsp.name, args }));
  nsp.on("question", (...args) => args.pop()({ from: NAME, args }));
  nsp.on("no-answer", () => {});
}

for (const name of ["/", "/room"]) listen(serve(io.of(name)));
serve(io.of(/^\/org-[^/]*$/));

function target({ ns, rooms = [], except = [], volatile, local, timeout }) {
  let to = io._nsps.get(ns);
  if (!to) throw new Error(`no namespace ${ns}`);
  if (rooms.length > 0) to = to.to(rooms);
  if (except.length > 0) to = to.except(except);
  if (volatile) to = to.volatile;
  if (local) to = to.local;
  return timeout ? to.timeout(timeout) : to;
}

const describe = ({ id, rooms, data, handshake }) => ({ id, rooms: [...rooms], data, auth: handshake.auth, query: handshake.query.name });

const operations = {
  name: () => NAME,
  emit: (command) => target(command).emit(command.event, ...command.args),
  "emit-with-ack": (command) =>
    new Promise((resolve) =>
      target(command).emit(command.event, ...command.args, (error, answers) => resolve({ answers, error: error?.message })),
    ),
  fetch: async (command) => {
    try {
      return { sockets: (await target(command).fetchSockets()).map(describe) };
    } catch (error) {
      return { sockets: [], error: error.message };
    }
  },
  count: async (command) => (await target(command).fetchSockets()).length,
  join: (command) => void target(command).socketsJoin(command.names),
  leave: (command) => command.names.forEach((room) => target(command).socketsLeave(room)),
  disconnect: (command) => void target(command).disconnectSockets(command.close),
  "server-emit": (command) => target(command).serverSideEmit(command.event, ...command.args),
  "server-emit-with-ack": async (command) => {
    try {
      return { answers: await io.of(command.ns).serverSideEmitWithAck(command.event, ...command.args) };
    } catch (error) {
      return { answers: error.responses ?? [], error: error.message };
    }
  },
  servers: (command) => io.of(command.ns).adapter.serverCount(),
  direct: ({ sid, event, args }) => sockets.get(sid)?.emit(event, ...args) ?? false,
  notes: () => notes,
};

io.of("/control").on("connection", (socket) =>
  socket.on("do", async (command, done) => {
    try {
      done((await operations[command.op](command)) ?? null);
    } catch (error) {
      done({ failed: error.message });
    }
  }),
);

process.on("SIGTERM", () => {
  setTimeout(() => process.exit(0), 2000); // Redis may be gone, and adapters wait for it
  io.close(() => process.exit(0));
});
http.listen(0, "127.0.0.1", () => console.error(`info listening port=${http.address().port}`));
