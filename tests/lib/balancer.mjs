// An HTTP balancer without stickiness: each request, and each upgrade, goes to the next server.
import { createServer, request } from "node:http";

export class Balancer {
  static async start(servers) {
    const balancer = new Balancer();
    balancer.servers = servers;
    balancer.turn = 0;
    balancer.counts = servers.map(() => 0);
    balancer.upgrades = servers.map(() => 0);
    balancer.http = createServer((incoming, answer) => balancer.#pass(incoming, answer));
    balancer.http.on("upgrade", (incoming, socket, head) => balancer.#upgrade(incoming, socket, head));
    await new Promise((resolve) => balancer.http.listen(0, "127.0.0.1", resolve));
    balancer.port = balancer.http.address().port;
    balancer.url = `http://127.0.0.1:${balancer.port}`;
    return balancer;
  }

  // Which server is next; servers that are gone (null) are passed over.
  #next() {
    for (;;) {
      const at = this.turn++ % this.servers.length;
      if (this.servers[at]) return at;
    }
  }

  #ask(at, incoming) {
    const { method, url, rawHeaders } = incoming;
    const headers = [];
    for (let i = 0; i < rawHeaders.length; i += 2) headers.push([rawHeaders[i], rawHeaders[i + 1]]);
    return request({ host: "127.0.0.1", port: this.servers[at].port, agent: false, method, path: url, headers: headers.flat() });
  }

  #pass(incoming, answer) {
    const at = this.#next();
    this.counts[at]++;
    const outgoing = this.#ask(at, incoming);
    outgoing.on("response", (response) => {
      answer.writeHead(response.statusCode, response.rawHeaders);
      response.pipe(answer);
    });
    outgoing.on("error", () => answer.destroy());
    answer.on("close", () => outgoing.destroy());
    incoming.pipe(outgoing);
  }

  #upgrade(incoming, socket, head) {
    const at = this.#next();
    this.upgrades[at]++;
    socket.on("error", () => {});
    const outgoing = this.#ask(at, incoming);
    outgoing.on("upgrade", (response, other, first) => {
      const lines = [`HTTP/1.1 ${response.statusCode} ${response.statusMessage}`];
      for (let i = 0; i < response.rawHeaders.length; i += 2) lines.push(`${response.rawHeaders[i]}: ${response.rawHeaders[i + 1]}`);
      socket.write(`${lines.join("\r\n")}\r\n\r\n`);
      if (first.length > 0) socket.write(first);
      if (head.length > 0) other.write(head);
      other.on("error", () => socket.destroy());
      socket.on("close", () => other.destroy());
      other.on("close", () => socket.destroy());
      socket.pipe(other).pipe(socket);
    });
    outgoing.on("response", () => socket.destroy());
    outgoing.on("error", () => socket.destroy());
    outgoing.end();
  }

  async stop() {
    this.http.closeAllConnections();
    await new Promise((resolve) => this.http.close(resolve));
  }
}
