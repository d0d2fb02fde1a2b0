// skua.lua(5) is complete: every key of the configuration and every name that Lua sees is described in it, and its
// examples are good. The names are read from the tables of the source, so that a new one cannot be forgotten.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { ROOT, SKUA, scratch } from "../lib/servers.mjs";

const page = readFileSync(path.join(ROOT, "packaging/man/skua.lua.5"), "utf8");
const lines = page.split("\n");

function sources(folder) {
  return readdirSync(path.join(ROOT, folder))
    .filter((name) => name.endsWith(".c"))
    .map((name) => [name, readFileSync(path.join(ROOT, folder, name), "utf8")]);
}

// The first group of every match, each once.
function names(folder, pattern) {
  const found = sources(folder).flatMap(([, text]) => [...text.matchAll(pattern)].map((match) => match[1]));
  return [...new Set(found)].sort();
}

function undescribed(wanted, heading) {
  return wanted.filter((name) => !lines.some((line) => heading(name).test(line)));
}

const escaped = (name) => name.replaceAll(/[*.]/g, "\\$&");

test("every key of a statement has an entry", () => {
  const keys = names("src/config", /\{\s*"(\w+)",\s*CFG_[A-Z]+\s*,/g);
  assert.ok(keys.length >= 25, `only ${keys.length} keys were found: has the form of the tables changed?`);
  assert.deepEqual(undescribed(keys, (key) => new RegExp(`^\\.It Cm ${key} No =`)), []);
});

test("the page names no key that does not exist", () => {
  const keys = new Set(names("src/config", /\{\s*"(\w+)",\s*CFG_[A-Z]+\s*,/g));
  const described = lines.map((line) => /^\.It Cm (\w+) No =/.exec(line)?.[1]).filter(Boolean);
  assert.deepEqual(described.filter((key) => !keys.has(key)), []);
});

test("every statement has a section", () => {
  const [, list] = /cfg_statement_names\[\] = \{([^}]*)\}/.exec(sources("src/config").find(([name]) => name === "statements.c")[1]);
  const statements = [...list.matchAll(/"(\w+)"/g)].map((match) => match[1]);
  assert.equal(statements.length, 13);
  assert.deepEqual(undescribed(statements, (name) => new RegExp(`^\\.Ss ${name}$`)), []);
});

test("every function and method that Lua sees has an entry", () => {
  const listed = names("src/script", /^\s*\{"([a-z]\w*)",\s*[a-z]\w*\s*\},$/gm);
  const registered = names("src/script", /lua_register\(L, "(\w+)"/g);
  const declared = names("src/config", /^\s*\{"([a-z]\w*)",\s*object_\w+\s*\},$/gm);
  const single = ["from_base64"];
  // The standard library's, under limits that the page tells.
  const standard = new Set(["setmetatable", "collectgarbage", "next", "rawlen", "rawget", "rawset"]);
  const functions = [...new Set([...listed, ...registered, ...declared, ...single])].filter((name) => !standard.has(name));
  const fields = new Set(names("src/script", /^\s*\{"(\w+)",\s*get_\w+\s*\},$/gm));
  assert.ok(functions.length >= 45, `only ${functions.length} names were found`);
  assert.deepEqual(
    undescribed(functions, (name) =>
      fields.has(name) ? new RegExp(`^\\.It Va socket\\.${name}$`) : new RegExp(`^\\.It Fn (\\w+[.:])?${name}( |$)`)),
    [],
  );
  for (const name of standard) assert.ok(page.includes(`.Fn ${name}`), name);
});

test("every part of a handshake has an entry", () => {
  const text = sources("src/script").find(([name]) => name === "handshake.c")[1];
  const body = text.slice(text.indexOf("void script_push_handshake"));
  const parts = [...body.matchAll(/lua_setfield\(L, -2, "(\w+)"\)/g)].map((match) => match[1]);
  assert.equal(parts.length, 9);
  assert.deepEqual(undescribed(parts, (name) => new RegExp(`^\\.It Va ${name}$`)), []);
});

test("every event of the server's own and every reason of a disconnect is named", () => {
  const own = names("src/script", /\{STR\("([\w*]+)"\),\s*&nsp->\w+\s*\}/g);
  assert.deepEqual(own, ["*", "connection", "disconnect", "disconnecting", "error"]);
  assert.deepEqual(undescribed(own, (name) => new RegExp(`^\\.It Li ${escaped(name)}$`)), []);
  const reasons = [
    ...names("src/engineio", /\[EIO_[A-Z_]+\] = "([a-z ]+)"/g),
    ...names("src/socketio", /\[SIO_[A-Z_]+\] = "([a-z ]+)"/g),
  ];
  assert.ok(reasons.length >= 6, `${reasons.length} reasons`);
  assert.deepEqual(reasons.filter((reason) => !page.includes(`.Dq ${reason}`)), []);
});

test("skua check finds the examples good", () => {
  const examples = [...page.matchAll(/^\.Bd -literal -offset indent\n([^]*?)^\.Ed$/gm)]
    .map((match) => match[1])
    .filter((text) => text.startsWith("listen "));
  assert.ok(examples.length >= 4);
  for (const text of examples) {
    const file = path.join(scratch(), "example.lua");
    writeFileSync(file, text.replaceAll("\\e", "\\"));
    const { status, stderr } = spawnSync(SKUA, ["check", file], { encoding: "utf8" });
    assert.equal(status, 0, stderr);
  }
});
