// Each test runs for every server and, unless it says otherwise, in every way to connect.
import { after, afterEach, before, beforeEach, describe } from "node:test";
import { Clients, modes } from "./clients.mjs";
import { servers } from "./servers.mjs";

// suite("events", { PING_INTERVAL: 200 }, (context) => { it(…) }): context.server is the running server, of which
// context.clients makes clients; context.mode and context.name tell which.
export function suite(title, env, body, chosenModes = modes, chosenServers = servers) {
  for (const under of chosenServers) {
    describe(`${under.name}: ${title}`, () => {
      const context = { name: under.name };
      // once more, for a test that ended the server
      context.restart = async () => {
        context.server = await under.start(env);
      };
      before(context.restart);
      for (const mode of chosenModes) {
        describe(mode.name, () => {
          const own = Object.create(context, { mode: { value: mode } });
          beforeEach(() => {
            own.clients = new Clients(context.server.url, mode);
          });
          afterEach(() => own.clients.close());
          body(own);
        });
      }
      after(() => context.server.stop());
    });
  }
}

// Tests that speak HTTP or frames themselves, and so have one way to connect.
export function rawSuite(title, env, body, chosenServers = servers) {
  for (const under of chosenServers) {
    describe(`${under.name}: ${title}`, () => {
      const context = { name: under.name };
      context.restart = async () => {
        context.server = await under.start(env);
      };
      before(context.restart);
      body(context);
      after(() => context.server.stop());
    });
  }
}
