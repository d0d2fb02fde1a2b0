// RFC 6455, after the cases that Autobahn's test suite made known and under their numbers: framing, pings, reserved
// bits, opcodes, fragments, UTF-8, closing, limits. Compression (12, 13) is in rfc7692.test.mjs.
//
// Each case is a connection of its own to a server that echoes, skua and the reference; both must pass all.
import { after, before, describe, it } from "node:test";
import { MAX_MESSAGE, expectEcho, open, sendPreface, servers, textMessage, textOfSize } from "../lib/echo.mjs";
import { invalid, valid } from "../lib/utf8-cases.mjs";
import {
  BINARY,
  CLOSE,
  CONTINUATION,
  PING,
  PONG,
  TEXT,
  closeFrame,
  fragments,
  frame,
  pieces,
  tcp,
  tls,
} from "../lib/websocket.mjs";

const transports = [tcp, tls];

const PROTOCOL_ERROR = 1002;
const BAD_TEXT = 1007;
const TOO_BIG = 1009;
const REFERENCE_FRAGMENTS = 16 * 1024; // more in one message it refuses with 1008: they cost it memory each
const KB = 1024;
const MB = 1024 * KB;
const hello = textMessage("Hello, world!");
const halves = (bytes) => [bytes.subarray(0, bytes.length >> 1), bytes.subarray(bytes.length >> 1)];

function* cases() {
  yield* framing();
  yield* pings();
  yield* reservedBits();
  yield* opcodes();
  yield* fragmentation();
  yield* utf8();
  yield* closing();
  yield* limits();
  yield* miscellaneous();
}

// --- what cases are made of: [name, async (client) => …] ----------------------------------------

async function echo(client, opcode, message, frames, chop = 0) {
  if (opcode === BINARY) await sendPreface(client);
  await Promise.all([client.send(frames, chop), expectEcho(client, opcode, message)]);
}

// Sent and echoed, then closed in order.
const echoed = (opcode, message, frames = [frame(opcode, message)], chop = 0) => async (client) => {
  await echo(client, opcode, message, frames, chop);
  await client.send(closeFrame(1000));
  await client.expectClose(1000);
};

// The server closes with the code; what it says before is in `first`.
const refused =
  (code, frames, { chop = 0, first = [] } = {}) =>
  async (client) => {
    await client.send(frames, chop);
    for (const [opcode, payload] of first) await client.expect(opcode, payload);
    await client.expectClose(code);
  };

const answered =
  (frames, answers, chop = 0) =>
  async (client) => {
    await client.send(frames, chop);
    for (const [opcode, payload] of answers) await client.expect(opcode, payload);
    await client.send(closeFrame(1000));
    await client.expectClose(1000);
  };

// --- 1: framing ---------------------------------------------------------------------------------

function* framing() {
  const sizes = [125, 126, 127, 128, 65535, 65536];
  yield ["1.1.1 text, empty", echoed(TEXT, textMessage(""))];
  for (const [i, size] of sizes.entries()) yield [`1.1.${i + 2} text of ${size} bytes`, echoed(TEXT, textOfSize(size))];
  const text = textOfSize(65536);
  yield ["1.1.8 text of 65536 bytes in chops of 997", echoed(TEXT, text, [frame(TEXT, text)], 997)];
  yield ["1.2.1 binary, empty", echoed(BINARY, Buffer.alloc(0))];
  for (const [i, size] of sizes.entries())
    yield [`1.2.${i + 2} binary of ${size} bytes`, echoed(BINARY, Buffer.alloc(size, 0xfe))];
  const binary = Buffer.alloc(65536, 0xfe);
  yield ["1.2.8 binary of 65536 bytes in chops of 997", echoed(BINARY, binary, [frame(BINARY, binary)], 997)];
  for (const width of [2, 8])
    yield [
      `1.3.${width} a length of ${width} bytes for a short text`,
      echoed(TEXT, hello, [frame(TEXT, hello, { width })]),
    ];
  yield ["1.4.1 an unmasked text", refused(PROTOCOL_ERROR, [frame(TEXT, hello, { masked: false })])];
  yield ["1.4.2 an unmasked ping", refused(PROTOCOL_ERROR, [frame(PING, "x", { masked: false })])];
  yield ["1.4.3 an unmasked close", refused(PROTOCOL_ERROR, [frame(CLOSE, "", { masked: false })])];
}

// --- 2: pings and pongs -------------------------------------------------------------------------

function* pings() {
  const binary = Buffer.from([0, 0xff, 0xfe, 0xfd, 0xfc, 0xfb, 0, 0xff]);
  const ten = Array.from({ length: 10 }, (_, i) => `payload-${i}`);
  const pongs = ten.map((payload) => [PONG, payload]);
  yield ["2.1 ping without payload", answered([frame(PING)], [[PONG, ""]])];
  yield ["2.2 ping with text", answered([frame(PING, "Hello, world!")], [[PONG, "Hello, world!"]])];
  yield ["2.3 ping with bytes that are no text", answered([frame(PING, binary)], [[PONG, binary]])];
  const longest = Buffer.alloc(125, 0xfe);
  yield ["2.4 ping of 125 bytes", answered([frame(PING, longest)], [[PONG, longest]])];
  yield ["2.5 ping of 126 bytes", refused(PROTOCOL_ERROR, [frame(PING, Buffer.alloc(126, 0xfe))])];
  yield ["2.6 ping of 125 bytes, a byte a time", answered([frame(PING, longest)], [[PONG, longest]], 1)];
  const unasked = frame(PONG, "unasked");
  yield ["2.7 unasked pong without payload", answered([frame(PONG), frame(TEXT, hello)], [[TEXT, hello]])];
  yield ["2.8 unasked pong with payload", answered([unasked, frame(TEXT, hello)], [[TEXT, hello]])];
  yield ["2.9 unasked pong, then a ping", answered([unasked, frame(PING, "ping")], [[PONG, "ping"]])];
  yield ["2.10 ten pings at once", answered(ten.map((payload) => frame(PING, payload)), pongs)];
  yield ["2.11 ten pings, a byte a time", answered(ten.map((payload) => frame(PING, payload)), pongs, 1)];
  yield ["2.12 pong of 126 bytes", refused(PROTOCOL_ERROR, [frame(PONG, Buffer.alloc(126))])];
}

// --- 3: reserved bits ---------------------------------------------------------------------------

function* reservedBits() {
  const bad = (reserved) => [frame(TEXT, hello), frame(TEXT, hello, { reserved }), frame(PING)];
  const first = [[TEXT, hello]];
  yield ["3.1 text with RSV 1", refused(PROTOCOL_ERROR, [frame(TEXT, hello, { reserved: 1 })])];
  yield ["3.2 good text, then RSV 2", refused(PROTOCOL_ERROR, bad(2), { first })];
  const chop = frame(TEXT, hello).length;
  yield ["3.3 good text, then RSV 3, frame by frame", refused(PROTOCOL_ERROR, bad(3), { first, chop })];
  yield ["3.4 good text, then RSV 4, a byte a time", refused(PROTOCOL_ERROR, bad(4), { first, chop: 1 })];
  yield ["3.5 binary with RSV 5", refused(PROTOCOL_ERROR, [frame(BINARY, "x", { reserved: 5 })])];
  yield ["3.6 ping with RSV 6", refused(PROTOCOL_ERROR, [frame(PING, "x", { reserved: 6 })])];
  yield ["3.7 close with RSV 7", refused(PROTOCOL_ERROR, [frame(CLOSE, "", { reserved: 7 })])];
}

// --- 4: opcodes ---------------------------------------------------------------------------------

function* opcodes() {
  for (const [group, first] of [[1, 3], [2, 11]]) {
    for (let i = 0; i < 5; i++) {
      const opcode = first + i;
      const bad = [frame(opcode, i % 2 ? "payload" : ""), frame(PING)];
      if (i < 2) yield [`4.${group}.${i + 1} opcode ${opcode}`, refused(PROTOCOL_ERROR, bad)];
      else
        yield [
          `4.${group}.${i + 1} good text, then opcode ${opcode}${i > 2 ? ", a byte a time" : ""}`,
          refused(PROTOCOL_ERROR, [frame(TEXT, hello), ...bad], { first: [[TEXT, hello]], chop: i > 2 ? 1 : 0 }),
        ];
    }
  }
}

// --- 5: fragmentation ---------------------------------------------------------------------------

function* fragmentation() {
  const two = fragments(TEXT, halves(hello));
  const more = (fin) => frame(CONTINUATION, "nothing to continue", { fin });
  const ping = frame(PING, "between");
  const pong = [PONG, "between"];
  yield ["5.1 a ping in two fragments", refused(PROTOCOL_ERROR, fragments(PING, ["frag", "ment"]))];
  yield ["5.2 a pong in two fragments", refused(PROTOCOL_ERROR, fragments(PONG, ["frag", "ment"]))];
  yield ["5.3 text in two fragments", echoed(TEXT, hello, two)];
  yield ["5.4 text in two fragments, frame by frame", echoed(TEXT, hello, two, two[0].length)];
  yield ["5.5 text in two fragments, a byte a time", echoed(TEXT, hello, two, 1)];
  for (const [i, chop] of [0, two[0].length, 1].entries())
    yield [
      `5.${6 + i} a ping between two fragments, chops of ${chop || "all"}`,
      answered([two[0], ping, two[1]], [pong, [TEXT, hello]], chop),
    ];
  for (const [number, fin] of [[9, true], [12, false]]) {
    for (const [i, chop] of [0, 25, 1].entries())
      yield [
        `5.${number + i} a continuation (FIN ${fin}) of nothing, chops of ${chop || "all"}`,
        refused(PROTOCOL_ERROR, [more(fin), frame(TEXT, hello)], { chop }),
      ];
  }
  yield [
    "5.15 text in two fragments, then a continuation of nothing",
    refused(PROTOCOL_ERROR, [...two, more(false), frame(TEXT, hello)], { first: [[TEXT, hello]] }),
  ];
  for (const [number, fin] of [[16, false], [17, true]])
    yield [
      `5.${number} a continuation (FIN ${fin}) of nothing before each of two texts`,
      refused(PROTOCOL_ERROR, [more(fin), frame(TEXT, hello), more(fin), frame(TEXT, hello)]),
    ];
  yield ["5.18 a text inside a text", refused(PROTOCOL_ERROR, [two[0], frame(TEXT, hello)])];
  yield ["5.18b a binary inside a text", refused(PROTOCOL_ERROR, [two[0], frame(BINARY, "x")])];

  const five = fragments(TEXT, pieces(hello, 5));
  const withPings = [five[0], five[1], ping, five[2], ping, ...five.slice(3)];
  yield ["5.19 five fragments and two pings between them", answered(withPings, [pong, pong, [TEXT, hello]])];
  yield ["5.20 the same, a byte a time", answered(withPings, [pong, pong, [TEXT, hello]], 1)];
  const withEmpty = [Buffer.alloc(0), ...pieces(hello, 3), Buffer.alloc(0)];
  yield ["5.21 binary in fragments, empty ones too", echoed(BINARY, hello, fragments(BINARY, withEmpty))];
}

// --- 6: UTF-8 -----------------------------------------------------------------------------------

// The ways to send one text message: whole, in chops, in fragments of a byte, in two fragments.
function ways(message) {
  return [
    ["whole", [frame(TEXT, message)], 0],
    ["a byte a time", [frame(TEXT, message)], 1],
    ["fragments of a byte", fragments(TEXT, pieces(message, 1)), 0],
  ];
}

// A text in two fragments, cut there.
function splitAt(message, at) {
  return fragments(TEXT, [message.subarray(0, at), message.subarray(at)]);
}

function* utf8() {
  const empty = Buffer.alloc(0);
  yield ["6.1.2 a text between empty fragments", echoed(TEXT, hello, fragments(TEXT, [empty, hello, empty]))];
  const withEmpty = [empty, ...halves(hello), empty];
  yield ["6.1.3 a text in fragments with empty ones around", echoed(TEXT, hello, fragments(TEXT, withEmpty))];
  for (const [number, bytes] of valid) {
    const message = textMessage(bytes);
    const name = `${number} valid: ${bytes.toString("hex")}`;
    for (const [way, frames, chop] of ways(message)) yield [`${name}, ${way}`, echoed(TEXT, message, frames, chop)];
    yield [
      `${name}, split at every place`,
      async (client) => {
        for (let at = 0; at <= message.length; at++) await echo(client, TEXT, message, splitAt(message, at));
      },
    ];
  }
  for (const [number, bytes] of invalid) {
    const message = textMessage(bytes);
    const name = `${number} invalid: ${bytes.toString("hex")}`;
    for (const [way, frames, chop] of ways(message)) yield [`${name}, ${way}`, refused(BAD_TEXT, frames, { chop })];
    for (let at = 1; at < Math.min(bytes.length, 8); at++)
      yield [`${name}, split behind ${at}`, refused(BAD_TEXT, splitAt(message, message.indexOf(bytes) + at))];
  }
  const bad = Buffer.from("cebae1bdb9cf83cebcceb5f4908080656469746564", "hex");
  const three = [bad.subarray(0, 11), bad.subarray(11, 15), bad.subarray(15)];
  yield ["6.4.1 invalid in the second of three fragments", refused(BAD_TEXT, fragments(TEXT, three))];
  yield [
    "6.4.3 a good text, then an invalid one",
    refused(BAD_TEXT, [frame(TEXT, hello), frame(TEXT, bad)], { first: [[TEXT, hello]] }),
  ];
  const cut = fragments(TEXT, [hello, Buffer.from([0xe2, 0x82])]);
  yield ["6.4.5 a character cut by the message's end", refused(BAD_TEXT, cut)];
  yield [
    "6.4.6 a character that goes on behind a ping",
    answered(pingInCharacter(), [[PONG, "p"], [TEXT, textMessage("€")]]),
  ];
  yield ["6.4.7 binary need not be UTF-8", echoed(BINARY, bad)];
}

function pingInCharacter() {
  const message = textMessage("€");
  const [first, second] = splitAt(message, message.indexOf(0xe2) + 1);
  return [first, frame(PING, "p"), second];
}

// --- 7: closing ---------------------------------------------------------------------------------

const closes = (frames, code) => refused(code, frames);

function* closing() {
  const normal = closeFrame(1000);
  const [first, second] = fragments(TEXT, halves(hello));
  yield ["7.1.1 a text, then close", echoed(TEXT, hello)];
  yield ["7.1.2 two closes", closes([normal, normal], 1000)];
  yield ["7.1.3 a ping behind the close", closes([normal, frame(PING)], 1000)];
  yield ["7.1.4 a text behind the close", closes([normal, frame(TEXT, hello)], 1000)];
  yield ["7.1.5 a close inside a message", closes([first, normal, second], 1000)];
  const large = textOfSize(256 * KB);
  yield [
    "7.1.6 a large text, a text, close, ping",
    async (client) => {
      await client.send([frame(TEXT, large), frame(TEXT, hello)]);
      await client.expect(TEXT, large);
      await client.expect(TEXT, hello);
      await client.send([normal, frame(PING)]);
      await client.expectClose(1000);
    },
  ];
  yield ["7.1.7 garbage behind the close", closes([normal, Buffer.alloc(1000, 0xff)], 1000)];
  yield ["7.3.1 a close without payload", closes([closeFrame()], undefined)];
  yield ["7.3.2 a close of one byte", closes([frame(CLOSE, "a")], PROTOCOL_ERROR)];
  yield ["7.3.3 a close with a code", closes([normal], 1000)];
  yield ["7.3.4 a close with a reason", closes([closeFrame(1000, "Hello, world!")], 1000)];
  yield ["7.3.5 a close of 125 bytes", closes([closeFrame(1000, "*".repeat(123))], 1000)];
  yield ["7.3.6 a close of 126 bytes", closes([closeFrame(1000, "*".repeat(124))], PROTOCOL_ERROR)];
  yield ["7.3.7 a close, a byte a time", refused(1000, [closeFrame(1000, "bye")], { chop: 1 })];
  const badReason = Buffer.from("cebae1bdb9cf83cebcceb5eda080656469746564", "hex");
  yield ["7.5.1 a reason that is not UTF-8", closes([closeFrame(1000, badReason)], BAD_TEXT)];
  yield ["7.5.2 a reason that ends in a character", closes([closeFrame(1000, badReason.subarray(0, 1))], BAD_TEXT)];
  const good = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999];
  for (const [i, code] of good.entries()) yield [`7.7.${i + 1} close with ${code}`, closes([closeFrame(code)], code)];
  const bad = [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535];
  for (const [i, code] of bad.entries())
    yield [`7.9.${i + 1} close with ${code}`, closes([closeFrame(code)], PROTOCOL_ERROR)];
}

// --- 9: limits ----------------------------------------------------------------------------------

function* limits() {
  const message = (opcode, size) => (opcode === TEXT ? textOfSize(size, "ä".repeat(4)) : Buffer.alloc(size, 0xfe));
  for (const [group, opcode, kind] of [[1, TEXT, "text"], [2, BINARY, "binary"]]) {
    for (const [i, size] of [64 * KB, 256 * KB, MB, 4 * MB, 8 * MB, 16 * MB].entries())
      yield [
        `9.${group}.${i + 1} ${kind} of ${size / KB} KB`,
        (client) => echoed(opcode, message(opcode, size))(client),
      ];
    for (const [i, size] of [64, 256, KB, 4 * KB, 16 * KB, 64 * KB, 256 * KB, MB, 4 * MB].entries()) {
      const all = Math.min(4 * MB, size * REFERENCE_FRAGMENTS);
      yield [
        `9.${group + 2}.${i + 1} ${kind} of ${all / MB} MB in fragments of ${size} bytes`,
        (client) => {
          const whole = message(opcode, all);
          return echoed(opcode, whole, fragments(opcode, pieces(whole, size)))(client);
        },
      ];
    }
    for (const [i, chop] of [64, 128, 256, 512, KB, 2 * KB].entries())
      yield [
        `9.${group + 4}.${i + 1} ${kind} of 1 MB in chops of ${chop} bytes`,
        (client) => {
          const whole = message(opcode, MB);
          return echoed(opcode, whole, [frame(opcode, whole)], chop)(client);
        },
      ];
    for (const [i, size] of [16, 64, 256, KB, 4 * KB, 16 * KB, 64 * KB].entries())
      yield [
        `9.${group + 6}.${i + 1} 100 of ${kind}, ${size} bytes each`,
        (client) => many(client, opcode, message(opcode, size), 100),
      ];
  }
  const over = MAX_MESSAGE + 1;
  const announced = (opcode, size) => frame(opcode, "", { size, width: 8 });
  const begun = frame(BINARY, Buffer.alloc(MB), { fin: false });
  yield ["9.9.1 a length over the limit is refused before the payload", refused(TOO_BIG, [announced(TEXT, over)])];
  yield ["9.9.2 a length of 2^53 - 1", refused(TOO_BIG, [announced(BINARY, Number.MAX_SAFE_INTEGER)])];
  yield ["9.9.3 fragments over the limit together", refused(TOO_BIG, [begun, announced(CONTINUATION, over - MB)])];
}

async function many(client, opcode, message, count) {
  for (let i = 0; i < count; i++) await echo(client, opcode, message, [frame(opcode, message)]);
}

// --- 10 -----------------------------------------------------------------------------------------

function* miscellaneous() {
  const text = textOfSize(65536);
  yield ["10.1.1 text of 65536 bytes in fragments of 1300", echoed(TEXT, text, fragments(TEXT, pieces(text, 1300)))];
  yield [
    "10.1.2 many messages in one write",
    async (client) => {
      await client.send(Array.from({ length: 500 }, () => frame(TEXT, hello)));
      for (let i = 0; i < 500; i++) await client.expect(TEXT, hello);
    },
  ];
  yield [
    "10.1.3 a connection that ends inside a frame",
    async (client) => {
      await client.send(frame(TEXT, hello).subarray(0, 9));
      client.socket.end();
      await client.expectEnd();
    },
  ];
}

// ------------------------------------------------------------------------------------------------

for (const under of servers) {
  for (const transport of transports) {
    describe(`${under.name}: RFC 6455 over ${transport.name}`, () => {
      let server;
      before(async () => {
        server = await under.start();
      });
      for (const [name, run] of cases())
        it(name, async () => {
          const client = await open(transport, server);
          try {
            await run(client);
          } finally {
            client.destroy();
          }
        });
      after(() => server.stop());
    });
  }
}
