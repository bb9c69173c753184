import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type PathRefusal, validatePath } from "../../src/trust/path.ts";
import { type PolicyDemands, PolicyGraph } from "../../src/trust/policyGraph.ts";
import type { NewExtension } from "../../src/x509/build.ts";
import type { Certificate } from "../../src/x509/certificate.ts";
import { Oid } from "../../src/x509/oids.ts";
import { LEAF_EXTENSIONS, type Made, make, NOW } from "../x509/made.ts";
import { certificatePolicies, inhibitAnyPolicy, policyConstraints, policyMappings } from "../x509/madeExtensions.ts";
import { type PolicyStatements, policiesByTree } from "./policyTree.ts";

const ANY = Oid.anyPolicy;
const [GOLD, SILVER, BRONZE] = ["1.2.3.1", "1.2.3.2", "1.2.3.3"] as const;
const keys = make().keys;
const root = make({ name: "Root", keys });

const statements: fc.Arbitrary<PolicyStatements> = (() => {
  const policy = fc.constantFrom(GOLD, SILVER, BRONZE);
  const skip = fc.option(fc.integer({ min: 0, max: 2 }), { nil: undefined, freq: 2 });
  const pair = fc.tuple(policy, policy);
  return fc.record(
    {
      policies: fc.option(fc.uniqueArray(fc.oneof(policy, fc.constant(ANY)), { minLength: 1, maxLength: 3 }), {
        nil: undefined,
        freq: 12,
      }),
      mappings: fc.oneof({ weight: 2, arbitrary: fc.constant([]) }, fc.array(pair, { minLength: 1, maxLength: 3 })),
      requireExplicit: skip,
      inhibitMapping: skip,
      inhibitAny: skip,
      selfIssued: fc.boolean(),
    },
    { noNullPrototype: true },
  );
})();

const demands: fc.Arbitrary<PolicyDemands> = fc.record(
  {
    acceptable: fc.uniqueArray(fc.constantFrom(GOLD, SILVER, BRONZE, ANY), { minLength: 1, maxLength: 2 }),
    requireExplicit: fc.boolean(),
    inhibitMapping: fc.boolean(),
    inhibitAny: fc.boolean(),
  },
  { requiredKeys: [], noNullPrototype: true },
);

test("the graph of RFC 9618 comes to what the tree of RFC 5280 comes to", () => {
  let valid = 0;
  let refused = 0;
  fc.assert(
    fc.property(fc.array(statements, { minLength: 1, maxLength: 4 }), demands, (path, wanted) => {
      const expected = policiesByTree(path, wanted);
      const found = policiesByGraph(certificatesOf(path), wanted);
      if (expected === undefined) refused += 1;
      else if (expected.length > 0) valid += 1;
      assert.deepEqual(typeof found === "string" ? undefined : found.toSorted(), expected?.toSorted());
    }),
    { numRuns: 1500 },
  );
  assert.ok(valid > 100 && refused > 100, `${valid} with policies, ${refused} refused`);
});

test("mappings that make the tree grow exponentially leave the graph small (CVE-2023-0464)", () => {
  const policies = Array.from({ length: 100 }, (_, i) => `1.2.3.${i}`);
  const everyToEvery = policies.slice(0, 16).flatMap((a) => policies.slice(0, 16).map((b) => [a, b] as const));
  const more = [certificatePolicies(...policies), policyMappings(...everyToEvery)];
  // The tree would have 16 to the power of 30 nodes.
  const cas = Array.from({ length: 30 }, () => make({ keys, issuer: root, more }).certificate);
  const end = make({ keys, issuer: root, more: [certificatePolicies(...policies)] }).certificate;
  const found = policiesByGraph([...cas, end], { requireExplicit: true });
  assert.deepEqual([...found].toSorted(), policies.toSorted());
});

test("a valid path tells its policies in the words of the root", () => {
  const ca = make({ issuer: root, keys, more: [certificatePolicies(GOLD, BRONZE), policyMappings([GOLD, SILVER])] });
  const verdict = validate(leafUnder(ca, certificatePolicies(SILVER)), ca, {
    acceptable: [GOLD],
    requireExplicit: true,
  });
  assert.ok(verdict.valid);
  assert.deepEqual(verdict.policies, [GOLD]);
});

test("each demand refuses what it must, and names the certificate", () => {
  const subject = "O=Femtogate, CN=leaf";
  const refusal = (acceptable: readonly string[]): PathRefusal => ({
    reason: "NoAcceptablePolicy",
    subject,
    acceptable,
  });
  const mapped = make({ issuer: root, keys, more: [certificatePolicies(GOLD), policyMappings([GOLD, SILVER])] });
  const any = make({ issuer: root, keys, more: [certificatePolicies(ANY)] });
  const strict = make({
    issuer: root,
    keys,
    more: [certificatePolicies(GOLD), policyConstraints({ requireExplicit: 0 })],
  });
  const noAny = make({ issuer: root, keys, more: [certificatePolicies(ANY), inhibitAnyPolicy(0)] });
  const [gold, silver, star] = [certificatePolicies(GOLD), certificatePolicies(SILVER), certificatePolicies(ANY)];
  const explicit = { requireExplicit: true };
  assert.deepEqual(refusalOf(leafUnder(mapped, silver), mapped, { ...explicit, inhibitMapping: true }), refusal([]));
  assert.ok(validate(leafUnder(mapped, silver), mapped, explicit).valid);
  assert.deepEqual(refusalOf(leafUnder(any, gold), any, { ...explicit, inhibitAny: true }), {
    ...refusal([]),
    subject: "O=Femtogate, CN=CA",
  });
  assert.ok(validate(leafUnder(any, gold), any, explicit).valid);
  assert.deepEqual(refusalOf(leafUnder(strict, silver), strict, {}), refusal([]));
  assert.ok(validate(leafUnder(strict, gold), strict, {}).valid);
  assert.deepEqual(refusalOf(leafUnder(noAny, star), noAny, explicit), refusal([]));
  assert.deepEqual(refusalOf(leafUnder(any, gold), any, { ...explicit, acceptable: [SILVER] }), refusal([SILVER]));
  assert.ok(validate(leafUnder(any, gold), any, { acceptable: [SILVER] }).valid, "nothing explicit is required");
});

test("what the root says of policies holds for all paths below it", () => {
  const strictRoot = make({ name: "Root", keys, more: [policyConstraints({ requireExplicit: 0 })] });
  const ca = make({ issuer: strictRoot, keys });
  const verdict = validate(leafUnder(ca), ca, {}, strictRoot);
  assert.ok(!verdict.valid && verdict.refusal.reason === "NoAcceptablePolicy");
});

test("a CA that maps from or to anyPolicy is refused by name", () => {
  for (const pair of [[ANY, GOLD] as const, [GOLD, ANY] as const]) {
    const ca = make({ issuer: root, keys, more: [certificatePolicies(GOLD), policyMappings(pair)] });
    assert.deepEqual(refusalOf(leafUnder(ca, certificatePolicies(GOLD)), ca, {}), {
      reason: "AnyPolicyMapped",
      subject: "O=Femtogate, CN=CA",
    });
  }
});

function policiesByGraph(path: readonly Certificate[], wanted: PolicyDemands): readonly string[] | string {
  const graph = new PolicyGraph(path.length, wanted, root.certificate);
  for (const ca of path.slice(0, -1)) {
    const problem = graph.addCa(ca);
    if (problem !== undefined) return problem;
  }
  return graph.finish(path.at(-1)!);
}

function certificatesOf(path: readonly PolicyStatements[]): Certificate[] {
  return path.map(({ policies, mappings, requireExplicit, inhibitMapping, inhibitAny, selfIssued }) => {
    const skips = {
      ...(requireExplicit === undefined ? {} : { requireExplicit }),
      ...(inhibitMapping === undefined ? {} : { inhibitMapping }),
    };
    const more: NewExtension[] = [
      ...(policies === undefined ? [] : [certificatePolicies(...policies)]),
      ...(mappings.length === 0 ? [] : [policyMappings(...mappings)]),
      policyConstraints(skips),
      ...(inhibitAny === undefined ? [] : [inhibitAnyPolicy(inhibitAny)]),
    ];
    const signer = { algorithm: root.certificate.signatureAlgorithm.der, sign: () => Buffer.alloc(64) };
    return make({ name: "CA", keys, ...(selfIssued ? {} : { issuer: root }), more, signer }).certificate;
  });
}

function leafUnder(issuer: Made, ...more: readonly NewExtension[]): Made {
  return make({ name: "leaf", issuer, keys, extensions: LEAF_EXTENSIONS, more });
}

function validate(leaf: Made, ca: Made, policies: PolicyDemands, anchor = root) {
  return validatePath({
    leaf: leaf.certificate,
    intermediates: [ca.certificate],
    anchors: [anchor.certificate],
    time: NOW,
    purpose: "any",
    policies,
    maxPath: 4,
    allowWeakAlgorithms: false,
  });
}

function refusalOf(leaf: Made, ca: Made, policies: PolicyDemands): PathRefusal {
  const verdict = validate(leaf, ca, policies);
  assert.ok(!verdict.valid);
  return verdict.refusal;
}
