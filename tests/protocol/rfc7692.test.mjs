// RFC 7692, permessage-deflate, after the cases that Autobahn's test suite made known: 12, messages of many sizes in
// both forms, whole and in fragments; 13, what the two sides agree on. And what must not be.
//
// Each case is a connection of its own to a server that echoes, skua and the reference; both must pass all.
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { MAX_MESSAGE, expectEcho, open, sendPreface, servers, textMessage, textOfSize } from "../lib/echo.mjs";
import { BINARY, CONTINUATION, PING, TEXT, closeFrame, deflated, frame, pieces, tcp, tls } from "../lib/websocket.mjs";

const RSV1 = 4;
const PROTOCOL_ERROR = 1002;
const BAD_TEXT = 1007;
const TOO_BIG = 1009;
const THRESHOLD = 1024; // from here on the server compresses

const sizes = [16, 64, 256, 1024, 4096, 8192, 16384, 32768, 65536, 131072];
const offers = [
  "permessage-deflate",
  "permessage-deflate; client_max_window_bits",
  "permessage-deflate; client_no_context_takeover; server_no_context_takeover; client_max_window_bits=12",
  "permessage-deflate; server_max_window_bits=9",
  'permessage-deflate; server_max_window_bits="15"; client_max_window_bits=9',
  "x-unknown; a=b, permessage-deflate",
];

// Neither one letter nor noise.
function likeText(size) {
  const words = ["compress", "window", "takeover", "message", "é", "socket", "{'a': 1}", "\u4e16\u754c"];
  let text = "";
  for (let i = 0; Buffer.byteLength(text) < size; i = (i * 1103515245 + 12345) >>> 0) text += `${words[(i >>> 16) % words.length]} `;
  return textMessage(text);
}

const noise = (size) => Buffer.from(Array.from({ length: size }, (_, i) => (Math.imul(i + 1, 2654435761) >>> 13) & 0xff));

const whole = (opcode, message, options) => [frame(opcode, deflated(message, options), { reserved: RSV1 })];

function inFragments(opcode, message, size) {
  const parts = pieces(deflated(message), size);
  return parts.map((part, i) =>
    frame(i === 0 ? opcode : CONTINUATION, part, { fin: i === parts.length - 1, reserved: i === 0 ? RSV1 : 0 }),
  );
}

async function echo(client, opcode, message, frames, chop = 0) {
  if (opcode === BINARY) await sendPreface(client);
  await Promise.all([client.send(frames, chop), expectEcho(client, opcode, message)]);
}

async function close(client) {
  await client.send(closeFrame(1000));
  await client.expectClose(1000);
}

function* agreed() {
  for (const offer of offers)
    yield [
      `13: ${offer}`,
      async (client) => {
        assert.match(client.extensions, /^permessage-deflate; /);
        for (const parameter of ["server_no_context_takeover", "client_no_context_takeover"])
          assert.ok(client.extensions.split("; ").includes(parameter), client.extensions);
        const window = /server_max_window_bits="?(\d+)/.exec(offer)?.[1];
        const windowBits = Number(/client_max_window_bits="?(\d+)/.exec(offer)?.[1] ?? 15);
        if (window) assert.ok(client.extensions.includes(`server_max_window_bits=${window}`));
        for (const size of sizes) {
          const message = likeText(size);
          await echo(client, TEXT, message, whole(TEXT, message, { windowBits }));
        }
        await close(client);
      },
      offer,
    ];
}

function* messages() {
  for (const size of sizes)
    for (const [kind, opcode, message] of [
      ["text", TEXT, likeText(size)],
      ["one letter", TEXT, textOfSize(size)],
      ["noise", BINARY, noise(size)],
    ]) {
      yield [
        `12: 20 of ${kind}, ${size} bytes each`,
        async (client) => {
          for (let i = 0; i < 20; i++) await echo(client, opcode, message, whole(opcode, message));
          await close(client);
        },
      ];
      yield [
        `12: ${kind}, ${size} bytes in fragments of 100 and chops of 37`,
        (client) => echo(client, opcode, message, inFragments(opcode, message, 100), size <= 8192 ? 37 : 3700),
      ];
    }
  yield [
    "12: compressed and plain ones in turn",
    async (client) => {
      for (let i = 0; i < 10; i++) {
        const message = likeText(100 * i + 50);
        await echo(client, TEXT, message, i % 2 ? [frame(TEXT, message)] : whole(TEXT, message));
      }
    },
  ];
  yield [
    "12: a ping between fragments",
    async (client) => {
      const message = likeText(2000);
      const frames = inFragments(TEXT, message, 50);
      await client.send([...frames.slice(0, 3), frame(PING, "now"), ...frames.slice(3)]);
      await client.expect(0xa, "now");
      await client.expect(TEXT, message);
    },
  ];
  yield [
    "12: an answer is compressed from the threshold on",
    async (client) => {
      for (const [size, compressed] of [
        [THRESHOLD - 1, false],
        [THRESHOLD, true],
      ]) {
        // the packet's type is a byte of its own
        const message = textOfSize(size);
        await client.send(whole(TEXT, message));
        const got = await client.next();
        assert.ok(got.payload.equals(message));
        assert.equal(got.compressed, compressed, `${size} bytes`);
      }
    },
  ];
  yield [
    "12: blocks that are stored, and a last one",
    async (client) => {
      const message = likeText(3000);
      await echo(client, TEXT, message, [frame(TEXT, deflated(message, { level: 0 }), { reserved: RSV1 })]);
    },
  ];
}

const refused = (code, ...frames) => async (client) => {
  await client.send(frames);
  await client.expectClose(code);
};

function* faults() {
  const message = deflated(likeText(500));
  const halves = [message.subarray(0, 100), message.subarray(100)];
  yield ["a compressed ping", refused(PROTOCOL_ERROR, frame(PING, "", { reserved: RSV1 }))];
  yield [
    "the bit on a continuation",
    refused(
      PROTOCOL_ERROR,
      frame(TEXT, halves[0], { fin: false, reserved: RSV1 }),
      frame(CONTINUATION, halves[1], { reserved: RSV1 }),
    ),
  ];
  for (const reserved of [1, 2, 5, 6]) yield [`reserved bits ${reserved}`, refused(PROTOCOL_ERROR, frame(TEXT, message, { reserved }))];
  yield ["bytes that are no deflate", refused(BAD_TEXT, frame(BINARY, Buffer.alloc(100, 0xff), { reserved: RSV1 }))];
  yield ["bad UTF-8 inside", refused(BAD_TEXT, ...whole(TEXT, Buffer.from([0x34, 0x32, 0xff])))];
  yield ["a message that becomes one byte too long", refused(TOO_BIG, ...whole(TEXT, Buffer.alloc(MAX_MESSAGE + 1, 0x34)))];
  yield ["a message that becomes a gigabyte", refused(TOO_BIG, frame(BINARY, bomb(), { reserved: RSV1 }))];
}

// A megabyte of a kilobyte's blocks, each of which stands for a megabyte.
function bomb() {
  const block = deflated(Buffer.alloc(1024 * 1024));
  const end = Buffer.from([0, 0, 0xff, 0xff]);
  return Buffer.concat(Array.from({ length: 1024 }, (_, i) => (i < 1023 ? Buffer.concat([block, end]) : block)));
}

for (const under of servers) {
  for (const transport of [tcp, tls]) {
    describe(`${under.name}: RFC 7692 over ${transport.name}`, () => {
      let server;
      before(async () => {
        server = await under.start({ compression: true });
      });
      for (const [name, run, offer] of [...agreed(), ...messages(), ...faults()])
        it(name, async () => {
          const client = await open(transport, server, offer ?? "permessage-deflate");
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
