// Many clients behind a proxy that decides which server each reaches, a publisher that has the servers emit all the
// while, and the account of who got what.
import { Client } from "./cluster.mjs";
import { connected } from "./clients.mjs";
import { FaultProxy } from "./fault_proxy.mjs";
import { until } from "./wait.mjs";

const AT_A_TIME = 50; // connecting
const EVENT = "published";

export class Crowd {
  // servers: Server or null by place; `count` clients stand at the places in turn and are in the rooms "all" and one of
  // `rooms` others.
  static async start(servers, { count, rooms = 4, delay = [20, 100], options = {} }) {
    const crowd = new Crowd();
    crowd.servers = servers;
    crowd.rooms = rooms;
    crowd.members = Array.from({ length: count }, (_, i) => ({ i, name: `c${i}`, place: i % servers.length, returns: [] }));
    crowd.byName = new Map(crowd.members.map((member) => [member.name, member]));
    crowd.proxy = await FaultProxy.start((head) => crowd.#portFor(head));
    crowd.options = { reconnection: true, reconnectionDelay: delay[0], reconnectionDelayMax: delay[1], ...options };
    const waiting = [...crowd.members];
    const connectSome = async () => {
      for (let member; (member = waiting.pop()); ) await crowd.#connect(member);
    };
    await Promise.all(Array.from({ length: AT_A_TIME }, connectSome));
    return crowd;
  }

  #portFor(head) {
    const member = this.byName.get(/[?&]name=(\w+)/.exec(head)?.[1]);
    return this.servers[member.place].port;
  }

  async #connect(member) {
    const client = new Client(this.proxy.url, "/room", { ...this.options, query: { name: member.name } });
    member.client = client;
    await connected(client.socket);
    Object.assign(member, { id: client.socket.id, client });
    client.id = member.id;
    await client.ask("join", ["all", this.roomOf(member)]);
    await client.ask("set-data", "name", member.name);
    client.socket.on("connect", () => member.returns.push({ recovered: client.socket.recovered, id: client.socket.id, at: Date.now() }));
    client.socket.on("disconnect", (reason) => (member.lost = { reason, at: Date.now() }));
  }

  roomOf({ i }) {
    return `room-${i % this.rooms}`;
  }

  inRoom(room) {
    return room === "all" ? this.members : this.members.filter((member) => this.roomOf(member) === room);
  }

  // Ends these members' connections: "rst" and "fin" on both sides, "silent" so that the server does not notice.
  // They come back when the crowd lets them in again, each at its `place` of then.
  cut(members, how = "rst") {
    const names = new Set(members.map(({ name }) => name));
    for (const link of this.proxy.links) {
      if (!names.has(/[?&]name=(\w+)/.exec(link.head)?.[1])) continue;
      if (how === "silent") link.cut("rst", "keep");
      else link.cut(how, how);
    }
  }

  // These members are back, recovered or not.
  async back(members, ms) {
    await until(() => members.every(({ client, returns }) => returns.length > 0 && client.socket.connected), `${members.length} clients are back`, ms);
  }

  async stop() {
    for (const { client } of this.members) client?.close();
    await this.proxy.stop();
  }
}

// Has the servers emit in turn, `rate` events a second in all: to one of the rooms, to all, or to one client, by its
// socket where it is and by the room of its id from elsewhere.
export class Publisher {
  constructor(crowd, rate, { padding = "" } = {}) {
    this.crowd = crowd;
    this.padding = padding;
    this.published = [];
    this.asked = new Set();
    this.numbers = new Map(); // by server: its last number
    this.timer = setInterval(() => this.#tick(), 1000 / rate);
    this.ticks = 0;
  }

  // Nothing is published until resume(), and what was is on its way.
  async pause() {
    this.paused = true;
    await Promise.all(this.asked);
  }

  resume() {
    this.paused = false;
  }

  #tick() {
    if (this.paused) return;
    const { crowd } = this;
    const tick = this.ticks++;
    const servers = crowd.servers.filter((server) => server?.control.connected);
    if (servers.length === 0) return;
    const server = servers[tick % servers.length];
    const turn = Math.floor(tick / servers.length);
    if (turn % 10 === 9) this.#toRoom(server, "all");
    else if (turn % 2 === 0) this.#toRoom(server, `room-${(turn / 2) % crowd.rooms}`);
    else this.#toOne(server, crowd.members[(tick * 7) % crowd.members.length]);
  }

  #next(server) {
    const number = (this.numbers.get(server) ?? 0) + 1;
    this.numbers.set(server, number);
    return number;
  }

  #toRoom(server, room) {
    const number = this.#next(server);
    const command = { rooms: [room], event: EVENT, args: [server.name, number, this.padding] };
    this.#ask(server, "emit", command, { server, sender: server.name, number, members: this.crowd.inRoom(room) });
  }

  #toOne(server, member) {
    const number = this.#next(server);
    const here = this.crowd.servers[member.place] === server && member.client.socket.connected;
    const args = [server.name, number, this.padding];
    const command = here ? { sid: member.id, event: EVENT, args } : { rooms: [member.id], event: EVENT, args };
    this.#ask(server, here ? "direct" : "emit", command, { server, sender: server.name, number, members: [member] });
  }

  // "sent" has to arrive; "refused" (the socket is gone) and "unsure" (the server is) need not.
  #ask(server, op, command, publication) {
    publication.at = Date.now();
    this.published.push(publication);
    const asked = server.do(op, command).then(
      (result) => (publication.state = result === false ? "refused" : "sent"),
      () => (publication.state = "unsure"),
    );
    this.asked.add(asked);
    asked.then(() => this.asked.delete(asked));
  }

  get count() {
    return this.published.length;
  }

  // Waits until that many more have been published.
  async more(count, ms = 60_000) {
    const end = this.count + count;
    await until(() => this.count >= end, `${count} more events are published`, ms);
  }

  async stop() {
    clearInterval(this.timer);
    await Promise.all(this.asked);
  }
}

// What the members got of what was published, once all that must come has come or the patience is over. What has to come
// to whom is up to `has(publication, member)`.
export async function account(crowd, publisher, { ms = 20_000, has = () => true } = {}) {
  const must = new Map(crowd.members.map((member) => [member, []]));
  const may = new Map(crowd.members.map((member) => [member, new Set()]));
  for (const publication of publisher.published) {
    const key = `${publication.sender}/${publication.number}`;
    for (const member of publication.members) {
      if (publication.state === "sent" && has(publication, member)) must.get(member)?.push(key);
      else may.get(member)?.add(key);
    }
  }
  const whole = (member) => member.returns.every(({ recovered }) => recovered);
  const got = ({ client }) => client.of(EVENT).map(([sender, number]) => [sender, number]);
  const missing = (member) => {
    const have = new Set(got(member).map(([sender, number]) => `${sender}/${number}`));
    return must.get(member).filter((one) => !have.has(one));
  };
  const complete = () => crowd.members.every((member) => !whole(member) || missing(member).length === 0);
  await until(complete, "all events have come", ms).catch(() => {});
  const result = { published: publisher.count, delivered: 0, missing: [], repeated: [], disordered: [], strange: [], unsure: 0 };
  result.unsure = publisher.published.filter(({ state }) => state === "unsure").length;
  for (const member of crowd.members) {
    const seen = new Set();
    const last = new Map();
    const expected = new Set(must.get(member));
    for (const [sender, number] of got(member)) {
      const key = `${sender}/${number}`;
      result.delivered++;
      if (seen.has(key)) result.repeated.push(`${member.name}: ${key}`);
      else if (number < (last.get(sender) ?? 0)) result.disordered.push(`${member.name}: ${key} after ${last.get(sender)}`);
      if (!expected.has(key) && !may.get(member).has(key)) result.strange.push(`${member.name}: ${key}`);
      seen.add(key);
      last.set(sender, number);
    }
    if (whole(member)) result.missing.push(...missing(member).map((key) => `${member.name}: ${key}`));
  }
  return result;
}

// How those who were away came back, by where: { same: { recovered, fresh }, other: … }
export function returnsOf(members, homes) {
  const count = { same: { recovered: 0, fresh: 0 }, other: { recovered: 0, fresh: 0 } };
  for (const member of members) {
    const where = homes.get(member) === member.place ? count.same : count.other;
    const recovered = member.returns.length > 0 && member.returns.every((one) => one.recovered && one.id === member.id);
    where[recovered ? "recovered" : "fresh"]++;
  }
  return count;
}
