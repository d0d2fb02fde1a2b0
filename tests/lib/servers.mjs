// The servers under test: skua and the reference, the same application in both.
//
// SKUA_BIN names skua's binary (build/skua); SERVERS=reference or SERVERS=skua runs the tests against one of them only.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { ServerProcess } from "./process.mjs";

export const TESTS = fileURLToPath(new URL("..", import.meta.url));
export const ROOT = path.dirname(path.resolve(TESTS));
export const SKUA = path.resolve(process.env.SKUA_BIN ?? path.join(ROOT, "build/skua"));

const chosen = (process.env.SERVERS ?? "skua,reference").split(",");

// An own folder for a test's files, removed at the end of the process.
const folders = [];
process.once("exit", () => folders.forEach((folder) => rmSync(folder, { recursive: true, force: true })));

export function scratch() {
  folders.push(mkdtempSync(path.join(tmpdir(), "skua-test-")));
  return folders.at(-1);
}

export function startSkua(file, options = {}) {
  return new ServerProcess(SKUA, ["run", file], options).ready();
}

export function startSkuaText(text, options = {}) {
  const file = path.join(scratch(), "test.lua");
  writeFileSync(file, text);
  return startSkua(file, options);
}

// name, and start(env) → a ServerProcess that is ready
export const skua = {
  name: "skua",
  start: (env = {}) => startSkua(path.join(TESTS, "e2e/app.lua"), { env }),
};

// over TLS, for tests that ask for it: SERVERS=skua-tls
export const skuaTls = {
  name: "skua-tls",
  async start(env = {}) {
    const { Certificates } = await import("./certificates.mjs");
    const TLS = new Certificates().make("tls").path("tls");
    const server = await startSkua(path.join(TESTS, "e2e/app.lua"), { env: { ...env, TLS } });
    server.url = `https://localhost:${server.port}`;
    return server;
  },
};

export const reference = {
  name: "reference",
  start: (env = {}) => new ServerProcess(process.execPath, [path.join(TESTS, "lib/reference-app.mjs")], { env }).ready(),
};

export const servers = [skua, skuaTls, reference].filter(({ name }) => chosen.includes(name));
export const skuaIsTested = chosen.includes("skua");
