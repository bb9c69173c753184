/** What an AAA server grants a device, as its tunnel shows it: addresses, and filters that change while it stands. */
import assert from "node:assert/strict";
import test, { after } from "node:test";
import type { AaaClient, AaaGrant, AaaSession } from "../../src/segw/aaa/client.ts";
import { Credentials } from "./credentials.ts";
import { Ecosystem, type SimulatedGateway } from "./ecosystem.ts";

const credentials = new Credentials();
after(() => credentials[Symbol.dispose]());
const FOLDER = credentials.deviceFolder(credentials.issueDevice("ap-1.example"));
const GATEWAY = credentials.gateway();

const AAA = { server: { protocol: "radius", servers: [{ name: "aaa", address: "127.0.0.1", secretFile: "secret" }] } };
const SETTINGS = {
  aaa: AAA,
  protected: ["10.40.0.0/24", "2001:db8:40::/64"],
  pool: { blocks: ["10.64.0.0/24", "2001:db8:64::/64"] },
  filters: [
    { name: "guests", reach: ["10.40.0.128/25", "192.0.2.0/24"] },
    { name: "nobody", reach: [] },
  ],
};

/** An AAA server that lets every device in, with what it grants it at that moment. */
class Server implements AaaClient {
  grant: AaaGrant;
  readonly sessions: AaaSession[] = [];

  constructor(grant: AaaGrant) {
    this.grant = grant;
  }

  async authorize(session: AaaSession) {
    this.sessions.push(session);
    return { kind: "accepted", secondRound: "allowed", grant: this.grant } as const;
  }

  async eap(): Promise<never> {
    assert.fail("no hosting party here");
  }

  started(): void {}

  async ended(): Promise<void> {}

  async close(): Promise<void> {}
}

async function attach(grant: AaaGrant, device: Record<string, unknown> = {}) {
  const eco = new Ecosystem(credentials);
  const server = new Server(grant);
  const segw = eco.gateway(SETTINGS, GATEWAY, server);
  const henb = eco.device(FOLDER, { reach: SETTINGS.protected, ...device });
  await henb.start();
  return { eco, server, segw, henb };
}

/** What the newest CHILD SA of the gateway lets the device reach. */
function reach(segw: SimulatedGateway): string[] {
  const { localSelectors } = segw.children.at(-1)!;
  return localSelectors.map(({ startAddress, endAddress }) => `${startAddress.join(".")}-${endAddress.join(".")}`);
}

test("a filter narrows what the tunnel carries; another one takes its place without the device's leaving", async () => {
  const { eco, server, segw, henb } = await attach({ filter: "guests" });
  await eco.until("attached", () => henb.isAttached);
  assert.deepEqual(reach(segw), ["10.40.0.128-10.40.0.255"], "of the filter, what is protected");
  const [session] = server.sessions;
  const [before] = segw.children;
  assert.equal(segw.gateway.change(session!.id, { filter: "nobody" }), "changed");
  await eco.until("another CHILD SA alone", () => segw.children.length === 1 && segw.children[0]!.id !== before!.id);
  assert.deepEqual(reach(segw), []);
  assert.ok(henb.isAttached);
  assert.equal(henb.of("established").length, 1, "still the first IKE SA");
  assert.equal(segw.gateway.change(session!.id, { filter: "unheard of" }), "UnknownFilter");
  assert.equal(segw.gateway.change("another session", { filter: "guests" }), "UnknownSession");
  // Re-authorization takes back what the server no longer names.
  const [filtered] = segw.children;
  server.grant = {};
  assert.ok(segw.gateway.reauthorize(session!.id));
  await eco.until("one more", () => segw.children.length === 1 && segw.children[0]!.id !== filtered!.id);
  assert.deepEqual(reach(segw), ["10.40.0.0-10.40.0.255"], "all that is protected");
  assert.deepEqual([segw.faults, henb.faults], [[], []]);
});

test("a filter that the gateway has not keeps the device out", async () => {
  const { eco, segw, henb } = await attach({ filter: "unheard of" }, { reconnect: { initial: 0 } });
  await eco.until("refused", () => henb.refusals.length > 0);
  assert.deepEqual(segw.refusals, ["UnknownFilter"]);
  assert.equal(segw.children.length, 0);
});

test("an inner address of each family comes from the server where it grants one, as far as the device asks", async () => {
  const both = ["10.99.0.7", "2001:db8:99::7"];
  for (const [granted, asked, got] of [
    [both, ["ipv4", "ipv6"], both],
    [both, ["ipv6"], ["2001:db8:99::7"]],
    [["2001:db8:99::7"], ["ipv4", "ipv6"], ["2001:db8:99::7"]],
  ] as const) {
    const { eco, henb } = await attach({ addresses: granted }, { requestAddresses: asked });
    await eco.until("attached", () => henb.isAttached);
    assert.deepEqual(henb.addresses, got);
  }
  const { eco, segw } = await attach({ addresses: both.slice(1) }, { requestAddresses: ["ipv4"] });
  await eco.until("refused", () => segw.of("childFailed").length > 0);
  assert.match(segw.of("childFailed")[0]!.message, /assigns 2001:db8:99::7, which the device did not ask for/);
});
