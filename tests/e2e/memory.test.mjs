// Memory: what 4,000 connections took is back with the system soon after they have left, round after round.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { it } from "node:test";
import WebSocket from "ws";
import { skuaIsTested, startSkuaText } from "../lib/servers.mjs";
import { next, until } from "../lib/wait.mjs";

const CONNECTIONS = 4_000;
const ROUNDS = 1;
const SLACK = 800_000; // bytes: what a server that has worked keeps, whatever the number of its clients
const GIVEN_BACK = 30_000; // ms; the server looks every 5 s

function resident(pid) {
  return Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))[1]) * 1024;
}

async function connect(server) {
  const ws = new WebSocket(`ws://127.0.0.1:${server.port}/socket.io/?EIO=4&transport=websocket`);
  await next(ws, "message", 30_000);
  ws.send("40/chat,");
  await next(ws, "message", 30_000);
  return ws;
}

it("goes back when a crowd has left", { skip: !skuaIsTested && "skua is not tested" }, async (t) => {
  const crowd = [];
  const server = await startSkuaText('listen "127.0.0.1:0"\nlocal chat = namespace "/chat"\n');
  t.after(() => {
    for (const ws of crowd) ws.terminate();
    return server.stop();
  });
  const before = resident(server.pid);
  for (let round = 0; round < ROUNDS; round++) {
    for (let i = 0; i < CONNECTIONS; i += 100)
      crowd.push(...(await Promise.all(Array.from({ length: 100 }, () => connect(server)))));
    const full = resident(server.pid);
    assert.ok(full - before > SLACK, `a crowd takes memory: ${full - before} bytes`);
    for (const ws of crowd.splice(0)) ws.terminate();
    await until(() => resident(server.pid) - before < SLACK, "memory is back", GIVEN_BACK);
  }
});
