import assert from "node:assert/strict";
import { generateKeyPairSync, sign } from "node:crypto";
import { test } from "node:test";
import type { Bytes } from "../../src/bytes/bytes.ts";
import * as write from "../../src/der/writer.ts";
import {
  describePathRefusal,
  type PathRefusal,
  type PathRequest,
  type Purpose,
  validatePath,
} from "../../src/trust/path.ts";
import { SignatureCache } from "../../src/trust/signatureCache.ts";
import { basicConstraints, extendedKeyUsage, keyUsage } from "../../src/x509/build.ts";
import type { Certificate } from "../../src/x509/certificate.ts";
import { Oid } from "../../src/x509/oids.ts";
import {
  CA_EXTENSIONS,
  DAY,
  KEY_MAKERS,
  LEAF_EXTENSIONS,
  type Made,
  type Making,
  make,
  NOW,
  withBadSignature,
} from "../x509/made.ts";

const root = make({ name: "Root" });
const ca = make({ name: "CA", issuer: root });
const makeLeaf = (making: Making = {}) => make({ name: "leaf", issuer: ca, extensions: LEAF_EXTENSIONS, ...making });
const leaf = makeLeaf();
const sibling = makeLeaf({ name: "sibling" });

test("a path of an end entity, a CA and a trusted root is valid, and given from leaf to root", () => {
  const verdict = validatePath(request(leaf, [ca]));
  assert.ok(verdict.valid);
  assert.deepEqual(subjects(verdict.path), ["leaf", "CA", "Root"]);
});

for (const [kind, makeKeys] of Object.entries(KEY_MAKERS)) {
  test(`a path of ${kind} keys is valid`, () => {
    const top = make({ name: "Root", keys: makeKeys() });
    const end = make({ name: "leaf", issuer: top, keys: makeKeys(), extensions: LEAF_EXTENSIONS });
    assert.ok(validatePath(request(end, [], { anchors: [top.certificate] })).valid);
  });
}

test("four certificates below the root are accepted in any order, five are refused (7.2.3-2, 7.2.4-2)", () => {
  const chain = deepChain(5);
  const [anchor, ...below] = chain;
  const ofFour = below.slice(0, 4);
  const end = make({ name: "end", issuer: ofFour[2]!, extensions: LEAF_EXTENSIONS });
  const intermediates = ofFour.slice(0, 3);
  for (const order of [intermediates, intermediates.toReversed(), [1, 2, 0].map((i) => intermediates[i]!)]) {
    const verdict = validatePath(request(end, order, { anchors: [anchor!.certificate] }));
    assert.ok(verdict.valid);
    assert.equal(verdict.path.length, 5);
  }
  const tooDeep = make({ name: "end", issuer: ofFour[3]!, extensions: LEAF_EXTENSIONS });
  const refusal = refusalOf(request(tooDeep, ofFour, { anchors: [anchor!.certificate] }));
  assert.deepEqual(refusal, { reason: "PathTooLong", length: 5, limit: 4 });
});

test("without a way to a trusted root the refusal names the end entity and its issuer", () => {
  const expected = { reason: "NoPathToTrustAnchor", subject: "O=Femtogate, CN=leaf", issuer: "O=Femtogate, CN=CA" };
  assert.deepEqual(refusalOf(request(leaf, [])), expected);
  assert.deepEqual(refusalOf(request(leaf, [ca], { anchors: [] })), expected);
  const stranger = make({ name: "Root" });
  assert.equal(refusalOf(request(leaf, [ca], { anchors: [stranger.certificate] })).reason, "NoPathToTrustAnchor");
});

test("a root that the peer sends along is no anchor", () => {
  assert.equal(refusalOf(request(leaf, [ca, root], { anchors: [] })).reason, "NoPathToTrustAnchor");
});

test("an anchor does not vouch for itself as an end entity", () => {
  const self = make({
    name: "self",
    extensions: [basicConstraints(true), keyUsage("digitalSignature", "keyCertSign")],
  });
  assert.equal(refusalOf(request(self, [], { anchors: [self.certificate] })).reason, "NoPathToTrustAnchor");
});

test("validity bounds are inclusive, for every certificate of the path (7.2.3-3, 7.2.4-3)", () => {
  const bounds = { notBefore: NOW - DAY, notAfter: NOW + DAY };
  const [from, to] = [NOW - DAY, NOW + DAY];
  const shortRoot = make({ name: "Root", ...bounds });
  const shortCa = make({ name: "CA", issuer: root, ...bounds });
  const cases: [who: string, (time: number) => PathRequest][] = [
    ["leaf", (time) => request(makeLeaf(bounds), [ca], { time })],
    ["CA", (time) => request(makeLeaf({ issuer: shortCa }), [shortCa], { time })],
    ["Root", (time) => request(makeLeaf({ issuer: shortRoot }), [], { time, anchors: [shortRoot.certificate] })],
  ];
  for (const [who, at] of cases) {
    const subject = `O=Femtogate, CN=${who}`;
    for (const time of [from, NOW, to, to + 999]) assert.ok(validatePath(at(time)).valid, `${who} at ${time}`);
    const early = from - 1;
    assert.deepEqual(refusalOf(at(early)), { reason: "NotYetValid", subject, notBefore: from, time: early });
    const late = to + 1000;
    assert.deepEqual(refusalOf(at(late)), { reason: "Expired", subject, notAfter: to, time: late });
  }
});

test("a signature that does not verify is refused wherever in the path it stands", () => {
  const bad = { reason: "BadSignature", subject: "O=Femtogate, CN=leaf" };
  assert.deepEqual(refusalOf(request(withBadSignature(leaf.certificate), [ca])), bad);
  const badCa = { ...ca, certificate: withBadSignature(ca.certificate) };
  assert.deepEqual(refusalOf(request(leaf, [badCa])), { reason: "BadSignature", subject: "O=Femtogate, CN=CA" });
});

test("a certificate signed by a stranger who bears the CA's name and key identifier is refused", () => {
  const forged = makeLeaf({ signer: make().signer });
  assert.equal(refusalOf(request(forged, [ca])).reason, "BadSignature");
});

test("an end entity cannot issue: not as an intermediate, and not as an anchor", () => {
  const below = make({ name: "below", issuer: leaf, extensions: LEAF_EXTENSIONS });
  const notACa = { reason: "NotACa", subject: "O=Femtogate, CN=leaf" };
  assert.deepEqual(refusalOf(request(below, [leaf, ca])), notACa);
  assert.deepEqual(refusalOf(request(below, [], { anchors: [leaf.certificate] })), notACa);
  const plain = make({ name: "plain", issuer: root, extensions: [] });
  const belowPlain = makeLeaf({ issuer: plain });
  assert.equal(refusalOf(request(belowPlain, [plain])).reason, "NotACa");
});

test("a CA whose key usage lacks keyCertSign cannot issue", () => {
  const crlOnly = make({ name: "CRL CA", issuer: root, extensions: [basicConstraints(true), keyUsage("cRLSign")] });
  assert.deepEqual(refusalOf(request(makeLeaf({ issuer: crlOnly }), [crlOnly])), {
    reason: "KeyUsageMissing",
    subject: "O=Femtogate, CN=CRL CA",
    usage: "keyCertSign",
  });
});

test("a path length constraint bounds the CAs below, on a CA and on the anchor; self-issued ones do not count", () => {
  const limited = (pathLength: number): readonly [Made, Made] => {
    const top = make({ name: "Root", extensions: [basicConstraints(true, pathLength), keyUsage("keyCertSign")] });
    return [top, make({ name: "CA", issuer: top })];
  };
  const [zero, underZero] = limited(0);
  assert.deepEqual(refusalOf(request(makeLeaf({ issuer: underZero }), [underZero], { anchors: [zero.certificate] })), {
    reason: "PathLengthExceeded",
    subject: "O=Femtogate, CN=Root",
    allowed: 0,
  });
  assert.ok(validatePath(request(makeLeaf({ issuer: zero }), [], { anchors: [zero.certificate] })).valid);
  const [one, underOne] = limited(1);
  assert.ok(validatePath(request(makeLeaf({ issuer: underOne }), [underOne], { anchors: [one.certificate] })).valid);
  const rolledOver = make({ name: "Root", issuer: zero });
  const end = makeLeaf({ issuer: rolledOver });
  assert.ok(validatePath(request(end, [rolledOver], { anchors: [zero.certificate] })).valid);
});

test("key usage and extended key usage of the end entity must fit the purpose", () => {
  const withUsage = (...extensions: Making["extensions"] & object) => makeLeaf({ extensions });
  const signs = keyUsage("digitalSignature");
  const cases: [Purpose, Made, PathRefusal["reason"] | "valid"][] = [
    ["ike", withUsage(), "valid"],
    ["ike", withUsage(signs), "valid"],
    ["ike", withUsage(keyUsage("nonRepudiation")), "valid"],
    ["ike", withUsage(keyUsage("keyEncipherment")), "KeyUsageMissing"],
    ["ike", withUsage(signs, extendedKeyUsage(Oid.ipsecIke)), "valid"],
    ["ike", withUsage(signs, extendedKeyUsage(Oid.ikeIntermediate)), "valid"],
    ["ike", withUsage(signs, extendedKeyUsage(Oid.anyExtendedKeyUsage)), "valid"],
    ["ike", withUsage(signs, extendedKeyUsage(Oid.ocspSigning)), "PurposeNotAllowed"],
    ["tlsServer", withUsage(keyUsage("keyEncipherment"), extendedKeyUsage(Oid.serverAuth)), "valid"],
    ["tlsServer", withUsage(signs, extendedKeyUsage(Oid.clientAuth)), "PurposeNotAllowed"],
    ["tlsClient", withUsage(signs, extendedKeyUsage(Oid.clientAuth)), "valid"],
    ["tlsClient", withUsage(keyUsage("keyEncipherment")), "KeyUsageMissing"],
    ["ocspSigning", withUsage(signs, extendedKeyUsage(Oid.ocspSigning)), "valid"],
    ["ocspSigning", withUsage(signs), "PurposeNotAllowed"],
    ["ocspSigning", withUsage(signs, extendedKeyUsage(Oid.anyExtendedKeyUsage)), "PurposeNotAllowed"],
  ];
  for (const [index, [purpose, end, expected]] of cases.entries()) {
    const verdict = validatePath(request(end, [ca], { purpose }));
    assert.equal(verdict.valid ? "valid" : verdict.refusal.reason, expected, `case ${index}`);
  }
});

test("a critical extension that is not processed is refused in every certificate of the path, the anchor too", () => {
  const unknown = { oid: "1.2.3.4", critical: true, value: write.sequence() };
  const strictRoot = make({ name: "Root", more: [unknown] });
  const strictCa = make({ name: "CA", issuer: root, more: [unknown] });
  const strictLeaf = makeLeaf({ more: [unknown] });
  const refusals = [
    refusalOf(request(strictLeaf, [ca])),
    refusalOf(request(makeLeaf({ issuer: strictCa }), [strictCa])),
    refusalOf(request(makeLeaf({ issuer: strictRoot }), [], { anchors: [strictRoot.certificate] })),
  ];
  assert.deepEqual(
    refusals,
    ["leaf", "CA", "Root"].map((who) => ({
      reason: "UnknownCriticalExtension",
      subject: `O=Femtogate, CN=${who}`,
      oid: "1.2.3.4",
    })),
  );
  const uncritical = makeLeaf({ more: [{ ...unknown, critical: false }] });
  assert.ok(validatePath(request(uncritical, [ca])).valid);
});

test("SHA-1 signatures and RSA keys below 2048 bits are refused unless allowed, in the anchor's key too", () => {
  const rsa = KEY_MAKERS["RSA-2048"]();
  const sha1 = {
    algorithm: write.sequence(write.oid(Oid.sha1WithRsa), write.nullValue()),
    sign: (data: Bytes) => sign("sha1", data, rsa.privateKey),
  };
  const rsaRoot = make({ name: "Root", keys: rsa, signer: sha1 });
  const short = generateKeyPairSync("rsa", { modulusLength: 1024 });
  const shortRoot = make({ name: "Root", keys: short });
  const cases: [Made, Made, string][] = [
    [makeLeaf({ issuer: rsaRoot, signer: sha1 }), rsaRoot, "a SHA-1 signature"],
    [makeLeaf({ keys: short, issuer: root }), root, "an RSA key of 1024 bits"],
    [makeLeaf({ issuer: shortRoot }), shortRoot, "an RSA key of 1024 bits"],
  ];
  for (const [end, top, algorithm] of cases) {
    const asked = request(end, [], { anchors: [top.certificate] });
    const refusal = refusalOf(asked);
    assert.ok(refusal.reason === "WeakAlgorithm" && refusal.algorithm === algorithm);
    assert.ok(validatePath({ ...asked, allowWeakAlgorithms: true }).valid, algorithm);
  }
  // What signs the anchor itself proves nothing, so that its own SHA-1 signature does no harm.
  assert.ok(validatePath(request(makeLeaf({ issuer: rsaRoot }), [], { anchors: [rsaRoot.certificate] })).valid);
});

test("keys on other curves and of other kinds, and unknown signature algorithms, are refused by name", () => {
  const curve = generateKeyPairSync("ec", { namedCurve: "secp224r1" });
  const edwards = generateKeyPairSync("ed25519");
  const unknown = { algorithm: write.sequence(write.oid("1.2.3.4")), sign: () => Buffer.alloc(64) };
  const said = [{ keys: curve }, { keys: edwards }, { signer: unknown }].map((making) => {
    const refusal = refusalOf(request(makeLeaf(making), [ca]));
    return refusal.reason === "WeakAlgorithm" ? refusal.algorithm : refusal.reason;
  });
  assert.deepEqual(said, [
    "the curve 1.3.132.0.33",
    "a key of the algorithm 1.3.101.112",
    "the unknown signature algorithm 1.2.3.4",
  ]);
});

test("of several CAs of one name the one that signed is found, by key identifier or by trying", () => {
  for (const keyIds of ["present", "absent"] as const) {
    const old = make({ name: "CA", issuer: root, keyIds });
    const now = make({ name: "CA", issuer: root, keyIds });
    const end = makeLeaf({ issuer: now, keyIds });
    const verdict = validatePath(request(end, [old, now]));
    assert.ok(verdict.valid, keyIds);
    assert.equal(verdict.path[1], now.certificate);
  }
});

test("a CA certified by two roots leads to the one that is trusted", () => {
  const otherRoot = make({ name: "Other root" });
  const cross = make({ name: "CA", issuer: otherRoot, keys: ca.keys });
  const verdict = validatePath(request(leaf, [cross, ca]));
  assert.ok(verdict.valid);
  assert.deepEqual(subjects(verdict.path), ["leaf", "CA", "Root"]);
});

test("CAs that certify each other in a ring end the search without a path", () => {
  const a = make({ name: "A" });
  const b = make({ name: "B", issuer: a });
  const ring = make({ name: "A", issuer: b, keys: a.keys });
  const end = makeLeaf({ issuer: b });
  assert.equal(refusalOf(request(end, [b, ring, a])).reason, "NoPathToTrustAnchor");
});

test("a stranger's path costs no signature check, and one that leads to our root by name only costs one", () => {
  const chain = deepChain(3);
  const end = makeLeaf({ issuer: chain[2]! });
  const signatureCache = new Recording();
  const strangers = request(end, chain.slice(1), { signatureCache });
  assert.equal(refusalOf(strangers).reason, "NoPathToTrustAnchor");
  assert.deepEqual(signatureCache.asked, []);
  const pretender = make({ name: "Root", keyIds: "absent" });
  const under = make({ name: "CA", issuer: pretender, keyIds: "absent" });
  const forged = request(makeLeaf({ issuer: under }), [under], { signatureCache });
  assert.deepEqual(refusalOf(forged), { reason: "BadSignature", subject: "O=Femtogate, CN=CA" });
  assert.deepEqual(signatureCache.asked, ["CA by Root"]);
});

test("many decoys of the issuer's name end in a refusal, not in endless work", () => {
  const decoys = Array.from({ length: 200 }, () => make({ name: "Root", keyIds: "absent" }).certificate);
  const signatureCache = new Recording();
  assert.equal(refusalOf(request(leaf, [ca], { anchors: decoys, signatureCache })).reason, "BadSignature");
  assert.equal(signatureCache.asked.length, 65, "64 are verified, and one is over the limit");
});

test("a remembered CA signature is not verified again, and the verdict stays the same", () => {
  const signatureCache = new Recording();
  for (const end of [leaf, sibling, leaf]) assert.ok(validatePath(request(end, [ca], { signatureCache })).valid);
  assert.deepEqual([...new Set(signatureCache.asked)], ["CA by Root"], "end entities are not remembered");
  assert.equal(signatureCache.verified, 1);
  const badCa = { ...ca, certificate: withBadSignature(ca.certificate) };
  assert.equal(refusalOf(request(leaf, [badCa], { signatureCache })).reason, "BadSignature");
  const bad = { ...leaf, certificate: withBadSignature(leaf.certificate) };
  assert.equal(refusalOf(request(bad, [ca], { signatureCache })).reason, "BadSignature");
});

test("every refusal has a sentence of its own that names the certificate or the limit", () => {
  const subject = "O=Femtogate, CN=x";
  const evidence = { issuer: "CN=y", number: "7", thisUpdate: NOW, nextUpdate: NOW };
  const refusals: PathRefusal[] = [
    { reason: "PathTooLong", length: 5, limit: 4 },
    { reason: "NoPathToTrustAnchor", subject, issuer: "CN=y" },
    { reason: "NotYetValid", subject, notBefore: NOW, time: NOW - 1 },
    { reason: "Expired", subject, notAfter: NOW, time: NOW + 1000 },
    { reason: "BadSignature", subject },
    { reason: "NotACa", subject },
    { reason: "PathLengthExceeded", subject, allowed: 0 },
    { reason: "KeyUsageMissing", subject, usage: "keyCertSign" },
    { reason: "PurposeNotAllowed", subject, purpose: "ike" },
    { reason: "UnknownCriticalExtension", subject, oid: "1.2.3" },
    { reason: "WeakAlgorithm", subject, algorithm: "a SHA-1 signature" },
    { reason: "SearchLimitReached", limit: 4, of: "candidate issuers" },
    { reason: "NameNotPermitted", subject, name: "a.example", because: "excluded" },
    { reason: "NameConstraintUnprocessable", subject, detail: "x" },
    { reason: "AnyPolicyMapped", subject },
    { reason: "NoAcceptablePolicy", subject, acceptable: ["1.2.3"] },
    { reason: "NameMismatch", subject, expected: "a.example", certified: [] },
    { reason: "Revoked", subject, at: NOW, reasonCode: 1, evidence },
    { reason: "StatusUndetermined", subject, problems: [{ reason: "NoCrl", issuer: "CN=y" }] },
  ];
  const sentences = refusals.map(describePathRefusal);
  assert.equal(new Set(sentences).size, refusals.length);
  for (const sentence of sentences) assert.match(sentence, /CN=x|at most 4|limit of 4/);
});

class Recording extends SignatureCache {
  readonly asked: string[] = [];
  verified = 0;

  override remember(certificate: Certificate, issuer: Certificate, verify: () => boolean): boolean {
    this.asked.push(`${certificate.subject.commonName} by ${issuer.subject.commonName}`);
    return super.remember(certificate, issuer, () => {
      this.verified += 1;
      return verify();
    });
  }
}

function request(
  end: Made | Certificate,
  intermediates: readonly { certificate: Certificate }[],
  over: Partial<PathRequest> = {},
): PathRequest {
  return {
    leaf: "certificate" in end ? end.certificate : end,
    intermediates: intermediates.map(({ certificate }) => certificate),
    anchors: [root.certificate],
    time: NOW,
    purpose: "ike",
    maxPath: 4,
    allowWeakAlgorithms: false,
    ...over,
  };
}

function refusalOf(asked: PathRequest): PathRefusal {
  const verdict = validatePath(asked);
  assert.ok(!verdict.valid, "expected a refusal");
  return verdict.refusal;
}

function subjects(path: readonly Certificate[]): (string | undefined)[] {
  return path.map((certificate) => certificate.subject.commonName);
}

/** A root and `length - 1` CAs, each under the one before. */
function deepChain(length: number): Made[] {
  const chain = [make({ name: "Deep root" })];
  while (chain.length < length)
    chain.push(make({ name: `Deep CA ${chain.length}`, issuer: chain.at(-1)!, extensions: CA_EXTENSIONS }));
  return chain;
}
