/** Revocation by all kinds of CRLs (RFC 5280 6.3), read through and by index alike. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { DecodeError } from "../../src/bytes/reader.ts";
import { seededRandom } from "../../src/sim/random.ts";
import type { CrlProblem } from "../../src/trust/crl.ts";
import { CrlIndex } from "../../src/trust/crlIndex.ts";
import { type PathRefusal, type PathRequest, validatePath } from "../../src/trust/path.ts";
import { basicConstraints, keyUsage, type NewExtension } from "../../src/x509/build.ts";
import { type Crl, parseCrl } from "../../src/x509/crl.ts";
import { mutated } from "../ike/codec/arbitrary.ts";
import { DAY, LEAF_EXTENSIONS, type Made, type Making, make, NOW, name } from "../x509/made.ts";
import { makeCrl, REVOKED_AT } from "../x509/madeCrl.ts";
import { deltaCrlIndicator, distributionPoints, issuingDistributionPoint } from "../x509/madeExtensions.ts";

const root = make({ name: "Root" });
const ca = make({ name: "CA", issuer: root });
const indirect = make({ name: "CRL issuer", issuer: root, extensions: [keyUsage("cRLSign")] });
const makeLeaf = (...more: readonly NewExtension[]) =>
  make({ name: "leaf", issuer: ca, extensions: LEAF_EXTENSIONS, more });
const leaf = makeLeaf();
const rootCrl = makeCrl(root);
const UNKNOWN = { oid: "1.2.3.4", critical: true, value: Buffer.from([5, 0]) };
const KEY_COMPROMISE = 1;
const REMOVE_FROM_CRL = 8;
const ALL = [1, 2, 3, 4, 5, 6, 7, 8];

test("a path is good by the CRLs of all its CAs, which are told as evidence from the root down", () => {
  const verdict = validate(leaf, [makeCrl(ca, { number: 300 })]);
  assert.ok(verdict.valid);
  const times = { thisUpdate: NOW - DAY, nextUpdate: NOW + DAY };
  assert.deepEqual(verdict.evidence, [
    { issuer: "O=Femtogate, CN=Root", number: "1", ...times },
    { issuer: "O=Femtogate, CN=CA", number: "300", ...times },
  ]);
});

test("without CRLs the status is not asked for; with none that fits it is undetermined", () => {
  assert.equal(statusOf(leaf, undefined), "good");
  assert.deepEqual(problemsOf(leaf, []), [{ reason: "NoCrl", issuer: "O=Femtogate, CN=CA" }]);
  assert.deepEqual(problemsOf(leaf, [makeCrl(make({ name: "Stranger" }))]), [
    { reason: "NoCrl", issuer: "O=Femtogate, CN=CA" },
  ]);
});

test("a revoked end entity and a revoked CA are refused with date, reason and CRL", () => {
  const evidence = { issuer: "O=Femtogate, CN=CA", number: "9", thisUpdate: NOW - DAY, nextUpdate: NOW + DAY };
  const revoking = makeCrl(ca, { number: 9, revoked: [{ certificate: leaf, reason: KEY_COMPROMISE }] });
  assert.deepEqual(refusalOf(leaf, [revoking]), {
    reason: "Revoked",
    subject: "O=Femtogate, CN=leaf",
    at: REVOKED_AT,
    reasonCode: KEY_COMPROMISE,
    evidence,
  });
  const ofCa = refusalOf(leaf, [
    makeCrl(ca),
    makeCrl(root, { number: 2, thisUpdate: NOW, revoked: [{ certificate: ca }] }),
  ]);
  assert.ok(ofCa.reason === "Revoked" && ofCa.subject === "O=Femtogate, CN=CA" && ofCa.reasonCode === undefined);
});

test("where one way is revoked another one is taken", () => {
  const other = make({ name: "Other root" });
  const cross = make({ name: "CA", issuer: other, keys: ca.keys });
  const crls = [makeCrl(root, { revoked: [{ certificate: ca }] }), makeCrl(other), makeCrl(ca)];
  const anchors = [root.certificate, other.certificate];
  assert.equal(
    statusOf(leaf, crls, { anchors, intermediates: [ca.certificate, cross.certificate], rootCrl: "own" }),
    "good",
  );
});

test("of several CRLs the newest counts, in any order, and an older one where the newest cannot be used", () => {
  const old = makeCrl(ca, { thisUpdate: NOW - 3 * DAY, revoked: [{ certificate: leaf }] });
  const lifted = makeCrl(ca, { number: 2 });
  const forged = makeCrl(ca, { number: 3, thisUpdate: NOW, signer: make().signer });
  for (const order of [
    [old, lifted],
    [lifted, old],
  ])
    assert.equal(statusOf(leaf, order), "good");
  assert.equal(statusOf(leaf, [old, forged]), "revoked");
});

/** What makes the CA's only CRL useless, and the reason told. */
const USELESS: readonly (readonly [string, () => Crl, CrlProblem["reason"]])[] = [
  ["is past its time", () => makeCrl(ca, { nextUpdate: NOW - 1000 }), "Stale"],
  ["says of no end of its time", () => makeCrl(ca, { nextUpdate: undefined }), "Stale"],
  ["is from the future", () => makeCrl(ca, { thisUpdate: NOW + 1000 }), "FromTheFuture"],
  ["is forged", () => makeCrl(ca, { signer: make().signer }), "BadSignature"],
  ["has an unknown critical extension", () => makeCrl(ca, { more: [UNKNOWN] }), "UnknownCriticalExtension"],
  [
    "has an entry of another certificate with an unknown critical extension",
    () => makeCrl(ca, { revoked: [{ certificate: root, more: [UNKNOWN] }] }),
    "UnknownCriticalExtension",
  ],
  ["lists CAs only", () => makeCrl(ca, { more: [issuingDistributionPoint({ only: "ca" })] }), "OutOfScope"],
  [
    "lists attributes only",
    () => makeCrl(ca, { more: [issuingDistributionPoint({ only: "attribute" })] }),
    "OutOfScope",
  ],
  [
    "is of another distribution point",
    () => makeCrl(ca, { more: [issuingDistributionPoint({ fullName: [{ uri: "http://b.example/" }] })] }),
    "OutOfScope",
  ],
  ["is a delta CRL", () => makeCrl(ca, { more: [deltaCrlIndicator(1)] }), "DeltaWithoutBase"],
  ["comes from a key that nobody knows", () => makeCrl(make({ name: "CA" })), "IssuerNotTrusted"],
  [
    "covers some reasons only",
    () => makeCrl(ca, { more: [issuingDistributionPoint({ reasons: [1] })] }),
    "ReasonsNotCovered",
  ],
];
for (const [what, making, reason] of USELESS)
  test(`a CRL that ${what} leaves the status undetermined`, () => {
    assert.equal(problemsOf(leaf, [making()])[0]?.reason, reason);
  });

test("a CRL of end entities says nothing of a CA", () => {
  const onlyUsers = issuingDistributionPoint({ only: "user" });
  assert.equal(statusOf(leaf, [makeCrl(ca, { more: [onlyUsers] })]), "good");
  const crls = [makeCrl(ca), makeCrl(root, { thisUpdate: NOW, more: [onlyUsers] })];
  assert.equal(statusOf(leaf, crls, { rootCrl: "own" }), "undetermined");
});

test("a CA whose key usage leaves out cRLSign signs no CRLs", () => {
  const noCrls = make({ name: "CA", issuer: root, extensions: [basicConstraints(true), keyUsage("keyCertSign")] });
  const below = make({ name: "leaf", issuer: noCrls, extensions: LEAF_EXTENSIONS });
  const problems = problemsOf(below, [makeCrl(noCrls)], { intermediates: [noCrls.certificate] });
  assert.deepEqual(problems, [{ reason: "IssuerMayNotSign", issuer: "O=Femtogate, CN=CA" }]);
});

test("the tolerance for other clocks holds at both ends", () => {
  const over = { crlTolerance: 60_000 };
  assert.equal(statusOf(leaf, [makeCrl(ca, { nextUpdate: NOW - 60_000 })], over), "good");
  assert.equal(statusOf(leaf, [makeCrl(ca, { nextUpdate: NOW - 61_000 })], over), "undetermined");
  assert.equal(statusOf(leaf, [makeCrl(ca, { thisUpdate: NOW + 60_000, nextUpdate: NOW + DAY })], over), "good");
  assert.equal(
    statusOf(leaf, [makeCrl(ca, { thisUpdate: NOW + 61_000, nextUpdate: NOW + DAY })], over),
    "undetermined",
  );
});

test("a delta CRL revokes and lifts what the complete one says, and is told as evidence", () => {
  const base = makeCrl(ca, { number: 5 });
  const delta = (revoked: readonly { certificate: Made; reason?: number }[]) =>
    makeCrl(ca, { number: 7, thisUpdate: NOW, revoked, more: [deltaCrlIndicator(5)] });
  assert.equal(statusOf(leaf, [base, delta([])]), "good");
  const revoked = refusalOf(leaf, [base, delta([{ certificate: leaf }])]);
  assert.ok(revoked.reason === "Revoked");
  assert.deepEqual(revoked.evidence.delta, { number: "7", thisUpdate: NOW, nextUpdate: NOW + DAY });
  const onHold = makeCrl(ca, { number: 5, revoked: [{ certificate: leaf, reason: 6 }] });
  assert.equal(statusOf(leaf, [onHold, delta([])]), "revoked");
  assert.equal(statusOf(leaf, [onHold, delta([{ certificate: leaf, reason: REMOVE_FROM_CRL }])]), "good");
  assert.equal(statusOf(leaf, [base, delta([{ certificate: leaf }])], { useDeltaCrls: false }), "good");
});

test("a current delta CRL keeps a complete one in use that is past its time", () => {
  const old = makeCrl(ca, { number: 5, nextUpdate: NOW - 1000 });
  assert.equal(statusOf(leaf, [old, makeCrl(ca, { number: 6, more: [deltaCrlIndicator(5)] })]), "good");
  const stale = makeCrl(ca, { number: 6, nextUpdate: NOW - 1000, more: [deltaCrlIndicator(5)] });
  assert.equal(statusOf(leaf, [old, stale]), "undetermined");
});

test("of several delta CRLs that with the highest number counts", () => {
  const base = makeCrl(ca, { number: 5 });
  const first = makeCrl(ca, { number: 255, more: [deltaCrlIndicator(5)] });
  const second = makeCrl(ca, { number: 256, revoked: [{ certificate: leaf }], more: [deltaCrlIndicator(5)] });
  for (const order of [
    [base, first, second],
    [second, first, base],
  ])
    assert.equal(statusOf(leaf, order), "revoked");
});

/** Delta CRLs that revoke the leaf but do not belong to the complete CRL with number 5. */
const FOREIGN_DELTAS: readonly (readonly [string, Parameters<typeof makeCrl>[1]])[] = [
  ["continues a later one", { number: 9, more: [deltaCrlIndicator(6)] }],
  ["is older than it", { number: 4, more: [deltaCrlIndicator(3)] }],
  ["has its number", { number: 5, more: [deltaCrlIndicator(5)] }],
  ["has another scope", { number: 6, more: [deltaCrlIndicator(5), issuingDistributionPoint({ only: "user" })] }],
  ["is forged", { number: 6, more: [deltaCrlIndicator(5)], signer: make().signer }],
  ["is from the future", { number: 6, more: [deltaCrlIndicator(5)], thisUpdate: NOW + DAY / 2 }],
  ["is past its time", { number: 6, more: [deltaCrlIndicator(5)], nextUpdate: NOW - 1000 }],
  ["has an unknown critical extension", { number: 6, more: [deltaCrlIndicator(5), UNKNOWN] }],
  ["leaves out whose key signed it", { number: 6, more: [deltaCrlIndicator(5)], keyIds: "absent" }],
];
for (const [what, making] of FOREIGN_DELTAS)
  test(`a delta CRL that ${what} is not combined with a complete CRL`, () => {
    const delta = makeCrl(ca, { ...making, revoked: [{ certificate: leaf }] });
    assert.equal(statusOf(leaf, [makeCrl(ca, { number: 5 }), delta]), "good");
  });

test("CRLs by distribution point count for the certificates that name the point, in full or below the issuer's name", () => {
  const [here, there] = [{ uri: "http://a.example/1.crl" }, { uri: "http://a.example/2.crl" }];
  const pointed = makeLeaf(distributionPoints({ fullName: [{ uri: "ldap://a.example/" }, here] }));
  const shard = (point: { uri: string }, revoked: readonly { certificate: Made }[] = []) =>
    makeCrl(ca, { revoked, more: [issuingDistributionPoint({ fullName: [point] })] });
  assert.equal(statusOf(pointed, [shard(here)]), "good");
  assert.equal(statusOf(pointed, [shard(there)]), "undetermined");
  assert.equal(statusOf(pointed, [shard(there, [{ certificate: pointed }]), shard(here)]), "good");
  assert.equal(statusOf(pointed, [shard(here, [{ certificate: pointed }])]), "revoked");
  const relative = makeLeaf(distributionPoints({ relativeName: "part 1" }));
  const part = (relativeName: string) => makeCrl(ca, { more: [issuingDistributionPoint({ relativeName })] });
  assert.equal(statusOf(relative, [part("Part  1")]), "good");
  assert.equal(statusOf(relative, [part("part 2")]), "undetermined");
});

test("CRLs of some reasons count together, and the certificate is good only once all reasons are covered", () => {
  const split = makeLeaf(distributionPoints({ fullName: [{ uri: "http://a.example/" }] }));
  const of = (reasons: readonly number[], revoked: readonly { certificate: Made }[] = []) =>
    makeCrl(ca, {
      revoked,
      more: [issuingDistributionPoint({ fullName: [{ uri: "http://a.example/" }], reasons })],
    });
  const [some, rest] = [ALL.slice(0, 3), ALL.slice(3)];
  assert.equal(statusOf(split, [of(some), of(rest)]), "good");
  assert.equal(statusOf(split, [of(some), of(rest, [{ certificate: split }])]), "revoked");
  assert.equal(statusOf(split, [of(some, [{ certificate: split }])]), "revoked");
  assert.deepEqual(problemsOf(split, [of(some), of(rest.slice(1))]), [
    { reason: "ReasonsNotCovered", issuer: "O=Femtogate, CN=CA", reasons: ["superseded"] },
  ]);
  const byPoint = makeLeaf(distributionPoints({ fullName: [{ uri: "http://a.example/" }], reasons: some }));
  const scoped = makeCrl(ca, { more: [issuingDistributionPoint({ fullName: [{ uri: "http://a.example/" }] })] });
  assert.equal(problemsOf(byPoint, [scoped])[0]?.reason, "ReasonsNotCovered", "the point itself names some reasons");
});

test("an indirect CRL tells certificates of several CAs apart, an entry's issuer holding until the next one", () => {
  const other = make({ name: "Other CA", issuer: root });
  const point = distributionPoints({ crlIssuer: indirect.certificate.subject });
  const pointed = makeLeaf(point);
  const same = make({
    name: "same serial",
    issuer: other,
    extensions: LEAF_EXTENSIONS,
    more: [point],
    serial: pointed.certificate.serial,
  });
  const stranger = make({ name: "x" });
  const crl = (...revoked: readonly { certificate: Made; issuer?: Made["certificate"]["subject"] }[]) =>
    makeCrl(indirect, { revoked, more: [issuingDistributionPoint({ indirect: true })] });
  const over = { crlIssuers: [indirect.certificate], intermediates: [ca.certificate, other.certificate] };
  const ofOther = crl({ certificate: stranger, issuer: other.certificate.subject }, { certificate: pointed });
  assert.equal(statusOf(pointed, [ofOther], over), "good", "the entry is about the other CA's certificate");
  assert.equal(statusOf(same, [ofOther], over), "revoked");
  const ofBoth = crl(
    { certificate: stranger, issuer: other.certificate.subject },
    { certificate: pointed, issuer: ca.certificate.subject },
  );
  assert.equal(statusOf(pointed, [ofBoth], over), "revoked");
  assert.equal(statusOf(same, [ofBoth], over), "good");
  assert.equal(
    statusOf(pointed, [crl({ certificate: pointed })], over),
    "good",
    "without it the CRL issuer's own is meant",
  );
});

test("the point of an indirect CRL may go by its issuer's name, or by a name below it", () => {
  const { subject } = indirect.certificate;
  const crl = (point: Parameters<typeof issuingDistributionPoint>[0]) =>
    makeCrl(indirect, { more: [issuingDistributionPoint({ ...point, indirect: true })] });
  const over = { crlIssuers: [indirect.certificate] };
  const byIssuer = makeLeaf(distributionPoints({ crlIssuer: subject }));
  assert.equal(statusOf(byIssuer, [crl({ fullName: [{ directory: subject }] })], over), "good");
  assert.equal(statusOf(byIssuer, [crl({ fullName: [{ directory: name("Other") }] })], over), "undetermined");
  const below = makeLeaf(distributionPoints({ relativeName: "part 1", crlIssuer: subject }));
  assert.equal(statusOf(below, [crl({ relativeName: "part 1" })], over), "good");
  assert.equal(statusOf(below, [crl({ relativeName: "part 2" })], over), "undetermined");
});

test("another CA's CRL counts only where the certificate names its issuer, the CRL says it is indirect, and its path is valid", () => {
  const pointed = makeLeaf(distributionPoints({ crlIssuer: indirect.certificate.subject }));
  const crl = makeCrl(indirect, { more: [issuingDistributionPoint({ indirect: true })] });
  const with_ = (signer: Made) => ({ crlIssuers: [signer.certificate] });
  assert.equal(statusOf(pointed, [crl], with_(indirect)), "good");
  assert.equal(problemsOf(pointed, [makeCrl(indirect)], with_(indirect))[0]?.reason, "OutOfScope");
  assert.equal(problemsOf(leaf, [crl], with_(indirect))[0]?.reason, "NoCrl");
  assert.equal(problemsOf(pointed, [crl])[0]?.reason, "IssuerNotTrusted");
  const variant = (making: Making) => {
    const signer = make({ name: "CRL issuer", issuer: root, extensions: [keyUsage("cRLSign")], ...making });
    return problemsOf(
      pointed,
      [makeCrl(signer, { more: [issuingDistributionPoint({ indirect: true })] })],
      with_(signer),
    )[0];
  };
  const expired = variant({ notAfter: NOW - DAY });
  assert.ok(expired?.reason === "IssuerNotTrusted" && /expired/.test(expired.detail));
  const noSigner = variant({ extensions: [keyUsage("digitalSignature")] });
  assert.ok(noSigner?.reason === "IssuerNotTrusted" && /lacks cRLSign/.test(noSigner.detail));
  const foreign = variant({ issuer: make({ name: "Other root" }) });
  assert.ok(foreign?.reason === "IssuerNotTrusted" && /no path/.test(foreign.detail));
});

test("a CRL issuer under another anchor than the certificate's says nothing (RFC 5280 6.3.3 f)", () => {
  const other = make({ name: "Other root" });
  const signer = make({ name: "CRL issuer", issuer: other, extensions: [keyUsage("cRLSign")] });
  const pointed = makeLeaf(distributionPoints({ crlIssuer: signer.certificate.subject }));
  const crls = [makeCrl(signer, { more: [issuingDistributionPoint({ indirect: true })] }), makeCrl(other)];
  const over = { crlIssuers: [signer.certificate], anchors: [root.certificate, other.certificate] };
  assert.equal(problemsOf(pointed, crls, over)[0]?.reason, "IssuerNotTrusted");
});

test("a revoked CRL issuer says nothing, by another's CRL or by its own", () => {
  const pointed = makeLeaf(distributionPoints({ crlIssuer: indirect.certificate.subject }));
  const scope = issuingDistributionPoint({ indirect: true });
  const over = { crlIssuers: [indirect.certificate] };
  const revokedByRoot = makeCrl(root, { number: 2, thisUpdate: NOW, revoked: [{ certificate: indirect }] });
  const [problem] = problemsOf(pointed, [makeCrl(indirect, { more: [scope] }), revokedByRoot], over);
  assert.ok(problem?.reason === "IssuerNotTrusted" && /revoked/.test(problem.detail));

  // Covered by nothing but its own CRL, as in PKITS 4.14.30.
  const point = distributionPoints({ crlIssuer: name("Self") });
  const self = make({ name: "Self", issuer: root, extensions: [keyUsage("cRLSign"), point] });
  const onSelf = makeLeaf(point);
  const own = (revoked: readonly { certificate: Made; issuer: Made["certificate"]["subject"] }[]) =>
    makeCrl(self, { revoked, more: [scope] });
  const bySelf = { crlIssuers: [self.certificate] };
  assert.equal(statusOf(onSelf, [own([])], bySelf), "good");
  const listed = own([{ certificate: self, issuer: root.certificate.subject }]);
  assert.equal(statusOf(onSelf, [listed], bySelf), "undetermined");
});

test("CRL issuers that vouch for each other's certificates in a ring end in a verdict", () => {
  const scope = issuingDistributionPoint({ indirect: true });
  const [a, b] = ["A", "B"].map((own) =>
    make({
      name: own,
      issuer: root,
      extensions: [keyUsage("cRLSign"), distributionPoints({ crlIssuer: name(own === "A" ? "B" : "A") })],
    }),
  ) as [Made, Made];
  const pointed = makeLeaf(distributionPoints({ crlIssuer: a.certificate.subject }));
  const over = { crlIssuers: [a.certificate, b.certificate], rootCrl: "none" as const };
  const crls = [makeCrl(a, { more: [scope] }), makeCrl(b, { more: [scope] }), rootCrlOfCaOnly()];
  assert.equal(statusOf(pointed, crls, over), "good");
  const revoked = makeCrl(b, { revoked: [{ certificate: a, issuer: root.certificate.subject }], more: [scope] });
  assert.equal(statusOf(pointed, [crls[0]!, revoked, crls[2]!], over), "undetermined");
});

test("a CA that rolled its key over signs CRLs with the new one, also for certificates under the old one", () => {
  const now = make({ name: "CA", issuer: root });
  assert.equal(statusOf(leaf, [makeCrl(now)], { intermediates: [ca.certificate, now.certificate] }), "good");
  const revoking = makeCrl(now, { revoked: [{ certificate: leaf }] });
  assert.equal(statusOf(leaf, [revoking], { crlIssuers: [now.certificate] }), "revoked");
});

test("a signature that was verified when the CRL was loaded is not verified again, under that key only", () => {
  const forged = makeCrl(ca, { signer: make().signer });
  const loaded = (verifiedUnder: Made) => ({
    crl: forged,
    unknownCritical: undefined,
    lookUp: () => undefined,
    verifiedUnder: verifiedUnder.certificate.spki,
  });
  assert.equal(statusOf(leaf, [loaded(ca)]), "good");
  assert.equal(statusOf(leaf, [loaded(root)]), "undetermined");
});

test("a revoked certificate does not become good, whatever octets of a complete and a delta CRL are changed", () => {
  const base = makeCrl(ca, { number: 5, revoked: [{ certificate: leaf, reason: 6 }] });
  const delta = makeCrl(ca, { number: 6, revoked: [{ certificate: leaf, reason: 1 }], more: [deltaCrlIndicator(5)] });
  const pair = fc.oneof(
    mutated(fc.constant(base.der)).map((der) => [der, delta.der]),
    mutated(fc.constant(delta.der)).map((der) => [base.der, der]),
  );
  fc.assert(
    fc.property(pair, (ders) => {
      let crls: Crl[];
      try {
        crls = ders.map((der) => parseCrl(der));
      } catch (error) {
        assert.ok(error instanceof DecodeError, String(error));
        return;
      }
      const verdict = validate(leaf, crls);
      assert.ok(!verdict.valid);
    }),
    { numRuns: 500 },
  );
});

type Over = Partial<PathRequest> & {
  /** Whether the root's CRL, that revokes nobody, comes along or is among the test's own. */
  rootCrl?: "own" | "none";
};

function validate(end: Made, crls: PathRequest["crls"], { rootCrl: own, ...over }: Over = {}) {
  const all = crls === undefined || own !== undefined ? crls : [rootCrl, ...crls];
  return validatePath({
    leaf: end.certificate,
    intermediates: [ca.certificate],
    anchors: [root.certificate],
    time: NOW,
    purpose: "ike",
    maxPath: 4,
    allowWeakAlgorithms: false,
    ...over,
    ...(all === undefined ? {} : { crls: all }),
  });
}

/** The same by reading through the CRLs and by their indexes, or an assertion fails. */
function verdictOf(end: Made, crls: PathRequest["crls"], over?: Over) {
  const verdict = validate(end, crls, over);
  const indexed = crls?.map((crl) => ("lookUp" in crl ? crl : CrlIndex.build(crl, RANDOM)));
  assert.deepEqual(validate(end, indexed, over), verdict);
  return verdict;
}

function refusalOf(end: Made, crls: PathRequest["crls"], over?: Over): PathRefusal {
  const verdict = verdictOf(end, crls, over);
  assert.ok(!verdict.valid, "expected a refusal");
  return verdict.refusal;
}

function problemsOf(end: Made, crls: PathRequest["crls"], over?: Over): readonly CrlProblem[] {
  const refusal = refusalOf(end, crls, over);
  assert.ok(refusal.reason === "StatusUndetermined", refusal.reason);
  return refusal.problems;
}

function statusOf(end: Made, crls: PathRequest["crls"], over?: Over): string {
  const verdict = verdictOf(end, crls, over);
  if (verdict.valid) return "good";
  const { reason } = verdict.refusal;
  return { Revoked: "revoked", StatusUndetermined: "undetermined" }[reason as string] ?? reason;
}

/** The root's CRL for CAs, so that CRL issuers are not covered by it. */
function rootCrlOfCaOnly(): Crl {
  return makeCrl(root, { more: [issuingDistributionPoint({ only: "ca" })] });
}

const RANDOM = seededRandom("crls");
