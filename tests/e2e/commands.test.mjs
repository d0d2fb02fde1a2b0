// The command line: what it prints, where, and with which exit status.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, it } from "node:test";
import { ServerProcess } from "../lib/process.mjs";
import { ROOT, scratch, SKUA, skuaIsTested, startSkua, startSkuaText, TESTS } from "../lib/servers.mjs";
import { until, within } from "../lib/wait.mjs";

const options = { skip: !skuaIsTested && "skua is not under test" };

function skua(args, { cwd = scratch(), env = {} } = {}) {
  const { status, stdout, stderr } = spawnSync(SKUA, args, {
    cwd,
    env: { ...process.env, ...env },
    encoding: "utf8",
    timeout: 20_000,
  });
  return { status, stdout, stderr };
}

function file(text, name = "test.lua") {
  const folder = scratch();
  writeFileSync(path.join(folder, name), text);
  return { cwd: folder };
}

describe("skua --help, version, init", options, () => {
  it("help tells every command, on stdout", () => {
    for (const word of ["--help", "-h", "help"]) {
      const { status, stdout, stderr } = skua([word]);
      assert.equal(status, 0);
      assert.equal(stderr, "");
      for (const command of ["run", "check", "init", "version"]) assert.match(stdout, new RegExp(`\\bskua \\[?${command}\\b`));
    }
  });

  it("version tells its own and those of the libraries", () => {
    const own = readFileSync(path.join(ROOT, "VERSION"), "utf8").trim();
    for (const word of ["version", "--version"]) {
      const { status, stdout } = skua([word]);
      assert.equal(status, 0);
      assert.equal(stdout.split("\n")[0], `skua ${own}`);
      for (const library of ["lua5.4 5.4", "libwebsockets 4.3", "hiredis 1", "jsmn 1", "bearssl 0", "mimalloc 2"])
        assert.match(stdout, new RegExp(`^${library.replaceAll(".", "\\.")}`, "m"));
    }
  });

  it("init prints a commented file that passes check and runs", async () => {
    const { status, stdout, stderr } = skua(["init"]);
    assert.deepEqual([status, stderr], [0, ""]);
    assert.match(stdout, /^--/m);
    const { cwd } = file(stdout, "skua.lua");
    assert.deepEqual(skua(["check", "skua.lua"], { cwd }), { status: 0, stdout: "skua.lua: good\n", stderr: "" });
    const server = await startSkuaText(stdout.replace('"0.0.0.0:3000"', '"127.0.0.1:0"'));
    await server.stop();
  });
});

describe("wrong usage", options, () => {
  const wrong = [["chek"], ["check"], ["check", "a", "b"], ["run", "a", "b"], ["init", "x"], ["version", "x"], ["--nonsense"]];
  for (const args of wrong) {
    it(`skua ${args.join(" ")}: exit status 2, usage on stderr`, () => {
      const { status, stdout, stderr } = skua(args);
      assert.deepEqual([status, stdout], [2, ""]);
      assert.match(stderr, /^usage: skua/m);
    });
  }

  it("names the word that it does not know", () => {
    assert.match(skua(["chek"]).stderr, /^skua: .*"chek"/);
  });
});

describe("skua check", options, () => {
  it("says that a good file is good", () => {
    const { cwd } = file('listen "127.0.0.1:3000"\nnamespace "/chat":on("say", function() end)\n', "good.lua");
    assert.deepEqual(skua(["check", "good.lua"], { cwd }), { status: 0, stdout: "good.lua: good\n", stderr: "" });
  });

  it("binds no port", async () => {
    const server = await startSkuaText('listen "127.0.0.1:0"');
    const { cwd } = file(`listen "127.0.0.1:${server.port}"\n`);
    assert.equal(skua(["check", "test.lua"], { cwd }).status, 0);
    await server.stop();
  });

  it("finds the shipped examples, the demo and the starter file good", () => {
    for (const name of ["lua/examples/relay.lua", "lua/demo.lua", "lua/starter.lua", "tests/e2e/app.lua"])
      assert.deepEqual(skua(["check", name], { cwd: ROOT }), { status: 0, stdout: `${name}: good\n`, stderr: "" });
  });

  it("names a file that is missing, and what cannot be read", () => {
    for (const command of [["check"], ["run"]]) {
      const missing = skua([...command, "missing.lua"]);
      assert.deepEqual([missing.status, missing.stdout], [1, ""]);
      assert.match(missing.stderr, /^missing\.lua: No such file or directory\n$/);
    }
    const folder = skua(["check", "."]);
    assert.equal(folder.status, 1);
    assert.match(folder.stderr, /^\.: /);
  });
});

// UPDATE=1 writes what skua says now into the NAME.txt beside each NAME.lua: read the difference before it is committed.
describe("files with faults", options, () => {
  const folder = path.join(TESTS, "config/wrong");
  const names = readdirSync(folder).filter((name) => name.endsWith(".lua")).sort();

  it("are at least 30", () => assert.ok(names.length >= 30, `${names.length}`));

  for (const name of names) {
    it(name, () => {
      const expected = path.join(folder, name.replace(/\.lua$/, ".txt"));
      const { status, stdout, stderr } = skua(["check", name], { cwd: folder, env: { SKUA_TEST_NOT_SET: undefined } });
      if (process.env.UPDATE) writeFileSync(expected, stderr);
      assert.ok(existsSync(expected), `${expected} is missing; UPDATE=1 writes it`);
      assert.equal(stderr, readFileSync(expected, "utf8"));
      assert.deepEqual([status, stdout], [1, ""]);
    });
  }

  it("are not run", () => {
    const { status, stderr } = skua(["run", names[0]], { cwd: folder });
    assert.equal(status, 1);
    assert.equal(stderr, readFileSync(path.join(folder, names[0].replace(/\.lua$/, ".txt")), "utf8"));
  });
});

describe("skua run", options, () => {
  for (const signal of ["SIGTERM", "SIGINT"]) {
    it(`ends at ${signal} with exit status 0`, async () => {
      const server = await startSkuaText('listen "127.0.0.1:0"');
      server.signal(signal);
      assert.deepEqual(await within(server.ended, "its end"), { code: 0, signal: null });
    });
  }

  it("takes a file without the word run", async () => {
    const { cwd } = file('listen "127.0.0.1:0"\n', "app.lua");
    await (await new ServerProcess(SKUA, ["app.lua"], { cwd }).ready()).stop();
  });

  it("takes ./skua.lua when no file is named", async () => {
    const { cwd } = file('listen "127.0.0.1:0"\nlog { format = "json" }\n', "skua.lua");
    const server = new ServerProcess(SKUA, [], { cwd });
    const [line] = await server.logged(/listening/);
    assert.equal(JSON.parse(line).msg, "listening");
    await server.stop();
  });

  it("runs the demo when there is no file, and says so", { skip: existsSync("/etc/skua/skua.lua") && "skua is installed" }, async () => {
    const server = new ServerProcess(SKUA, [], { cwd: scratch() });
    await server.logged(/running the built-in demo/);
    await server.logged(/skua init > skua\.lua/);
    // Another program may have port 3000: then it says that.
    await until(() => server.log(/listening .*port=3000/).length > 0 || server.end, "it serves, or ends");
    if (server.end) await server.logged(/demo\.lua:\d+: listen: .*3000/);
    else await server.stop();
  });

  it("names the address that is in use", async () => {
    const first = await startSkuaText('listen "127.0.0.1:0"');
    const { cwd } = file(`-- one line\nlisten "127.0.0.1:${first.port}"\n`);
    const { status, stderr } = skua(["run", "test.lua"], { cwd });
    assert.equal(status, 1);
    assert.match(stderr, new RegExp(`^test\\.lua:2: listen: .*127\\.0\\.0\\.1:${first.port}.*in use`, "m"));
    await first.stop();
  });

  it("serves IPv6 and unix sockets beside IPv4", async () => {
    const socket = path.join(scratch(), "skua.sock");
    const server = await startSkuaText(`listen "127.0.0.1:0"\nlisten "[::1]:0"\nlisten "unix:${socket}"\n`);
    await server.logged(/listening address="?unix:/);
    const { request } = await import("node:http");
    const [, six] = await server.logged(/listening .*port=\d+/, 2);
    const ways = [
      { host: "127.0.0.1", port: server.port },
      { host: "::1", port: Number(/port=(\d+)/.exec(six)[1]) },
      { socketPath: socket },
    ];
    for (const way of ways) {
      const status = await new Promise((resolve, reject) =>
        request({ ...way, path: "/socket.io/?EIO=4&transport=polling", agent: false }, (answer) => {
          answer.resume();
          answer.on("end", () => resolve(answer.statusCode));
        })
          .on("error", reject)
          .end(),
      );
      assert.equal(status, 200);
    }
    await server.stop();
    assert.ok(!existsSync(socket), "the unix socket is removed");
  });

  it("takes the place of a dead server's unix socket, but not of a living one's", async () => {
    const folder = scratch();
    const text = `listen "unix:${path.join(folder, "s")}"\nlisten "127.0.0.1:0"\n`;
    const first = await startSkuaText(text);
    const { cwd } = file(text);
    const second = skua(["run", "test.lua"], { cwd });
    assert.equal(second.status, 1);
    assert.match(second.stderr, /^test\.lua:1: listen: .*in use/m);
    first.signal("SIGKILL");
    await first.ended;
    await (await startSkua(path.join(cwd, "test.lua"))).stop();
  });

  // The binary is one file: in a folder that holds nothing else, it and its configuration are enough.
  it("runs in an empty root", { skip: process.getuid() !== 0 && "chroot needs root" }, async () => {
    const root = scratch();
    copyFileSync(SKUA, path.join(root, "skua"));
    writeFileSync(path.join(root, "skua.lua"), 'listen "127.0.0.1:0"\n');
    const server = await new ServerProcess("chroot", [root, "/skua"]).ready();
    const answer = await fetch(`${server.url}/socket.io/?EIO=4&transport=polling`);
    assert.equal(answer.status, 200);
    await server.stop();
  });
});
