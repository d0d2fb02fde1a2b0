// A WebSocket client that does what it is told, also what RFC 6455 forbids: frames are bytes made here.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { connect } from "node:net";
import { connect as connectSecurely } from "node:tls";
import { constants, deflateRawSync, inflateRawSync } from "node:zlib";
import { deferred, within } from "./wait.mjs";

export const CONTINUATION = 0x0;
export const TEXT = 0x1;
export const BINARY = 0x2;
export const CLOSE = 0x8;
export const PING = 0x9;
export const PONG = 0xa;

// How to reach the server: transports differ in what is below the bytes.
export const tcp = {
  name: "ws",
  connect: (server) => connect({ port: server.port, host: "127.0.0.1", noDelay: true }),
};

export const tls = {
  name: "wss",
  connect: (server) => {
    const options = { port: server.securePort, host: "127.0.0.1", rejectUnauthorized: false };
    return connectSecurely(options).setNoDelay(true);
  },
};

function lengthBytes(size, width, masked) {
  const bit = masked ? 0x80 : 0;
  width ??= size < 126 ? 1 : size < 65536 ? 2 : 8;
  if (width === 1) return Buffer.from([bit | size]);
  const bytes = Buffer.alloc(1 + width);
  bytes[0] = bit | (width === 2 ? 126 : 127);
  if (width === 2) bytes.writeUInt16BE(size, 1);
  else bytes.writeBigUInt64BE(BigInt(size), 1);
  return bytes;
}

// One frame. `width` is that of the length's field (1, 2 or 8), `size` another length than the payload has.
export function frame(opcode, payload = "", { fin = true, reserved = 0, masked = true, width, size } = {}) {
  const bytes = Buffer.from(payload);
  const first = Buffer.from([(fin ? 0x80 : 0) | (reserved << 4) | opcode]);
  const parts = [first, lengthBytes(size ?? bytes.length, width, masked)];
  if (masked) {
    const mask = randomBytes(4);
    for (let i = 0; i < bytes.length; i++) bytes[i] ^= mask[i & 3];
    parts.push(mask);
  }
  return Buffer.concat([...parts, bytes]);
}

// RFC 7692: a message without the end that each would have.
const MESSAGE_END = Buffer.from([0x00, 0x00, 0xff, 0xff]);

export function deflated(message, options = {}) {
  const bytes = deflateRawSync(message, { finishFlush: constants.Z_SYNC_FLUSH, ...options });
  return bytes.subarray(0, bytes.length - MESSAGE_END.length);
}

function inflated(bytes) {
  return inflateRawSync(Buffer.concat([bytes, MESSAGE_END]), { finishFlush: constants.Z_SYNC_FLUSH });
}

// A message as fragments: [frame, frame, …]
export function fragments(opcode, pieces) {
  return pieces.map((piece, i) => frame(i === 0 ? opcode : CONTINUATION, piece, { fin: i === pieces.length - 1 }));
}

export function pieces(bytes, size) {
  const all = [];
  for (let i = 0; i < bytes.length; i += size) all.push(bytes.subarray(i, i + size));
  return all;
}

export function closeFrame(code, reason = "") {
  if (code === undefined) return frame(CLOSE);
  const bytes = Buffer.from([code >> 8, code & 0xff]);
  return frame(CLOSE, Buffer.concat([bytes, Buffer.from(reason)]));
}

export class WebSocketClient {
  constructor(socket) {
    this.socket = socket;
    this.chunks = [];
    this.size = 0;
    this.needed = 0;
    this.frames = []; // come and not taken
    this.waiting = null;
    this.ended = false;
    socket.on("data", (chunk) => this.#take(chunk));
    socket.on("error", () => {});
    for (const event of ["end", "close"]) socket.on(event, () => this.#end());
  }

  // `extensions` is what the client offers; `client.extensions` what the server took, if anything.
  static async open(transport, server, path, extensions) {
    const client = new WebSocketClient(transport.connect(server));
    const offer = extensions === undefined ? "" : `Sec-WebSocket-Extensions: ${extensions}\r\n`;
    client.socket.write(
      `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" +
        `${offer}\r\n`,
    );
    const head = await client.#wait(() => client.#takeHead(), "the answer to the upgrade");
    assert.match(head ?? "the connection ended", /^HTTP\/1\.1 101 /);
    assert.match(head, /\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=\r\n/i);
    client.extensions = /\r\nsec-websocket-extensions: ([^\r]*)\r\n/i.exec(head)?.[1];
    return client;
  }

  #take(chunk) {
    this.chunks.push(chunk);
    this.size += chunk.length;
    if (this.size >= this.needed) this.waiting?.();
  }

  #end() {
    this.ended = true;
    this.waiting?.();
  }

  // What `look` finds, or null when the connection has ended without it.
  async #wait(look, what) {
    for (;;) {
      const found = look();
      if (found !== undefined) return found;
      if (this.ended) return null;
      const { promise, resolve } = deferred();
      this.waiting = resolve;
      await within(promise, what, 30_000);
      this.waiting = null;
    }
  }

  #bytes() {
    if (this.chunks.length !== 1) this.chunks = [Buffer.concat(this.chunks)];
    return this.chunks[0];
  }

  #consume(count) {
    this.chunks = [this.#bytes().subarray(count)];
    this.size -= count;
    this.needed = 0;
  }

  #takeHead() {
    const end = this.#bytes().indexOf("\r\n\r\n");
    if (end < 0) return undefined;
    const head = this.#bytes().toString("latin1", 0, end + 2);
    this.#consume(end + 4);
    return head;
  }

  #takeFrame() {
    const bytes = this.#bytes();
    if (bytes.length < 2) return undefined;
    assert.equal(bytes[1] & 0x80, 0, "a server's frame is not masked");
    assert.equal(bytes[0] & (this.extensions ? 0x30 : 0x70), 0, "no reserved bits");
    const short = bytes[1] & 0x7f;
    const header = short < 126 ? 2 : short === 126 ? 4 : 10;
    if (bytes.length < header) return undefined;
    const size = short < 126 ? short : short === 126 ? bytes.readUInt16BE(2) : Number(bytes.readBigUInt64BE(2));
    if (bytes.length < header + size) {
      this.needed = header + size;
      return undefined;
    }
    const payload = bytes.subarray(header, header + size);
    this.#consume(header + size);
    const compressed = (bytes[0] & 0x40) !== 0;
    return { fin: (bytes[0] & 0x80) !== 0, opcode: bytes[0] & 0x0f, payload: compressed ? inflated(payload) : payload, compressed };
  }

  // The next frame, or null at the connection's end.
  next(what = "a frame") {
    return this.#wait(() => this.#takeFrame(), what);
  }

  // Sends; `chop` bytes a write, each a segment of its own as far as it is up to us.
  async send(bytes, chop = 0) {
    if (Array.isArray(bytes)) bytes = Buffer.concat(bytes);
    for (const piece of chop ? pieces(bytes, chop) : [bytes]) {
      if (this.ended) return;
      if (!this.socket.write(piece) || chop) await new Promise((resolve) => setImmediate(resolve));
    }
  }

  async expect(opcode, payload) {
    const bytes = Buffer.from(payload);
    const got = await this.next(`a frame ${opcode} of ${bytes.length} bytes`);
    assert.ok(got, `the connection ended instead of frame ${opcode}`);
    const shape = { fin: got.fin, opcode: got.opcode, size: got.payload.length };
    assert.deepEqual(shape, { fin: true, opcode, size: bytes.length });
    assert.ok(got.payload.equals(bytes), "the payload");
  }

  // A close frame with the code (undefined: none), then the connection's end, and nothing between.
  async expectClose(code) {
    const got = await this.next("the close frame");
    assert.ok(got, "the connection ended without a close frame");
    assert.equal(got.opcode, CLOSE, `a close frame, not ${got.opcode}: ${got.payload.subarray(0, 80)}`);
    assert.equal(got.payload.length >= 2 ? got.payload.readUInt16BE(0) : undefined, code, "the close frame's code");
    await this.expectEnd();
  }

  async expectEnd() {
    const got = await this.next("the connection's end");
    assert.equal(got, null, `the connection's end, not frame ${got?.opcode}`);
  }

  destroy() {
    this.socket.destroy();
  }
}
