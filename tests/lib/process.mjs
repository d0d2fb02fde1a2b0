// A server process under test: started on a free port, its log gathered, ended by SIGTERM.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { PATIENCE, until, within } from "./wait.mjs";

// An address sanitizer's process takes its time to leave.
const END_PATIENCE = 20_000; // ms

// What a test that fails half-way leaves behind ends with its process.
const running = new Set();
process.once("exit", () => running.forEach((child) => child.kill("SIGKILL")));

export class ServerProcess {
  // `descriptors` are what it finds from 3 on.
  constructor(command, args, { env = {}, cwd, descriptors = [] } = {}) {
    this.lines = [];
    this.output = "";
    this.child = spawn(command, args, { cwd, env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe", ...descriptors] });
    running.add(this.child);
    let rest = "";
    this.child.stderr.setEncoding("utf8").on("data", (text) => {
      const parts = (rest + text).split("\n");
      rest = parts.pop();
      this.lines.push(...parts);
    });
    this.child.stdout.setEncoding("utf8").on("data", (text) => (this.output += text));
    this.ended = new Promise((resolve) => {
      this.child.on("error", (error) => resolve({ error }));
      this.child.on("close", (code, signal) => {
        if (rest) this.lines.push(rest);
        resolve({ code, signal });
      });
    });
    this.ended.then((end) => {
      this.end = end;
      running.delete(this.child);
    });
  }

  get pid() {
    return this.child.pid;
  }

  // Lines of the log that match, so far.
  log(pattern) {
    return this.lines.filter((line) => pattern.test(line));
  }

  // Waits until that many lines match, and gives them.
  async logged(pattern, count = 1, ms = PATIENCE) {
    return until(() => {
      const found = this.log(pattern);
      if (found.length >= count) return found;
      if (this.end) throw new Error(`the server ended (${JSON.stringify(this.end)}):\n${this.lines.join("\n")}`);
      return null;
    }, `the log has ${count} of ${pattern}`, ms);
  }

  async ready() {
    const [line] = await this.logged(/\blistening\b.*\bport=\d+/);
    this.port = Number(/\bport=(\d+)/.exec(line)[1]);
    this.url = `http://127.0.0.1:${this.port}`;
    return this;
  }

  signal(name) {
    this.child.kill(name);
  }

  // Ends it as an administrator would; anything but exit status 0 is a failure.
  async stop() {
    if (!this.end) this.signal("SIGTERM");
    try {
      await within(this.ended, "the server's end", END_PATIENCE);
    } finally {
      if (!this.end) this.signal("SIGKILL");
    }
    assert.deepEqual(this.end, { code: 0, signal: null }, `the server's end; its log:\n${this.lines.slice(-40).join("\n")}`);
  }
}
