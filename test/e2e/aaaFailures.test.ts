/** An AAA server that dies, answers late or nonsense in the midst of a combined attachment: nothing hangs, nothing is left. */
import assert from "node:assert/strict";
import test, { after } from "node:test";
import { loadUsim } from "../../src/henb/loadUsim.ts";
import { type AaaClient, type AaaSession, type RelayedEap, unreachable } from "../../src/segw/aaa/client.ts";
import { UsimHostingParty } from "../../src/tre/usimHostingParty.ts";
import { IMSI, K, OPC, operator, RecordingGateway } from "../aaa/made.ts";
import { Credentials } from "./credentials.ts";
import { Ecosystem } from "./ecosystem.ts";

const credentials = new Credentials();
after(() => credentials[Symbol.dispose]());
const FOLDER = credentials.deviceFolder(credentials.issueDevice("ap-1.example"));
const GATEWAY = credentials.gateway();
const SECTION = {
  server: { protocol: "radius", servers: [{ name: "aaa", address: "127.0.0.1", secretFile: "secret" }] },
};

type Fault = (answer: RelayedEap) => RelayedEap | Promise<RelayedEap>;

/** An AAA server with its HSS, whose `nth` answer to EAP goes wrong once. */
async function attach(nth: number, fault: Fault) {
  const operated = await operator();
  const begun = new Set<string>();
  const ended: string[] = [];
  let answers = 0;
  const aaa: AaaClient = {
    authorize: async ({ id }) => {
      begun.add(id);
      return { kind: "accepted", secondRound: "required", grant: {} };
    },
    eap: async (session, packet) => {
      const answer = await askServer(operated.aaa, session, packet);
      return ++answers === nth ? fault(answer) : answer;
    },
    started: () => undefined,
    ended: async ({ id }) => void ended.push(id),
    close: async () => undefined,
  };
  const eco = new Ecosystem(credentials);
  const segw = eco.gateway({ aaa: SECTION }, GATEWAY, aaa);
  const usim = loadUsim({ imsi: IMSI, k: K, opc: OPC });
  const hostingParty = new UsimHostingParty(usim, eco.world.random);
  const henb = eco.device(FOLDER, { reconnect: { initial: "10s" } }, { hostingParty });
  await henb.start();
  return { eco, segw, henb, begun, ended };
}

async function askServer(
  aaa: Awaited<ReturnType<typeof operator>>["aaa"],
  { id, device, party, from }: AaaSession,
  packet: Buffer | undefined,
): Promise<RelayedEap> {
  const query = { session: id, gateway: new RecordingGateway("segw"), device, from, accountingId: undefined };
  const payload = packet ?? Buffer.alloc(0);
  const decision = await aaa.eap({ ...query, user: packet === undefined ? party : undefined, payload });
  if (decision.kind === "challenge") return { answer: { kind: "request", packet: decision.packet }, grant: {} };
  if (decision.kind === "accept")
    return { answer: { kind: "success", ...decision.eap!, eap: "eap success" }, grant: {} };
  return { answer: { kind: "failure", packet: undefined, refusal: unreachable(JSON.stringify(decision)) }, grant: {} };
}

const DIES: Fault = () => ({
  answer: { kind: "failure", packet: undefined, refusal: unreachable("no server answered") },
  grant: {},
});

for (const [nth, when] of [
  [1, "before its challenge"],
  [2, "before its verdict"],
] as const) {
  test(`an AAA server that dies ${when} costs the device one attempt, whose session ends`, async () => {
    const { eco, segw, henb, begun, ended } = await attach(nth, DIES);
    await eco.until("refused", () => henb.refusals.length > 0);
    assert.deepEqual(segw.refusals, ["AaaUnreachable"]);
    await eco.pass(5_000);
    assert.equal(segw.service.size, 0, "an IKE SA is left");
    assert.deepEqual(ended, [...begun]);
    await eco.until("attached at the next attempt", () => henb.isAttached);
    assert.equal(segw.service.size, 1);
    assert.deepEqual([begun.size, ended.length], [2, 1]);
    assert.deepEqual([segw.faults, henb.faults], [[], []]);
  });

  test(`an answer that the AAA server held back ${when} until the device had left changes nothing`, async () => {
    const held = Promise.withResolvers<void>();
    const { eco, segw, henb, begun, ended } = await attach(nth, async (answer) => {
      await held.promise;
      return answer;
    });
    await eco.until("given up", () => henb.refusals.includes("PeerUnresponsive"), 600_000);
    await eco.until("attached by a later attempt", () => henb.isAttached, 600_000);
    await eco.until("the first one forgotten", () => segw.service.size === 1, 600_000);
    held.resolve();
    await eco.pass(60_000);
    assert.ok(henb.isAttached);
    assert.equal(segw.service.size, 1);
    assert.equal(begun.size - ended.length, 1, "the session of the attached device, and no other");
    assert.deepEqual([segw.faults, henb.faults], [[], []]);
  });
}

test("a success without a key, or with another's, lets nobody in", async () => {
  for (const [msk, reason] of [
    [Buffer.alloc(0), "EapKeyMissing"],
    [Buffer.alloc(64, 7), undefined],
  ] as const) {
    const wrong: Fault = ({ answer, grant }) => ({
      answer: answer.kind === "success" ? { ...answer, msk } : answer,
      grant,
    });
    const { eco, segw, henb, begun, ended } = await attach(2, wrong);
    await eco.until("refused", () => henb.refusals.length > 0);
    await eco.pass(5_000);
    assert.equal(segw.service.size, 0);
    if (reason !== undefined) assert.deepEqual(segw.refusals, [reason]);
    assert.equal(segw.of("established").length, 0);
    assert.deepEqual(ended, [...begun]);
  }
});
