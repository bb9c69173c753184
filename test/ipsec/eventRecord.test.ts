import assert from "node:assert/strict";
import test, { after } from "node:test";
import type { ChildSaId } from "../../src/esp/dataPlane.ts";
import type { IkeSpi } from "../../src/ike/codec/message.ts";
import type { IkeEvent, IkeSaId } from "../../src/ike/sa/effects.ts";
import { describeEvent, innerAddresses } from "../../src/ipsec/eventRecord.ts";
import { Credentials } from "../e2e/credentials.ts";
import { Ecosystem } from "../e2e/ecosystem.ts";

const credentials = new Credentials();
after(() => credentials[Symbol.dispose]());

type Kind = IkeEvent["kind"];
type Of<K extends Kind> = Extract<IkeEvent, { kind: K }>;

const SA = 7 as IkeSaId;
const CHILD = 3 as ChildSaId;
const REMOTE = { address: "192.0.2.11", port: 4500 };
const PEER = { idType: 2, idData: Buffer.from("ap-1.example"), text: "ap-1.example" };
const SUITE = { encr: { id: 20, keyLength: 128 }, integ: 0, prf: 5, group: 31 };
const SECRET = Buffer.from("5ec7e75ec7e75ec7e75ec7e75ec7e75e", "hex");

/** One of each kind but `keys`, with its level, its text and its record; a new kind is a type error here. */
const EVENTS: {
  [K in Exclude<Kind, "keys">]: [event: Of<K>, level: string, text: string, record: Record<string, unknown>];
} = {
  message: [
    {
      kind: "message",
      sa: SA,
      direction: "received",
      header: {
        initiatorSpi: "1111111111111111" as IkeSpi,
        responderSpi: "2222222222222222" as IkeSpi,
        exchangeType: 35,
        fromInitiator: true,
        response: false,
        messageId: 1,
      },
      payloads: ["IDi(ap-1.example)", "AUTH(RSA)"],
      fragments: 2,
      bytes: 1500,
      local: { address: "2001:db8::1", port: 500 },
      remote: { address: "2001:db8::2", port: 4500 },
    },
    "info",
    "received IKE_AUTH request 1: IDi(ap-1.example) AUTH(RSA)",
    {
      sa: 7,
      direction: "received",
      exchange: "IKE_AUTH",
      response: false,
      messageId: 1,
      initiatorSpi: "1111111111111111",
      responderSpi: "2222222222222222",
      payloads: ["IDi(ap-1.example)", "AUTH(RSA)"],
      fragments: 2,
      bytes: 1500,
      local: "[2001:db8::1]:500",
      remote: "[2001:db8::2]:4500",
    },
  ],
  retransmission: [
    { kind: "retransmission", sa: SA, messageId: 4, attempt: 3 },
    "debug",
    "request 4 sent again, attempt 3",
    { sa: 7, messageId: 4, attempt: 3 },
  ],
  established: [
    {
      kind: "established",
      sa: SA,
      peer: PEER,
      evidence: { path: ["CN=ap-1", "CN=root"], names: ["ap-1.example"], ocsp: "OCSP good" },
      suite: SUITE,
      remote: REMOTE,
      addresses: [
        { type: 1, value: Buffer.from([10, 64, 0, 1]) },
        { type: 3, value: Buffer.from([10, 40, 0, 53]) },
        { type: 8, value: Buffer.concat([Buffer.from("20010db8000000000000000000000005", "hex"), Buffer.of(128)]) },
      ],
      initiator: false,
    },
    "info",
    "IKE SA with ap-1.example established: AES_GCM_16_128/PRF_HMAC_SHA2_256/CURVE25519, OCSP good, inner address 10.64.0.1 and 2001:db8::5",
    {
      sa: 7,
      peer: "ap-1.example",
      suite: "AES_GCM_16_128/PRF_HMAC_SHA2_256/CURVE25519",
      addresses: ["10.64.0.1", "2001:db8::5"],
      path: ["CN=ap-1", "CN=root"],
      names: ["ap-1.example"],
      ocsp: "OCSP good",
      remote: "192.0.2.11:4500",
    },
  ],
  failed: [
    {
      kind: "failed",
      sa: SA,
      peer: undefined,
      refusal: { reason: "WrongAuth", message: "does not verify", by: "us", notify: 24, evidence: { subject: "CN=x" } },
      remote: REMOTE,
    },
    "warn",
    "no IKE SA with 192.0.2.11:4500: does not verify (WrongAuth)",
    {
      sa: 7,
      reason: "WrongAuth",
      message: "does not verify",
      by: "us",
      notify: 24,
      evidence: { subject: "CN=x" },
      remote: "192.0.2.11:4500",
    },
  ],
  closed: [
    { kind: "closed", sa: SA, peer: PEER, cause: "deletedByPeer" },
    "info",
    "IKE SA with ap-1.example ended: deletedByPeer",
    { sa: 7, peer: "ap-1.example", cause: "deletedByPeer" },
  ],
  ikeRekeyed: [
    { kind: "ikeRekeyed", from: SA, to: 8 as IkeSaId, peer: PEER, byUs: true },
    "info",
    "IKE SA with ap-1.example rekeyed by us",
    { from: 7, to: 8, peer: "ap-1.example", byUs: true },
  ],
  childInstalled: [
    {
      kind: "childInstalled",
      sa: SA,
      child: CHILD,
      suite: "aes-128-gcm",
      inboundSpi: 0xc0ffee,
      outboundSpi: 0xdeadbeef,
      replaces: 2 as ChildSaId,
    },
    "info",
    "CHILD SA 3 installed: aes-128-gcm, in place of 2",
    { sa: 7, child: 3, suite: "aes-128-gcm", inboundSpi: "00c0ffee", outboundSpi: "deadbeef", replaces: 2 },
  ],
  childRemoved: [{ kind: "childRemoved", sa: SA, child: CHILD }, "info", "CHILD SA 3 removed", { sa: 7, child: 3 }],
  childFailed: [
    { kind: "childFailed", sa: SA, notify: 38, message: "none of it is allowed" },
    "warn",
    "no CHILD SA: none of it is allowed",
    { sa: 7, notify: 38, message: "none of it is allowed" },
  ],
  moved: [
    { kind: "moved", sa: SA, remote: REMOTE },
    "info",
    "the peer is now at 192.0.2.11:4500",
    { sa: 7, remote: "192.0.2.11:4500" },
  ],
  dropped: [
    { kind: "dropped", reason: "unknownSpi", from: REMOTE, detail: "no IKE SA 1" },
    "debug",
    "a datagram from 192.0.2.11:4500 was dropped: no IKE SA 1",
    { reason: "unknownSpi", from: "192.0.2.11:4500", detail: "no IKE SA 1" },
  ],
};

for (const [kind, [event, level, text, record]] of Object.entries(EVENTS)) {
  test(`an event of the kind ${kind} is a sentence for people and a record of JSON values for programs`, () => {
    const described = describeEvent(event);
    assert.equal(described?.level, level);
    assert.equal(described.text, text);
    assert.deepEqual(JSON.parse(JSON.stringify(described.record)), { event: kind, ...record });
  });
}

test("an exchange without a name, a peer without an identity and a first CHILD SA are told as what they are", () => {
  const [message] = EVENTS.message;
  const other = describeEvent({ ...message, header: { ...message.header, exchangeType: 43, response: true } });
  assert.equal(other?.text, "received exchange 43 response 1: IDi(ap-1.example) AUTH(RSA)");
  assert.equal(
    describeEvent({ ...EVENTS.closed[0], peer: undefined })?.text,
    "IKE SA with an unknown peer ended: deletedByPeer",
  );
  assert.equal(
    describeEvent({ ...EVENTS.childInstalled[0], replaces: undefined })?.text,
    "CHILD SA 3 installed: aes-128-gcm",
  );
  assert.equal(
    describeEvent({ ...EVENTS.ikeRekeyed[0], byUs: false })?.text,
    "IKE SA with ap-1.example rekeyed by the peer",
  );
});

test("keys are no matter of a log: a `keys` event gives nothing", () => {
  const keys = { d: SECRET, ai: SECRET, ar: SECRET, ei: SECRET, er: SECRET, pi: SECRET, pr: SECRET };
  const spi = "1111111111111111" as IkeSpi;
  const event = { kind: "keys", initiatorSpi: spi, responderSpi: spi, suite: SUITE, keys } as Of<"keys">;
  assert.equal(describeEvent(event), undefined);
});

test("of everything that happens from attaching to the end, no record holds a key or a shared secret", async () => {
  const eco = new Ecosystem(credentials);
  const segw = eco.gateway({}, credentials.gateway());
  const henb = eco.device(credentials.deviceFolder(credentials.issueDevice("ap-1.example")));
  await henb.start();
  await eco.until("attached", () => henb.isAttached);
  const { sa } = henb.of("established")[0]!;
  const children = [...henb.children, ...segw.children];
  henb.service.command(sa, "rekeyIke");
  await eco.pass(1_000);
  await eco.during(henb.device.stop());
  const secrets = [
    ...[...henb.of("keys"), ...segw.of("keys")].flatMap(({ keys: { d, ai, ar, ei, er, pi, pr } }) => [
      d,
      ai,
      ar,
      ei,
      er,
      pi,
      pr,
    ]),
    ...children.flatMap(({ inbound, outbound }) => [
      inbound.encryptionKey,
      outbound.encryptionKey,
      inbound.integrityKey,
    ]),
  ].filter(({ length }) => length > 0);
  assert.ok(secrets.length > 20);
  const records = [...henb.events, ...segw.events].flatMap((event) => describeEvent(event) ?? []);
  assert.ok(records.length > 20);
  const text = JSON.stringify(records, (_key, value) => (typeof value === "bigint" ? String(value) : value));
  for (const secret of secrets) {
    for (const form of ["hex", "base64", "base64url"] as const) assert.ok(!text.includes(secret.toString(form)));
    // As JSON shows a Buffer.
    assert.ok(!text.includes(secret.join(",")));
  }
});

test("addresses of the wrong length are none", () => {
  assert.deepEqual(
    innerAddresses([
      { type: 1, value: Buffer.alloc(0) },
      { type: 8, value: Buffer.alloc(16) },
    ]),
    [],
  );
});
