/** Peers for tests of the verdict: certificates of one small PKI, what a peer sends with them, and a policy to judge by. */
import assert from "node:assert/strict";
import type { Bytes } from "../../src/bytes/bytes.ts";
import { parseIp } from "../../src/bytes/ip.ts";
import * as write from "../../src/der/writer.ts";
import { HashAlgorithm, signAuth } from "../../src/tre/authSignature.ts";
import { fqdnIdentity } from "../../src/tre/identity.ts";
import { type VerifierPolicy, verifyCredentials } from "../../src/tre/peerVerifier.ts";
import type { PeerCredentials } from "../../src/tre/trustedEnvironment.ts";
import { extendedKeyUsage, keyUsage, subjectAltName } from "../../src/x509/build.ts";
import type { Certificate } from "../../src/x509/certificate.ts";
import { buildOcspResponse, certIdOf, type NewOcspResponse, type SingleResponse } from "../../src/x509/ocsp.ts";
import { Oid } from "../../src/x509/oids.ts";
import { DAY, LEAF_EXTENSIONS, type Made, type Making, make, NOW } from "../x509/made.ts";

export const FQDN = "segw.operator.example";
export const ADDRESS = "192.0.2.1";
export const ADDRESS_6 = "2001:db8::1";
export const OCTETS = Buffer.from("message, nonce, MACed identity");
export const ALL_HASHES = [HashAlgorithm.SHA2_256, HashAlgorithm.SHA2_384, HashAlgorithm.SHA2_512];

export const root = make({ name: "Root" });
export const ca = make({ name: "CA", issuer: root });

export const NAMES = subjectAltName({ dns: [FQDN], ip: [parseIp(ADDRESS)!, parseIp(ADDRESS_6)!] });

export function makeLeaf(making: Making = {}): Made {
  return make({ name: "gateway", issuer: ca, extensions: [...LEAF_EXTENSIONS, NAMES], ...making });
}

export const leaf = makeLeaf();

export const sibling = makeLeaf({ name: "sibling" });

/** What a peer with that key sends: AUTH as it signs when all hashes were announced, its own FQDN, no OCSP response. */
export function credentials(
  end: Made = leaf,
  above: readonly { certificate: Certificate }[] = [ca],
  over: Partial<PeerCredentials> & { hashes?: readonly number[]; pss?: boolean } = {},
): PeerCredentials {
  const { hashes = ALL_HASHES, pss = false, ...fields } = over;
  const { method, data } = signAuth(end.keys.privateKey, OCTETS, hashes, { pss });
  return {
    ...fqdnIdentity(FQDN),
    certificates: [end, ...above].map(({ certificate }) => certificate.der),
    ocspResponses: [],
    authMethod: method,
    authData: data,
    octets: OCTETS,
    connectedTo: { fqdn: FQDN },
    ...fields,
  };
}

/** A device's policy at `NOW`, which trusts `root`. */
export function policy(over: Partial<VerifierPolicy> = {}): VerifierPolicy {
  return {
    clock: { now: () => NOW },
    roots: [root.certificate],
    maxPath: 4,
    acceptedHashes: ALL_HASHES,
    allowWeakAlgorithms: false,
    checkServerName: true,
    inBandOcsp: "off",
    trustedResponders: [],
    ocspTolerance: 300_000,
    ocspMaxAge: DAY,
    ocspDelegates: "trust",
    ...over,
  };
}

export const UNKNOWN: SingleResponse["status"] = { kind: "unknown" };
export const REVOKED: SingleResponse["status"] = { kind: "revoked", at: NOW - DAY, reason: 1 };

/** An OCSP response about one certificate, an hour old, from its issuer unless said otherwise. */
export function ocsp(
  about: Made,
  issuer: Made,
  over: Partial<SingleResponse> & { by?: Made; outer?: Partial<NewOcspResponse> } = {},
): Bytes {
  const { by = issuer, outer, ...single } = over;
  return buildOcspResponse({
    responderId: { byName: by.certificate.subject },
    producedAt: NOW - 3600_000,
    responses: [
      {
        id: certIdOf(about.certificate, issuer.certificate),
        status: { kind: "good" },
        thisUpdate: NOW - 3600_000,
        nextUpdate: NOW + DAY,
        ...single,
      },
    ],
    nonce: undefined,
    certificates: by === issuer ? [] : [by.certificate.der],
    signer: by.signer,
    ...outer,
  });
}

/** The certificate with some octets in it replaced by as many others, signed anew. */
export function resigned(certificate: Certificate, issuer: Made, from: Bytes, to: Bytes): Bytes {
  const tbs = Buffer.from(certificate.tbs);
  tbs.set(to, tbs.indexOf(from));
  return write.sequence(tbs, issuer.signer.algorithm, write.bitString(issuer.signer.sign(tbs)));
}

/** One that the CA delegated to, or would have. */
export function responder(making: Making = {}): Made {
  return make({
    name: "responder",
    issuer: ca,
    extensions: [keyUsage("digitalSignature"), extendedKeyUsage(Oid.ocspSigning)],
    ...making,
  });
}

export function withOcsp(...ocspResponses: Bytes[]): PeerCredentials {
  return credentials(leaf, [ca], { ocspResponses });
}

export const LEAF_CHECKED: Partial<VerifierPolicy> = { inBandOcsp: "leaf" };
export const PATH_CHECKED: Partial<VerifierPolicy> = { inBandOcsp: "path" };

/** What the verdict rests on; fails if it is a refusal. */
export function accepted(sent: PeerCredentials, by: Partial<VerifierPolicy> = {}) {
  const verdict = verifyCredentials(sent, policy(by));
  assert.ok(verdict.valid, verdict.valid ? "" : `${verdict.refusal.reason}: ${verdict.refusal.message}`);
  const { path, names, ocsp } = verdict.verified;
  return { path: path.map(({ subject }) => subject.toString()), names, ocsp };
}

/** The refusal; fails if there is none. */
export function refusalOf(sent: PeerCredentials, by: Partial<VerifierPolicy> = {}) {
  const verdict = verifyCredentials(sent, policy(by));
  assert.ok(!verdict.valid, "expected a refusal");
  return verdict.refusal;
}
