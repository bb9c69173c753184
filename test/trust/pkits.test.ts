/**
 * NIST's path validation test suite: every case by its number, with full revocation checking. The DSA cases (4.1.4 to
 * 4.1.6) are among them: node:crypto verifies DSA, under allowWeakAlgorithms.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { DerError } from "../../src/der/reader.ts";
import { describePathRefusal, validatePath } from "../../src/trust/path.ts";
import { pkitsCertificate, pkitsCrl } from "./pkitsFiles.ts";

interface PkitsCase {
  id: string;
  title: string;
  section: string;
  group: string;
  trust_anchor: string;
  intermediates: string[];
  target: string;
  crl_issuer_certs: string[];
  crls: string[];
  initial: {
    policy_set_oids: string[];
    explicit_policy: boolean;
    policy_mapping_inhibit: boolean;
    any_policy_inhibit: boolean;
  };
  expected: "valid" | "invalid";
  user_constrained_policy_set: string[];
  needs: string[];
}

interface PkitsTable {
  validation_time: string;
  policy_oids: Record<string, string>;
  cases: PkitsCase[];
}

const table: PkitsTable = JSON.parse(readFileSync(join(import.meta.dirname, "../vectors/pkits-cases.json"), "utf8"));

test("the table has all 249 cases", () => assert.equal(new Set(table.cases.map(({ id }) => id)).size, 249));

for (const [group, cases] of Map.groupBy(table.cases, ({ section, group }) => `PKITS ${section} ${group}`)) {
  describe(group, () => {
    for (const one of cases)
      test(`${one.id} ${one.title} is ${one.expected}`, () => {
        if (UNREADABLE.has(one.id)) assert.throws(() => check(one), DerError);
        else check(one);
      });
  });
}

function check(one: PkitsCase): void {
  const verdict = validatePath({
    leaf: pkitsCertificate(one.target),
    intermediates: [...one.intermediates, ...one.crl_issuer_certs].map(pkitsCertificate),
    anchors: [pkitsCertificate(one.trust_anchor)],
    time: Date.parse(table.validation_time),
    purpose: "any",
    policies: {
      acceptable: one.initial.policy_set_oids,
      requireExplicit: one.initial.explicit_policy,
      inhibitMapping: one.initial.policy_mapping_inhibit,
      inhibitAny: one.initial.any_policy_inhibit,
    },
    crls: one.crls.map(pkitsCrl),
    maxPath: 5,
    allowWeakAlgorithms: one.needs.includes("dsa"),
  });
  const why = verdict.valid ? "" : describePathRefusal(verdict.refusal);
  assert.equal(verdict.valid ? "valid" : "invalid", one.expected, why);
  const policies = one.user_constrained_policy_set.map((name) => table.policy_oids[name]!);
  if (verdict.valid) assert.deepEqual(verdict.policies.toSorted(), policies.toSorted());
}

/** Cases whose bad signature is no whole octets: the certificate or CRL cannot be read, which refuses who brings it. */
const UNREADABLE = new Set(["4.1.2", "4.1.6", "4.4.4"]);
