/**
 * Peers that cannot prove who they are, or are not whom they should be: each side names the reason for itself and tells
 * the other AUTHENTICATION_FAILED, and nothing is kept (TS 33.320 7.2.2 to 7.2.5, RFC 7296 2.21.2).
 */
import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import test, { after } from "node:test";
import type { GatewayCredentials } from "../../src/segw/gateway.ts";
import { signAuth } from "../../src/tre/authSignature.ts";
import { fqdnIdentity, IdType } from "../../src/tre/identity.ts";
import type { TrustedEnvironment } from "../../src/tre/trustedEnvironment.ts";
import { Credentials, DAY, SEGW, START } from "./credentials.ts";
import { type DeviceOptions, Ecosystem } from "./ecosystem.ts";
import { bound } from "./tre.ts";
import { refusedByDevice, refusedByGateway } from "./verdicts.ts";

const credentials = new Credentials();
/** An operator and a manufacturer of the same names with other keys. */
const strangers = new Credentials(2);
after(() => {
  credentials[Symbol.dispose]();
  strangers[Symbol.dispose]();
});

const AP = "ap-1.example";
const GATEWAY = credentials.gateway();
const DEVICE = credentials.issueDevice(AP);
const FOLDER = credentials.deviceFolder(DEVICE);
const OTHER_KEY = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;
const FIVE = credentials.issueDevice("ap-5.example", { extraCas: 3 });
const ONCE = { reconnect: { initial: 0 } };

const folderOf = (changes: Parameters<Credentials["issueDevice"]>[1]) =>
  credentials.deviceFolder(credentials.issueDevice(AP, changes));

/** A TrE that answers some questions otherwise. */
const lying =
  (changes: Partial<TrustedEnvironment>): DeviceOptions["tre"] =>
  (tre) => ({
    ...bound(tre),
    ...changes,
  });

const claiming = (idType: number, idData: Buffer) =>
  lying({ identity: async () => ({ idType, idData, fqdn: "not asked for" }) });

const BAD_DEVICES: [who: string, reason: string, folder: string, tre?: DeviceOptions["tre"]][] = [
  [
    "whose AUTH is by another key than its certificate's",
    "WrongAuth",
    FOLDER,
    lying({ computeAuth: async ({ octets, peerHashes }) => signAuth(OTHER_KEY, octets, peerHashes) }),
  ],
  [
    "whose AUTH is of another exchange",
    "WrongAuth",
    FOLDER,
    lying({ computeAuth: async ({ peerHashes }) => signAuth(DEVICE.key, Buffer.from("another"), peerHashes) }),
  ],
  [
    "that signs with SHA-1, which was not announced",
    "HashNotAccepted",
    FOLDER,
    lying({ computeAuth: async ({ octets }) => signAuth(DEVICE.key, octets, [1]) }),
  ],
  [
    "that authenticates by a shared key",
    "UnsupportedMethod",
    FOLDER,
    lying({ computeAuth: async () => ({ method: 2, data: Buffer.alloc(32) }) }),
  ],
  [
    "of a manufacturer that is not trusted, though of the same name (7.2.4-2)",
    "NoPathToTrustAnchor",
    strangers.deviceFolder(strangers.issueDevice(AP)),
  ],
  [
    "with a certificate of the operator's own CA for gateways (7.2.2-2)",
    "NoPathToTrustAnchor",
    credentials.deviceFolder(credentials.issueGateway({ dns: [AP] })),
  ],
  [
    "whose certificate has expired (7.2.4-3)",
    "Expired",
    folderOf({ notBefore: START - 2 * DAY, notAfter: START - DAY }),
  ],
  [
    "whose certificate is not yet valid (7.2.4-3)",
    "NotYetValid",
    folderOf({ notBefore: START + DAY, notAfter: START + 2 * DAY }),
  ],
  [
    "that sends a path of five (7.2.4-2)",
    "PathTooLong",
    credentials.deviceFolder({ ...FIVE, chain: FIVE.chain.slice(0, 4) }),
    lying({ certificates: async () => FIVE.chain.map(({ der }) => der) }),
  ],
  ["that sends no certificate (7.2.2-1)", "NoCertificate", FOLDER, lying({ certificates: async () => [] })],
  [
    "whose certificate cannot be read",
    "MalformedCertificate",
    FOLDER,
    lying({ certificates: async () => [DEVICE.certificate.der.subarray(0, -1)] }),
  ],
  [
    "that puts its CA's certificate first",
    "KeyUsageMissing",
    FOLDER,
    lying({ certificates: async () => DEVICE.chain.map(({ der }) => der).reverse() }),
  ],
  [
    "that leaves out its CA's certificate",
    "NoPathToTrustAnchor",
    FOLDER,
    lying({ certificates: async () => [DEVICE.certificate.der] }),
  ],
  [
    "that claims to be another device in IDi (7.2.5.2.1-2)",
    "IdentityMismatch",
    FOLDER,
    claiming(IdType.FQDN, fqdnIdentity("ap-2.example").idData),
  ],
  [
    "whose IDi is an address (5.2-5)",
    "IdentityNotFqdn",
    FOLDER,
    claiming(IdType.IPV4_ADDR, Buffer.from([192, 0, 2, 11])),
  ],
  [
    "whose IDi is its distinguished name (5.2-5)",
    "IdentityNotFqdn",
    FOLDER,
    claiming(IdType.DER_ASN1_DN, DEVICE.certificate.subject.der),
  ],
  [
    "whose IDi is a mail address (5.2-5)",
    "IdentityNotFqdn",
    FOLDER,
    claiming(IdType.RFC822_ADDR, Buffer.from(`x@${AP}`)),
  ],
];

for (const [who, reason, folder, tre] of BAD_DEVICES) {
  test(`a gateway refuses a device ${who}: ${reason}`, async () => {
    const eco = new Ecosystem(credentials);
    const segw = eco.gateway({}, GATEWAY);
    const henb = eco.device(folder, ONCE, tre === undefined ? {} : { tre });
    await henb.start();
    await eco.until("refused", () => henb.state === "Stopped");
    refusedByGateway(segw, henb, reason);
  });
}

test("a device that claims to be another one does not end that one's session", async () => {
  const eco = new Ecosystem(credentials);
  const segw = eco.gateway({}, GATEWAY);
  const victim = eco.device(credentials.deviceFolder(credentials.issueDevice("ap-2.example")), {}, { index: 2 });
  await victim.start();
  await eco.until("attached", () => victim.isAttached);
  const tre = claiming(IdType.FQDN, fqdnIdentity("ap-2.example").idData);
  const henb = eco.device(FOLDER, ONCE, tre === undefined ? {} : { tre });
  await henb.start();
  await eco.until("refused", () => henb.state === "Stopped");
  await eco.pass(120_000);
  assert.ok(victim.isAttached);
  assert.deepEqual(segw.of("closed"), []);
  assert.equal(segw.service.size, 1);
});

const BAD_GATEWAYS: [
  who: string,
  reason: string,
  credentials: GatewayCredentials,
  changes?: Record<string, unknown>,
][] = [
  ["whose AUTH is by another key than its certificate's", "WrongAuth", { ...GATEWAY, key: OTHER_KEY }],
  [
    "of an operator that is not trusted, though of the same name (7.2.3-2)",
    "NoPathToTrustAnchor",
    { ...strangers.gateway(), deviceRoots: GATEWAY.deviceRoots },
  ],
  [
    "with a certificate of the device manufacturer's CA (7.2.2-3)",
    "NoPathToTrustAnchor",
    credentials.gateway(credentials.issueDevice(SEGW)),
  ],
  [
    "whose certificate has expired (7.2.3-3)",
    "Expired",
    credentials.gateway(credentials.issueGateway({ notBefore: START - 2 * DAY, notAfter: START - DAY })),
  ],
  [
    "whose certificate is not yet valid (7.2.3-3)",
    "NotYetValid",
    credentials.gateway(credentials.issueGateway({ notBefore: START + DAY, notAfter: START + 2 * DAY })),
  ],
  [
    "of another name than the one connected to (7.2.2-4)",
    "NameMismatch",
    credentials.gateway(credentials.issueGateway({ dns: ["other.operator.example"] })),
    { name: "other.operator.example" },
  ],
  [
    "whose IDr is not in its certificate (7.2.5.2.1-2)",
    "IdentityMismatch",
    GATEWAY,
    { name: "other.operator.example" },
  ],
  [
    "that sends a path of five (7.2.3-2)",
    "PathTooLong",
    credentials.gateway(credentials.issueGateway({ extraCas: 3 })),
  ],
];

for (const [who, reason, carried, changes] of BAD_GATEWAYS) {
  test(`a device refuses a gateway ${who}: ${reason}`, async () => {
    const eco = new Ecosystem(credentials);
    const segw = eco.gateway(changes, carried);
    const henb = eco.device(FOLDER, ONCE);
    await henb.start();
    await eco.until("refused", () => henb.state === "Stopped" && segw.service.size === 0);
    refusedByDevice(segw, henb, reason);
  });
}

test("a gateway that never hears that it was refused lets the device go once it stays silent", async () => {
  const eco = new Ecosystem(credentials);
  const segw = eco.gateway({ ike: { dpdInterval: "30s" } }, { ...GATEWAY, key: OTHER_KEY });
  const henb = eco.device(FOLDER, ONCE);
  eco.world.tap = (packet) => (packet[18] === 37 ? "drop" : packet);
  await henb.start();
  await eco.until("refused", () => henb.state === "Stopped");
  assert.equal(segw.gateway.pool.size, 1);
  await eco.until("let go", () => segw.service.size === 0, 300_000);
  assert.equal(segw.of("closed")[0]?.cause, "peerUnresponsive");
  assert.equal(segw.gateway.pool.size, 0);
});

test("a device that connects to an address demands that very address of the certificate (7.2.2-4)", async () => {
  for (const [ip, reason] of [
    ["192.0.2.1", undefined],
    ["192.0.2.99", "NameMismatch"],
  ] as const) {
    const eco = new Ecosystem(credentials);
    const segw = eco.gateway({}, credentials.gateway(credentials.issueGateway({ ip: [ip] })));
    const henb = eco.device(FOLDER, { ...ONCE, gateway: { name: "192.0.2.1" } });
    await henb.start();
    await eco.until("decided", () => henb.isAttached || (henb.state === "Stopped" && segw.service.size === 0));
    if (reason === undefined) assert.ok(henb.isAttached);
    else refusedByDevice(segw, henb, reason);
  }
});

test("a gateway named by its address proves itself by it, and a device that connects by name refuses it", async () => {
  const named = credentials.gateway(credentials.issueGateway({ dns: [SEGW], ip: ["192.0.2.1"] }));
  const nameless = credentials.gateway(credentials.issueGateway({ dns: ["x.example"], ip: ["192.0.2.1"] }));
  for (const [carried, attaches] of [
    [named, true],
    [nameless, false],
  ] as const) {
    const eco = new Ecosystem(credentials);
    const segw = eco.gateway({ name: "192.0.2.1" }, carried);
    const henb = eco.device(FOLDER, ONCE);
    await henb.start();
    await eco.until("decided", () => henb.isAttached || (henb.state === "Stopped" && segw.service.size === 0));
    if (attaches) assert.equal(henb.of("established")[0]?.peer.text, "192.0.2.1");
    else refusedByDevice(segw, henb, "NameMismatch");
  }
});

test("paths of four are taken on both sides (7.2.3-2, 7.2.4-2)", async () => {
  const eco = new Ecosystem(credentials);
  const four = credentials.issueDevice("ap-4.example", { extraCas: 2 });
  assert.equal(four.chain.length, 4);
  // The responder answers for the PKI's usual CAs only.
  const segw = eco.gateway(
    { revocation: {}, ownStatus: { send: "off" } },
    credentials.gateway(credentials.issueGateway({ extraCas: 2 })),
  );
  const henb = eco.device(credentials.deviceFolder(four), { ocsp: { inBand: "off" }, ...ONCE });
  await henb.start();
  await eco.until("attached", () => henb.isAttached);
  assert.equal(henb.of("established")[0]?.evidence.path.length, 5, "four and the root");
  assert.equal(segw.of("established")[0]?.evidence.path.length, 5);
});

test("a TrE with five certificates is refused before anything is sent (7.2.4-1)", () => {
  const eco = new Ecosystem(credentials);
  assert.throws(() => eco.device(credentials.deviceFolder(FIVE)), {
    name: "TreError",
    message: /holds 5 certificates, at most 4 may be sent/,
  });
});
