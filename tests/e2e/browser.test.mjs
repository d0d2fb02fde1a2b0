// A browser: a page of another origin loads the client from the server and talks to it, first by polling, then over
// WebSocket. Without Chromium there is no such test: CHROMIUM names the program if it is elsewhere.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { createServer } from "node:http";
import { after, before, describe, it } from "node:test";
import { chromium } from "playwright-core";
import { Certificates, ports } from "../lib/certificates.mjs";
import { scratch, skuaIsTested, startSkuaText } from "../lib/servers.mjs";

const PROGRAM = process.env.CHROMIUM ?? "/usr/bin/chromium";
const START_PATIENCE = 60_000; // ms; a browser has much to load, and more so on a busy machine
const PAGE_PATIENCE = 30_000; // ms

const FLAGS = [
  ...["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"],
  ...["--disable-component-update", "--disable-sync", "--ignore-certificate-errors"],
];

const program = (origin, certificates) => `
listen "127.0.0.1:0"
listen "127.0.0.1:0" { tls = ${certificates.lua("localhost")} }
cors { origins = { "${origin}" }, enforce = true }
engine { serve_client = true }
local root = namespace "/"
root:on("echo", function(_, ...) return ... end)
root:on("transport", function(socket) return socket.transport end)
`;

// A site whose pages load the client from the server that their query names.
async function startSite() {
  const site = createServer((request, response) => {
    const server = new URL(request.url, "http://localhost").searchParams.get("server");
    response.setHeader("content-type", "text/html; charset=utf-8");
    response.end(`<!doctype html><title>page</title>${server ? `<script src="${server}/socket.io/socket.io.js"></script>` : ""}`);
  });
  await new Promise((resolve) => site.listen(0, "127.0.0.1", resolve));
  return site;
}

// Runs in the page.
async function talk(server) {
  const socket = io(server, { reconnection: false });
  const ask = (...args) => new Promise((resolve) => socket.emit(...args, (...values) => resolve(values)));
  const echo = async () => {
    const [text, bytes] = await ask("echo", "Grüße 👋", new Uint8Array([0, 1, 127, 128, 255]));
    return { text, bytes: [...new Uint8Array(bytes)] };
  };
  try {
    const upgraded = new Promise((resolve) => {
      socket.io.on("open", () => socket.io.engine.once("upgrade", resolve));
    });
    await new Promise((resolve, reject) => {
      socket.once("connect", resolve);
      socket.once("connect_error", reject);
    });
    const first = await echo();
    await upgraded;
    const second = await echo();
    return { first, second, transport: socket.io.engine.transport.name, seen: await ask("transport") };
  } finally {
    socket.disconnect();
  }
}

// Runs in the page: how an attempt to connect ends.
async function attempt([server, transports]) {
  const socket = io(server, { reconnection: false, transports });
  return new Promise((resolve) => {
    socket.once("connect", () => resolve("connected"));
    socket.once("connect_error", (error) => resolve(error.message));
  }).finally(() => socket.disconnect());
}

const skip = (!skuaIsTested && "skua is not tested") || (!existsSync(PROGRAM) && `there is no ${PROGRAM} (Debian's package chromium)`);

describe("a browser", { skip }, () => {
  let site, server, browser, urls;
  const origin = (name) => `http://${name}:${site.address().port}`;

  before(async () => {
    site = await startSite();
    server = await startSkuaText(program(origin("127.0.0.1"), new Certificates().make("localhost")));
    const [port, securePort] = await ports(server, 2);
    urls = { http: `http://127.0.0.1:${port}`, https: `https://127.0.0.1:${securePort}` };
    const options = { executablePath: PROGRAM, args: FLAGS, timeout: START_PATIENCE };
    browser = await chromium.launchPersistentContext(scratch(), options);
  });

  after(async () => {
    await browser?.close();
    await server?.stop();
    site?.closeAllConnections();
    site?.close();
  });

  async function open(host, url) {
    const page = await browser.newPage();
    page.setDefaultTimeout(PAGE_PATIENCE);
    await page.goto(`${origin(host)}/?server=${encodeURIComponent(url)}`);
    return page;
  }

  for (const scheme of ["http", "https"]) {
    it(`talks over ${scheme}: polling first, WebSocket in the end`, { timeout: PAGE_PATIENCE * 2 }, async () => {
      const page = await open("127.0.0.1", urls[scheme]);
      const echo = { text: "Grüße 👋", bytes: [0, 1, 127, 128, 255] };
      const result = await page.evaluate(talk, urls[scheme]);
      assert.deepEqual(result, { first: echo, second: echo, transport: "websocket", seen: ["websocket"] });
      await page.close();
    });

    for (const [transport, message] of [
      ["polling", "xhr poll error"],
      ["websocket", "websocket error"],
    ]) {
      it(`is refused over ${scheme} by ${transport} when the page's origin is not listed`, { timeout: PAGE_PATIENCE * 2 }, async () => {
        const page = await open("localhost", urls[scheme]);
        assert.equal(await page.evaluate(attempt, [urls[scheme], [transport]]), message);
        await page.close();
      });
    }

    it(`is let in over ${scheme} by each transport alone when it is listed`, { timeout: PAGE_PATIENCE * 2 }, async () => {
      const page = await open("127.0.0.1", urls[scheme]);
      for (const transport of ["polling", "websocket"])
        assert.equal(await page.evaluate(attempt, [urls[scheme], [transport]]), "connected");
      await page.close();
    });
  }
});
