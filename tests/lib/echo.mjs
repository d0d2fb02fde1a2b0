// Servers whose application sends every event "m" back, and messages of any bytes in such events: what the suite of
// RFC 6455 needs an echo for.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Certificates, ports } from "./certificates.mjs";
import { ServerProcess } from "./process.mjs";
import { startSkuaText, servers as chosen } from "./servers.mjs";
import { BINARY, TEXT, frame, WebSocketClient } from "./websocket.mjs";

export const MAX_MESSAGE = 16 * 1024 * 1024;

const program = (certificates, compression) => `
listen "127.0.0.1:0"
listen "127.0.0.1:0" { tls = ${certificates.lua("localhost")} }
engine { ping_interval = "10m", compression = { websocket = ${compression} } }
limits { max_payload = ${MAX_MESSAGE}, handler_time = "10s" }
namespace("/"):on("m", function(socket, value) socket:emit("m", value) end)
`;

const startReference = (certificates, compression) =>
  new ServerProcess(process.execPath, [
    fileURLToPath(import.meta.url),
    certificates.path("localhost.pem"),
    certificates.path("localhost.key"),
    compression ? "compression" : "plain",
  ]).ready();

// Started, they have `port` and `securePort`.
async function started(start, compression) {
  const server = await start(new Certificates().make("localhost"), compression);
  [, server.securePort] = await ports(server, 2);
  return server;
}

export const servers = [
  { name: "skua", start: ({ compression = false } = {}) => started((...how) => startSkuaText(program(...how)), compression) },
  { name: "reference", start: ({ compression = false } = {}) => started(startReference, compression) },
].filter(({ name }) => chosen.some((one) => one.name === name));

const BEFORE = '42["m","';
const AFTER = '"]';
export const TEXT_OVERHEAD = BEFORE.length + AFTER.length;

// The text message for a payload, which must mean itself in a JSON string: no quotes, backslashes, control characters.
export function textMessage(payload) {
  return Buffer.concat([Buffer.from(BEFORE), Buffer.from(payload), Buffer.from(AFTER)]);
}

// A text message of that many bytes in all.
export function textOfSize(size, fill = "*") {
  return textMessage(Buffer.alloc(size - TEXT_OVERHEAD, fill));
}

// A binary message comes behind this text, both ways.
export const binaryPreface = '451-["m",{"_placeholder":true,"num":0}]';

export async function open(transport, server, extensions) {
  const client = await WebSocketClient.open(transport, server, "/socket.io/?EIO=4&transport=websocket", extensions);
  await client.next("the open packet");
  await client.send(frame(TEXT, "40"));
  await client.next("the namespace's answer");
  return client;
}

export function sendPreface(client) {
  return client.send(frame(TEXT, binaryPreface));
}

export async function expectEcho(client, opcode, message) {
  if (opcode === BINARY) await client.expect(TEXT, binaryPreface);
  await client.expect(opcode, message);
}

// Run as a program: the reference server, given its certificate and key.
if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { createServer } = await import("node:http");
  const { createServer: createSecureServer } = await import("node:https");
  const { Server } = await import("socket.io");
  const [cert, key] = process.argv.slice(2, 4).map((file) => readFileSync(file));
  const perMessageDeflate = process.argv[4] === "compression" && { serverNoContextTakeover: true, clientNoContextTakeover: true };
  for (const server of [createServer(), createSecureServer({ cert, key })]) {
    const io = new Server(server, { pingInterval: 600_000, maxHttpBufferSize: MAX_MESSAGE, perMessageDeflate });
    io.on("connection", (socket) => socket.on("m", (value) => socket.emit("m", value)));
    await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
    console.error(`listening port=${server.address().port}`);
  }
  process.on("SIGTERM", () => process.exit(0));
}
