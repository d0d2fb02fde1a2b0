// Long-polling as no client library would do it.
import assert from "node:assert/strict";
import { it } from "node:test";
import { PollingSession, Raw, send } from "../lib/raw.mjs";
import { rawSuite } from "../lib/table.mjs";
import { until } from "../lib/wait.mjs";

const LIMIT = 10_000; // bytes
const UNKNOWN = '{"code":1,"message":"Session ID unknown"}';

rawSuite("polling", { MAX_PAYLOAD: LIMIT }, (context) => {
  const open = () => new PollingSession(context.server).open();

  // Why the server says that the socket of this id left.
  async function reasonOf(id) {
    const witness = await open();
    await witness.join();
    for (;;) {
      await witness.post(`420["goodbye","${id}"]`);
      const { body } = await witness.poll();
      const [goodbye] = JSON.parse(body.replace(/^430/, ""));
      if (goodbye) return goodbye.disconnect;
    }
  }

  async function joined() {
    const session = await open();
    const answer = await session.join();
    return { session, id: JSON.parse(answer.split("\x1e")[0].slice(2)).sid };
  }

  async function isGone(session) {
    await until(async () => (await session.post("3")).body === UNKNOWN, "the session is gone");
  }

  const get = (session) => `GET ${session.target} HTTP/1.1\r\nHost: a\r\n\r\n`;
  const post = (session, length, more = "") =>
    `POST ${session.target} HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain;charset=UTF-8\r\n${more}Content-Length: ${length}\r\n\r\n`;

  it("answers a poll at once if something waits, and else when something comes", async () => {
    const { session } = await joined();
    const pending = session.poll();
    assert.equal((await session.post('42["message",1]')).body, "ok");
    assert.equal((await pending).body, '42["message-back",1]');
    await session.post('42["message",2]\x1e42["message",3]');
    assert.equal((await session.poll()).body, '42["message-back",2]\x1e42["message-back",3]');
  });

  it("closes a session with two polls at once: the second gets 400, the first a close packet", async () => {
    const { session, id } = await joined();
    const first = new Raw(context.server).write(get(session));
    // The first poll has arrived when the server has answered something sent behind it on the same way.
    await session.post('42["message",1]');
    await first.until(/message-back/);
    first.destroy();
    const pending = new Raw(context.server).write(get(session));
    await new Promise((resolve) => pending.socket.once("connect", resolve));
    await session.post("3"); // a round trip later the poll is there
    const second = await session.poll();
    assert.deepEqual([second.status, second.body], [400, ""]);
    await pending.until(/\r\n\r\n1$/);
    assert.match(pending.text, /^HTTP\/1\.1 200 OK\r\n/);
    await isGone(session);
    assert.equal(await reasonOf(id), "transport error");
  });

  it("closes a session with two POSTs at once", async () => {
    const { session, id } = await joined();
    const half = new Raw(context.server).write(post(session, 100) + "4");
    await new Promise((resolve) => half.socket.once("connect", resolve));
    const second = await until(async () => {
      const answer = await session.post("3");
      return answer.status === 400 ? answer : null;
    }, "the first POST has begun");
    assert.ok(["", UNKNOWN].includes(second.body));
    await half.untilClosed();
    assert.equal(half.text, "");
    assert.equal(await reasonOf(id), "transport error");
  });

  it("refuses a body of octets, and closes the session", async () => {
    const { session, id } = await joined();
    const answer = await session.post("4", { "content-type": "application/octet-stream" });
    assert.deepEqual([answer.status, answer.body], [400, ""]);
    await isGone(session);
    assert.equal(await reasonOf(id), "transport error");
  });

  it("takes every other content type as text", async () => {
    const { session } = await joined();
    for (const type of ["application/octet-stream; x", "application/json", "image/png"]) {
      assert.equal((await session.post('42["message",1]', { "content-type": type })).body, "ok");
      assert.equal((await session.poll()).body, '42["message-back",1]');
    }
    assert.equal((await send(context.server, { method: "POST", path: session.target, body: '42["message",2]' })).body, "ok");
    assert.equal((await session.poll()).body, '42["message-back",2]');
  });

  it("takes a body of exactly the limit, and refuses a larger one while the session lives on", async () => {
    const { session } = await joined();
    const around = '42["message",""]'.length;
    const text = "x".repeat(LIMIT - around);
    assert.equal((await session.post(`42["message","${text}"]`)).body, "ok");
    assert.equal((await session.poll()).body, `42["message-back","${text}"]`);
    for (const size of [LIMIT + 1, 50 * LIMIT]) {
      const answer = await session.post("4".repeat(size)).catch((error) => ({ status: error.code }));
      assert.ok([413, "EPIPE", "ECONNRESET"].includes(answer.status), String(answer.status));
    }
    assert.equal((await session.post('42["message",1]')).body, "ok");
    assert.equal((await session.poll()).body, '42["message-back",1]');
    if (context.name !== "skua") return;
    const lines = await context.server.logged(/payload too large/, 2);
    assert.match(lines[0], new RegExp(`session=\\S+.*size=${LIMIT + 1} limit=${LIMIT}`));
  });

  it("counts a chunked body by its bytes", async () => {
    const { session } = await joined();
    const chunked = (chunks) => chunks.map((text) => `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`).join("") + "0\r\n\r\n";
    const head = `POST ${session.target} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n`;
    const good = new Raw(context.server).write(head + chunked(['42["mess', 'age",', "1]"]));
    await good.until(/ok$/);
    assert.equal((await session.poll()).body, '42["message-back",1]');
    const large = new Raw(context.server).write(head + chunked(Array(11).fill("4".repeat(1000))));
    await large.until(/\r\n\r\n/);
    assert.match(large.text, /^HTTP\/1\.1 413 /);
    assert.equal((await session.post('42["message",2]')).body, "ok");
    good.destroy();
    large.destroy();
  });

  for (const method of ["PUT", "DELETE", "PATCH", "HEAD", "PROPFIND"]) {
    it(`answers ${method} with 500, and the session lives on`, async () => {
      const { session } = await joined();
      assert.equal((await send(context.server, { method, path: session.target })).status, 500);
      assert.equal((await session.post('42["message",1]')).body, "ok");
      assert.equal((await session.poll()).body, '42["message-back",1]');
    });
  }

  for (const [what, body] of Object.entries({
    "an empty body": "",
    "an unknown packet": "x",
    "a separator at the end": "3\x1e",
    "a separator at the start": "\x1e3",
    "two separators": "3\x1e\x1e3",
  })) {
    it(`closes a session over ${what}`, async () => {
      const { session, id } = await joined();
      assert.equal((await session.post(body)).body, "ok");
      await isGone(session);
      assert.equal(await reasonOf(id), "parse error");
    });
  }

  it("closes a session over a faulty packet behind a good one", async () => {
    const { session, id } = await joined();
    assert.equal((await session.post("3\x1e41\x1ex\x1e40")).body, "ok");
    await isGone(session);
    // The reference looks at the good one only after the payload: too late.
    assert.match(await reasonOf(id), context.name === "skua" ? /^client namespace disconnect$/ : /^parse error$/);
  });

  it("closes a session whose client sends a ping", async () => {
    const { session, id } = await joined();
    await session.post("2");
    await isGone(session);
    assert.equal(await reasonOf(id), "transport error");
  });

  it("closes at the client's close packet: a pending poll gets a noop, what follows it is ignored", async () => {
    const { session, id } = await joined();
    const pending = session.poll();
    assert.equal((await session.post('1\x1e42["everybody","late"]')).body, "ok");
    assert.equal((await pending).body, "6");
    await isGone(session);
    assert.equal(await reasonOf(id), "transport close");
  });

  it("closes a session whose client drops its poll", async () => {
    const { session, id } = await joined();
    const pending = new Raw(context.server).write(get(session));
    await new Promise((resolve) => pending.socket.once("connect", resolve));
    await session.post("3");
    pending.destroy();
    await isGone(session);
    assert.equal(await reasonOf(id), "transport error");
  });

  it("closes a session whose client drops a POST half-way", async () => {
    const { session, id } = await joined();
    const half = new Raw(context.server).write(post(session, 1000) + '42["message"');
    await new Promise((resolve) => half.socket.once("connect", resolve));
    await session.post("3").catch(() => {});
    half.destroy();
    assert.match(await reasonOf(id), /^transport error$/);
  });

  it("sends binary as base64, and takes it leniently", async () => {
    const { session } = await joined();
    const event = '451-["message",{"_placeholder":true,"num":0}]';
    for (const [text, back] of Object.entries({ "bAQID": "bAQID", "bAQ": "bAQ==", "b_-8=": "b/+8=", "bA Q\nI D": "bAQID", b: "b" })) {
      await session.post(`${event}\x1e${text}`);
      assert.equal((await session.poll()).body, `451-["message-back",{"_placeholder":true,"num":0}]\x1e${back}`);
    }
  });

  it("takes what is no UTF-8 as replacement characters", async () => {
    const { session } = await joined();
    await session.post(Buffer.concat([Buffer.from('42["message","a'), Buffer.from([0xff, 0xc3]), Buffer.from('b"]')]));
    assert.equal((await session.poll()).body, '42["message-back","a\ufffd\ufffdb"]');
  });

  it("takes two requests on one connection, one behind the other", async () => {
    const { session } = await joined();
    const body = '42["message",1]';
    const raw = new Raw(context.server).write(post(session, body.length) + body + get(session));
    await raw.until(/message-back",1\]$/);
    assert.match(raw.text, /^HTTP\/1\.1 200 OK\r\n[^]*ok(?=HTTP)/);
    raw.destroy();
  });

  it("adds a header for old Internet Explorers", async () => {
    const { session } = await joined();
    for (const agent of ["Mozilla/4.0 (compatible;MSIE 8.0)", "Mozilla/5.0 (Trident/7.0)"]) {
      const answer = await session.post("3", { "user-agent": agent });
      assert.equal(answer.headers["x-xss-protection"], "0");
    }
    assert.equal((await session.post("3")).headers["x-xss-protection"], undefined);
  });
});
