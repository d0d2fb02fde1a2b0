// The recorded WebSocket exchanges of vectors/transcripts.json, replayed message by message.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { WebSocket } from "ws";
import { rawSuite } from "../lib/table.mjs";
import { gather, next } from "../lib/wait.mjs";

const { cases, count } = JSON.parse(readFileSync(new URL("vectors/transcripts.json", import.meta.url)));

const left = { recovery: /^recovery: / };
const isLeftOut = ({ about }) => Object.values(left).some((pattern) => pattern.test(about));

// Recovery is off here, and was on there.
function expectedText(line) {
  return line.replaceAll(',"pid":"<20 chars>"', "").replaceAll(',"<offset>"', "");
}

function maskedText(text) {
  return text.replace(/"sid":"[\w-]{20}"/g, '"sid":"<20 chars>"');
}

function bytesOf(line) {
  return typeof line === "string" ? line : Buffer.from(line.$hex, "hex");
}

rawSuite("recorded exchanges", { LEGACY: "on" }, (context) => {
  for (const { about, query, lines } of cases.filter((one) => !isLeftOut(one))) {
    it(about, async () => {
      const socket = new WebSocket(`${context.server.url.replace("http", "ws")}/socket.io/?${query}`);
      const came = gather(socket, "message");
      const closed = next(socket, "close");
      await next(socket, "open");
      let taken = 0;
      for (const line of lines) {
        if (line.client !== undefined) {
          socket.send(bytesOf(line.client));
        } else if (line.server !== undefined) {
          const [data, isBinary] = (await came.take(taken + 1))[taken++];
          if (typeof line.server === "string") {
            assert.equal(isBinary, false);
            assert.equal(maskedText(data.toString()), expectedText(line.server));
          } else {
            assert.deepEqual(data, bytesOf(line.server));
          }
        } else {
          const [code, reason] = await closed;
          assert.deepEqual({ code, reason: reason.toString() }, line.closed);
        }
      }
      assert.equal(came.all.length, taken);
      socket.terminate();
    });
  }
});

describe("the recorded exchanges", () => {
  it("are all replayed but those of options to come", () => {
    assert.equal(cases.length, count);
    assert.equal(cases.filter(isLeftOut).length, 1);
  });
});
