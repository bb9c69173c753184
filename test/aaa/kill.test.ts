/**
 * The promise of the HSS under SIGKILL: no sequence number is used twice, and no subscriber is locked out.
 */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { Subscribers } from "../../src/aaa/hss/subscribers.ts";
import { makeTables } from "../../src/aaa/tables.ts";
import type { Bytes } from "../../src/bytes/bytes.ts";
import { xor } from "../../src/eap/akaFunctions.ts";
import { milenage } from "../../src/eap/milenage.ts";
import { checkSqn, newSqnArray, SQN_DEFAULTS, sqnFromBytes } from "../../src/eap/sqn.ts";
import { Code } from "../../src/radius/codec/numbers.ts";
import { RadiusRequester, RadiusUnansweredError } from "../../src/radius/transport/requester.ts";
import { World } from "../../src/sim/world.ts";
import { SqliteDatabase } from "../../src/store/sqlite.ts";
import { HostingParty, OPC } from "./made.ts";
import { authenticateByRadius, Place, REAL, SECRET } from "./served.ts";

const SUBSCRIBERS = 10;
const ROUNDS = 10;

test("the AAA server killed by SIGKILL again and again during 100 authentications reuses no SQN and locks nobody out", async () => {
  await using ends = new AsyncDisposableStack();
  const place = new Place(ends, {
    radius: {
      authentication: [{ address: "127.0.0.1", port: 0 }],
      clients: [{ name: "segw", block: "127.0.0.1", secretFile: "secret" }],
    },
    policy: { unknownDevices: "allow", hostingPartyBinding: "off" },
    // Every authentication takes a vector.
    eap: { maxReauthentications: 0, pseudonyms: false },
  });
  const parties = await provision(`${place.folder}/aaa.sqlite`);

  let server = await startServer(place.file, ends);
  let challenges = 0;
  let kills = 0;
  let authenticated = 0;
  const work = async (party: WatchedParty) => {
    for (let round = 0; round < ROUNDS; ) {
      const { requester } = server;
      try {
        const { packet } = await authenticateByRadius(requester, party, []);
        assert.equal(packet.code, Code.AccessAccept);
        authenticated += 1;
        round += 1;
      } catch (error) {
        // The server died under it, or the one after it does not know the conversation: the device tries again.
        if (!(error instanceof RadiusUnansweredError)) throw error;
        await server.restarted;
      }
    }
  };
  for (const party of parties)
    party.onChallenge = () => {
      challenges += 1;
      // Killed with vectors on their way, some sent and some not.
      if (challenges % 17 === 0 && kills < 5) {
        kills += 1;
        const dying = server;
        let up = () => {};
        dying.restarted = new Promise((resolve) => {
          up = resolve;
        });
        dying.child.kill("SIGKILL");
        void once(dying.child, "exit").then(async () => {
          server = await startServer(place.file, ends);
          dying.requester.close();
          up();
        });
      }
    };
  await Promise.all(parties.map(work));
  assert.equal(authenticated, SUBSCRIBERS * ROUNDS);
  assert.equal(kills, 5);
  for (const { sqns } of parties) {
    assert.equal(new Set(sqns).size, sqns.length, "a sequence number was used twice");
    // A USIM that saw them in this order accepted each: no AUTS was needed.
    let array = newSqnArray(SQN_DEFAULTS);
    for (const sqn of sqns) {
      const verdict = checkSqn(array, sqn, SQN_DEFAULTS);
      assert.ok(verdict.accepted, "a sequence number was not fresh");
      array = verdict.array;
    }
  }
});

/** A hosting party that notes the SQN of each challenge. */
class WatchedParty extends HostingParty {
  readonly sqns: number[] = [];
  onChallenge = () => {};

  constructor(world: World, imsi: string, k: Bytes) {
    super(world, { imsi, k });
    const functions = milenage(k, OPC);
    this.card.override = ({ rand, autn }) => {
      this.sqns.push(sqnFromBytes(xor(autn.subarray(0, 6), functions.f2345(rand).ak)));
      this.onChallenge();
      return undefined;
    };
  }
}

async function provision(file: string): Promise<WatchedParty[]> {
  const world = new World("kill", { loss: 0, duplicate: 0, delay: [1, 1] });
  const database = new SqliteDatabase(file);
  await makeTables(database);
  const subscribers = new Subscribers(database);
  const parties: WatchedParty[] = [];
  for (let index = 0; index < SUBSCRIBERS; index++) {
    const imsi = `00101000000000${index}`;
    const k = world.random.bytes(16);
    await subscribers.add({ imsi, algorithm: "milenage", k, opc: OPC });
    parties.push(new WatchedParty(world, imsi, k));
  }
  await database.close();
  return parties;
}

interface RunningServer {
  child: ChildProcess;
  requester: RadiusRequester;
  /** Resolves when the one after it is up. */
  restarted: Promise<void>;
}

async function startServer(file: string, ends: AsyncDisposableStack): Promise<RunningServer> {
  const main = new URL("../../src/cli/main.ts", import.meta.url).pathname;
  const child = spawn(process.execPath, [main, "aaa", "serve", file], { stdio: ["ignore", "pipe", "inherit"] });
  ends.defer(async () => void child.kill("SIGKILL"));
  const lines = createInterface({ input: child.stdout! });
  const port = await new Promise<number>((resolve, reject) => {
    lines.on("line", (line) => {
      const { event, radius } = JSON.parse(line) as { event: string; radius?: number[] };
      if (event === "listening") resolve(radius![0]!);
    });
    child.once("exit", () => reject(new Error("the server ended before it listened")));
  });
  const requester = new RadiusRequester({
    ...REAL,
    servers: [{ name: "aaa", transport: "udp", address: "127.0.0.1", port, secret: Buffer.from(SECRET) }],
    // Long enough for a busy machine; a killed server's requests end when its successor is there.
    timers: { first: 2_000, attempts: 4 },
    onEvent: () => {},
  });
  ends.defer(async () => requester.close());
  return { child, requester, restarted: Promise.resolve() };
}
