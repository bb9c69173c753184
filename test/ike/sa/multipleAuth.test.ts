/** Two authentications after each other: the device's by certificate, the hosting party's by EAP (RFC 4739, TS 33.320 A.2). */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Bytes } from "../../../src/bytes/bytes.ts";
import { NotifyType, Prf } from "../../../src/ike/codec/numbers.ts";
import { sharedKeyAuth } from "../../../src/ike/crypto/auth.ts";
import type { Connection } from "../../../src/ike/sa/connection.ts";
import type {
  Answer,
  EapRelayed,
  HostingPartyAnswer,
  HostingPartyRequest,
  IkeEvent,
} from "../../../src/ike/sa/effects.ts";
import { forSeeds, World } from "../../../src/sim/world.ts";
import type { PrfHash } from "../../../src/tre/hostingPartyModule.ts";
import type { PeerRefusal } from "../../../src/tre/trustedEnvironment.ts";
import { connection, type Oracle, type Pair, pair, trustingOracle } from "./pair.ts";

const MSK = Buffer.alloc(64, 0x5a);
const NAI = "0001010000000001@nai.epc.example";
const PARTY = { idType: 3, idData: Buffer.from(NAI), text: NAI };
const REQUEST = Buffer.from("\u0001\u0001\u0000\u0005\u0017", "latin1");
const RESPONSE = Buffer.from("\u0002\u0001\u0000\u0005\u0017", "latin1");
const SUCCESS = Buffer.from("\u0003\u0001\u0000\u0004", "latin1");
const PRF_IDS: Record<PrfHash, number> = {
  sha1: Prf.HMAC_SHA1,
  sha256: Prf.HMAC_SHA2_256,
  sha384: Prf.HMAC_SHA2_384,
  sha512: Prf.HMAC_SHA2_512,
};

/** A hosting party's module with a key that is there already. */
function moduleWith(msk: Bytes) {
  return (step: HostingPartyRequest): HostingPartyAnswer | PeerRefusal => {
    switch (step.kind) {
      case "begin":
        return { kind: "identity", identity: PARTY };
      case "receive":
        return step.packet.equals(SUCCESS) ? { kind: "succeeded" } : { kind: "respond", packet: RESPONSE };
      case "computeAuth":
        return { kind: "auth", data: sharedKeyAuth(PRF_IDS[step.prf], msk, step.octets) };
      case "verifyAuth":
        if (sharedKeyAuth(PRF_IDS[step.prf], msk, step.octets).equals(step.auth))
          return { kind: "verified", eap: "aka success" };
        return { reason: "WrongAuth", message: "the gateway's AUTH was not made with the MSK" };
    }
  };
}

/** An AAA server that asks twice and then lets everybody in. */
function aaaWith(msk: Bytes) {
  let asked = 0;
  return (packet: Bytes | undefined): EapRelayed | PeerRefusal => {
    if (packet === undefined) asked = 0;
    asked += 1;
    return asked <= 2
      ? { kind: "request", packet: REQUEST }
      : { kind: "success", packet: SUCCESS, msk, eap: "aka success" };
  };
}

/** With one datagram in five lost, a few tries would not do for every one of 50 seeds. */
const PATIENT = { initial: 500, factor: 1.3, tries: 15 };

interface Setting {
  world?: World;
  device?: Partial<Connection>;
  gateway?: Partial<Connection>;
  module?: ReturnType<typeof moduleWith>;
  aaa?: (packet: Bytes | undefined) => EapRelayed | PeerRefusal;
  profile?: "required" | "allowed" | "forbidden";
}

function attach(setting: Setting = {}): Pair {
  const made = pair(setting.world, { multipleAuth: true, ...setting.gateway });
  const module = setting.module ?? moduleWith(MSK);
  const aaa = setting.aaa ?? aaaWith(MSK);
  made.device.oracle = (request) =>
    request.ask === "hostingParty" ? { ask: "hostingParty", result: module(request.step) } : trustingOracle(request);
  made.gateway.oracle = gatewayOracle(aaa, setting.profile);
  made.device.connect(
    connection("ap-1.example", { hostingParty: true, requestAttributes: [1], ...setting.device }),
    made.gateway.address,
  );
  made.world.run(120_000);
  return made;
}

function gatewayOracle(
  aaa: (packet: Bytes | undefined) => EapRelayed | PeerRefusal,
  secondRound: Setting["profile"],
): Oracle {
  return (request): Answer => {
    if (request.ask === "relayEap") return { ask: "relayEap", result: aaa(request.packet) };
    if (request.ask !== "verifyPeer" || secondRound === undefined) return trustingOracle(request);
    return { ask: "verifyPeer", result: { evidence: { path: [], ocsp: "none", names: [] }, secondRound } };
  };
}

function only<K extends IkeEvent["kind"]>(events: readonly IkeEvent[], kind: K): Extract<IkeEvent, { kind: K }> {
  const found = events.filter((event): event is Extract<IkeEvent, { kind: K }> => event.kind === kind);
  assert.equal(found.length, 1, `${found.length} ${kind} among ${events.map((event) => event.kind).join(" ")}`);
  return found[0]!;
}

function reasons({ device, gateway }: Pair): [device: string, gateway: string] {
  const reasonOf = (events: readonly IkeEvent[]) =>
    events.find((event) => event.kind === "failed")?.refusal.reason ?? "";
  return [reasonOf(device.events), reasonOf(gateway.events)];
}

describe("a device and then its hosting party", () => {
  test("authenticate in one IKE SA, whose address and tunnel come with the last message (A.2-7)", () => {
    const made = attach();
    const established = only(made.gateway.events, "established");
    assert.equal(established.peer.text, "ap-1.example");
    assert.equal(established.evidence.hostingParty, NAI);
    assert.equal(established.evidence.eap, "aka success");
    assert.equal(only(made.device.events, "established").evidence.eap, "aka success");
    assert.equal(made.device.children.size, 1);
    const sent = made.gateway.events.flatMap((event) =>
      event.kind === "message" && event.direction === "sent"
        ? [event.payloads.map((text) => text.split("(")[0]).join(" ")]
        : [],
    );
    assert.deepEqual(sent.slice(1, 6), ["IDr CERT CERT AUTH", "EAP", "EAP", "EAP", "AUTH CP SA TSi TSr"]);
  });

  test("announce what RFC 4739 wants announced (A.2-1)", () => {
    const made = attach();
    const [init, auth] = made.device.events
      .flatMap((event) => (event.kind === "message" ? [event] : []))
      .filter(({ header }) => header.messageId < 2 && !header.response);
    assert.ok(init !== undefined && auth !== undefined);
    const answer = made.device.events.find((event) => event.kind === "message" && event.direction === "received");
    assert.ok(answer?.kind === "message" && answer.payloads.includes("N(MULTIPLE_AUTH_SUPPORTED)"));
    assert.ok(
      auth.payloads.includes("N(MULTIPLE_AUTH_SUPPORTED)") && auth.payloads.includes("N(ANOTHER_AUTH_FOLLOWS)"),
    );
  });

  test("ask the AAA server with nothing first, in the hosting party's name (A.2-3)", () => {
    const made = attach();
    const relayed = made.gateway.requests.filter((request) => request.ask === "relayEap");
    assert.equal(relayed[0]?.packet, undefined);
    assert.deepEqual(
      relayed.map(({ device, party }) => [device.text, party.text]),
      relayed.map(() => ["ap-1.example", NAI]),
    );
    assert.ok(relayed.slice(1).every(({ packet }) => packet?.equals(RESPONSE)));
  });

  test("come through loss, duplication and reordering", () => {
    forSeeds(50, process.env.FEMTOGATE_SEED, (seed) => {
      const made = attach({
        world: new World(seed, { loss: 0.2, duplicate: 0.1, delay: [5, 400] }),
        device: { retransmission: PATIENT },
      });
      assert.equal(made.gateway.events.filter(({ kind }) => kind === "established").length, 1);
      assert.equal(made.device.children.size, 1);
    });
  });
});

describe("is refused with a reason, and told AUTHENTICATION_FAILED only,", () => {
  const cases: [title: string, setting: Setting, device: string, gateway: string][] = [
    [
      "a device that brings no hosting party where its profile demands one (A.1-4)",
      { device: { hostingParty: false }, profile: "required" },
      "PeerRefused",
      "SecondRoundRequired",
    ],
    [
      "a device that brings one where its profile forbids it (A.1-4)",
      { profile: "forbidden" },
      "PeerRefused",
      "SecondRoundForbidden",
    ],
    [
      "a hosting party that the AAA server refuses",
      {
        aaa: () => ({
          kind: "failure",
          packet: Buffer.from([4, 1, 0, 4]),
          refusal: { reason: "UnknownSubscriber", message: "" },
        }),
      },
      "PeerRefused",
      "UnknownSubscriber",
    ],
    [
      "a hosting party whose key is another one",
      { module: moduleWith(Buffer.alloc(64, 1)) },
      "PeerRefused",
      "WrongAuth",
    ],
    ["a method that makes no key", { aaa: aaaWith(Buffer.alloc(0)) }, "PeerRefused", "EapKeyMissing"],
    [
      "an AAA server that gives no answer",
      { aaa: () => ({ reason: "AaaUnreachable", message: "" }) },
      "PeerRefused",
      "AaaUnreachable",
    ],
    [
      "an EAP conversation without end",
      { aaa: () => ({ kind: "request", packet: REQUEST }) },
      "TooManyEapRounds",
      "TooManyEapRounds",
    ],
  ];
  for (const [title, setting, device, gateway] of cases) {
    test(title, () => {
      const made = attach(setting);
      const [atDevice, atGateway] = reasons(made);
      assert.equal(atGateway, gateway);
      assert.ok([device, "PeerRefused"].includes(atDevice), atDevice);
      const failed = made.device.events.find((event) => event.kind === "failed");
      assert.ok(failed?.kind === "failed");
      if (failed.refusal.by === "peer") assert.equal(failed.refusal.notify, NotifyType.AUTHENTICATION_FAILED);
      assert.equal(made.gateway.endpoint.size, 0);
      assert.equal(made.device.endpoint.size, 0);
      assert.equal(made.gateway.children.size, 0);
    });
  }
});

describe("a device with a hosting party refuses", () => {
  test("a gateway that supports one authentication only, before anything is proved to it", () => {
    const made = attach({ gateway: { multipleAuth: false } });
    assert.equal(reasons(made)[0], "MultipleAuthNotSupported");
    assert.deepEqual(made.gateway.requests, []);
  });

  test("a gateway that does not hold the key of the EAP conversation", () => {
    const sound = moduleWith(MSK);
    const made = attach({
      module: (step) => (step.kind === "verifyAuth" ? { reason: "WrongAuth", message: "" } : sound(step)),
    });
    assert.equal(reasons(made)[0], "WrongAuth");
    assert.equal(made.device.children.size, 0);
    assert.equal(made.gateway.endpoint.size, 0, "it was told");
  });

  test("a gateway that takes its single certificate for enough", () => {
    // A gateway that ignores ANOTHER_AUTH_FOLLOWS sends its tunnel with the first round; the device still wants the second.
    const made = attach({ aaa: () => ({ reason: "NoAaaServer", message: "" }) });
    assert.equal(made.device.children.size, 0);
  });
});
