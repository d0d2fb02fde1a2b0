// The recorded requests of vectors/http.json, replayed: status, headers and bodies are the reference's.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { gunzipSync } from "node:zlib";
import { PollingSession, Raw, send } from "../lib/raw.mjs";
import { reference, servers, skua } from "../lib/servers.mjs";
import { rawSuite } from "../lib/table.mjs";

const { cases, count } = JSON.parse(readFileSync(new URL("vectors/http.json", import.meta.url)));

// "…aaa...(2016 characters)" stands for the whole text.
function whole(text) {
  const short = /^(.*?)(.)\2*\.\.\.\((\d+) characters?\)(.*)$/s.exec(text ?? "");
  if (!short) return text;
  const [, before, filler, length] = short;
  const after = before.startsWith("42[") ? '"]' : "";
  return before + filler.repeat(Number(length) - before.length - after.length) + after;
}

// Recovery is off here, and was on there.
function withoutRecovery(body) {
  const legacy = /^(2:40)?\d+:(42\[.*),"<offset>"\]$/s.exec(body); // lengths of protocol 3 count the offset
  if (legacy) return `${legacy[1] ?? ""}${legacy[2].length + 1}:${legacy[2]}]`;
  return body.replaceAll(',"pid":"<20 chars>"', "").replaceAll(',"<offset>"', "");
}

function masked(body) {
  return body
    .replace(/"sid(\\?)":(\\?)"[\w-]{20}(\\?)"/g, '"sid$1":$2"<20 chars>$3"')
    .replace(/Date: [^\r]+/, "Date: <date>");
}

const profiles = {
  default: { LEGACY: "on", SERVE_CLIENT: "on", HTTP_COMPRESSION: "on" },
  alt: { ENGINE_PATH: "/rt/", CORS: "off", COOKIE: "on", DENY: "on" },
};

function isOf(profile) {
  return ({ profile: own }) => own === profile;
}

function checkAnswer(answer, expected) {
  const body = withoutRecovery(expected.body);
  const headers = { ...expected.headers };
  if (headers["set-cookie"]) {
    const sid = /"sid":"([\w-]{20})"/.exec(answer.body)[1];
    headers["set-cookie"] = headers["set-cookie"][0].replace("<sid>", sid);
  }
  if (body !== expected.body) headers["content-length"] = String(Buffer.byteLength(answer.body));
  assert.equal(answer.status, expected.status);
  if (body === "(gzip)") assert.match(gunzipSync(answer.bytes).toString(), /^42\["message-back","a{2000}a*"\]$/);
  else assert.equal(masked(answer.body), body);
  assert.deepEqual(answer.headers, headers);
  if (answer.headers["content-length"])
    assert.equal(answer.headers["content-length"], String(Buffer.byteLength(answer.body)));
}

function openSession(server, path) {
  return new PollingSession(server, path.replace("&sid=$sid", "").replace("transport=websocket", "transport=polling")).open();
}

// Requests of one session belong together; the session is made at its first.
async function replay(context, sessions, { session, request }) {
  if (session && !sessions[session]) sessions[session] = await openSession(context.server, request.path);
  const path = request.path.replace("$sid", sessions[session]?.sid);
  return send(context.server, { ...request, path, body: whole(request.body) });
}

for (const [profile, env] of Object.entries(profiles)) {
  rawSuite(`recorded requests, profile ${profile}`, env, (context) => {
    const sessions = {};
    for (const one of cases.filter(isOf(profile)).filter(({ request }) => request)) {
      it(`${one.session ? `session ${one.session}: ` : ""}${one.about}`, async () => {
        checkAnswer(await replay(context, sessions, one), one.response);
      });
    }

    for (const { about, raw, response, closed } of cases.filter(isOf(profile)).filter(({ raw: bytes }) => bytes)) {
      it(about, async () => {
        const connection = new Raw(context.server).write(raw);
        if (closed) await connection.untilClosed();
        else await connection.until(new RegExp(`^[^]{${response.length},}`));
        // The record has '?' for bytes that are no ASCII.
        assert.equal(masked(connection.text).replace(/[\x80-\xff]/g, "?"), response);
        assert.equal(connection.closed, closed);
        connection.destroy();
      });
    }
  });
}

describe("the recorded requests", () => {
  it("are all there", () => {
    assert.equal(cases.length, count);
    assert.deepEqual([...new Set(cases.map(({ profile }) => profile))].sort(), Object.keys(profiles).sort());
  });
});

describe("header names", { skip: servers.length < 2 && "needs both servers" }, () => {
  it("have the case and the order that the reference gives them", async () => {
    for (const [profile, env] of Object.entries(profiles)) {
      const both = [await skua.start(env), await reference.start(env)];
      const seen = [{}, {}];
      for (const one of cases.filter(isOf(profile)).filter(({ request }) => request)) {
        const [ours, theirs] = await Promise.all(both.map((server, i) => replay({ server }, seen[i], one)));
        const names = ({ rawHeaders }) => rawHeaders.map(([name]) => name);
        assert.deepEqual(names(ours), names(theirs), one.about);
      }
      await Promise.all(both.map((server) => server.stop()));
    }
  });
});
