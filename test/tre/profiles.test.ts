/** Peers whose certificates keep or break their profile (TS 33.320 7.2.5.2.1-1). */
import assert from "node:assert/strict";
import type { createPrivateKey } from "node:crypto";
import test, { after } from "node:test";
import { signAuth } from "../../src/tre/authSignature.ts";
import { fqdnIdentity } from "../../src/tre/identity.ts";
import type { ProfilePolicy } from "../../src/tre/peerProfile.ts";
import { verifyCredentials } from "../../src/tre/peerVerifier.ts";
import type { PeerCredentials } from "../../src/tre/trustedEnvironment.ts";
import { subjectAltName } from "../../src/x509/build.ts";
import type { Certificate } from "../../src/x509/certificate.ts";
import { Credentials, START } from "../e2e/credentials.ts";
import { LEAF_EXTENSIONS, make } from "../x509/made.ts";

const credentials = new Credentials();
after(() => credentials[Symbol.dispose]());

const OCTETS = Buffer.from("the octets that AUTH covers");
const ERRORS: ProfilePolicy = { certificate: "henb-ikev2", release: "newest", least: "error" };
const WARNINGS: ProfilePolicy = { ...ERRORS, least: "warning" };

function verdict(peer: PeerCredentials, root: Certificate, time: number, profile: ProfilePolicy | undefined) {
  return verifyCredentials(peer, {
    clock: { now: () => time },
    roots: [root],
    maxPath: 4,
    acceptedHashes: [2, 3, 4],
    allowWeakAlgorithms: false,
    checkServerName: false,
    inBandOcsp: "off",
    trustedResponders: [],
    ocspTolerance: 0,
    ocspMaxAge: 0,
    ocspDelegates: "trust",
    profile,
  });
}

function peerOf(
  name: string,
  chain: readonly Certificate[],
  key: ReturnType<typeof createPrivateKey>,
): PeerCredentials {
  const { method, data } = signAuth(key, OCTETS, [2, 3, 4]);
  return {
    ...fqdnIdentity(name),
    certificates: chain.map(({ der }) => der),
    ocspResponses: [],
    authMethod: method,
    authData: data,
    octets: OCTETS,
    connectedTo: { address: "192.0.2.1" },
  };
}

test("a device of our own PKI keeps its profile, warnings included", () => {
  const issued = credentials.issueDevice("ap-1.example");
  const peer = peerOf("ap-1.example", issued.chain, issued.key);
  const { valid } = verdict(peer, credentials.pki.ca("manufacturer-root"), START, WARNINGS);
  assert.ok(valid);
});

test("a certificate that a path accepts is refused for what its profile forbids, with the rule and the clause", () => {
  const issuer = make({ name: "CA" });
  const made = make({
    name: "gateway",
    issuer,
    extensions: [...LEAF_EXTENSIONS, subjectAltName({ dns: ["segw.example"], ip: [] })],
  });
  const peer = peerOf("segw.example", [made.certificate], made.keys.privateKey);
  const time = (made.certificate.notBefore + made.certificate.notAfter) / 2;
  const lax = verdict(peer, issuer.certificate, time, undefined);
  assert.ok(lax.valid, lax.valid ? "" : lax.refusal.message);
  const strict = verdict(peer, issuer.certificate, time, WARNINGS);
  assert.ok(!strict.valid);
  assert.equal(strict.refusal.reason, "ProfileViolated");
  assert.match(strict.refusal.message, /breaks rule [A-Z]+\d+[a-z]?: .+\(TS 33\.3[12]0/);
  assert.ok(Array.isArray(strict.refusal.evidence?.findings));
});
