/**
 * Messages that are authentic and wrong: payloads left out, unknown, malformed, or asking for what is not given. Each has
 * its reason on our side and its notify on the wire (RFC 7296 2.5, 2.21, 3.10.1).
 */
import assert from "node:assert/strict";
import test, { after } from "node:test";
import type { Payload } from "../../src/ike/codec/message.ts";
import type { ExchangeType } from "../../src/ike/codec/numbers.ts";
import { NotifyType } from "../../src/ike/codec/numbers.ts";
import type { Command } from "../../src/ike/endpoint.ts";
import type { IkeSaId } from "../../src/ike/sa/effects.ts";
import { blockSelector } from "../../src/ipsec/settings.ts";
import { Credentials } from "./credentials.ts";
import { Ecosystem, type SimulatedDevice, type SimulatedGateway } from "./ecosystem.ts";
import { nothingKept, refusedByDevice } from "./verdicts.ts";
import { altering, GIBBERISH, misspeak, type Rewriting, without, withUnknown } from "./wire.ts";

const credentials = new Credentials();
after(() => credentials[Symbol.dispose]());

const AP = "ap-1.example";
const GATEWAY = credentials.gateway();
const FOLDER = credentials.deviceFolder(credentials.issueDevice(AP));
const QUIET = { fragmentSize: 0, dpdInterval: 0, natKeepaliveInterval: 0, rekeyAfter: 0 };

// ---- IKE_SA_INIT ----

test("without an IKE proposal in common the gateway says NO_PROPOSAL_CHOSEN, keeps nothing, and notes why", async () => {
  const { segw, henb } = await attempt({
    device: { ike: { ...QUIET, proposals: ["aes256-sha512-modp3072"] } },
    gateway: { ike: { ...QUIET, proposals: ["aes128gcm16-prfsha256-x25519"] } },
  });
  assert.deepEqual(henb.heard, ["N(NO_PROPOSAL_CHOSEN)"]);
  assert.deepEqual(henb.refusals, ["PeerRefused"]);
  assert.equal(henb.of("failed")[0]?.refusal.notify, NotifyType.NO_PROPOSAL_CHOSEN);
  assert.deepEqual(
    segw.of("dropped").map(({ reason }) => reason),
    ["noProposal"],
  );
  nothingKept(segw, henb);
});

test("algorithms for old devices are no proposal unless they are switched on", async () => {
  const old = { ...QUIET, allowWeakAlgorithms: true, proposals: ["3des-sha1-modp1024"] };
  const refused = await attempt({ device: { ike: old } });
  assert.deepEqual(refused.henb.heard, ["N(NO_PROPOSAL_CHOSEN)"]);
  const taken = await attempt({ device: { ike: old }, gateway: { ike: old } });
  assert.ok(taken.henb.isAttached);
});

test("a device that guessed the wrong group hears INVALID_KE_PAYLOAD and begins again with the gateway's", async () => {
  const { henb, segw } = await attempt({
    device: { ike: { ...QUIET, proposals: ["aes128gcm16-prfsha256-x25519-ecp256"] } },
    gateway: { ike: { ...QUIET, proposals: ["aes128gcm16-prfsha256-ecp256"] } },
  });
  assert.ok(henb.isAttached);
  assert.deepEqual(henb.messages("received")[0]?.payloads, ["N(INVALID_KE_PAYLOAD)"]);
  assert.equal(segw.of("established")[0]?.suite.group, 19);
  assert.equal(segw.service.size, 1);
});

test("a device that is told to use a group it did not offer, or the one just refused, gives up", async () => {
  for (const group of [[0, 2], [0, 31], [0], [0, 0, 19]]) {
    const { henb } = await attempt({
      device: { ike: { ...QUIET, proposals: ["aes128gcm16-prfsha256-x25519-ecp256"] } },
      lies: { by: "gateway", exchange: "IKE_SA_INIT", rewriting: () => [notify(17, Buffer.from(group))] },
    });
    assert.deepEqual(henb.refusals, ["GroupNotOffered"]);
    assert.equal(henb.service.size, 0);
  }
});

test("a device that gets a cookie for every cookie it brings gives up after five", async () => {
  const { henb, eco } = await attempt({
    gateway: { limits: { cookieThreshold: 0 } },
    lies: { by: "gateway", exchange: "IKE_SA_INIT", rewriting: () => [notify(NotifyType.COOKIE, Buffer.alloc(16, 7))] },
  });
  assert.deepEqual(henb.refusals, ["NoAgreement"]);
  assert.ok(eco.world.sent <= 12, `${eco.world.sent} datagrams`);
});

const BAD_INIT_ANSWERS: [what: string, rewriting: Rewriting, reason: string][] = [
  ["chooses algorithms that were not offered", altering("SA", weaken), "ProposalNotOffered"],
  [
    "chooses two proposals at once",
    altering("SA", ({ proposals }) => ({ kind: "SA", proposals: [...proposals, ...proposals] })),
    "ProposalNotOffered",
  ],
  ["answers in another group", altering("KE", ({ data }) => ({ kind: "KE", group: 19, data })), "ProposalNotOffered"],
  ["answers with a public value of zeros", altering("KE", zeros), "BadKeyExchange"],
  ["leaves out KE", without("KE"), "MissingPayload"],
  ["leaves out the nonce", without("Nonce"), "MissingPayload"],
];

for (const [what, rewriting, reason] of BAD_INIT_ANSWERS) {
  test(`a device refuses a gateway that ${what} in IKE_SA_INIT, and tells nobody: ${reason}`, async () => {
    const { eco, henb, segw } = await attempt({ lies: { by: "gateway", exchange: "IKE_SA_INIT", rewriting } });
    assert.deepEqual(henb.refusals, [reason]);
    assert.equal(henb.messages("sent").length, 1, "nothing after IKE_SA_INIT");
    await eco.pass(40_000);
    nothingKept(segw, henb);
  });
}

const BAD_INIT_REQUESTS: [what: string, rewriting: Rewriting, dropped: string, heard: string[]][] = [
  ["without SA", without("SA"), "malformed", []],
  ["without KE", without("KE"), "malformed", []],
  ["without a nonce", without("Nonce"), "malformed", []],
  [
    "with an unknown critical payload",
    withUnknown(true),
    "unsupportedCriticalPayload",
    ["N(UNSUPPORTED_CRITICAL_PAYLOAD)"],
  ],
];

for (const [what, rewriting, reason, heard] of BAD_INIT_REQUESTS) {
  test(`a gateway drops an IKE_SA_INIT ${what} and keeps nothing: ${heard[0] ?? "silence"}`, async () => {
    const { henb, segw } = await attempt({ lies: { by: "device", exchange: "IKE_SA_INIT", rewriting } });
    assert.deepEqual(new Set(segw.of("dropped").map((event) => event.reason)), new Set([reason]));
    assert.deepEqual([...new Set(henb.heard)], heard);
    assert.deepEqual(henb.refusals, [heard.length === 0 ? "PeerUnresponsive" : "PeerRefused"]);
    nothingKept(segw, henb);
  });
}

test("a public value that is no point of its group is found out before the device is let in", async () => {
  const { eco, henb, segw } = await attempt({
    lies: { by: "device", exchange: "IKE_SA_INIT", rewriting: altering("KE", zeros) },
  });
  await eco.pass(40_000);
  assert.deepEqual(segw.refusals, ["BadKeyExchange"]);
  nothingKept(segw, henb);
});

test("whoever weakens the proposals under way is found out by AUTH (RFC 7296 2.15)", async () => {
  const both = { ike: { ...QUIET, proposals: ["aes256gcm16-prfsha384-x25519", "aes128gcm16-prfsha256-x25519"] } };
  const onlyLast: Rewriting = altering("SA", ({ proposals }) => ({ kind: "SA", proposals: proposals.slice(1) }));
  const { henb, segw } = await attempt({
    device: both,
    gateway: both,
    lies: { by: "device", exchange: "IKE_SA_INIT", rewriting: onlyLast },
  });
  assert.deepEqual(segw.refusals, ["WrongAuth"]);
  assert.deepEqual(henb.heard, ["N(AUTHENTICATION_FAILED)"]);
  nothingKept(segw, henb);
});

test("without SIGNATURE_HASH_ALGORITHMS from the other side, each signs in the older way, and both attach", async () => {
  const { henb, segw } = await attempt({ gateway: { ike: { ...QUIET, signatureHashes: [] } } });
  assert.ok(henb.isAttached);
  assert.ok(segw.messages("received").some(({ payloads }) => payloads.includes("AUTH(ECDSA_256)")));
});

// ---- IKE_AUTH, as the gateway takes it ----

const BAD_AUTH_REQUESTS: [what: string, rewriting: Rewriting, reason: string, notify: keyof typeof NotifyType][] = [
  ["without IDi", without("IDi"), "MissingPayload", "INVALID_SYNTAX"],
  ["without AUTH, which asks for EAP", without("AUTH"), "EapNotOffered", "AUTHENTICATION_FAILED"],
  ["without CERT", without("CERT"), "NoCertificate", "AUTHENTICATION_FAILED"],
  ["without SA", without("SA"), "MissingPayload", "INVALID_SYNTAX"],
  ["without TSi", without("TSi"), "MissingPayload", "INVALID_SYNTAX"],
  ["without TSr", without("TSr"), "MissingPayload", "INVALID_SYNTAX"],
  ["without CP, where an address is required", without("CP"), "NoAddressRequested", "FAILED_CP_REQUIRED"],
  ["with an unknown critical payload", withUnknown(true), "UnsupportedCriticalPayload", "UNSUPPORTED_CRITICAL_PAYLOAD"],
  ["that is no payloads at all", () => GIBBERISH, "InvalidSyntax", "INVALID_SYNTAX"],
];

for (const [what, rewriting, reason, told] of BAD_AUTH_REQUESTS) {
  test(`a gateway refuses an IKE_AUTH ${what}: ${reason}, ${told}`, async () => {
    const { henb, segw } = await attempt({ lies: { by: "device", exchange: "IKE_AUTH", rewriting } });
    assert.deepEqual(segw.refusals, [reason]);
    assert.equal(segw.of("failed")[0]?.refusal.notify, NotifyType[told]);
    assert.deepEqual(henb.heard, [`N(${told})`]);
    assert.equal(henb.of("failed")[0]?.refusal.notify, NotifyType[told]);
    nothingKept(segw, henb);
  });
}

test("an unknown payload that is not critical, and an unknown notify, are passed over (RFC 7296 2.5)", async () => {
  for (const rewriting of [
    withUnknown(false),
    (payloads: readonly Payload[]) => [...payloads, notify(50_000), notify(8_000)],
  ]) {
    for (const by of ["device", "gateway"] as const) {
      const { henb } = await attempt({ lies: { by, exchange: "IKE_AUTH", rewriting } });
      assert.ok(henb.isAttached, by);
    }
  }
});

test("a gateway that does not require addresses lets a device without CP in, within the pool's blocks", async () => {
  const { henb, segw } = await attempt({
    gateway: { pool: { blocks: ["10.64.0.0/24"], required: false } },
    lies: { by: "device", exchange: "IKE_AUTH", rewriting: without("CP") },
  });
  assert.equal(segw.of("established").length, 1);
  assert.deepEqual(segw.refusals, []);
  // The device itself wanted one, and lets go.
  assert.deepEqual(stoppedBy(henb), ["NoTunnel", NotifyType.INTERNAL_ADDRESS_FAILURE]);
});

// ---- CHILD SA and address in IKE_AUTH: the device is authentic, and gets no tunnel ----

const NO_TUNNEL: [what: string, options: AttemptOptions, notify: keyof typeof NotifyType, why: RegExp][] = [
  [
    "asks for traffic that is not allowed",
    { device: { reach: ["172.16.0.0/12"] } },
    "TS_UNACCEPTABLE",
    /asks for traffic none of which is allowed/,
  ],
  [
    "has no ESP proposal in common",
    {
      device: { esp: { proposals: ["aes256-sha512"] } },
      gateway: { esp: { proposals: ["aes128gcm16"] } },
    },
    "NO_PROPOSAL_CHOSEN",
    /no ESP proposal in common/,
  ],
  [
    "comes when the pool is exhausted",
    { gateway: { pool: { blocks: ["10.64.0.7/32"] } }, before: "another device" },
    "INTERNAL_ADDRESS_FAILURE",
    /no inner address is left for ap-1\.example: enlarge pool\.blocks, of which 1 addresses are in use/,
  ],
  [
    "asks for an IPv6 address, of which there is none",
    { device: { requestAddresses: ["ipv6"], reach: ["::/0"] } },
    "INTERNAL_ADDRESS_FAILURE",
    /no inner address is left/,
  ],
  [
    "asks for configuration, but for no address",
    {
      lies: {
        by: "device",
        exchange: "IKE_AUTH",
        rewriting: altering("CP", (cp) => ({ ...cp, attributes: [{ type: 3, value: Buffer.alloc(0) }] })),
      },
    },
    "INTERNAL_ADDRESS_FAILURE",
    /asked for configuration, but for no inner address/,
  ],
];

for (const [what, options, told, why] of NO_TUNNEL) {
  test(`a device that ${what} is told ${told}; it lets go, says why, and the gateway keeps nothing of it`, async () => {
    const { eco, segw, henb } = await attempt(options);
    const [failed] = segw.of("childFailed");
    assert.equal(failed?.notify, NotifyType[told]);
    assert.match(failed.message, why);
    assert.ok(henb.messages("received").some(({ payloads }) => payloads.includes(`N(${told})`)));
    assert.deepEqual(stoppedBy(henb), ["NoTunnel", NotifyType[told]]);
    await eco.until("the gateway hears the Delete", () => segw.of("closed").length > 0);
    assert.equal(segw.of("closed")[0]?.cause, "deletedByPeer");
    assert.equal(henb.service.size + henb.children.length, 0);
    assert.equal(segw.service.size, options.before === undefined ? 0 : 1);
    assert.equal(segw.gateway.pool.size, options.before === undefined ? 0 : 1);
  });
}

test("a device that gets no tunnel waits longer and longer before it tries again", async () => {
  const { eco, henb } = await attempt({
    device: { reach: ["172.16.0.0/12"], reconnect: { initial: "1s", most: "1h" } },
  });
  await eco.pass(3600_000);
  const count = henb.of("established").length;
  assert.ok(count >= 8 && count <= 13, `${count} attempts in an hour`);
});

// ---- IKE_AUTH, as the device takes it ----

const BAD_AUTH_ANSWERS: [what: string, rewriting: Rewriting, reason: string][] = [
  ["without IDr", without("IDr"), "MissingPayload"],
  ["without AUTH", without("AUTH"), "MissingPayload"],
  ["without CERT", without("CERT"), "NoCertificate"],
];

for (const [what, rewriting, reason] of BAD_AUTH_ANSWERS) {
  test(`a device refuses an IKE_AUTH response ${what}: ${reason}, and says AUTHENTICATION_FAILED`, async () => {
    const { eco, henb, segw } = await attempt({ lies: { by: "gateway", exchange: "IKE_AUTH", rewriting } });
    await eco.until("the gateway hears", () => segw.service.size === 0);
    refusedByDevice(segw, henb, reason);
  });
}

test("a device whose response is authentic and no payloads at all ends the attempt", async () => {
  const { henb } = await attempt({ lies: { by: "gateway", exchange: "IKE_AUTH", rewriting: () => GIBBERISH } });
  assert.deepEqual(henb.refusals, ["InvalidSyntax"]);
  assert.equal(henb.service.size, 0);
});

const BAD_TUNNELS: [what: string, rewriting: Rewriting, notify: keyof typeof NotifyType, why: RegExp][] = [
  ["sends no SA", without("SA"), "INVALID_SYNTAX", /made no CHILD SA/],
  [
    "widens what it may reach",
    altering("TSr", () => ({ kind: "TSr", selectors: [blockSelector("10.0.0.0/8")] })),
    "TS_UNACCEPTABLE",
    /widened the traffic selectors/,
  ],
  ["chooses ESP algorithms that were not offered", altering("SA", weaken), "NO_PROPOSAL_CHOSEN", /not offered/],
  ["assigns no address", without("CP"), "INTERNAL_ADDRESS_FAILURE", /assigned no address/],
];

for (const [what, rewriting, told, why] of BAD_TUNNELS) {
  test(`a device lets go of a gateway that ${what}`, async () => {
    const { eco, henb, segw } = await attempt({ lies: { by: "gateway", exchange: "IKE_AUTH", rewriting } });
    assert.equal(henb.of("childFailed")[0]?.notify, NotifyType[told]);
    assert.match(henb.of("childFailed")[0]!.message, why);
    assert.deepEqual(stoppedBy(henb), ["NoTunnel", NotifyType[told]]);
    await eco.until("the gateway hears the Delete", () => segw.service.size === 0);
    assert.equal(segw.gateway.pool.size, 0);
    assert.deepEqual(segw.heard, ["D(IKE SA)"]);
  });
}

// ---- afterwards ----

for (const by of ["device", "gateway"] as const) {
  test(`an INFORMATIONAL of the ${by} with an unknown critical payload is refused, and the IKE SA stays`, async () => {
    const { eco, speaker, hearer } = await established(by, "INFORMATIONAL", withUnknown(true), "checkLiveness");
    assert.deepEqual(speaker.heard, ["N(UNSUPPORTED_CRITICAL_PAYLOAD)"]);
    eco.world.tap = undefined;
    assert.equal(hearer.service.size, 1);
    assert.equal(speaker.service.size, 1);
  });

  test(`a request of the ${by} that is authentic and no payloads is answered INVALID_SYNTAX and ends the IKE SA`, async () => {
    const { speaker, hearer } = await established(by, "INFORMATIONAL", () => GIBBERISH, "checkLiveness");
    assert.deepEqual(speaker.heard, ["N(INVALID_SYNTAX)"]);
    assert.equal(hearer.of("closed")[0]?.cause, "protocolError");
    assert.ok(hearer.of("dropped").some(({ reason }) => reason === "malformed"));
    assert.equal(hearer.children.length, 0);
  });

  test(`rekeying by the ${by} without a nonce is refused with INVALID_SYNTAX, and the CHILD SA there was stays`, async () => {
    const { speaker, hearer } = await established(by, "CREATE_CHILD_SA", without("Nonce"), "rekeyChildren");
    assert.deepEqual(speaker.heard, ["N(INVALID_SYNTAX)"]);
    assert.equal(speaker.of("childFailed")[0]?.notify, NotifyType.INVALID_SYNTAX);
    assert.deepEqual([speaker.children.length, hearer.children.length], [1, 1]);
  });

  test(`rekeying by the ${by} with other traffic selectors is refused with TS_UNACCEPTABLE`, async () => {
    const elsewhere: Payload = { kind: "TSi", selectors: [blockSelector("203.0.113.0/24")] };
    const { speaker, hearer } = await established(
      by,
      "CREATE_CHILD_SA",
      altering("TSi", () => elsewhere),
      "rekeyChildren",
    );
    assert.deepEqual(speaker.heard, ["N(TS_UNACCEPTABLE)"]);
    assert.equal(hearer.of("childFailed")[0]?.notify, NotifyType.TS_UNACCEPTABLE);
    assert.deepEqual([speaker.children.length, hearer.children.length], [1, 1]);
  });

  test(`a CHILD SA that the ${by} wants to rekey and that is not there is told so`, async () => {
    const unknown: Rewriting = altering("N", (payload) =>
      payload.type === NotifyType.REKEY_SA ? { ...payload, spi: Buffer.from("deadbeef", "hex") } : payload,
    );
    const { speaker } = await established(by, "CREATE_CHILD_SA", unknown, "rekeyChildren");
    assert.ok(speaker.messages("received").some(({ payloads }) => payloads.includes("N(CHILD_SA_NOT_FOUND)")));
  });
}

test("a peer that makes CHILD SAs without end is told NO_ADDITIONAL_SAS", async () => {
  const { eco, speaker, hearer } = await established("device", "CREATE_CHILD_SA", () => undefined, "createChild");
  for (let more = 0; more < 20; more++) {
    speaker.service.command(currentOf(speaker), "createChild");
    await eco.pass(1_000);
  }
  assert.deepEqual(speaker.heard, ["N(NO_ADDITIONAL_SAS)"]);
  assert.equal(hearer.children.length, 8);
});

test("a device whose tunnel is taken down asks for another, and lets go if it gets none", async () => {
  const { eco, segw, henb } = await attempt({ device: { reconnect: { initial: "1s" } } });
  assert.ok(henb.isAttached);
  misspeak(
    eco.world,
    henb,
    "CREATE_CHILD_SA",
    altering("TSr", () => ({ kind: "TSr", selectors: [blockSelector("172.16.0.0/12")] })),
  );
  segw.service.command(currentOf(segw), "deleteChildren");
  await eco.until("refused", () => henb.of("childFailed").length > 0);
  await eco.until("attached anew", () => henb.isAttached && henb.of("established").length === 2);
  assert.equal(segw.service.size, 1);
});

interface AttemptOptions {
  device?: Record<string, unknown>;
  gateway?: Record<string, unknown>;
  lies?: { by: "device" | "gateway"; exchange: keyof typeof ExchangeType; rewriting: Rewriting };
  /** Attaches first, and keeps its address. */
  before?: "another device";
}

/** One attempt of a device at a gateway, one of which may not be honest, until the device has attached or given up. */
async function attempt({ device = {}, gateway = {}, lies, before }: AttemptOptions) {
  const eco = new Ecosystem(credentials);
  const segw = eco.gateway({ ike: QUIET, ...gateway }, GATEWAY);
  if (before !== undefined) {
    const other = eco.device(
      credentials.deviceFolder(credentials.issueDevice("ap-0.example")),
      { ike: QUIET },
      { index: 2 },
    );
    await other.start();
    await eco.until("the other is attached", () => other.isAttached);
  }
  const henb = eco.device(FOLDER, { ike: QUIET, reconnect: { initial: 0 }, ...device });
  if (lies !== undefined) misspeak(eco.world, lies.by === "device" ? henb : segw, lies.exchange, lies.rewriting);
  await henb.start();
  await eco.until("decided", () => henb.isAttached || henb.state === "Stopped" || henb.state === "Waiting");
  return { eco, segw, henb };
}

/** An established pair, of which one side then says something wrong. */
async function established(
  by: "device" | "gateway",
  exchange: keyof typeof ExchangeType,
  rewriting: Rewriting,
  command: Command,
) {
  const { eco, segw, henb } = await attempt({ device: { reconnect: { initial: "1h" } } });
  assert.ok(henb.isAttached);
  const [speaker, hearer] = by === "device" ? [henb, segw] : [segw, henb];
  misspeak(eco.world, speaker, exchange, rewriting);
  speaker.service.command(currentOf(speaker), command);
  await eco.pass(3_000);
  return { eco, speaker, hearer };
}

function currentOf(party: SimulatedDevice | SimulatedGateway): IkeSaId {
  return party.of("established").at(-1)!.sa;
}

/** Why a device made no second attempt: reason and notify. */
function stoppedBy({ device: { state } }: SimulatedDevice) {
  return state.kind === "Stopped" ? [state.refusal?.reason, state.refusal?.notify] : state.kind;
}

function notify(type: number, data = Buffer.alloc(0)): Payload {
  return { kind: "N", protocol: 0, spi: Buffer.alloc(0), type, data };
}

/** Puts 128-bit AES-CBC with HMAC-SHA1 where something else was chosen. */
function weaken({ proposals }: Extract<Payload, { kind: "SA" }>): Payload {
  return {
    kind: "SA",
    proposals: proposals.map((proposal) => ({
      ...proposal,
      transforms: proposal.transforms.map((transform) => (transform.type === 1 ? { type: 1, id: 3 } : transform)),
    })),
  };
}

function zeros({ group, data }: Extract<Payload, { kind: "KE" }>): Payload {
  return { kind: "KE", group, data: Buffer.alloc(data.length) };
}
