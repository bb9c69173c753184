/**
 * A network that repeats, reorders, damages, cuts and invents messages, and strangers who send without end: nothing is
 * believed that is not authentic, and nothing costs more than its limit (RFC 7296 2.1-2.6, 2.21).
 */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import test, { after } from "node:test";
import { encodeMessage } from "../../src/ike/codec/encode.ts";
import { spiFromBytes } from "../../src/ike/codec/header.ts";
import { type IkeHeader, NO_SPI, type Payload } from "../../src/ike/codec/message.ts";
import { ExchangeType, NotifyType } from "../../src/ike/codec/numbers.ts";
import { generateKeyExchange } from "../../src/ike/crypto/dh.ts";
import { offerIke, parseIkeProposal } from "../../src/ike/sa/proposal.ts";
import type { SeededRandom } from "../../src/sim/random.ts";
import { forSeedsSettled } from "../../src/sim/world.ts";
import { Credentials, SEGW_ADDRESS } from "./credentials.ts";
import { Ecosystem, type SimulatedDevice, type SimulatedGateway } from "./ecosystem.ts";
import { nothingKept } from "./verdicts.ts";
import { type Datagram, eavesdrop, inject } from "./wire.ts";

const credentials = new Credentials();
after(() => credentials[Symbol.dispose]());

const GATEWAY = credentials.gateway();
const FOLDER = credentials.deviceFolder(credentials.issueDevice("ap-1.example"));
const QUIET = { rekeyAfter: 0, dpdInterval: 0, natKeepaliveInterval: 0 };

test("everything that brought a device in, replayed: no second session, and no answer but those already given", async () => {
  const { eco, segw, henb, seen } = await attached();
  const recorded = [...seen];
  const answers = new Set(recorded.map(({ packet }) => packet.toString("hex")));
  const before = [segw, henb].map((party) => party.events.length);
  for (let round = 0; round < 3; round++) {
    for (const datagram of recorded) {
      seen.length = 0;
      inject(eco.world, datagram.packet, datagram);
      await eco.pass(10);
      // Besides what was injected: the gateway's answer from memory, or a new answer to an IKE_SA_INIT of long ago.
      const others = seen.slice(1).filter(({ packet }) => !answers.has(packet.toString("hex")));
      assert.ok(others.every(({ header }) => header.exchangeType === ExchangeType.IKE_SA_INIT));
      assert.ok(seen.length <= 1 + recorded.length, "no more answers than there were");
    }
  }
  assert.deepEqual([segw.of("established").length, henb.of("established").length], [1, 1]);
  for (const [index, party] of [segw, henb].entries())
    for (const event of party.events.slice(before[index]))
      assert.ok(event.kind === "dropped" || event.kind === "message" || event.kind === "failed", event.kind);
  // The half-open one that the old IKE_SA_INIT brought goes by itself.
  assert.ok(segw.service.halfOpen <= 1);
  await eco.pass(31_000);
  assert.deepEqual([segw.service.size, henb.service.size, segw.gateway.pool.size], [1, 1, 1]);
  assert.deepEqual(segw.refusals, ["TimedOut"]);
});

test("an old request replayed after newer ones is dropped in silence; the last one is answered from memory", async () => {
  const { eco, segw, henb, seen } = await attached();
  const sa = henb.of("established")[0]!.sa;
  for (let check = 0; check < 2; check++) {
    henb.service.command(sa, "checkLiveness");
    await eco.pass(100);
  }
  const requests = seen.filter(
    ({ from, header }) => from.address === henb.address && header.exchangeType === ExchangeType.INFORMATIONAL,
  );
  const [older, last] = requests;
  const answered = seen.at(-1)!.packet;
  for (const [datagram, answers] of [
    [older!, []],
    [last!, [answered]],
  ] as const) {
    seen.length = 0;
    inject(eco.world, datagram.packet, datagram);
    await eco.pass(100);
    assert.deepEqual(
      seen.slice(1).map(({ packet }) => packet),
      answers,
    );
  }
  const dropped = segw.of("dropped").at(-1);
  assert.equal(dropped?.reason, "unexpectedMessageId");
});

test("a session recorded once cannot be played to the gateway again after its end", async () => {
  const { eco, segw, henb, seen } = await attached();
  const recorded = seen.filter(({ from }) => from.address === henb.address);
  await eco.during(henb.device.stop());
  await eco.until("ended", () => segw.service.size === 0);
  const established = segw.of("established").length;
  for (const datagram of recorded) {
    inject(eco.world, datagram.packet, datagram);
    await eco.pass(500);
  }
  await eco.pass(60_000);
  assert.equal(segw.of("established").length, established);
  nothingKept(segw, henb);
});

test("fragments and requests that arrive in the opposite order, each three times, bring the device in once", async () => {
  await forSeedsSettled(20, process.env.FEMTOGATE_SEED, async (seed) => {
    const small = { ...QUIET, fragmentSize: 576 };
    const eco = new Ecosystem(credentials, { seed });
    const segw = eco.gateway({ ike: small }, GATEWAY);
    const henb = eco.device(FOLDER, { ike: small, esp: { rekeyAfter: 0 } });
    const held: Datagram[] = [];
    let passing = false;
    eco.world.tap = (packet, from, to) => {
      if (passing) return packet;
      // Held back until the sender has nothing more to send, then all at once, the last first.
      if (held.length === 0) eco.world.after(3, release);
      held.push({ packet: Buffer.from(packet), from, to } as Datagram);
      return "drop";
    };
    const release = () => {
      passing = true;
      const batch = held.splice(0).reverse();
      for (let copy = 0; copy < 3; copy++) for (const datagram of batch) inject(eco.world, datagram.packet, datagram);
      passing = false;
    };
    await henb.start();
    await eco.until("attached", () => henb.isAttached);
    await eco.pass(60_000);
    assert.equal(segw.of("established").length, 1);
    assert.ok(henb.messages("received").some(({ fragments }) => fragments > 4));
    assert.equal(segw.service.size, 1);
    assert.equal(segw.children.length, 1);
    assert.deepEqual(segw.faults, []);
  });
});

test("one bit turned in any message: the device attaches all the same, or both sides know that it did not", async () => {
  await forSeedsSettled(150, process.env.FEMTOGATE_SEED, (seed) =>
    damaged(seed, (packet, random) => {
      const copy = Buffer.from(packet);
      // Headers are few octets of many: half of the time they are meant.
      const at = random.chance(0.5) ? random.below(Math.min(64, copy.length)) : random.below(copy.length);
      copy[at]! ^= 1 << random.below(8);
      return copy;
    }),
  );
});

test("any message cut short or drawn out: the device attaches all the same, or both sides know that it did not", async () => {
  await forSeedsSettled(150, process.env.FEMTOGATE_SEED, (seed) =>
    damaged(seed, (packet, random) =>
      random.chance(0.2)
        ? Buffer.concat([packet, random.bytes(1 + random.below(40))])
        : packet.subarray(0, random.below(packet.length)),
    ),
  );
});

test("protected messages of which every one is first damaged on its way still bring the device in", async () => {
  await forSeedsSettled(20, process.env.FEMTOGATE_SEED, async (seed) => {
    const eco = new Ecosystem(credentials, { seed });
    const segw = eco.gateway({ ike: QUIET }, GATEWAY);
    const henb = eco.device(FOLDER, { ike: QUIET });
    const met = new Set<string>();
    eco.world.tap = (packet) => {
      const key = packet.toString("hex");
      if (packet[18] === ExchangeType.IKE_SA_INIT || met.has(key)) return packet;
      met.add(key);
      const copy = Buffer.from(packet);
      copy[28 + eco.world.random.below(copy.length - 28)]! ^= 0x10;
      return copy;
    };
    await henb.start();
    await eco.until("attached", () => henb.isAttached);
    const reasons = new Set([...segw.of("dropped"), ...henb.of("dropped")].map(({ reason }) => reason));
    assert.ok(reasons.size > 0);
    assert.ok(
      [...reasons].every((reason) => ["integrityFailed", "malformed", "unencrypted"].includes(reason)),
      [...reasons].join(),
    );
  });
});

test("what is forged in the clear for an IKE SA that has keys is dropped in silence: errors, Deletes and IKE_AUTH", async () => {
  const { eco, segw, henb, seen } = await attached();
  const model = seen.at(-1)!.header;
  const forged: [number, Payload[]][] = [
    [ExchangeType.INFORMATIONAL, [{ kind: "D", protocol: 1, spis: [] }]],
    [ExchangeType.INFORMATIONAL, [notify(NotifyType.AUTHENTICATION_FAILED)]],
    [ExchangeType.INFORMATIONAL, [notify(NotifyType.INVALID_IKE_SPI)]],
    [ExchangeType.IKE_AUTH, [notify(NotifyType.NO_PROPOSAL_CHOSEN)]],
    [ExchangeType.IKE_SA_INIT, [notify(NotifyType.INVALID_KE_PAYLOAD, Buffer.from([0, 14]))]],
  ];
  for (const party of [segw, henb]) {
    const toGateway = party === segw;
    const ends = toGateway
      ? { from: at(henb.address), to: at(SEGW_ADDRESS) }
      : { from: at(SEGW_ADDRESS), to: at(henb.address) };
    for (const [exchangeType, payloads] of forged) {
      for (const response of [false, true]) {
        for (const messageId of [0, 1, 2]) {
          const header: IkeHeader = { ...model, exchangeType, response, messageId, fromInitiator: toGateway };
          seen.length = 0;
          inject(eco.world, encodeMessage(header, payloads), ends);
          await eco.pass(50);
          // A copy of a request's id brings the answer from memory; that was authentic once.
          assert.ok(seen.length <= 1 + 3);
        }
      }
    }
  }
  assert.deepEqual([segw.service.size, henb.service.size], [1, 1]);
  assert.deepEqual([...segw.of("closed"), ...henb.of("closed")], []);
  assert.ok(segw.of("dropped").some(({ reason }) => reason === "unencrypted"));
});

test("messages for an IKE SA that is not there are dropped in silence, whatever they say", async () => {
  const eco = new Ecosystem(credentials);
  const segw = eco.gateway({}, GATEWAY);
  const seen = eavesdrop(eco.world);
  const stranger = { from: { address: "198.51.100.1", port: 500 }, to: { address: SEGW_ADDRESS, port: 500 } };
  for (const exchangeType of [34, 35, 36, 37, 99]) {
    for (const response of [false, true]) {
      for (const fromInitiator of [false, true]) {
        const [initiatorSpi, responderSpi] = [eco.world.random.bytes(8), eco.world.random.bytes(8)].map((bytes) =>
          spiFromBytes(bytes),
        );
        const header = {
          initiatorSpi: initiatorSpi!,
          responderSpi: responderSpi!,
          exchangeType,
          fromInitiator,
          response,
          messageId: 1,
        };
        inject(eco.world, encodeMessage(header, [notify(NotifyType.COOKIE)]), stranger);
      }
    }
  }
  for (const length of [0, 1, 27, 28, 40]) inject(eco.world, Buffer.alloc(length, 0xa5), stranger);
  await eco.pass(60_000);
  assert.ok(
    seen.every(({ from }) => from.address !== SEGW_ADDRESS),
    "not a word",
  );
  assert.deepEqual(new Set(segw.of("dropped").map(({ reason }) => reason)), new Set(["unknownSpi", "malformed"]));
  assert.equal(segw.service.size, 0);
});

test("a message of the right IKE SA under the wrong initiator flag is dropped", async () => {
  const { eco, segw, seen } = await attached();
  const [request] = seen.filter(({ header }) => header.exchangeType === ExchangeType.IKE_AUTH);
  const turned = Buffer.from(request!.packet);
  turned[19]! ^= 0x08;
  // The gateway's own SPI, where an initiator's stands.
  turned.copy(turned, 0, 8, 16);
  seen.length = 0;
  inject(eco.world, turned, request!);
  await eco.pass(100);
  assert.equal(seen.length, 1);
  assert.equal(segw.of("dropped").at(-1)?.detail, "initiator flag does not fit the IKE SA");
});

test("a version of IKE to come is answered INVALID_MAJOR_VERSION, IKEv1 not at all (RFC 7296 2.5)", async () => {
  for (const [version, answers] of [
    [0x30, 1],
    [0x10, 0],
  ] as const) {
    const eco = new Ecosystem(credentials);
    const segw = eco.gateway({}, GATEWAY);
    const seen = eavesdrop(eco.world);
    const packet = initRequest(eco.world.random);
    packet[17] = version;
    inject(eco.world, packet, fromStranger(1));
    await eco.pass(60_000);
    assert.equal(seen.length, 1 + answers);
    if (answers === 1) {
      assert.equal(seen[1]!.packet[17], 0x20);
      assert.deepEqual(segw.messages("sent")[0]?.payloads, ["N(INVALID_MAJOR_VERSION)"]);
    }
    assert.equal(segw.of("dropped").length, 1);
    assert.equal(segw.service.size, 0);
  }
});

test("under load a device is asked for a cookie, brings it, and is let in; nothing is kept before (RFC 7296 2.6)", async () => {
  const eco = new Ecosystem(credentials);
  const segw = eco.gateway({ limits: { cookieThreshold: 0 } }, GATEWAY);
  const henb = eco.device(FOLDER);
  await henb.start();
  await eco.until("asked", () => henb.messages("received").length === 1);
  assert.deepEqual(henb.heard, ["N(COOKIE)"]);
  assert.equal(segw.service.size, 0);
  await eco.until("attached", () => henb.isAttached);
  assert.equal(henb.messages("sent")[1]?.payloads[0], "N(COOKIE)");
  assert.equal(segw.of("dropped").length, 0);
});

test("a cookie that is not the gateway's, of another address, or too old gets a new one and no IKE SA", async () => {
  const eco = new Ecosystem(credentials);
  const segw = eco.gateway({ limits: { cookieThreshold: 0 } }, GATEWAY);
  const seen = eavesdrop(eco.world);
  const bare = initRequest(eco.world.random);
  inject(eco.world, bare, fromStranger(1));
  await eco.pass(10);
  const cookie = seen.at(-1)!.packet.subarray(36);
  const bringing = (data: Buffer) => withCookie(bare, data);
  const attempts: [packet: Buffer, stranger: number, wait: number][] = [
    [bringing(Buffer.alloc(33, 1)), 1, 0],
    [bringing(cookie.subarray(1)), 1, 0],
    [bringing(Buffer.alloc(0)), 1, 0],
    [bringing(cookie), 2, 0],
    [withCookie(initRequest(eco.world.random), cookie), 1, 0],
    [bringing(cookie), 1, 200_000],
  ];
  for (const [packet, stranger, wait] of attempts) {
    await eco.pass(wait);
    seen.length = 0;
    inject(eco.world, packet, fromStranger(stranger));
    await eco.pass(10);
    assert.equal(segw.of("dropped").at(-1)?.reason, "cookieWrong");
    assert.deepEqual(segw.messages("sent").at(-1)?.payloads, ["N(COOKIE)"]);
    assert.equal(seen.length, 2);
    assert.equal(segw.service.size, 0);
  }
  assert.equal(segw.of("dropped").length, attempts.length);
});

test("a flood of IKE_SA_INIT keeps no more than its limit, answers with less than it was sent, and lets devices in", async () => {
  const eco = new Ecosystem(credentials);
  const segw = eco.gateway({ limits: { cookieThreshold: 20, maxHalfOpen: 30 }, ike: QUIET }, GATEWAY);
  const flood = Array.from({ length: 2_000 }, () => initRequest(eco.world.random));
  let received = 0;
  let answered = 0;
  let most = 0;
  eco.world.tap = (packet, from) => {
    if (from.address === SEGW_ADDRESS) answered += packet.length;
    else received += packet.length;
    return packet;
  };
  for (const [index, packet] of flood.entries()) {
    inject(eco.world, packet, fromStranger(index));
    if (index % 100 === 0) await eco.pass(10);
    most = Math.max(most, segw.service.size);
  }
  await eco.pass(10);
  assert.equal(most, 20, "half-open IKE SAs");
  assert.ok(answered < received / 2, `${answered} octets for ${received}`);
  eco.world.tap = undefined;
  const henb = eco.device(FOLDER, { ike: QUIET });
  await henb.start();
  await eco.until("attached", () => henb.isAttached);
  assert.ok(henb.messages("received").some(({ payloads }) => payloads.includes("N(COOKIE)")));
  await eco.pass(31_000);
  assert.deepEqual([segw.service.size, segw.service.halfOpen], [1, 0], "the strangers are forgotten");
});

test("an IKE_SA_INIT that is longer than any peer's is dropped, since a half-open IKE SA keeps it", async () => {
  const eco = new Ecosystem(credentials);
  const segw = eco.gateway({}, GATEWAY);
  for (const [padding, kept] of [
    [7_900, 1],
    [8_100, 0],
    [60_000, 0],
  ] as const) {
    const before = segw.service.halfOpen;
    inject(eco.world, initRequest(eco.world.random, padding), fromStranger(padding));
    await eco.pass(5);
    assert.equal(segw.service.halfOpen - before, kept, `${padding} octets more`);
  }
});

test("a flood from addresses that do receive ends at the hard limit, and what is above it gets no answer", async () => {
  const eco = new Ecosystem(credentials);
  const segw = eco.gateway({ limits: { cookieThreshold: 5, maxHalfOpen: 10 } }, GATEWAY);
  const seen = eavesdrop(eco.world);
  for (let stranger = 1; stranger <= 30; stranger++) {
    const packet = initRequest(eco.world.random);
    inject(eco.world, packet, fromStranger(stranger));
    await eco.pass(5);
    const answer = seen.at(-1)!;
    if (answer.packet[16] !== 41) continue;
    inject(eco.world, withCookie(packet, answer.packet.subarray(36)), fromStranger(stranger));
    await eco.pass(5);
  }
  assert.equal(segw.service.halfOpen, 10);
  assert.equal(segw.of("dropped").filter(({ reason }) => reason === "halfOpenLimit").length, 20);
  assert.equal(seen.at(-1)?.to.address, SEGW_ADDRESS, "the last word is the stranger's");
});

test("strangers who never finish, and devices in the middle of it: the gateway's own work does not keep them", async () => {
  const eco = new Ecosystem(credentials);
  const segw = eco.gateway({ ike: QUIET }, GATEWAY);
  const seen = eavesdrop(eco.world);
  // IKE_AUTH of octets that nobody sealed: keys are derived once, and the IKE SA goes at its time.
  inject(eco.world, initRequest(eco.world.random), fromStranger(1));
  await eco.pass(5);
  const { header } = seen.at(-1)!;
  for (let attempt = 0; attempt < 50; attempt++) {
    const body = eco.world.random.bytes(200);
    const packet = encodeMessage(
      { ...header, exchangeType: ExchangeType.IKE_AUTH, fromInitiator: true, response: false, messageId: 1 },
      [{ kind: "unknown", type: 46, critical: false, data: body }],
    );
    inject(eco.world, packet, fromStranger(1));
  }
  await eco.pass(1_000);
  assert.equal(segw.of("dropped").filter(({ reason }) => reason === "integrityFailed").length, 50);
  assert.equal(segw.of("keys").length, 1);
  assert.equal(segw.service.size, 1);
  await eco.pass(31_000);
  assert.equal(segw.service.size, 0);
  assert.deepEqual(segw.refusals, ["TimedOut"]);
});

test("garbage in the place of IKE_AUTH does not keep the real one out", async () => {
  const eco = new Ecosystem(credentials);
  const segw = eco.gateway({ ike: QUIET }, GATEWAY);
  const henb = eco.device(FOLDER, { ike: QUIET });
  eco.world.tap = (packet, from, to) => {
    if (packet[18] === ExchangeType.IKE_AUTH && from.address === henb.address) {
      const garbage = Buffer.from(packet);
      eco.world.random.bytes(garbage.length - 40).copy(garbage, 40);
      eco.world.tap = undefined;
      inject(eco.world, garbage, { from: { ...from }, to: { ...to } });
    }
    return packet;
  };
  await henb.start();
  await eco.until("attached", () => henb.isAttached);
  assert.ok(segw.of("dropped").some(({ reason }) => reason === "integrityFailed"));
});

test("a device whose integrity check fails sends not one packet and looks up not one name (5.2-3, A.1-1)", async () => {
  const cases: [what: string, spoil: (folder: string) => void, problem: RegExp][] = [
    [
      "a changed file",
      (folder) => writeFileSync(join(folder, "files", "firmware.bin"), "other\n"),
      /firmware\.bin has been changed/,
    ],
    [
      "a manifest of somebody else's",
      (folder) =>
        writeFileSync(join(folder, "tre", "manifest.json"), '{"manifest":"{\\"files\\":{}}","signature":"AAAA"}'),
      /signature does not verify/,
    ],
    ["a manifest that is none", (folder) => writeFileSync(join(folder, "tre", "manifest.json"), "{"), /no JSON object/],
  ];
  for (const [what, spoil, problem] of cases) {
    const eco = new Ecosystem(credentials);
    eco.gateway({}, GATEWAY);
    const folder = credentials.deviceFolder(credentials.issueDevice("ap-1.example"));
    spoil(folder);
    const henb = eco.device(folder);
    await henb.start();
    assert.equal(henb.state, "Unfit", what);
    assert.match(henb.states.map((state) => (state.kind === "Unfit" ? state.problems.join() : "")).join(), problem);
    await eco.pass(24 * 3600_000);
    assert.deepEqual([eco.world.sent, henb.pathsSought, henb.events.length], [0, 0, 0], what);
    await eco.during(henb.device.stop());
    assert.equal(henb.state, "Unfit", "it stays unfit");
    assert.equal(eco.world.sent, 0);
  }
});

async function attached() {
  const eco = new Ecosystem(credentials);
  const segw = eco.gateway({ ike: QUIET }, GATEWAY);
  const henb = eco.device(FOLDER, { ike: QUIET, esp: { rekeyAfter: 0 } });
  const seen = eavesdrop(eco.world);
  await henb.start();
  await eco.until("attached", () => henb.isAttached && segw.children.length === 1);
  return { eco, segw, henb, seen };
}

/** One attach in which one message, whichever, is replaced by what `damage` makes of it. */
async function damaged(seed: number, damage: (packet: Buffer, random: SeededRandom) => Buffer): Promise<void> {
  const eco = new Ecosystem(credentials, { seed });
  const ike = {
    ...QUIET,
    fragmentSize: seed % 2 === 0 ? 1280 : 576,
    retransmission: { initial: "500ms", factor: 1.3, tries: 5 },
  };
  const segw = eco.gateway({ ike }, GATEWAY);
  const henb = eco.device(FOLDER, { ike, reconnect: { initial: 0 } });
  let passed = 0;
  const chosen = eco.world.random.below(seed % 2 === 0 ? 8 : 14);
  eco.world.tap = (packet) => (passed++ === chosen ? damage(packet, eco.world.random) : packet);
  await henb.start();
  await eco.until(
    "decided",
    () => henb.isAttached || (henb.state === "Stopped" && segw.service.size === segw.service.halfOpen),
  );
  // Whatever half-open thing the damage made goes by itself.
  await eco.pass(40_000);
  assert.deepEqual([...segw.faults, ...henb.faults], []);
  if (!henb.isAttached) {
    assert.equal(henb.refusals.length, 1);
    return nothingKept(segw, henb);
  }
  agreed(segw, henb);
}

function agreed(segw: SimulatedGateway, henb: SimulatedDevice): void {
  assert.deepEqual([segw.service.size, henb.service.size], [1, 1]);
  assert.equal(segw.children.length, 1);
  assert.ok(segw.children[0]!.inbound.encryptionKey.equals(henb.children[0]!.outbound.encryptionKey));
  assert.ok(segw.children[0]!.outbound.encryptionKey.equals(henb.children[0]!.inbound.encryptionKey));
}

/** An IKE_SA_INIT that the gateway would take. */
function initRequest(random: SeededRandom, padding = 0): Buffer {
  const header: IkeHeader = {
    initiatorSpi: spiFromBytes(random.bytes(8)),
    responderSpi: NO_SPI,
    exchangeType: ExchangeType.IKE_SA_INIT,
    fromInitiator: true,
    response: false,
    messageId: 0,
  };
  return encodeMessage(header, [
    { kind: "SA", proposals: offerIke([parseIkeProposal("aes128gcm16-prfsha256-x25519")], Buffer.alloc(0)) },
    { kind: "KE", group: 31, data: PUBLIC_VALUE },
    { kind: "Nonce", data: random.bytes(32) },
    ...(padding === 0 ? [] : [{ kind: "V" as const, data: Buffer.alloc(padding) }]),
  ]);
}

/** The same request with a cookie in front (RFC 7296 2.6). */
function withCookie(request: Buffer, cookie: Buffer): Buffer {
  const payload = Buffer.concat([Buffer.from([request[16]!, 0, 0, 0, 0, 0, 0, 0]), cookie]);
  payload.writeUInt16BE(payload.length, 2);
  payload.writeUInt16BE(NotifyType.COOKIE, 6);
  const whole = Buffer.concat([request.subarray(0, 28), payload, request.subarray(28)]);
  whole[16] = 41;
  whole.writeUInt32BE(whole.length, 24);
  return whole;
}

/** From the `index`th of many addresses. */
function fromStranger(index: number): Pick<Datagram, "from" | "to"> {
  const address = `198.${18 + (index >> 16)}.${(index >> 8) & 0xff}.${index & 0xff}`;
  return { from: { address, port: 500 }, to: { address: SEGW_ADDRESS, port: 500 } };
}

function at(address: string) {
  return { address, port: 4500 };
}

function notify(type: number, data = Buffer.alloc(0)): Payload {
  return { kind: "N", protocol: 0, spi: Buffer.alloc(0), type, data };
}

const PUBLIC_VALUE = generateKeyExchange(31).publicValue;
