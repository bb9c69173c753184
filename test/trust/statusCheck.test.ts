import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Method, type Methods, type RevocationPolicy, sourcesFor } from "../../src/trust/revocationPolicy.ts";
import { ageOf, describeStatusRefusal, type StatusRefusal } from "../../src/trust/statusAnswer.ts";
import type { Answered } from "../../src/trust/statusDecision.ts";
import { authorityInfoAccess, crlDistributionPoint } from "../../src/x509/build.ts";
import { DAY, LEAF_EXTENSIONS, make, NOW } from "../x509/made.ts";
import { answer, CA, Check, evidence, LEAF, PATH, policyOf, ROOT, rule, tolerances } from "./statusWorld.ts";

const accepting = tolerances({ unreachable: { kind: "accept" } });

test("a certificate that its CRL does not list is accepted, with the CRL as evidence and its end as the verdict's", () => {
  const check = new Check(policyOf()).give(0, "crl", "good");
  assert.ok(check.verdict?.accepted);
  assert.equal(check.verdict.reliableUntil, NOW + DAY);
  const [leaf, ca] = check.verdict.certificates;
  assert.deepEqual(leaf?.decision, { kind: "good" });
  assert.deepEqual(leaf?.findings, [{ method: "crl", origin: "operator", answer: answer("good", "crl") }]);
  assert.deepEqual(ca?.decision, { kind: "notChecked", because: "scope" });
  assert.equal(leaf?.serial, LEAF.certificate.serialText);
});

test("a server that a certificate names is asked only if policy lists the certificate as an origin (7.2.2-8)", () => {
  const configured = policyOf({ methods: "both", operator: { crl: [], ocsp: [] } });
  const check = new Check(configured);
  assert.deepEqual(check.asked, []);
  assert.ok(!check.verdict?.accepted);
  assert.equal(check.verdict?.refusal.reason, "NoStatusSource");
  const named = new Check(policyOf({ methods: "both", origins: ["certificate"] }));
  assert.deepEqual(
    named.asked.map(({ source }) => source),
    [
      { origin: "certificate", groups: [["http://crl.vendor.example/ca.crl"]] },
      { origin: "certificate", groups: [["http://ocsp.vendor.example/"]] },
    ],
  );
});

test("origins are asked in the order of the policy, each only when the one before is in trouble", () => {
  const policy = policyOf({
    methods: "ocsp",
    origins: ["manufacturer", "certificate", "operator"],
    manufacturer: { crl: [], ocsp: ["http://m/1", "http://m/2"] },
  });
  const check = new Check(policy);
  assert.deepEqual(check.questions, ["0 ocsp manufacturer"]);
  assert.deepEqual(check.asked[0]?.source.groups, [["http://m/1", "http://m/2"]]);
  check.give(0, "ocsp", "unreachable");
  assert.deepEqual(check.questions.slice(1), ["0 ocsp certificate"]);
  check.give(0, "ocsp", "unknown");
  assert.deepEqual(check.questions.slice(2), ["0 ocsp operator"]);
  assert.equal(check.state.kind, "AwaitAnswers");
  check.give(0, "ocsp", "good");
  assert.ok(check.verdict?.accepted);
  assert.equal(check.verdict.certificates[0]?.findings[0]?.origin, "operator");
});

test("of several origins in trouble the most telling decides, and all attempts are kept", () => {
  const policy = policyOf({ methods: "ocsp", origins: ["certificate", "operator"] });
  for (const order of [
    ["unknown", "unreachable"],
    ["unreachable", "unknown"],
  ] as const) {
    const check = new Check(policy).give(0, "ocsp", order[0]).give(0, "ocsp", order[1]);
    assert.ok(check.verdict !== undefined && !check.verdict.accepted);
    const { refusal } = check.verdict;
    assert.ok(refusal.reason === "StatusUnknown");
    assert.equal(refusal.attempts.length, 2);
  }
});

test("rules go by class of peer and by issuer, by name or by fingerprint (7.2.2-7)", () => {
  const other = make({ name: "Other CA", issuer: ROOT });
  const byOther = make({ name: "ap-2", issuer: other, extensions: LEAF_EXTENSIONS });
  const policy: RevocationPolicy = {
    device: {
      issuers: [
        { issuers: [{ name: "O=Femtogate, CN=Vendor CA" }], rule: rule({ methods: "ocsp" }) },
        { issuers: [{ fingerprint: other.certificate.fingerprint.toUpperCase() }], rule: rule({ methods: "both" }) },
      ],
      otherwise: rule({ methods: "crl", scope: "path" }),
    },
    gateway: { issuers: [], otherwise: rule({ methods: "none" }) },
    managementServer: { issuers: [], otherwise: rule({ methods: "crl" }) },
  };
  // The CA's own certificate is of the root, for which the class's rule stands.
  assert.deepEqual(new Check(policy).questions, ["0 ocsp operator", "1 crl operator"]);
  const path = [byOther.certificate, other.certificate, ROOT.certificate];
  assert.deepEqual(new Check(policy, { path }).questions, ["0 crl operator", "0 ocsp operator", "1 crl operator"]);
  assert.deepEqual(new Check(policy, { peerClass: "gateway" }).questions, []);
  assert.deepEqual(new Check(policy, { peerClass: "managementServer" }).questions, ["0 crl operator"]);
});

test("a revoked CA refuses the path at once, though the device's own answer is still out", () => {
  const check = new Check(policyOf({ scope: "path" })).give(1, "crl", "revoked");
  assert.ok(check.verdict !== undefined && !check.verdict.accepted);
  const { refusal, certificates } = check.verdict;
  assert.ok(refusal.reason === "CertificateRevoked");
  assert.equal(refusal.subject, "O=Femtogate, CN=Vendor CA");
  assert.equal(refusal.serial, CA.certificate.serialText);
  assert.deepEqual(certificates[0]?.decision, { kind: "undecided" });
});

test("a revoked certificate is named rather than one that is merely out of reach", () => {
  const check = new Check(policyOf({ scope: "path" })).give(0, "crl", "unreachable").give(1, "crl", "revoked");
  assert.ok(check.verdict !== undefined && !check.verdict.accepted);
  assert.equal(check.verdict.refusal.reason, "CertificateRevoked");
});

test("at the deadline whoever has not answered is out of reach, and what was answered stays", () => {
  const strict = new Check(policyOf({ methods: "both" })).give(0, "crl", "good").deadline();
  assert.ok(strict.verdict !== undefined && !strict.verdict.accepted);
  const { refusal } = strict.verdict;
  assert.ok(refusal.reason === "StatusUnreachable");
  assert.deepEqual([refusal.method, refusal.attempts[0]?.reason], ["ocsp", "Deadline"]);
  const lenient = new Check(policyOf({ methods: "both", tolerances: accepting })).give(0, "crl", "good").deadline();
  assert.ok(lenient.verdict?.accepted);
  assert.deepEqual(lenient.verdict.certificates[0]?.decision, {
    kind: "tolerated",
    troubles: [{ method: "ocsp", trouble: "unreachable" }],
    until: undefined,
  });
  const first = new Check(policyOf({ methods: "crlFirst", tolerances: accepting })).deadline();
  assert.ok(first.verdict?.accepted);
  assert.deepEqual(first.questions, ["0 crl operator"]);
});

test("a policy of CRL alone finds nothing about OCSP, at the deadline neither", () => {
  const check = new Check(policyOf()).deadline();
  assert.deepEqual(
    check.verdict?.certificates[0]?.findings.map(({ method }) => method),
    ["crl"],
  );
});

test("answers that come late, twice, or that nobody asked for change nothing", () => {
  const check = new Check(policyOf({ methods: "both" }));
  const before = check.state;
  assert.equal(check.give(0, "crl", "revoked", "manufacturer").state, before);
  assert.equal(check.give(1, "crl", "revoked").state, before);
  assert.equal(check.give(7, "crl", "revoked").state, before);
  check.give(0, "crl", "good").give(0, "crl", "revoked");
  assert.equal(check.state.kind, "AwaitAnswers");
  check.give(0, "ocsp", "good");
  const decided = check.state;
  assert.ok(check.verdict?.accepted);
  assert.equal(check.give(0, "ocsp", "revoked").deadline().state, decided);
});

test("grace accepts what was good before, for as long as it lasts, and says until when", () => {
  const grace = (lasts: number) =>
    policyOf({ tolerances: tolerances({ stale: { kind: "grace", lasts }, unreachable: { kind: "grace", lasts } }) });
  // Stale evidence ran out an hour ago.
  const stale = new Check(grace(2 * 3600_000)).give(0, "crl", "stale");
  assert.ok(stale.verdict?.accepted);
  assert.equal(stale.verdict.reliableUntil, NOW + 3600_000);
  const over = new Check(grace(1800_000)).give(0, "crl", "stale");
  assert.ok(over.verdict !== undefined && !over.verdict.accepted && over.verdict.refusal.reason === "StatusStale");
  assert.equal(over.verdict.refusal.graceEnded, NOW - 1800_000);
  // Unreachable: only an earlier check can tell that it was good.
  assert.ok(!new Check(grace(DAY)).give(0, "crl", "unreachable").verdict?.accepted);
  const remembered = new Check(grace(DAY), { lastGood: [{ crl: NOW - 1000 }] }).give(0, "crl", "unreachable");
  assert.ok(remembered.verdict?.accepted);
});

test("a path that is the anchor itself has nothing to check", () => {
  assert.ok(new Check(policyOf({ scope: "path" }), { path: [ROOT.certificate] }).verdict?.accepted);
});

test("of what a certificate names, only schemes that are spoken and hosts that are allowed are asked", () => {
  const named = (url: string, ocsp = "http://ok/") =>
    make({ issuer: CA, more: [crlDistributionPoint(url), authorityInfoAccess({ ocsp })] }).certificate;
  const any = rule({ origins: ["certificate"] });
  const urls = (url: string, over = any) =>
    sourcesFor(over, "crl", named(url)).flatMap((source) => source.groups.flat());
  for (const url of ["http://a/", "https://a/", "ldap://a/cn=x?certificateRevocationList;binary"])
    assert.deepEqual(urls(url), [url]);
  for (const url of ["file:///etc/passwd", "ftp://a/", "ldaps://a/", "ldap:///cn=x", "no URL", "javascript:x"])
    assert.deepEqual(urls(url), []);
  assert.deepEqual(sourcesFor(any, "ocsp", named("http://a/", "ldap://a/")), []);
  const limited = { ...any, namedHosts: ["vendor.example"] };
  const addresses = { ...any, namedHosts: ["192.0.2.1", "2001:db8::1"] };
  for (const url of ["http://192.0.2.1/", "http://[2001:db8::1]:81/"]) assert.deepEqual(urls(url, addresses), [url]);
  for (const url of ["http://192.0.2.10/", "http://[2001:db8::2]/"]) assert.deepEqual(urls(url, addresses), []);
  assert.deepEqual(urls("http://crl.VENDOR.example:8080/x", limited), ["http://crl.VENDOR.example:8080/x"]);
  assert.deepEqual(urls("http://vendor.example/", limited), ["http://vendor.example/"]);
  for (const url of ["http://169.254.169.254/", "http://evilvendor.example/", "http://vendor.example.evil/"])
    assert.deepEqual(urls(url, limited), []);
});

test("whatever comes in whatever order: revoked never passes, and the deadline always decides", () => {
  const statuses = fc.constantFrom<Answered>("good", "revoked", "unknown", "stale", "unreachable");
  const given = fc.record({
    certificate: fc.nat(1),
    method: fc.constantFrom<Method>("crl", "ocsp"),
    status: statuses,
  });
  const methods = fc.constantFrom<Methods>("none", "crl", "ocsp", "both", "crlFirst", "ocspFirst");
  fc.assert(
    fc.property(methods, fc.array(given, { maxLength: 12 }), (chosen, answers) => {
      const lenient = tolerances({
        unknown: { kind: "accept" },
        stale: { kind: "accept" },
        unreachable: { kind: "accept" },
      });
      const policy = policyOf({
        methods: chosen,
        scope: "path",
        origins: ["operator", "certificate"],
        tolerances: lenient,
      });
      const check = new Check(policy);
      let revoked = false;
      for (const { certificate, method, status } of answers) {
        const asked = check.asked.filter((one) => one.certificate === certificate && one.method === method).length;
        const before = check.state;
        check.give(certificate, method, status);
        if (asked > 0 && before !== check.state && status === "revoked") revoked = true;
      }
      check.deadline();
      assert.ok(check.verdict !== undefined);
      if (revoked) assert.ok(!check.verdict.accepted && check.verdict.refusal.reason === "CertificateRevoked");
      assert.equal(check.verdict.certificates.length, 2);
      // Nobody is asked twice.
      assert.equal(new Set(check.questions).size, check.questions.length);
    }),
    { numRuns: 2000 },
  );
});

test("every refusal has a sentence that names the certificate, the evidence and what was tried", () => {
  const attempts = [{ url: "http://crl/", reason: "TimedOut", message: "no answer within 5 s" }];
  const of = { subject: "CN=ap-1", serial: "1001" };
  const refusals: StatusRefusal[] = [
    {
      reason: "CertificateRevoked",
      ...of,
      origin: "operator",
      revokedAt: NOW - DAY,
      reasonCode: 1,
      evidence: evidence("crl"),
    },
    ...(["StatusUnknown", "StatusStale", "StatusUnreachable", "NoStatusSource"] as const).map(
      (reason): StatusRefusal => ({ reason, ...of, method: "crl", attempts, graceEnded: NOW }),
    ),
  ];
  const sentences = refusals.map(describeStatusRefusal);
  assert.equal(new Set(sentences).size, refusals.length);
  for (const sentence of sentences) assert.match(sentence, /"CN=ap-1" \(serial 1001\)/);
  assert.match(
    sentences[0]!,
    /revoked at 2026-05-31T00:00:00.000Z for key compromise, says CRL 17 of "O=Femtogate, CN=Vendor CA"/,
  );
  assert.match(sentences[1]!, /grace ended at 2026-06-01T00:00:00.000Z \(http:\/\/crl\/: no answer within 5 s\)/);
  const ocsp = describeStatusRefusal({ ...refusals[0]!, reasonCode: 99, evidence: evidence("ocsp") } as StatusRefusal);
  assert.match(ocsp, /for reason 99, says OCSP responder "CN=R"/);
  assert.equal(ageOf(evidence("crl"), NOW), DAY);
  assert.equal(PATH.length, 3);
});
