// WebSocket frames as no client library would send them (RFC 6455), and the upgrade's probe.
import assert from "node:assert/strict";
import { it } from "node:test";
import { frame, PollingSession, Raw, upgradeRequest } from "../lib/raw.mjs";
import { rawSuite } from "../lib/table.mjs";
import { until } from "../lib/wait.mjs";

const LIMIT = 10_000; // bytes
const TEXT = 1, BINARY = 2, CLOSE = 8, PING = 9, PONG = 10, MORE = 0;

const server = (opcode, payload) => frame(opcode, payload, { masked: false });
const escaped = (text) => text.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");
const ends = (text) => new RegExp(`${escaped(text)}$`);

rawSuite("WebSocket frames", { MAX_PAYLOAD: LIMIT, UPGRADE_TIMEOUT: 400 }, (context) => {
  // A WebSocket that has joined the root namespace; `text` has what comes from then on.
  async function open() {
    const raw = new Raw(context.server).write(upgradeRequest("/socket.io/?EIO=4&transport=websocket"));
    await raw.until(/maxPayload":\d+}/);
    raw.write(frame(TEXT, "40"));
    await raw.until(/42\["auth",\{\}\]/);
    raw.text = "";
    return raw;
  }

  async function answers(raw) {
    raw.text = "";
    raw.write(frame(TEXT, '42["message","still here"]'));
    await raw.until(ends(server(TEXT, '42["message-back","still here"]')));
    raw.destroy();
  }

  const faults = {
    "a frame without a mask": [frame(TEXT, "3", { masked: false }), 1002],
    "a reserved bit": [frame(TEXT, "3", { rsv: 1 }), 1002],
    "another reserved bit": [frame(TEXT, "3", { rsv: 4 }), 1002],
    "an unknown opcode": [frame(3, "3"), 1002],
    "an unknown control opcode": [frame(11, ""), 1002],
    "a continuation of nothing": [frame(MORE, "3"), 1002],
    "a new message inside a fragmented one": [frame(TEXT, "4", { fin: false }) + frame(TEXT, "3"), 1002],
    "a fragmented ping": [frame(PING, "x", { fin: false }), 1002],
    "a ping of 126 bytes": [frame(PING, "x".repeat(126)), 1002],
    "a close payload of one byte": [frame(CLOSE, "x"), 1002],
    "a close code that must not be sent": [frame(CLOSE, Buffer.from([0x03, 0xed])), 1002],
    "text that is no UTF-8": [frame(TEXT, Buffer.from([0x34, 0xff])), 1007],
    "a surrogate in UTF-8": [frame(TEXT, Buffer.from([0x34, 0xed, 0xa0, 0x80])), 1007],
    "a close reason that is no UTF-8": [frame(CLOSE, Buffer.from([0x03, 0xe8, 0xff])), 1007],
    "a message over the limit": [frame(TEXT, "4".repeat(LIMIT + 1)), 1009],
    "a length beyond all bounds": ["\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0", 1009],
    "fragments over the limit": [
      frame(TEXT, "4".repeat(LIMIT - 10), { fin: false }) + frame(MORE, "4".repeat(11)),
      1009,
    ],
  };

  for (const [what, [bytes, code]] of Object.entries(faults)) {
    it(`ends over ${what} with close code ${code}`, async () => {
      const raw = await open();
      raw.write(bytes);
      await raw.untilClosed();
      assert.equal(raw.text.slice(0, 2), "\x88\x02");
      assert.equal(Buffer.from(raw.text.slice(2, 4), "latin1").readUInt16BE(), code);
      assert.equal(raw.text.length, 4);
    });
  }

  it("puts fragments together, with control frames between them", async () => {
    const raw = await open();
    const bytes = Buffer.from('42["message","Grüße 😀"]');
    raw.write(frame(TEXT, bytes.subarray(0, 17), { fin: false }));
    raw.write(frame(PING, "inside") + frame(MORE, bytes.subarray(17, 24), { fin: false }) + frame(MORE, "", { fin: false }));
    raw.write(frame(PONG, "not asked for") + frame(MORE, bytes.subarray(24)));
    const expected = server(PONG, "inside") + server(TEXT, '42["message-back","Grüße 😀"]');
    await raw.until(ends(expected));
    assert.equal(raw.text, expected);
    await answers(raw);
  });

  it("takes frames byte by byte, and many at once", async () => {
    const raw = await open();
    raw.socket.setNoDelay(true);
    for (const byte of frame(TEXT, '42["message",1]')) {
      raw.write(byte);
      await new Promise(setImmediate);
    }
    await raw.until(ends(server(TEXT, '42["message-back",1]')));
    raw.text = "";
    raw.write(Array.from({ length: 100 }, (_, i) => frame(TEXT, `42["message",${i}]`)).join(""));
    await raw.until(/\["message-back",99\]$/);
    assert.equal(raw.text, Array.from({ length: 100 }, (_, i) => server(TEXT, `42["message-back",${i}]`)).join(""));
    raw.destroy();
  });

  it("unmasks", async () => {
    const raw = await open();
    const mask = [0x12, 0x34, 0x56, 0x78];
    const text = Buffer.from('42["message","masked text that is longer than a word"]');
    const bytes = text.map((byte, i) => byte ^ mask[i & 3]);
    raw.write(Buffer.concat([Buffer.from([0x81, 0x80 | text.length, ...mask]), bytes]).toString("latin1"));
    await raw.until(/longer than a word"\]$/);
    assert.equal(raw.text, server(TEXT, text.toString().replace("message", "message-back")));
    raw.destroy();
  });

  it("takes lengths that are longer than they need to be", async () => {
    const raw = await open();
    const text = '42["message",1]';
    raw.write(`\x81\xfe\0${String.fromCharCode(text.length)}\0\0\0\0${text}`);
    await raw.until(ends(server(TEXT, '42["message-back",1]')));
    raw.destroy();
  });

  it("takes base64 in a text frame as binary", async () => {
    const raw = await open();
    raw.write(frame(TEXT, '451-["message",{"_placeholder":true,"num":0}]') + frame(TEXT, "bAQID"));
    const expected = server(TEXT, '451-["message-back",{"_placeholder":true,"num":0}]') + server(BINARY, Buffer.from([1, 2, 3]));
    await raw.until(ends(expected));
    assert.equal(raw.text, expected);
    raw.destroy();
  });

  it("answers a close frame with its payload", async () => {
    for (const [sent, back] of [
      [Buffer.from([0x03, 0xe8]), "\x88\x02\x03\xe8"],
      [Buffer.from([0x0f, 0xa0, 0x62, 0x79, 0x65]), "\x88\x05\x0f\xa0bye"],
      ["", "\x88\0"],
    ]) {
      const raw = await open();
      raw.write(frame(CLOSE, sent));
      await raw.untilClosed();
      assert.equal(raw.text, back);
    }
  });

  it("ignores a close packet, an open packet and a noop, and ends over an empty one or a ping", async () => {
    const raw = await open();
    raw.write(frame(TEXT, "1") + frame(TEXT, "0") + frame(TEXT, "6") + frame(TEXT, "5"));
    await answers(raw);
    for (const packet of ["", "x", "2"]) {
      const bad = await open();
      bad.write(frame(TEXT, packet));
      // Node waits for the answer to its empty close frame.
      await bad.until(/^\x88\0/);
      bad.destroy();
    }
  });
});

rawSuite("the probe of an upgrade", { UPGRADE_TIMEOUT: 400 }, (context) => {
  async function joined() {
    const session = await new PollingSession(context.server).open();
    await session.join();
    return session;
  }

  async function probe(session, ...packets) {
    const raw = new Raw(context.server).write(session.upgradeRequest());
    await raw.until(/\r\n\r\n/);
    raw.text = raw.text.slice(raw.text.indexOf("\r\n\r\n") + 4);
    for (const packet of packets) raw.write(frame(TEXT, packet));
    return raw;
  }

  it("is answered; a pending poll is let go; then the WebSocket carries everything", async () => {
    const session = await joined();
    const pending = session.poll();
    const raw = await probe(session, "2probe");
    await raw.until(ends(server(TEXT, "3probe")));
    assert.equal((await pending).body, "6");
    await session.post('42["message","still over polling"]');
    assert.equal((await session.poll()).body, '42["message-back","still over polling"]');
    raw.text = "";
    raw.write(frame(TEXT, "5") + frame(TEXT, '42["message",1]'));
    await raw.until(/message-back",1\]$/);
    assert.equal(raw.text, server(TEXT, '42["message-back",1]'));
    const late = await session.poll();
    assert.deepEqual([late.status, late.body], [400, '{"code":3,"message":"Bad request"}']);
    raw.destroy();
  });

  it("may be left out", async () => {
    const session = await joined();
    await session.post('42["message","waits"]');
    const raw = await probe(session, "5");
    await raw.until(/message-back","waits"\]$/);
    raw.destroy();
  });

  for (const word of ["2wrong", "2", "3", "6", '42["message",1]', "x"]) {
    it(`that says ${JSON.stringify(word)} is closed, and the session goes on and may be upgraded again`, async () => {
      const session = await joined();
      const raw = await probe(session, word);
      await raw.until(/^\x88\0/);
      raw.destroy();
      assert.equal((await session.post('42["message",1]')).body, "ok");
      assert.equal((await session.poll()).body, '42["message-back",1]');
      const again = await until(async () => {
        const next = await probe(session, "2probe");
        await next.until(/3probe$|^\x88/);
        return next.text.endsWith("3probe") ? next : null;
      }, "it may be upgraded again");
      again.destroy();
    });
  }

  it("that is not finished in time is closed, and the session goes on", async () => {
    const session = await joined();
    const raw = await probe(session, "2probe");
    await raw.until(/\x88\0$/);
    raw.destroy();
    await session.post('42["message",1]');
    assert.match((await session.poll()).body, /message-back|6/);
  });

  it("beside another one is closed at once", async () => {
    const session = await joined();
    const first = await probe(session, "2probe");
    await first.until(ends("3probe"));
    const second = await probe(session);
    await second.until(/^\x88\0/);
    first.text = "";
    first.write(frame(TEXT, "5") + frame(TEXT, '42["message",1]'));
    await first.until(/message-back",1\]$/);
    const third = await probe(session);
    await third.until(/^\x88\0/);
    for (const raw of [first, second, third]) raw.destroy();
  });
});
