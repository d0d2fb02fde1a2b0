// Connections of all that is wrong: what tests/tools/malformed.mjs does, fewer of them than by hand.
import { it } from "node:test";
import { skuaIsTested } from "../lib/servers.mjs";
import { malformed } from "../tools/malformed.mjs";

const CONNECTIONS = 2_000;

it("survives thousands of malformed connections, with its descriptors and its memory back", { skip: !skuaIsTested && "skua is not tested" }, async (t) => {
  t.diagnostic(JSON.stringify(await malformed(CONNECTIONS)));
});
