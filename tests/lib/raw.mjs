// HTTP and WebSocket without a client library's opinions: what leaves and arrives is bytes.
import { request as httpRequest } from "node:http";
import { connect } from "node:net";
import { next, PATIENCE, within } from "./wait.mjs";

// One request on a connection of its own. `headers` of the result has the names in lower case, `rawHeaders` the pairs
// as they came; those that tell of the connection and the time are left out.
const PASSING = new Set(["date", "connection", "keep-alive"]);

export function send(server, { method = "GET", path, headers = {}, body }) {
  return within(
    new Promise((resolve, reject) => {
      const request = httpRequest({ host: "127.0.0.1", port: server.port, agent: false, method, path, headers });
      request.on("error", reject);
      request.on("response", (response) => {
        const chunks = [];
        response.on("data", (chunk) => chunks.push(chunk));
        response.on("error", reject);
        response.on("end", () => {
          const rawHeaders = [];
          for (let i = 0; i < response.rawHeaders.length; i += 2)
            if (!PASSING.has(response.rawHeaders[i].toLowerCase())) rawHeaders.push(response.rawHeaders.slice(i, i + 2));
          resolve({
            status: response.statusCode,
            headers: Object.fromEntries(rawHeaders.map(([name, value]) => [name.toLowerCase(), value])),
            rawHeaders,
            body: Buffer.concat(chunks).toString("utf8"),
            bytes: Buffer.concat(chunks),
          });
        });
      });
      request.end(body);
    }),
    `the answer to ${method} ${path}`,
  );
}

// A TCP connection. `text` is what came so far, a character a byte.
export class Raw {
  constructor(server) {
    this.text = "";
    this.closed = false;
    this.socket = connect(server.port, "127.0.0.1");
    this.socket.setEncoding("latin1");
    this.socket.on("data", (text) => (this.text += text));
    this.socket.on("error", () => {});
    this.end = new Promise((resolve) => {
      const ended = () => {
        this.closed = true;
        resolve(this);
      };
      this.socket.on("end", ended);
      this.socket.on("close", ended);
    });
  }

  write(text) {
    this.socket.write(text, "latin1");
    return this;
  }

  // Until what came matches, or the connection is closed.
  async until(pattern, ms = PATIENCE) {
    const deadline = Date.now() + ms;
    while (!pattern.test(this.text) && !this.closed) {
      if (Date.now() > deadline) throw new Error(`waited ${ms} ms in vain for ${pattern}; came: ${JSON.stringify(this.text)}`);
      await Promise.race([next(this.socket, "data", ms).catch(() => {}), this.end]);
    }
    return this.text;
  }

  async untilClosed(ms = PATIENCE) {
    await within(this.end, `the end of the connection; came: ${JSON.stringify(this.text)}`, ms);
    return this.text;
  }

  destroy() {
    this.socket.destroy();
  }
}

const ENGINE = "/socket.io/?EIO=4&transport=polling";

// A session over polling, request by request.
export class PollingSession {
  constructor(server, path = ENGINE) {
    this.server = server;
    this.path = path;
  }

  async open() {
    const { body } = await send(this.server, { path: this.path });
    this.sid = JSON.parse(body.slice(body.indexOf("{"))).sid;
    return this;
  }

  get target() {
    return `${this.path}&sid=${this.sid}`;
  }

  poll(headers = {}) {
    return send(this.server, { path: this.target, headers });
  }

  post(body, headers = { "content-type": "text/plain;charset=UTF-8" }) {
    return send(this.server, { method: "POST", path: this.target, headers, body });
  }

  // Joins a namespace, and gives its answer and the events that came with it.
  async join(namespace = "") {
    await this.post(`40${namespace}`);
    return (await this.poll()).body;
  }

  upgradeRequest(transport = "websocket") {
    return upgradeRequest(`/socket.io/?EIO=4&transport=${transport}&sid=${this.sid}`);
  }
}

export function upgradeRequest(target, more = "") {
  return (
    `GET ${target} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
    `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n${more}\r\n`
  );
}

// A masked client frame with the mask 0, so that the payload stands as it is.
export function frame(opcode, payload = "", { fin = true, masked = true, rsv = 0 } = {}) {
  const bytes = Buffer.from(payload);
  const head = [(fin ? 0x80 : 0) | (rsv << 4) | opcode];
  const mask = masked ? 0x80 : 0;
  if (bytes.length < 126) head.push(mask | bytes.length);
  else if (bytes.length < 65536) head.push(mask | 126, bytes.length >> 8, bytes.length & 0xff);
  else head.push(mask | 127, 0, 0, 0, 0, bytes.length >>> 24, (bytes.length >> 16) & 0xff, (bytes.length >> 8) & 0xff, bytes.length & 0xff);
  return Buffer.concat([Buffer.from(head), masked ? Buffer.alloc(4) : Buffer.alloc(0), bytes]).toString("latin1");
}
