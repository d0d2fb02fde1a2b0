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
export function scratch() {
  const folder = mkdtempSync(path.join(tmpdir(), "skua-test-"));
  process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
  return folder;
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

export const reference = {
  name: "reference",
  start: (env = {}) => new ServerProcess(process.execPath, [path.join(TESTS, "lib/reference-app.mjs")], { env }).ready(),
};

export const servers = [skua, reference].filter(({ name }) => chosen.includes(name));
export const skuaIsTested = chosen.includes("skua");
