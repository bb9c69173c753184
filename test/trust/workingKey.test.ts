/** DSA keys, whose parameters may be the issuer's (RFC 5280 6.1.4 f), by the certificates of PKITS 4.1.4 to 4.1.6. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { searchable } from "../../src/trust/crlEntries.ts";
import { verifiesCrl } from "../../src/trust/crlSignature.ts";
import { validatePath } from "../../src/trust/path.ts";
import { PathWork } from "../../src/trust/pathWork.ts";
import { SignatureCache } from "../../src/trust/signatureCache.ts";
import { keyObjectOf, type WorkingKey, workingKey } from "../../src/trust/workingKey.ts";
import { pkitsCertificate, pkitsCrl } from "./pkitsFiles.ts";

const root = pkitsCertificate("TrustAnchorRootCertificate.crt");
const ca = pkitsCertificate("DSACACert.crt");
const heir = pkitsCertificate("DSAParametersInheritedCACert.crt");
const leaf = pkitsCertificate("ValidDSAParameterInheritanceTest5EE.crt");
const issuer = workingKey(ca, workingKey(root, undefined));
const inherited = workingKey(heir, issuer);
const otherParameters: WorkingKey = { certificate: heir, parameters: changed(issuer.parameters!) };

test("a DSA key without parameters takes its issuer's, and is no key without them", () => {
  assert.deepEqual(heir.keyDescription, { kind: "dsa", bits: undefined });
  assert.deepEqual(ca.keyDescription, { kind: "dsa", bits: 1024 });
  assert.equal(keyObjectOf(inherited)?.asymmetricKeyType, "dsa");
  assert.equal(keyObjectOf(workingKey(heir, undefined)), undefined);
  assert.equal(workingKey(root, issuer).parameters, undefined, "an RSA key hands no DSA parameters down");
});

test("a certificate's signature is told good or bad anew where the key inherits, whatever is remembered", () => {
  const work = new PathWork(new SignatureCache());
  for (let round = 0; round < 2; round++) {
    assert.ok(work.verifies(leaf, inherited, true));
    assert.ok(!work.verifies(leaf, otherParameters, true));
  }
});

test("a CRL's signature is told good or bad anew where the key inherits, whoever loaded the CRL", () => {
  const crl = searchable(pkitsCrl("DSAParametersInheritedCACRL.crl"));
  const loaded = { crl: crl.crl, unknownCritical: undefined, lookUp: () => undefined, verifiedUnder: heir.spki };
  assert.ok(verifiesCrl(crl, inherited));
  for (const one of [crl, loaded]) assert.ok(!verifiesCrl(one, otherParameters));
});

test("DSA is refused by name unless weak algorithms are allowed", () => {
  const path = (allowWeakAlgorithms: boolean) =>
    validatePath({
      leaf: heir,
      intermediates: [ca],
      anchors: [root],
      time: Date.UTC(2011, 3, 15),
      purpose: "any",
      maxPath: 4,
      allowWeakAlgorithms,
    });
  assert.ok(path(true).valid);
  const verdict = path(false);
  assert.ok(!verdict.valid && verdict.refusal.reason === "WeakAlgorithm" && verdict.refusal.algorithm === "a DSA key");
});

/** The same structure with another generator. */
function changed(parameters: Buffer): Buffer {
  const copy = Buffer.from(parameters);
  copy[copy.length - 1]! ^= 1;
  return copy;
}
