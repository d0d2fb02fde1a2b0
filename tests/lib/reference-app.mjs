// The application of e2e/app.lua for the reference server, run as a process of its own. What one does the other does.
// It says "listening port=N" on stderr when it is ready and ends on SIGTERM, as skua does.
import { createServer } from "node:http";
import { Server } from "socket.io";
import msgpack from "socket.io-msgpack-parser";

const number = (name, initial) => Number(process.env[name] ?? initial);

const options = {
  path: process.env.ENGINE_PATH ?? "/socket.io/",
  pingInterval: number("PING_INTERVAL", 25000),
  pingTimeout: number("PING_TIMEOUT", 20000),
  upgradeTimeout: number("UPGRADE_TIMEOUT", 10000),
  connectTimeout: number("CONNECT_TIMEOUT", 45000),
  maxHttpBufferSize: number("MAX_PAYLOAD", 1000000),
  allowEIO3: process.env.LEGACY === "on",
  cookie: process.env.COOKIE === "on",
  addTrailingSlash: (process.env.TRAILING_SLASH ?? "on") === "on",
  serveClient: process.env.SERVE_CLIENT === "on",
  httpCompression: process.env.HTTP_COMPRESSION === "on",
  perMessageDeflate: process.env.WS_COMPRESSION === "on" && { serverNoContextTakeover: true, clientNoContextTakeover: true },
};
if ((process.env.CORS ?? "on") === "on")
  options.cors = { origin: ["http://app.example", "http://other.example"], credentials: true };

if (process.env.DENY === "on")
  options.allowRequest = (request, callback) => {
    const denied = new URL(request.url, "http://localhost").searchParams.has("deny");
    callback(denied ? "denied by app" : null, !denied);
  };

if (process.env.PARSER === "msgpack") options.parser = msgpack;

const http = createServer((_, response) => response.writeHead(404).end());
const io = new Server(http, options);
const goodbyes = new Map();
const errors = new Map();

function describe(socket) {
  const { headers, query, auth, url, xdomain, secure, address, time, issued } = socket.handshake;
  return { headers, query, auth, url, xdomain, secure, address, time: typeof time, issued: typeof issued };
}

// on(socket, "event", (...args) => values): what it returns, a list, is the acknowledgement; undefined: no values.
function on(socket, event, handler) {
  socket.on(event, async (...args) => {
    const ack = typeof args.at(-1) === "function" ? args.pop() : () => {};
    const values = await handler(...args);
    if (values !== null) ack(...(values ?? []));
  });
}

function talk(nsp, socket) {
  socket.emit("auth", socket.handshake.auth);
  on(socket, "message", (...args) => void socket.emit("message-back", ...args));
  on(socket, "message-plain", (...args) => void socket.compress(false).emit("message-back", ...args));
  on(socket, "message-with-ack", (...args) => args);
  on(socket, "no-values", () => []);
  on(socket, "null-and-more", () => [null, "more"]);
  on(socket, "patch", (object) => {
    object.patched = true;
    object.list[0] = "first";
    return [object];
  });
  on(socket, "5", (...args) => ["five", ...args]);
  on(socket, "throw", () => null); // a throwing handler would end this process
  on(socket, "describe", () => [describe(socket)]);
  on(socket, "whoami", () => [socket.id, socket.conn.transport.name]);
}

const answered = (emit) => new Promise((resolve) => emit((error, ...values) => resolve([error, ...values])));

function ask(nsp, socket) {
  on(socket, "ask-me", async (event, ...args) => {
    const [error, ...values] = await answered((done) => socket.timeout(10000).emit(event, ...args, done));
    return error ? [false, error.message] : [true, ...values];
  });
  on(socket, "ask-me-within", async (ms, event, ...args) => {
    const [error, first] = await answered((done) => socket.timeout(ms).emit(event, ...args, done));
    return error ? [false, error.message] : [true, first];
  });
  on(socket, "ask-room", async (room, ms, event, ...args) => {
    const [error, answers] = await answered((done) => nsp.to(room).timeout(ms).emit(event, ...args, done));
    return error ? [answers, error.message] : [answers, null];
  });
}

function rooms(nsp, socket) {
  const own = () => [[...socket.rooms]];
  on(socket, "join", (...names) => (socket.join(names.flat()), own()));
  on(socket, "leave", (room) => (socket.leave(room), own()));
  on(socket, "rooms", own);
  on(socket, "to", (names, event, ...args) => [socket.to(names).emit(event, ...args)]);
  on(socket, "ns-to", (names, except, event, ...args) => [nsp.to(names).except(except).emit(event, ...args)]);
  on(socket, "others", (event, ...args) => [socket.broadcast.emit(event, ...args)]);
  on(socket, "others-but", (except, event, ...args) => [socket.except(except).emit(event, ...args)]);
  on(socket, "everybody", (event, ...args) => [!!nsp.emit(event, ...args)]);
  on(socket, "everybody-volatile", (event, ...args) => [!!nsp.volatile.emit(event, ...args)]);
  on(socket, "burst", (count, payload) => {
    for (let i = 1; i <= count; i++) socket.emit("burst", i, payload);
    return [true];
  });
  on(socket, "count", async (room) => [(await (room ? nsp.to(room) : nsp).fetchSockets()).length]);
  on(socket, "move", (from, to) => {
    nsp.to(from).socketsJoin(to);
    nsp.to(from).socketsLeave(from);
    return [true];
  });
}

function life(nsp, socket) {
  socket.on("disconnecting", (reason) => goodbyes.set(socket.id, { disconnecting: reason, rooms: [...socket.rooms] }));
  socket.on("disconnect", (reason) => {
    Object.assign(goodbyes.get(socket.id), { disconnect: reason, rooms_after: [...socket.rooms] });
    console.error(`info goodbye namespace=${nsp.name} reason=${JSON.stringify(reason)}`);
  });
  socket.on("error", (error) => errors.set(socket.id, [...(errors.get(socket.id) ?? []), error.message]));
  on(socket, "goodbye", (id) => [goodbyes.get(id) ?? null]);
  on(socket, "errors", (id) => [errors.get(id) ?? []]);
  on(socket, "bye", (close) => void socket.disconnect(close));
  on(socket, "throw-out", (room, close) => [nsp.to(room).disconnectSockets(close) ?? true]);
  on(socket, "set-data", (key, value) => ((socket.data[key] = value), [true]));
  on(socket, "get-data", () => [socket.data]);
}

function serve(nsp) {
  nsp.on("connection", (socket) => {
    life(socket.nsp, socket);
    talk(socket.nsp, socket);
    ask(socket.nsp, socket);
    rooms(socket.nsp, socket);
  });
  return nsp;
}

const refusal = (message, data) => Object.assign(new Error(message), { data });

serve(io.of("/"));
serve(io.of("/custom"));
serve(io.of(/^\/org-[^/]*$/));

const admin = io.of("/admin");
admin.use((socket, next) =>
  next(socket.handshake.auth.token === "s3cret" ? undefined : refusal("unauthorized", { code: 401 })),
);
admin.on("connection", (socket) => on(socket, "message-with-ack", (...args) => args));
io.of("/plain-refusal").use((socket, next) => next(refusal("no")));
io.of("/throwing").use((socket, next) => next(refusal("internal error"))); // what skua tells of a throwing middleware

const chain = serve(io.of("/chain"));
chain.use((socket, next) => {
  socket.data.steps = ["first"];
  setTimeout(next, 20);
});
chain.use((socket, next) => {
  socket.data.steps.push("second");
  next(socket.handshake.auth.stop ? refusal("stopped", socket.data.steps) : undefined);
});

const guarded = serve(io.of("/guarded"));
guarded.on("connection", (socket) => {
  socket.use(([event], next) => next(event === "forbidden" ? refusal("not allowed") : undefined));
  on(socket, "forbidden", () => ["must not run"]);
});

io.of("/any").on("connection", (socket) => {
  const own = { own: true };
  socket.onAny((event, ...args) => {
    if (own[event]) return;
    const ack = typeof args.at(-1) === "function" ? args.pop() : () => {};
    socket.emit("caught", event, ...args);
    ack(event, ...args);
  });
  on(socket, "own", () => ["own"]);
});

for (const name of ["/hub", "/runner"]) {
  io.of(name).on("connection", (socket) => {
    on(socket, "bye", (close) => void socket.disconnect(close));
    on(socket, "all", (...args) => void io.of(name).emit("all", ...args));
    on(socket, "say", (room, ...args) => void io.of(name).to(room).emit("said", ...args));
  });
}

process.on("SIGTERM", () => io.close(() => process.exit(0)));
const [host, port] = (process.env.LISTEN ?? "127.0.0.1:0").split(":");
http.listen(Number(port), host, () => console.error(`info listening port=${http.address().port}`));
