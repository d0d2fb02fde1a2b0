// A TCP proxy on a free port that can do to connections what networks do: cut, stall and delay them.
//
// Without a router all connections go to `proxy.port`'s one target. With one, the first bytes that a client sends
// decide: route(text) → port; so clients that tell who they are in their URL can be sent elsewhere when they return.
import { connect, createServer } from "node:net";

export class FaultProxy {
  // target: a port, or a function of the first bytes to one
  constructor(target) {
    this.target = target;
    this.links = new Set();
    this.refusing = false;
    this.stalled = false;
    this.milliseconds = 0;
  }

  static async start(target) {
    const proxy = new FaultProxy(target);
    proxy.server = createServer({ pauseOnConnect: true, allowHalfOpen: true }, (client) => proxy.#accept(client));
    await new Promise((resolve) => proxy.server.listen(0, "127.0.0.1", resolve));
    proxy.port = proxy.server.address().port;
    proxy.url = `http://127.0.0.1:${proxy.port}`;
    return proxy;
  }

  #accept(client) {
    if (this.refusing) return client.resetAndDestroy();
    client.setNoDelay(true);
    const link = new Link(this, client);
    this.links.add(link);
  }

  // Those whose first bytes match, or all.
  matching(pattern) {
    return [...this.links].filter((link) => !pattern || pattern.test(link.head));
  }

  // Ends connections on both sides, or leaves a side as it is: then that end does not notice. how: "rst" or "fin".
  cut({ client = "rst", server = "rst", pattern } = {}) {
    const links = this.matching(pattern);
    for (const link of links) link.cut(client, server);
    return links.length;
  }

  // New connections are refused until accept().
  refuse() {
    this.refusing = true;
  }

  accept() {
    this.refusing = false;
  }

  // Nothing is read or passed on, of new connections neither, until resume().
  stall() {
    this.stalled = true;
    for (const link of this.links) link.stall();
  }

  resume() {
    this.stalled = false;
    for (const link of this.links) link.resume();
  }

  // Each piece of bytes arrives that much later from now on.
  delay(milliseconds) {
    this.milliseconds = milliseconds;
  }

  async stop() {
    for (const link of this.links) link.cut("rst", "rst");
    await new Promise((resolve) => this.server.close(resolve));
  }
}

class Link {
  constructor(proxy, client) {
    this.proxy = proxy;
    this.client = client;
    this.head = "";
    this.#watch(client, "client");
    if (typeof proxy.target === "function") {
      client.once("data", (first) => {
        client.pause();
        this.head = first.toString("latin1");
        this.#open(proxy.target(this.head), first);
      });
    } else {
      client.once("data", (first) => {
        this.head = first.toString("latin1");
      });
      this.#open(proxy.target);
    }
    if (!proxy.stalled) client.resume();
  }

  #open(port, first) {
    if (this.client.destroyed) return;
    this.server = connect({ port, host: "127.0.0.1", noDelay: true, allowHalfOpen: true });
    this.#watch(this.server, "server");
    if (first) this.#pass(this.server, first);
    this.#relay(this.client, () => this.server);
    this.#relay(this.server, () => this.client);
    if (this.proxy.stalled) this.stall();
    else this.client.resume();
  }

  #relay(from, to) {
    from.on("data", (bytes) => {
      if (this.#pass(to(), bytes)) return;
      from.pause();
      to().once("drain", () => this.proxy.stalled || from.resume());
    });
    from.on("end", () => (this.silent ? from.destroy() : this.#later(() => to().end())));
  }

  #later(act) {
    if (this.proxy.milliseconds > 0) setTimeout(act, this.proxy.milliseconds);
    else act();
  }

  #pass(to, bytes) {
    if (this.silent || to.destroyed) return true;
    if (this.proxy.milliseconds === 0) return to.write(bytes);
    setTimeout(() => to.destroyed || to.write(bytes), this.proxy.milliseconds);
    return true;
  }

  // What happens to one side happens to the other, unless it was cut off from it.
  #watch(socket, name) {
    socket.on("error", () => {});
    socket.on("close", (failed) => {
      const other = name === "client" ? this.server : this.client;
      if (!this.silent && other && !other.destroyed) {
        if (failed) other.resetAndDestroy();
        else other.destroySoon();
      }
      if (!other || other.destroyed) this.proxy.links.delete(this);
    });
  }

  cut(client, server) {
    this.silent = true;
    this.#end(this.client, client);
    if (this.server) this.#end(this.server, server);
  }

  #end(socket, how) {
    if (how === "rst") socket.resetAndDestroy();
    else if (how === "fin") socket.destroySoon();
    else socket.resume(); // it still takes what comes
  }

  stall() {
    this.client.pause();
    this.server?.pause();
  }

  resume() {
    this.client.resume();
    this.server?.resume();
  }
}
