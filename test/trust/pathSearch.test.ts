/** Which of several candidate paths is found, and what looking for one may cost. */
import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { test } from "node:test";
import { type PathRefusal, type PathRequest, validatePath } from "../../src/trust/path.ts";
import { SignatureCache } from "../../src/trust/signatureCache.ts";
import { basicConstraints, extendedKeyUsage, keyUsage, subjectAltName } from "../../src/x509/build.ts";
import { type Certificate, parseCertificate } from "../../src/x509/certificate.ts";
import { Oid } from "../../src/x509/oids.ts";
import { DAY, KEY_MAKERS, LEAF_EXTENSIONS, type Made, type Making, make, NOW } from "../x509/made.ts";
import { nameConstraints } from "../x509/madeExtensions.ts";

const root = make({ name: "Root" });
const otherRoot = make({ name: "Other root" });
const ca = make({ name: "CA", issuer: root });
const leaf = make({
  name: "leaf",
  issuer: ca,
  extensions: [...LEAF_EXTENSIONS, subjectAltName({ dns: ["ap-1.example"] })],
});

test("certificates that do not belong to the path may be sent along, more than four of them", () => {
  const strangers = Array.from({ length: 8 }, (_, i) => make({ name: `Stranger ${i}`, issuer: otherRoot }));
  assert.deepEqual(pathOf(leaf, [...strangers, ca]), ["leaf", "CA", "Root"]);
});

test("of a CA's expired and renewed certificate the one that is valid is taken, in any order", () => {
  const expired = make({ name: "CA", issuer: root, keys: ca.keys, notAfter: NOW - DAY });
  for (const order of [
    [expired, ca],
    [ca, expired],
  ]) {
    const verdict = validate(leaf, order);
    assert.ok(verdict.valid);
    assert.equal(verdict.path[1], ca.certificate);
  }
});

/** What may be wrong with one of two certificates of the same CA. */
const FLAWS: readonly (readonly [string, Making])[] = [
  ["a name constraint", { more: [nameConstraints([{ dns: "b.example" }])] }],
  ["a key usage", { extensions: [basicConstraints(true), keyUsage("cRLSign")] }],
  ["an unknown critical extension", { more: [{ oid: "1.2.3.4", critical: true, value: Buffer.from([5, 0]) }] }],
  ["a forged signature", { signer: make().signer }],
  [
    "a weak signature algorithm",
    { signer: { algorithm: Buffer.from("300506032a0304", "hex"), sign: () => Buffer.alloc(9) } },
  ],
];
for (const [what, flaw] of FLAWS) {
  test(`a way that fails for ${what} does not spoil another one`, () => {
    const flawed = make({ name: "CA", issuer: root, keys: ca.keys, ...flaw });
    const cross = make({ name: "CA", issuer: otherRoot, keys: ca.keys });
    const anchors = [root.certificate, otherRoot.certificate];
    for (const order of [
      [flawed, cross],
      [cross, flawed],
    ])
      assert.deepEqual(pathOf(leaf, order, { anchors }), ["leaf", "CA", "Other root"]);
    const verdict = validate(leaf, [flawed], { anchors });
    assert.ok(!verdict.valid);
  });
}

test("a longer way is taken where the shorter one fails", () => {
  const bridge = make({ name: "Bridge", issuer: otherRoot });
  const viaBridge = make({ name: "CA", issuer: bridge, keys: ca.keys });
  const tooShort = make({ name: "CA", issuer: root, keys: ca.keys, notAfter: NOW - DAY });
  const anchors = [root.certificate, otherRoot.certificate];
  assert.deepEqual(pathOf(leaf, [tooShort, viaBridge, bridge], { anchors }), ["leaf", "CA", "Bridge", "Other root"]);
});

test("all reasons are told, that of the way that got furthest first", () => {
  const expired = make({ name: "CA", issuer: root, keys: ca.keys, notAfter: NOW - DAY });
  const constrained = make({
    name: "CA",
    issuer: root,
    keys: ca.keys,
    more: [nameConstraints([{ dns: "b.example" }])],
  });
  const noCa = make({ name: "CA", issuer: root, keys: ca.keys, extensions: LEAF_EXTENSIONS });
  const verdict = validate(leaf, [noCa, expired, constrained]);
  assert.ok(!verdict.valid);
  assert.deepEqual(
    verdict.refusals.map(({ reason }) => reason),
    ["Expired", "NameNotPermitted", "NotACa"],
  );
  assert.equal(verdict.refusal, verdict.refusals[0]);
});

test("a path that would be too long is told as such, with the limit, which counts the path and not what was sent", () => {
  const chain = [root];
  for (let i = 1; i <= 4; i++) chain.push(make({ name: `CA ${i}`, issuer: chain.at(-1)! }));
  const deep = make({ name: "deep", issuer: chain.at(-1)!, extensions: LEAF_EXTENSIONS });
  assert.deepEqual(refusalOf(deep, chain.slice(1)), { reason: "PathTooLong", length: 5, limit: 4 });
  assert.deepEqual(pathOf(deep, chain.slice(1), { maxPath: 5 }), ["deep", "CA 4", "CA 3", "CA 2", "CA 1", "Root"]);
});

test("CAs that all certify each other end the search at its limit, which is told, without one signature check", () => {
  const members = Array.from({ length: 8 }, (_, i) => make({ name: `Member ${i}` }));
  const mesh = members.flatMap((issuer, a) =>
    members.flatMap(({ keys }, b) => (a === b ? [] : [make({ name: `Member ${b}`, issuer, keys })])),
  );
  const below = make({ name: "below", issuer: members[0]!, extensions: LEAF_EXTENSIONS });
  const signatureCache = new Counting();
  const verdict = validate(below, mesh, { maxPath: 9, signatureCache });
  assert.ok(!verdict.valid);
  assert.deepEqual(verdict.refusals.at(-1), { reason: "SearchLimitReached", limit: 256, of: "candidate issuers" });
  assert.equal(signatureCache.asked, 0);
});

test("each signature is verified once in a search, however many ways lead over it", () => {
  // Seven roots of one name and key, of which each makes the whole way look new; the leaf is forged.
  const keys = KEY_MAKERS["P-256"]();
  const roots = Array.from({ length: 7 }, () => make({ name: "Root", keys }));
  const mid = make({ name: "Mid", issuer: roots[0]! });
  const cas = Array.from({ length: 7 }, () => make({ name: "CA", issuer: mid, keys: ca.keys }));
  const forged = make({ name: "leaf", issuer: ca, extensions: LEAF_EXTENSIONS, signer: make().signer });
  const signatureCache = new Counting();
  const anchors = roots.map(({ certificate }) => certificate);
  assert.equal(refusalOf(forged, [mid, ...cas], { anchors, signatureCache }).reason, "BadSignature");
  assert.equal(signatureCache.asked, 7 + 7, "Mid under each root, each CA under Mid");
});

test("signature checks end at their limit, which is told, however they are spread over the ways", () => {
  const cas = Array.from({ length: 40 }, () => make({ name: "CA", issuer: root, keyIds: "absent" }));
  const forged = make({
    name: "leaf",
    issuer: cas[0]!,
    extensions: LEAF_EXTENSIONS,
    keyIds: "absent",
    signer: make().signer,
  });
  const verdict = validate(forged, cas);
  assert.ok(!verdict.valid);
  const checked = verdict.refusals.filter(({ reason }) => reason === "BadSignature").length;
  assert.equal(checked, 32, "two checks a way: the CA's and the forged one");
  assert.deepEqual(verdict.refusals.at(-1), { reason: "SearchLimitReached", limit: 64, of: "signature checks" });
});

test("a CA does not stand twice in a path, by its name and key", () => {
  const again = make({ name: "CA", issuer: ca, keys: ca.keys });
  const signatureCache = new Counting();
  assert.deepEqual(pathOf(leaf, [again, ca], { signatureCache }), ["leaf", "CA", "Root"]);
  const verdict = validate(leaf, [again]);
  assert.ok(!verdict.valid && verdict.refusal.reason === "NoPathToTrustAnchor");
});

test("the name that was meant is held against the end entity of a valid path", () => {
  assert.deepEqual(pathOf(leaf, [ca], { name: { fqdn: "AP-1.example." } }), ["leaf", "CA", "Root"]);
  assert.deepEqual(refusalOf(leaf, [ca], { name: { fqdn: "ap-2.example" } }), {
    reason: "NameMismatch",
    subject: "O=Femtogate, CN=leaf",
    expected: "ap-2.example",
    certified: ["ap-1.example"],
  });
  assert.equal(refusalOf(leaf, [], { name: { fqdn: "ap-2.example" } }).reason, "NoPathToTrustAnchor");
});

test("an extended key usage of a CA binds what is below it, but not its OCSP signers", () => {
  const usage = extendedKeyUsage(Oid.serverAuth);
  const tlsCa = make({ name: "TLS CA", issuer: root, more: [usage] });
  const below = (more: Making["more"] = []) =>
    make({ name: "below", issuer: tlsCa, extensions: LEAF_EXTENSIONS, more });
  assert.deepEqual(refusalOf(below(), [tlsCa], { purpose: "ike" }), {
    reason: "PurposeNotAllowed",
    subject: "O=Femtogate, CN=TLS CA",
    purpose: "ike",
  });
  assert.ok(validate(below(), [tlsCa], { purpose: "tlsServer" }).valid);
  assert.ok(validate(below(), [tlsCa], { purpose: "any" }).valid);
  const signer = below([extendedKeyUsage(Oid.ocspSigning)]);
  assert.ok(validate(signer, [], { purpose: "ocspSigning", anchors: [tlsCa.certificate] }).valid);
});

test("a curve that is spelled out is refused even where weak algorithms are allowed (RFC 5480 2.1.1)", () => {
  const der = Buffer.from(leaf.certificate.der);
  // The named curve's tag becomes that of a NULL of the same length: no name any more.
  const at = der.indexOf(Buffer.from("06082a8648ce3d030107", "hex"));
  der[at] = 0x05;
  const verdict = validate({ certificate: parseCertificate(der) }, [ca], { allowWeakAlgorithms: true });
  assert.ok(!verdict.valid && verdict.refusal.reason === "WeakAlgorithm");
});

test("RSA keys below 1024 bits are refused even where weak algorithms are allowed", () => {
  const algorithmOf = (modulusLength: number) => {
    const end = make({
      name: "leaf",
      issuer: ca,
      extensions: LEAF_EXTENSIONS,
      keys: generateKeyPairSync("rsa", { modulusLength }),
    });
    const verdict = validate(end, [ca], { allowWeakAlgorithms: true });
    return verdict.valid || verdict.refusal.reason !== "WeakAlgorithm" ? undefined : verdict.refusal.algorithm;
  };
  assert.equal(algorithmOf(1016), "an RSA key of 1016 bits");
  assert.equal(algorithmOf(1024), undefined);
});

class Counting extends SignatureCache {
  asked = 0;

  override remember(...asked: Parameters<SignatureCache["remember"]>): boolean {
    this.asked += 1;
    return super.remember(...asked);
  }
}

function validate(end: { certificate: Certificate }, cas: readonly Made[], over: Partial<PathRequest> = {}) {
  return validatePath({
    leaf: end.certificate,
    intermediates: cas.map(({ certificate }) => certificate),
    anchors: [root.certificate],
    time: NOW,
    purpose: "ike",
    maxPath: 4,
    allowWeakAlgorithms: false,
    ...over,
  });
}

function pathOf(end: Made, cas: readonly Made[], over: Partial<PathRequest> = {}): (string | undefined)[] {
  const verdict = validate(end, cas, over);
  assert.ok(verdict.valid, verdict.valid ? "" : verdict.refusal.reason);
  return verdict.path.map(({ subject }) => subject.commonName);
}

function refusalOf(end: Made, cas: readonly Made[], over: Partial<PathRequest> = {}): PathRefusal {
  const verdict = validate(end, cas, over);
  assert.ok(!verdict.valid, "expected a refusal");
  return verdict.refusal;
}
