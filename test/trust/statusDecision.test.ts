import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { withTables } from "../../scripts/revocationPolicyTable.ts";
import type { Method, Methods, Trouble } from "../../src/trust/revocationPolicy.ts";
import { type Answered, tolerate } from "../../src/trust/statusDecision.ts";
import { NOW } from "../x509/made.ts";
import { Check, policyOf, tolerances } from "./statusWorld.ts";

const ANSWERS: readonly Answered[] = ["good", "revoked", "unknown", "stale", "unreachable", "noSource"];

/**
 * Written by hand from the words of the policy, not from the code. Rows: what CRL says; columns: what OCSP says, both in
 * the order of ANSWERS. A accepted; R refused as revoked; c, o, x: as the tolerance of CRL's trouble, of OCSP's, of both
 * says.
 */
const TABLES: Record<Exclude<Methods, "none">, readonly string[]> = {
  crl: ["AAAAAA", "RRRRRR", "cccccc", "cccccc", "cccccc", "cccccc"],
  ocsp: ["ARoooo", "ARoooo", "ARoooo", "ARoooo", "ARoooo", "ARoooo"],
  both: ["ARoooo", "RRRRRR", "cRxxxx", "cRxxxx", "cRxxxx", "cRxxxx"],
  crlFirst: ["AAAAAA", "RRRRRR", "ARxxxx", "ARxxxx", "ARxxxx", "ARxxxx"],
  ocspFirst: ["ARAAAA", "ARRRRR", "ARxxxx", "ARxxxx", "ARxxxx", "ARxxxx"],
};

/** Runs a whole check in which the methods answer so, whenever they are asked. */
function run(methods: Methods, crl: Answered, ocsp: Answered, tolerated: readonly Trouble[]) {
  const all = tolerances(Object.fromEntries(tolerated.map((trouble) => [trouble, { kind: "accept" }])));
  const sources = (method: Method, says: Answered) => (says === "noSource" ? [] : [`http://${method}/`]);
  const operator = { crl: [sources("crl", crl)], ocsp: sources("ocsp", ocsp) };
  const check = new Check(policyOf({ methods, operator, tolerances: all }));
  for (let next = 0; next < check.asked.length; next++) {
    const { certificate, method } = check.asked[next]!;
    check.give(certificate, method, method === "crl" ? crl : ocsp);
  }
  return check.verdict!;
}

for (const [methods, rows] of Object.entries(TABLES) as [Exclude<Methods, "none">, readonly string[]][])
  for (const [line, crl] of ANSWERS.entries())
    for (const [column, ocsp] of ANSWERS.entries()) {
      const cell = rows[line]![column]!;
      test(`${methods}, CRL says ${crl}, OCSP says ${ocsp}: ${cell}`, () => {
        const troubles = ({ A: [], R: [], c: [crl], o: [ocsp], x: [crl, ocsp] } as Record<string, Answered[]>)[cell]!;
        const strict = run(methods, crl, ocsp, []);
        const lenient = run(methods, crl, ocsp, ["unknown", "stale", "unreachable", "noSource"]);
        assert.equal(strict.accepted, cell === "A");
        assert.equal(lenient.accepted, cell !== "R");
        if (!lenient.accepted) assert.equal(lenient.refusal.reason, "CertificateRevoked");
        const justThese = run(methods, crl, ocsp, troubles as Trouble[]);
        assert.equal(justThese.accepted, cell !== "R");
        // Each trouble must be tolerated: one left out refuses, and is what the refusal names.
        for (const missing of new Set(troubles)) {
          const others = (["unknown", "stale", "unreachable", "noSource"] as const).filter((one) => one !== missing);
          const verdict = run(methods, crl, ocsp, others);
          assert.ok(!verdict.accepted);
          const names = { unknown: "Unknown", stale: "Stale", unreachable: "Unreachable", noSource: "Source" };
          assert.match(verdict.refusal.reason, new RegExp(names[missing as Trouble]));
        }
      });
    }

test("methods none accepts without asking anybody", () => {
  const check = new Check(policyOf({ methods: "none" }));
  assert.deepEqual(check.asked, []);
  assert.ok(check.verdict?.accepted);
  assert.deepEqual(check.verdict.certificates[0]?.decision, { kind: "notChecked", because: "methods" });
});

test("grace lasts from the end of the method's own last good answer, bound inclusive, and never without one", () => {
  const grace = tolerances({ stale: { kind: "grace", lasts: 1000 } });
  const stale = [{ method: "crl", trouble: "stale" }] as const;
  assert.deepEqual(tolerate(stale, grace, { crl: NOW - 1000 }, NOW), { accepted: true, until: NOW });
  const refused = { accepted: false, refusedFor: stale[0] };
  assert.deepEqual(tolerate(stale, grace, { crl: NOW - 1001 }, NOW), { ...refused, graceEnded: NOW - 1 });
  assert.deepEqual(tolerate(stale, grace, { ocsp: NOW }, NOW), { ...refused, graceEnded: undefined });
});

test("of two times of grace the one that ends first counts", () => {
  const grace = tolerances({ stale: { kind: "grace", lasts: 500 }, unknown: { kind: "grace", lasts: 9000 } });
  const troubles = [
    { method: "crl", trouble: "unknown" },
    { method: "ocsp", trouble: "stale" },
  ] as const;
  for (const order of [troubles, troubles.toReversed()])
    assert.deepEqual(tolerate(order, grace, { crl: NOW, ocsp: NOW }, NOW), { accepted: true, until: NOW + 500 });
});

test("the decision tables in the documentation are those of the code", () => {
  const document = readFileSync(new URL("../../docs/revocation-policy.md", import.meta.url), "utf8");
  assert.equal(withTables(document), document, "run: node scripts/revocationPolicyTable.ts");
});
