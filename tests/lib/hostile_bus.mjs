// Messages that no server of a cluster would send: on the channels and streams of each adapter, by hand.
import { encode } from "notepack.io";

const json = (value) => Buffer.from(JSON.stringify(value));
const packet = (data, more = {}) => ({ type: 2, data, nsp: "/room", ...more });
const options = { rooms: [], except: [], flags: {} };
const deep = (depth) => Buffer.concat([Buffer.alloc(depth, 0x91), Buffer.from([0xc0])]);

// Bytes that are no message of any adapter.
const junk = [
  Buffer.alloc(0),
  Buffer.from([0xc1]),
  Buffer.from("{"),
  Buffer.from("{}"),
  Buffer.from("[]"),
  Buffer.from("null"),
  Buffer.from('{"type":3,"data":'),
  Buffer.from("[".repeat(100_000)),
  Buffer.from('{"a":'.repeat(50_000)),
  Buffer.from([0xdd, 0xff, 0xff, 0xff, 0xff]), // an array of 4 billion
  Buffer.from([0xdf, 0xff, 0xff, 0xff, 0xff]), // a map
  Buffer.from([0xc6, 0xff, 0xff, 0xff, 0xff]), // bytes
  Buffer.from([0xdb, 0xff, 0xff, 0xff, 0xff, 0x61]), // a string
  Buffer.from([0x93, 0xa6, 0x61]),
  Buffer.from([0x93, 0xc3, 0x83, 0xa4]),
  deep(100),
  deep(100_000),
  Buffer.alloc(1_000_000, 0xff),
  Buffer.from([0x83, 0xa4, 0xff, 0xfe, 0xfd, 0xfc, 0xc0, 0xc0, 0xc0, 0xc0, 0xc0]),
  ...[0, 1, -1, 1.5, "text", true, null, [], {}, [null, null, null], [1, 2, 3, 4]].map((value) => encode(value)),
];

// Values in the places of an event's array that clients must never be sent.
const badEvents = [undefined, null, 5, "text", {}, [], [null], [{}], [[]], [true], ["connect", 1], ["disconnect"], ["connect_error"]];
const badOptions = [null, 5, [], {}, { rooms: null }, { rooms: 5, except: 5 }, { rooms: [{}], except: [[]], flags: 7 }, { rooms: { 0: "red" }, except: [], flags: {} }];
// What is wrong whatever the event is.
const badPackets = [null, 5, [], packet(["x"], { type: 0 }), packet(["x"], { type: 1 }), packet(["x"], { type: 3 }), packet(["x"], { type: 99 }), packet(["x"], { type: "2" }), packet(["x"], { nsp: 5 })];

const ids = [undefined, null, 5, "", {}, "x".repeat(100_000)];

function classic(nsp) {
  const broadcasts = [
    ...badEvents.map((data) => ["forger", packet(data), options]),
    ...badOptions.map((opts) => ["forger", packet(["forged-options"]), opts]),
    ...badPackets.map((one) => ["forger", one, options]),
    [null, packet(["forged-uid"]), options],
    ["forger", packet(["forged-short"])],
    ["forger"],
  ];
  const requests = [];
  for (let type = -1; type <= 11; type++) {
    requests.push({ type }, { type, uid: "forger" }, { type, uid: "forger", requestId: "r" });
    for (const id of ids) requests.push({ type, uid: id, requestId: id });
    for (const opts of badOptions) requests.push({ type, uid: "forger", requestId: "r", opts, rooms: opts?.rooms, packet: packet(["forged"]), data: 5 });
    for (const data of badEvents) requests.push({ type, uid: "forger", requestId: "r", opts: { rooms: ["nobody"], except: [] }, data, packet: data, sid: 5, room: {}, close: "yes" });
  }
  const responses = [];
  for (const requestId of ids)
    for (const more of [{}, { sockets: 5 }, { sockets: [null, 5, {}] }, { rooms: "x" }, { type: 8, clientCount: -1 }, { type: 8, clientCount: 1e300 }, { type: 9, packet: null }, { type: 6, data: {} }])
      responses.push({ requestId, ...more });
  return [
    ...[...junk, ...broadcasts.map(encode)].flatMap((bytes) => [[`socket.io#${nsp}#`, bytes], [`socket.io#${nsp}#red#`, bytes]]),
    ...[...junk, ...requests.map(json), ...requests.map((one) => encode(one))].map((bytes) => [`socket.io-request#${nsp}#`, bytes]),
    ...[...junk, ...responses.map(json), ...responses.map((one) => encode(one))].map((bytes) => [`socket.io-response#${nsp}#`, bytes]),
    [`socket.io#${nsp}`, Buffer.from("x")],
    [`socket.io#${nsp}#${"r".repeat(100_000)}#`, encode(["forger", packet(["long"]), options])],
  ];
}

// Messages of the newer form, which sharded and streams share.
function clusterMessages(nsp) {
  const messages = [];
  for (let type = -1; type <= 15; type++) {
    messages.push({ type }, { type, uid: "forger", nsp }, { type, uid: "forger", nsp, data: 5 }, { type: String(type), uid: "forger", nsp, data: {} });
    for (const requestId of ids) messages.push({ type, uid: "forger", nsp, data: { requestId, clientCount: -1, sockets: [null], packet: null } });
    for (const opts of badOptions) messages.push({ type, uid: "forger", nsp, data: { packet: { type: 2, data: ["forged-options"] }, opts, rooms: [5, null], close: 7 } });
  }
  for (const data of badEvents) messages.push({ type: 3, uid: "forger", nsp, data: { packet: { type: 2, data }, opts: options } });
  for (const one of badPackets) messages.push({ type: 3, uid: "forger", nsp, data: { packet: one, opts: options } });
  for (const uid of [null, 5, {}, "", "#", "x".repeat(10_000)])
    messages.push({ type: 7, uid, nsp, data: { opts: options, requestId: "r" } }, { type: 9, uid, nsp, data: { packet: ["note"], requestId: "r" } });
  return messages;
}

// Has Redis carry all of it; gives how many messages that were. A forged event that is well formed reaches clients as
// any server's would: all those have names that begin with "forged", or are of no meaning.
export async function attack(redis, adapter, nsp) {
  const client = await redis.client();
  const send = (...args) => client.sendCommand(args);
  try {
    const sent = [];
    if (adapter === "pubsub") for (const [channel, bytes] of classic(nsp)) sent.push(send("PUBLISH", channel, bytes));
    else {
      const messages = clusterMessages(nsp);
      const all = [...junk, ...messages.map(json), ...messages.map((one) => encode(one))];
      const publish = adapter === "sharded" ? "SPUBLISH" : "PUBLISH";
      for (const bytes of all) for (const channel of [`socket.io#${nsp}#`, `socket.io#${nsp}#red#`]) sent.push(send(publish, channel, bytes));
      if (adapter === "streams") {
        const add = (...fields) => sent.push(send("XADD", "socket.io", "*", ...fields));
        for (const bytes of junk) add("uid", "forger", "nsp", nsp, "type", "3", "data", bytes);
        for (const bytes of junk) add("uid", "forger", "nsp", nsp, "type", "3", "data", bytes.toString("base64"));
        for (const { type, data } of messages) add("uid", "forger", "nsp", nsp, "type", String(type), "data", data === undefined ? "" : JSON.stringify(data));
        for (const { data } of messages) if (data) add("uid", "forger", "nsp", nsp, "type", "3", "data", encode(data).toString("base64"));
        add("nsp", nsp);
        add("nsp", nsp, "type", "3");
        add("type", "3", "data", "{}");
        add("x", "y", "x", "y");
        add("nsp", nsp, "type", "99999999999999999999", "data", "{}");
      }
    }
    return (await Promise.all(sent)).length;
  } finally {
    await client.disconnect();
  }
}
