// Connections of all that is wrong, one after the other, 50 at a time: node tests/tools/malformed.mjs [COUNT [SEED]]
//
// Half requests, HTTP that is none, frames and packets that are forbidden, what is no TLS, and good conversations with
// bytes cut, changed or added by chance (the same ones for the same seed). Each connection has to end: by the server
// where the fault calls for that, or after the client has closed its side. Afterwards the server must still work, have
// its descriptors back, and hold at most 5 % more memory than before. Before COUNT begins, others warm the server up.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { connect } from "node:net";
import { connect as connectSecurely } from "node:tls";
import { fileURLToPath } from "node:url";
import { Certificates, ports } from "../lib/certificates.mjs";
import { PollingSession, send, upgradeRequest } from "../lib/raw.mjs";
import { startSkuaText } from "../lib/servers.mjs";
import { until, within } from "../lib/wait.mjs";
import { BINARY, CLOSE, CONTINUATION, PING, TEXT, closeFrame, frame } from "../lib/websocket.mjs";

const AT_A_TIME = 50;
const PATIENCE = 20_000; // ms until a connection that has not ended is a failure
const GIVEN_BACK = 60_000; // ms until descriptors are back
const LOOKS = 7_000; // ms; the server looks every 5 s for memory to give back
const CROWD = 200; // connections: of fewer the server does not return memory when they have left
const WARM_UP = 0.2; // of the connections come before, so that code has been read in and pools are filled
const WARM_UP_MIN = 1_000;
const SLACK = 0.05; // of the memory after the warm-up
// TLS sessions are remembered in 1 MB that begins empty: it is filled first as far as this share of handshakes fills it.
const SESSIONS_MAX = 10_000;
const SESSIONS = 0.12;

const program = (certificates) => `
listen "127.0.0.1:0"
listen "127.0.0.1:0" { tls = ${certificates.lua("localhost")} }
engine { ping_interval = "1s", ping_timeout = "1s", connect_timeout = "2s", upgrade_timeout = "1s", legacy_clients = true }
limits { http_headers = "2s", http_body = "2s", http_idle = "1s" }
namespace("/"):on("m", function(_, ...) return ... end)
namespace("/chat")
`;

// Numbers by chance, the same ones for a seed (mulberry32).
function dice(seed) {
  return (below) => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

const noise = (roll, size) => Buffer.from(Array.from({ length: size }, () => roll(256)));

const upgrade = Buffer.from(upgradeRequest("/socket.io/?EIO=4&transport=websocket"));
const post = (body, path = "/socket.io/?EIO=4&transport=polling") =>
  `POST ${path} HTTP/1.1\r\nHost: a\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;

const requests = [
  "GET\r\n\r\n",
  "GET / HTTP/9.9\r\n\r\n",
  "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost a\r\n\r\n",
  "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHo\0st: a\r\n\r\n",
  `GET /${"a".repeat(40_000)} HTTP/1.1\r\n\r\n`,
  `GET / HTTP/1.1\r\n${"X: y\r\n".repeat(8_000)}\r\n`,
  "POST / HTTP/1.1\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcd",
  "POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
  "POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
  "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
  "POST /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n",
  "GET http:// HTTP/1.1\r\nHost: a\r\n\r\n",
  "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
  "GET /socket.io/?EIO=9&transport=polling HTTP/1.1\r\nHost: a\r\n\r\n",
  "GET /socket.io/?EIO=4&transport=polling&sid=%00%ff%zz HTTP/1.1\r\nHost: a\r\n\r\n",
  "GET /%2e%2e/%c0%af?%%%&&==&a[b]=c HTTP/1.1\r\nHost: a\r\n\r\n",
  post("4", "/socket.io/?EIO=4&transport=polling&sid=nobody"),
  upgradeRequest("/socket.io/?EIO=4&transport=websocket&sid=nobody"),
  upgradeRequest("/socket.io/?EIO=4&transport=websocket").replace("Version: 13", "Version: 12"),
  upgradeRequest("/socket.io/?EIO=4&transport=websocket").replace(/Key: .*\r\n/, "Key: short\r\n"),
  upgradeRequest("/socket.io/?EIO=4&transport=webtransport"),
];

// What a server must end a WebSocket for: RFC 6455's faults, Engine.IO's, Socket.IO's.
const conversations = [
  frame(TEXT, "4", { reserved: 2 }),
  frame(TEXT, "40", { masked: false }),
  frame(0x3, "x"),
  frame(0xb, "x"),
  frame(CONTINUATION, "x"),
  [frame(TEXT, "4", { fin: false }), frame(TEXT, "0")],
  frame(PING, "x", { fin: false }),
  frame(PING, "x".repeat(126)),
  frame(CLOSE, "x"),
  closeFrame(1005),
  closeFrame(65535, "why"),
  frame(CLOSE, Buffer.from([3, 232, 0xff, 0xfe])),
  frame(TEXT, Buffer.from([0x34, 0x32, 0xc0, 0xaf])),
  frame(TEXT, "", { size: 2 ** 40, width: 8 }),
  frame(TEXT, "", { size: 2_000_000 }),
  frame(TEXT, ""),
  frame(TEXT, "9"),
  frame(TEXT, "x"),
  frame(TEXT, "4x"),
  frame(TEXT, '42["m"]'),
  [frame(TEXT, "40"), frame(TEXT, "40{")],
  ...["42{}", "42[]", "42[null]", '42["m"', '42["m"]]', `42${"[".repeat(5_000)}`, '42["connect"]', "431{}", "44", "49"].map((text) => [
    frame(TEXT, "40"),
    frame(TEXT, text),
  ]),
  [frame(TEXT, "40"), frame(TEXT, '4599999999999-["m"]')],
  [frame(TEXT, "40"), frame(TEXT, '45-["m",{"_placeholder":true,"num":0}]')],
  [frame(TEXT, "40"), frame(TEXT, '451-["m",{"_placeholder":true,"num":7}]'), frame(BINARY, "x")],
  [frame(TEXT, "40"), frame(TEXT, '452-["m",{"_placeholder":true,"num":0}]'), frame(BINARY, "x"), frame(TEXT, '42["m"]')],
  [frame(TEXT, "40"), frame(BINARY, "nobody waits for it")],
].map((bytes) => Buffer.concat([upgrade, ...[bytes].flat()]));

// Of these only the connection's end is sure: a mended byte may well leave a good conversation.
const good = [
  Buffer.concat([upgrade, frame(TEXT, "40"), frame(TEXT, '420["m","text",{"a":[1,2.5,null]}]'), frame(TEXT, "40/chat,"), closeFrame(1000)]),
  Buffer.concat([upgrade, frame(TEXT, "40"), frame(TEXT, '451-1["m",{"_placeholder":true,"num":0}]'), frame(BINARY, "bytes"), frame(PING, "p")]),
  Buffer.concat([upgrade, frame(TEXT, "40", { fin: false }), frame(CONTINUATION, "{}"), frame(TEXT, '42["m","Grüße 👋"]')]),
  Buffer.concat([upgrade, frame(TEXT, "4"), frame(TEXT, "42"), frame(TEXT, "43[]")]), // the reference minds none of these
  Buffer.from("GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: a\r\nOrigin: http://a\r\nAccept-Encoding: gzip\r\n\r\n"),
  Buffer.from("POST /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n40\r\n0\r\n\r\n"),
  Buffer.from(upgradeRequest("/socket.io/?EIO=3&transport=websocket")),
];

function changed(roll, bytes) {
  const result = Buffer.from(bytes);
  for (let left = 1 + roll(8); left > 0; left--) result[roll(result.length)] = roll(256);
  if (roll(3) > 0) return result;
  const at = roll(result.length);
  return Buffer.concat([result.subarray(0, at), noise(roll, roll(32)), result.subarray(at + roll(32))]);
}

const bodies = ["", "9", "4", "42[", "40\x1e42{", "\x1e\x1e", "40\x1e42[]", "b", "bAA=", "40\x1eb####", '40\x1e451-["m",{"_placeholder":true,"num":0}]\x1e40'];
const hello = Buffer.from([0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]); // a TLS record that announces 512 bytes

const pick = (roll, list) => list[roll(list.length)];

// The kinds, each a function of the dice: { bytes, secure: what is below is TLS, port, leave: the client ends first }
const kinds = [
  (roll) => ({ bytes: Buffer.from(pick(roll, requests)), leave: true }),
  (roll) => ({ bytes: pick(roll, conversations) }),
  (roll) => ({ bytes: noise(roll, 1 + roll(300)), leave: true }),
  (roll) => ({ bytes: changed(roll, pick(roll, good)), leave: true }),
  (roll) => ({ bytes: changed(roll, pick(roll, conversations)), leave: true }),
  (roll) => {
    const bytes = pick(roll, [...good, ...conversations]);
    return { bytes: bytes.subarray(0, roll(bytes.length)), [pick(roll, ["leave", "reset"])]: true };
  },
  (roll) => ({ body: pick(roll, bodies) }),
  (roll) => ({ port: "securePort", bytes: pick(roll, [noise(roll, 1 + roll(300)), Buffer.concat([hello, noise(roll, roll(600))]), upgrade]), leave: true }),
  (roll) => ({ port: "securePort", secure: true, bytes: pick(roll, conversations) }),
];

// The server's close frame, which asks for the client's end.
function endsWithClose(chunk) {
  for (let size = 0; size <= 125 && size + 2 <= chunk.length; size++) {
    const at = chunk.length - size - 2;
    if (chunk[at] === 0x80 + CLOSE && chunk[at + 1] === size) return true;
  }
  return false;
}

function talk(server, { port = "port", secure = false, bytes, leave, reset }) {
  const options = { port: server[port], host: "127.0.0.1", rejectUnauthorized: false };
  const socket = secure ? connectSecurely(options) : connect(options);
  const ended = new Promise((resolve) => socket.once("close", resolve));
  socket.on("error", () => {});
  socket.on("data", (chunk) => endsWithClose(chunk) && socket.end());
  socket.once(secure ? "secureConnect" : "connect", () => {
    socket.write(bytes, () => {
      if (reset) socket.resetAndDestroy();
      else if (leave) socket.end();
    });
  });
  return within(ended, `the end of a connection that sent ${bytes.subarray(-200).toString("hex")}`, PATIENCE).finally(() => socket.destroy());
}

async function one(server, roll) {
  const what = pick(roll, kinds)(roll);
  if (what.body === undefined) return talk(server, what);
  const session = await new PollingSession(server).open();
  const { status } = await session.post(what.body);
  assert.ok(status === 200 || status === 400, `status ${status}`);
  await session.post("1"); // closes it, if it still is there
}

async function storm(server, roll, count) {
  let left = count;
  const worker = async () => {
    while (left-- > 0) await one(server, roll);
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, worker));
}

// Handshakes that are good, each a session to remember.
async function fillSessions(server, count) {
  let left = Math.min(SESSIONS_MAX, Math.ceil(count * SESSIONS));
  const worker = async () => {
    while (left-- > 0) await talk(server, { port: "securePort", secure: true, bytes: Buffer.alloc(0), leave: true });
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, worker));
}

const descriptors = ({ pid }) => readdirSync(`/proc/${pid}/fd`).length;
const resident = ({ pid }) => Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))[1]) * 1024;

// A crowd comes and leaves, so that the server returns what memory it can.
async function crowd(server) {
  const sockets = Array.from({ length: CROWD }, () => connect(server.port, "127.0.0.1"));
  await Promise.all(sockets.map((socket) => within(new Promise((resolve) => socket.once("connect", resolve)), "a connection")));
  const before = descriptors(server);
  await until(() => descriptors(server) >= Math.max(before, CROWD), "the crowd is in");
  for (const socket of sockets) socket.destroy();
}

// The least memory that is held in the while after each of two crowds: sessions left behind time out meanwhile.
async function settled(server, idle) {
  let least = Infinity;
  for (let i = 0; i < 2; i++) {
    await until(() => descriptors(server) === idle, `${idle} descriptors are open, not ${descriptors(server)}`, GIVEN_BACK);
    await crowd(server);
    const end = Date.now() + LOOKS;
    await until(() => (least = Math.min(least, resident(server))) && Date.now() > end, "memory is settled", GIVEN_BACK);
  }
  return least;
}

// Gives the numbers; rejects when anything is not as it must be.
export async function malformed(count, seed = 1) {
  const server = await startSkuaText(program(new Certificates().make("localhost")));
  const result = { count, seed };
  try {
    [, server.securePort] = await ports(server, 2);
    const roll = dice(seed);
    const idle = descriptors(server);
    result.descriptors = idle;
    const start = Date.now();
    await fillSessions(server, count);
    await storm(server, roll, Math.max(WARM_UP_MIN, Math.ceil(count * WARM_UP)));
    result.residentFirst = await settled(server, idle);
    await storm(server, roll, count);
    result.most = Math.floor(result.residentFirst * (1 + SLACK));
    result.residentLast = await settled(server, idle);
    result.seconds = (Date.now() - start) / 1000;
    result.growth = `${(100 * (result.residentLast / result.residentFirst - 1)).toFixed(1)} %`;
    result.descriptorsLast = descriptors(server);
    assert.equal(server.end, undefined, "the server lives");
    const { status } = await send(server, { path: "/socket.io/?EIO=4&transport=polling" });
    assert.equal(status, 200);
    assert.ok(result.residentLast <= result.most, `memory: ${JSON.stringify(result)}`);
  } finally {
    await server.stop();
  }
  return result;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [count = 100_000, seed = 1] = process.argv.slice(2).map(Number);
  console.log(await malformed(count, seed));
}
