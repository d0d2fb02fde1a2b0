// Official clients in the three ways to connect.
import { io, Manager } from "socket.io-client";
import msgpack from "socket.io-msgpack-parser";
import { next, PATIENCE, until, within } from "./wait.mjs";

// PARSER=msgpack: the clients and servers of this process speak that.
const parsers = () => (process.env.PARSER === "msgpack" ? { parser: msgpack } : {});

export const modes = [
  { name: "websocket", transports: ["websocket"] },
  { name: "polling", transports: ["polling"] },
  { name: "upgrade", transports: ["polling", "websocket"] },
];

// Makes clients of one server and mode, and closes all of them. `connect` is another release's io().
export class Clients {
  constructor(url, mode, connect = io) {
    this.url = url;
    this.mode = mode;
    this.io = connect;
    this.open = [];
  }

  options(more = {}) {
    const own = this.url.startsWith("https:") ? { rejectUnauthorized: false } : {}; // a test's certificate
    return { transports: this.mode.transports, forceNew: true, reconnection: false, timeout: PATIENCE, ...parsers(), ...own, ...more };
  }

  // A socket that may not be connected yet.
  socket(namespace = "/", more = {}) {
    const socket = this.io(this.url + namespace, this.options(more));
    this.open.push(() => socket.disconnect());
    return socket;
  }

  // A connected socket; in the upgrade mode its connection has been upgraded.
  async connect(namespace = "/", more = {}) {
    const socket = this.socket(namespace, more);
    await connected(socket);
    if (this.mode.name === "upgrade" && more.settle !== false) await upgraded(socket.io);
    return socket;
  }

  // A connection for several namespaces: manager.socket("/name").
  manager(more = {}) {
    const manager = new Manager(this.url, this.options(more));
    this.open.push(() => manager._close());
    return manager;
  }

  many(count, namespace = "/", more = {}) {
    return Promise.all(Array.from({ length: count }, () => this.connect(namespace, more)));
  }

  close() {
    for (const close of this.open.splice(0)) close();
  }
}

export function connected(socket) {
  if (socket.connected) return Promise.resolve();
  return within(
    new Promise((resolve, reject) => {
      socket.once("connect", resolve);
      socket.once("connect_error", (error) =>
        reject(new Error(`connect_error: ${error.message}`, { cause: error.description ?? error })),
      );
    }),
    "the connection",
  );
}

export function upgraded(manager) {
  return until(() => manager.engine.transport.name === "websocket" && !manager.engine.upgrading, "the upgrade");
}

// The error that a namespace refuses with.
export async function refused(socket) {
  const [error] = await next(socket, "connect_error");
  return error;
}

// emitWithAck that does not wait for ever, with all values of the answer.
export function ask(socket, event, ...args) {
  return within(new Promise((resolve) => socket.emit(event, ...args, (...values) => resolve(values))), `the answer to "${event}"`);
}

// Its first value.
export async function ask1(socket, event, ...args) {
  return (await ask(socket, event, ...args))[0];
}

// All that this socket was sent before now has arrived: the answer to a question comes behind it.
export function flushed(socket) {
  return ask(socket, "no-values");
}
