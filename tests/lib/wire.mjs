// A Socket.IO client that is only its messages: those it gets are recorded as they are, texts and buffers, without the
// engine's pings, which it answers.
import WebSocket from "ws";
import { until, within } from "./wait.mjs";

export class Wire {
  constructor(server) {
    this.messages = [];
    this.answersPings = true;
    this.ws = new WebSocket(`ws://127.0.0.1:${server.port}/socket.io/?EIO=4&transport=websocket`);
    this.closed = new Promise((resolve) => this.ws.on("close", resolve));
    this.ws.on("error", () => {});
    this.ws.on("message", (data, binary) => {
      const message = binary ? data : data.toString();
      if (message === "2") this.answersPings && this.ws.send("3");
      else this.messages.push(message);
    });
  }

  static async open(server) {
    const wire = new Wire(server);
    await within(new Promise((resolve) => wire.ws.once("open", resolve)), "the connection");
    await until(() => wire.messages.shift()?.startsWith("0{"), "the handshake");
    return wire;
  }

  send(message) {
    this.ws.send(message);
    return this;
  }

  // Waits until that many messages have come, and takes them.
  async take(count = 1) {
    await until(() => this.messages.length >= count, `${count} messages; came: ${this.messages.map((m) => m.toString().slice(0, 200)).join(" ")}`);
    return this.messages.splice(0, count);
  }

  // Joins a namespace. Gives what came up to the server's answer, and that: { before, answer }.
  async join(namespace, auth) {
    const prefix = namespace === "/" ? "" : `${namespace},`;
    this.send(`40${prefix}${auth ? JSON.stringify(auth) : ""}`);
    const isAnswer = (message) => typeof message === "string" && (message.startsWith(`40${prefix}{`) || message.startsWith(`44${prefix}`));
    await until(() => this.messages.some(isAnswer), "the namespace's answer");
    const at = this.messages.findIndex(isAnswer);
    const before = this.messages.splice(0, at);
    const answer = this.messages.shift();
    return { before, answer, ...JSON.parse(answer.slice(2 + prefix.length)) };
  }

  // An event with an acknowledgement, and its values; events meanwhile stay in `messages`.
  async ask(namespace, ...event) {
    const prefix = namespace === "/" ? "" : `${namespace},`;
    this.id = (this.id ?? 0) + 1;
    this.send(`42${prefix}${this.id}${JSON.stringify(event)}`);
    const head = `43${prefix}${this.id}`;
    const answer = await until(() => this.messages.find((message) => typeof message === "string" && message.startsWith(head)), `the answer to ${event[0]}`);
    this.messages.splice(this.messages.indexOf(answer), 1);
    return JSON.parse(answer.slice(head.length));
  }

  // How the connection ends: "fin" without a closing handshake, "rst", or "close" with one.
  async end(how = "fin") {
    if (how === "close") this.ws.close();
    else if (how === "rst") this.ws._socket.resetAndDestroy();
    else this.ws.terminate();
    await within(this.closed, "the connection's end");
  }
}

// An event's message in parts: its arguments without the offset, and that.
export function offsetOf(message, namespace = "/room") {
  const head = `42${namespace === "/" ? "" : `${namespace},`}`;
  if (!message.startsWith(head)) throw new Error(`no event: ${message.slice(0, 200)}`);
  const args = JSON.parse(message.slice(head.length));
  const offset = args.pop();
  return { args, offset };
}
