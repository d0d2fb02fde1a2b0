// SIGUSR2: a new process takes the listeners over, and nobody is refused; and sockets that systemd holds.
import assert from "node:assert/strict";
import { copyFileSync, existsSync, readdirSync, readlinkSync, renameSync, symlinkSync, unlinkSync, writeFileSync } from "node:fs";
import { Agent, request } from "node:http";
import { createServer } from "node:net";
import path from "node:path";
import { afterEach, describe, it } from "node:test";
import { ports } from "../lib/certificates.mjs";
import { ask, Clients, connected, modes } from "../lib/clients.mjs";
import { ServerProcess } from "../lib/process.mjs";
import { scratch, SKUA, skuaIsTested } from "../lib/servers.mjs";
import { next, until, within } from "../lib/wait.mjs";

const [websocket, polling] = modes;
const options = { skip: !skuaIsTested && "skua is not under test" };

const LISTEN = 'listen "127.0.0.1:0"\n';
const APP = `
health "/health"
drain { window = "500ms" }
local root = namespace "/"
root:on("echo", function(socket, value) return value end)
root:on("version", function() return VERSION or "first" end)
`;

// A server that is restarted: `pid` is its process of now.
class Restarted {
  constructor(text, { binary = SKUA, env, command, descriptors } = {}) {
    this.folder = scratch();
    this.file = path.join(this.folder, "test.lua");
    this.write(text);
    const [program, args] = command ? command(this.file) : [binary, [this.file]];
    this.process = new ServerProcess(program, args, { env, descriptors });
    this.process.child.on("exit", (code, signal) => (this.firstEnd = { code, signal }));
  }

  write(text) {
    writeFileSync(this.file, text);
  }

  async ready() {
    await this.process.ready();
    this.pid = this.process.pid;
    this.port = this.process.port;
    this.url = this.process.url;
    return this;
  }

  // Until the new process serves.
  async restart() {
    const outcome = /new process serves|restart failed/;
    const before = this.process.log(outcome).length;
    process.kill(this.pid, "SIGUSR2");
    const lines = await this.process.logged(outcome, before + 1);
    const pid = Number(/pid=(\d+)/.exec(lines.at(-1))?.[1]);
    assert.ok(pid > 0 && pid !== this.pid, lines.at(-1));
    this.pid = pid;
  }

  // Until the process before has ended.
  async alone(restarts = 1) {
    await this.process.logged(/the server before has ended/, restarts);
  }

  // All its processes have its pipes, and have ended when these are closed.
  async stop() {
    process.kill(this.pid, "SIGTERM");
    await within(this.process.ended, "the end of all processes");
    assert.deepEqual(this.process.end, { code: 0, signal: null });
  }
}

// One request on a new connection; the status.
function get(target, at = "/health") {
  const where = typeof target === "number" ? { port: target, host: "127.0.0.1" } : target;
  return new Promise((resolve, reject) => {
    const asked = request({ ...where, path: at, agent: new Agent() }, (response) => {
      response.resume().on("end", () => resolve(response.statusCode));
    });
    asked.on("error", reject).end();
  });
}

describe("skua: a restart", options, () => {
  const running = [];
  const crowds = [];

  async function start(text, more) {
    const server = new Restarted(text, more);
    await server.ready();
    running.push(server);
    return server;
  }

  function clientsOf(server, mode = websocket) {
    const clients = new Clients(server.url, mode);
    crowds.push(clients);
    return clients;
  }

  afterEach(async () => {
    for (const clients of crowds.splice(0)) clients.close();
    for (const server of running.splice(0)) await server.stop();
  });

  it("refuses nobody either when there are several workers, and when their number changes", async () => {
    const file = path.join(scratch(), "skua.sock");
    const text = (workers) => `workers(${workers})\n${LISTEN}listen "unix:${file}"\n${APP}`;
    const server = await start(text(3));
    const back = { reconnection: true, reconnectionDelay: 20, reconnectionDelayMax: 100 };
    const sockets = [...(await clientsOf(server).many(20, "/", back)), ...(await clientsOf(server, polling).many(5, "/", back))];
    const faults = [];
    let over = false;
    let requests = 0;
    const asking = async (target) => {
      for (; !over; requests++)
        await get(target).then((status) => status === 200 || faults.push(status), (error) => faults.push(error.message));
    };
    const all = [server.port, server.port, { socketPath: file }].map(asking);
    let restarts = 0;
    try {
      for (const workers of [3, 4, 1, 2]) {
        const before = requests;
        await until(() => requests > before + 50, "requests are served");
        server.write(text(workers));
        await server.restart();
        await server.alone(++restarts);
        await until(() => sockets.every((socket) => socket.connected), "all are back");
        for (const socket of sockets) assert.deepEqual(await ask(socket, "echo", workers), [workers]);
      }
    } finally {
      over = true;
    }
    await Promise.all(all);
    assert.deepEqual(faults, []);
  });

  it("hands over what recovery keeps in memory: through restarts every client has every event once, in order", async () => {
    const server = await start(`${LISTEN}
      recovery { window = "30s" }
      local room = namespace "/room"
      room:on("connection", function(socket)
        socket:join("all")
        socket.data.times = (socket.data.times or 0) + 1
        if socket.recovered then socket:emit("again", socket.data.times) end
      end)
      room:on("say", function(_, number)
        room:to("all"):emit("said", number, binary("\\0\\1"))
        return true
      end)
      namespace "/org-*":on("connection", function(socket) socket:join("all") end):on("say", function(socket, number)
        socket.namespace:to("all"):emit("said", number)
        return true
      end)
    `);
    const back = { reconnection: true, reconnectionDelay: 20, reconnectionDelayMax: 100 };
    const sockets = [];
    for (const mode of modes)
      for (const name of ["/room", "/org-7"]) sockets.push(...(await clientsOf(server, mode).many(3, name, back)));
    for (const socket of sockets) {
      socket.numbers = [];
      socket.first = socket.id;
      socket.fresh = 0;
      socket.on("said", (number) => socket.numbers.push(number));
      socket.on("connect", () => (socket.fresh += !socket.recovered || socket.id !== socket.first));
    }
    const speakers = [sockets[0], sockets[3]];
    const said = [0, 0];
    let over = false;
    // What is not acknowledged may be lost with its connection, and is said again: numbers rise with holes.
    const speaking = speakers.map(async (speaker, i) => {
      for (let number = 0; !over; number++) {
        const heard = speaker.timeout(1000).emitWithAck("say", number).then(() => number, () => 0);
        said[i] = Math.max(said[i], await heard);
        await new Promise(setImmediate);
      }
    });
    for (let restarts = 1; restarts <= 3; restarts++) {
      const enough = said.map((number) => number + 30);
      await until(() => said.every((number, i) => number > enough[i]), "events are said");
      await server.restart();
      await server.alone(restarts);
      await until(() => sockets.every((socket) => socket.connected), "all are back");
    }
    over = true;
    await Promise.all(speaking);
    for (const [i, name] of ["/room", "/org-7"].entries()) {
      const group = sockets.filter((socket) => socket.nsp === name);
      await until(() => group.every(({ numbers }) => numbers.at(-1) >= said[i]), "the last event is there");
      for (const { numbers, fresh } of group) {
        assert.equal(fresh, 0);
        assert.deepEqual(numbers, group[0].numbers);
        assert.ok(numbers.every((number, at) => at === 0 || number > numbers[at - 1]), "once, in order");
      }
    }
  });

  it("refuses nobody, and sends the clients of the old process to the new one", async () => {
    const server = await start(LISTEN + APP);
    const back = { reconnection: true, reconnectionDelay: 20, reconnectionDelayMax: 100 };
    const stay = [...(await clientsOf(server).many(40, "/", back)), ...(await clientsOf(server, polling).many(10, "/", back))];
    const losses = [];
    for (const socket of stay) socket.on("disconnect", (reason) => losses.push(reason));

    const faults = [];
    const count = { requests: 0, clients: 0 };
    let over = false;
    const asking = async () => {
      for (; !over; count.requests++)
        await get(server.port).then((status) => status === 200 || faults.push(status), (error) => faults.push(error.message));
    };
    const connecting = async () => {
      for (; !over; count.clients++) {
        const clients = clientsOf(server);
        const socket = clients.socket("/", { reconnection: true, reconnectionDelay: 10 });
        socket.on("connect_error", (error) => faults.push(error.message));
        await connected(socket);
        clients.close();
      }
    };
    const loops = [asking(), asking(), connecting(), connecting()];
    const enough = (least) => until(() => count.requests >= least && count.clients >= least, "connections are made");
    await enough(20);
    for (let restarts = 1; restarts <= 3; restarts++) {
      await server.restart();
      await server.alone(restarts);
      await enough(Math.min(count.requests, count.clients) + 20);
    }
    over = true;
    await Promise.all(loops);
    assert.deepEqual(faults, []);
    assert.deepEqual(server.firstEnd, { code: 0, signal: null });
    assert.deepEqual([...new Set(losses)], ["transport close"]);
    assert.ok(losses.length >= stay.length);
    await Promise.all(stay.map(connected));
    for (const socket of stay) assert.deepEqual(await ask(socket, "echo", 1), [1]);
  });

  it("takes a changed file: listeners that it still has are taken over, others opened and closed", async () => {
    const socket = path.join(scratch(), "skua.sock");
    const both = `listen "unix:${socket}"\n` + APP;
    const gone = path.join(path.dirname(socket), "gone.sock");
    const server = await start(LISTEN + `listen "127.0.0.2:0"\nlisten "unix:${gone}"\n` + both);
    const [kept, closed] = await ports(server.process, 2);
    server.write('VERSION = "second"\n' + LISTEN + 'listen "127.0.0.3:0"\n' + both);
    await server.restart();
    await server.alone();
    const [, , again, opened] = await ports(server.process, 4);
    assert.equal(again, kept);
    assert.deepEqual(await ask(await clientsOf(server).connect(), "version"), ["second"]);
    const status = (target) =>
      new Promise((resolve) => {
        const asked = request({ path: "/health", agent: new Agent(), ...target }, (response) => resolve(response.resume().statusCode));
        asked.on("error", (error) => resolve(error.code)).end();
      });
    assert.equal(await status({ host: "127.0.0.2", port: closed }), "ECONNREFUSED");
    assert.equal(await status({ socketPath: gone }), "ENOENT");
    assert.equal(await status({ host: "127.0.0.3", port: opened }), 200);
    assert.equal(await status({ socketPath: socket }), 200);
    running.pop();
    await server.stop();
    assert.equal(await status({ socketPath: socket }), "ENOENT");
  });

  it("with a broken file leaves the old process at work, which tells why", async () => {
    const file = path.join(scratch(), "skua.sock");
    const BOTH = LISTEN + `listen "unix:${file}" `;
    const server = await start(BOTH + APP);
    const socket = await clientsOf(server).connect();
    for (const [text, reason] of [
      [BOTH + 'drane { window = "1s" }\n' + APP, /test\.lua:2: unknown name \\"drane\\"; did you mean \\"drain\\"\?/],
      [BOTH + 'listen "192.0.2.1:80"\n' + APP, /test\.lua:2: listen: 192\.0\.2\.1:80 is not an address of this machine/],
    ]) {
      server.write(text);
      const before = server.process.log(/restart failed/).length;
      process.kill(server.pid, "SIGUSR2");
      const lines = await server.process.logged(/restart failed, this process serves on/, before + 1);
      assert.match(lines.at(-1), reason);
      assert.deepEqual(await ask(socket, "echo", 1), [1]);
      assert.equal(await get(server.port), 200);
      assert.ok(existsSync(file));
    }
    unlinkSync(server.file);
    process.kill(server.pid, "SIGUSR2");
    const lines = await server.process.logged(/restart failed/, 3);
    assert.match(lines.at(-1), /test\.lua: No such file/);
    assert.equal(socket.connected, true);
    server.write(BOTH + APP);
    await server.restart();
    await next(socket, "disconnect");
  });

  it("takes an upgraded binary, and the one that runs when there is none any more", async () => {
    const folder = scratch();
    const binary = path.join(folder, "skua");
    const release = (name) => {
      copyFileSync(SKUA, path.join(folder, name));
      symlinkSync(name, path.join(folder, "next"));
      renameSync(path.join(folder, "next"), binary);
    };
    release("skua-1");
    const server = await start(LISTEN + APP, { binary });
    const runs = () => readlinkSync(`/proc/${server.pid}/exe`);
    const descriptors = () => readdirSync(`/proc/${server.pid}/fd`).length;
    const before = descriptors();
    release("skua-2");
    await server.restart();
    assert.equal(runs(), path.join(folder, "skua-2"));
    await server.alone();
    unlinkSync(binary);
    await server.restart();
    assert.equal(runs(), path.join(folder, "skua-2"));
    await server.alone(2);
    unlinkSync(path.join(folder, "skua-2"));
    await server.restart();
    assert.equal(runs(), `${path.join(folder, "skua-2")} (deleted)`);
    await server.alone(3);
    await until(() => descriptors() === before, "no descriptor is left over");
    assert.equal(await get(server.port), 200);
  });

  // As systemd does: the sockets are descriptors from 3 on, and the process's own id is in its environment.
  async function activated(text, names) {
    const sockets = names.map(() => createServer().listen(0, "127.0.0.1"));
    await Promise.all(sockets.map((socket) => next(socket, "listening")));
    const wanted = sockets.map((socket) => socket.address().port);
    const server = new Restarted(text, {
      env: { LISTEN_FDS: String(names.length), LISTEN_FDNAMES: names.join(":") },
      command: (file) => ["/bin/sh", ["-c", 'export LISTEN_PID=$$; exec "$0" "$1"', SKUA, file]],
      descriptors: sockets.map((socket) => socket._handle.fd),
    });
    for (const socket of sockets) socket.close();
    await server.ready();
    running.push(server);
    return { server, wanted };
  }

  it("of a service whose sockets systemd holds goes on with them", async () => {
    const { server, wanted } = await activated('listen "systemd"\n' + APP, ["web", "more"]);
    assert.deepEqual(await ports(server.process, 2), wanted);
    for (const port of wanted) assert.equal(await get(port), 200);
    await server.restart();
    await server.alone();
    for (const port of wanted) assert.equal(await get(port), 200);
    assert.deepEqual(await ask(await clientsOf(server).connect(), "echo", 1), [1]);
  });

  it("of such a service may serve some of them by name", async () => {
    const { server, wanted } = await activated('listen "systemd:more" { redirect = false }\n' + APP, ["web", "more"]);
    assert.deepEqual(await ports(server.process, 1), [wanted[1]]);
    assert.equal(await get(wanted[1]), 200);
    await assert.rejects(get(wanted[0]), /ECONNREFUSED/);
  });

  it("without sockets from systemd is a fault that names the listener", async () => {
    const server = new Restarted('listen "systemd:web"\n' + APP);
    assert.equal((await within(server.process.ended, "its end")).code, 1);
    assert.match(server.process.lines.join("\n"), /test\.lua:1: listen: cannot listen on systemd:web: systemd passed no such socket/);
  });
});
