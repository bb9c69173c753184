import assert from "node:assert/strict";
import { generateKeyPairSync, sign } from "node:crypto";
import { describe, test } from "node:test";
import fc from "fast-check";
import type { Bytes } from "../../src/bytes/bytes.ts";
import { parseIp } from "../../src/bytes/ip.ts";
import * as write from "../../src/der/writer.ts";
import { AuthMethod, HashAlgorithm } from "../../src/tre/authSignature.ts";
import { fqdnIdentity, IdType } from "../../src/tre/identity.ts";
import type { CredentialsProblem } from "../../src/tre/peerRefusal.ts";
import { type VerifierPolicy, verifyCredentials } from "../../src/tre/peerVerifier.ts";
import type { PeerCredentials } from "../../src/tre/trustedEnvironment.ts";
import { basicConstraints, extendedKeyUsage, keyUsage, subjectAltName } from "../../src/x509/build.ts";
import { buildOcspError, ResponseStatus } from "../../src/x509/ocsp.ts";
import { Oid } from "../../src/x509/oids.ts";
import { mutated, octets } from "../ike/codec/arbitrary.ts";
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
import type { OfPathAlone } from "./pathProblems.ts";
import {
  ADDRESS,
  ADDRESS_6,
  ALL_HASHES,
  accepted,
  ca,
  credentials,
  FQDN,
  LEAF_CHECKED,
  leaf,
  makeLeaf,
  NAMES,
  OCTETS,
  ocsp,
  PATH_CHECKED,
  policy,
  REVOKED,
  refusalOf,
  resigned,
  responder,
  root,
  sibling,
  UNKNOWN,
  withOcsp,
} from "./peers.ts";

const rsaKeys = KEY_MAKERS["RSA-2048"]();

describe("a peer is accepted", () => {
  test("with its path from end entity to root, its names, and the status of what was checked", () => {
    assert.deepEqual(accepted(credentials()), {
      path: ["O=Femtogate, CN=gateway", "O=Femtogate, CN=CA", "O=Femtogate, CN=Root"],
      names: [FQDN, ADDRESS, ADDRESS_6],
      ocsp: "not checked",
    });
  });

  const kinds: [string, Made, number[], number, boolean][] = [
    ["RSA, method 1", makeLeaf({ keys: rsaKeys }), [], AuthMethod.RSA, false],
    ["RSA PKCS #1, method 14", makeLeaf({ keys: rsaKeys }), ALL_HASHES, AuthMethod.DIGITAL_SIGNATURE, false],
    ["RSASSA-PSS, method 14", makeLeaf({ keys: rsaKeys }), ALL_HASHES, AuthMethod.DIGITAL_SIGNATURE, true],
    ["ECDSA P-256, method 9", makeLeaf(), [], AuthMethod.ECDSA_256, false],
    ["ECDSA P-256, method 14", makeLeaf(), ALL_HASHES, AuthMethod.DIGITAL_SIGNATURE, false],
    ["ECDSA P-384, method 10", makeLeaf({ keys: KEY_MAKERS["P-384"]() }), [], AuthMethod.ECDSA_384, false],
    [
      "ECDSA P-384, method 14",
      makeLeaf({ keys: KEY_MAKERS["P-384"]() }),
      ALL_HASHES,
      AuthMethod.DIGITAL_SIGNATURE,
      false,
    ],
  ];
  for (const [kind, end, hashes, method, pss] of kinds) {
    test(`by a signature of ${kind}`, () => {
      const sent = credentials(end, [ca], { hashes, pss });
      assert.equal(sent.authMethod, method);
      accepted(sent);
    });
  }

  test("with its identity an FQDN or an address of its certificate, in any letters", () => {
    for (const identity of [
      fqdnIdentity("SeGW.Operator.Example"),
      { idType: IdType.IPV4_ADDR, idData: parseIp(ADDRESS)! },
      { idType: IdType.IPV6_ADDR, idData: parseIp(ADDRESS_6)! },
    ])
      accepted(credentials(leaf, [ca], identity));
  });

  test("where the device connected to an address, if the certificate has that", () => {
    accepted(credentials(leaf, [ca], { connectedTo: { address: ADDRESS } }));
    accepted(credentials(leaf, [ca], { connectedTo: { address: ADDRESS_6 } }));
  });

  test("by a gateway whatever name it came from, since a gateway connects to nobody", () => {
    accepted(credentials(leaf, [ca], { connectedTo: { address: "203.0.113.9" } }), { checkServerName: false });
  });

  test("with a path of four, in any order, the trusted root sent along or not (7.2.3-2, 7.2.4-2)", () => {
    const { end, above } = deepPath(4);
    for (const order of [above, above.toReversed(), [...above, root]]) accepted(credentials(end, order));
  });

  test("with a trusted root that it sends twice", () => {
    accepted(credentials(leaf, [ca, root, root]));
  });
});

interface Row {
  because: string;
  sent: PeerCredentials;
  by?: Partial<VerifierPolicy>;
  says: RegExp;
}

const otherRoot = make({ name: "Root" });
const otherCa = make({ name: "CA", issuer: otherRoot });
const strangers = makeLeaf({ issuer: otherCa });
const noCa = make({ name: "no CA", issuer: root, extensions: LEAF_EXTENSIONS });
const narrowCa = make({ name: "narrow CA", issuer: root, extensions: [basicConstraints(true, 0), CA_EXTENSIONS[1]!] });
const belowNarrow = make({ name: "CA below", issuer: narrowCa });
const signOnlyCa = make({
  name: "CRL CA",
  issuer: root,
  extensions: [basicConstraints(true), keyUsage("cRLSign")],
});
const weakKeys = generateKeyPairSync("rsa", { modulusLength: 1024 });
const boundPss = generateKeyPairSync("rsa-pss", {
  modulusLength: 2048,
  hashAlgorithm: "sha256",
  mgf1HashAlgorithm: "sha256",
});
const pssAuth = credentials(makeLeaf({ keys: rsaKeys }), [ca], { pss: true, hashes: [HashAlgorithm.SHA2_512] });
const point = leaf.certificate.publicKeyBits;
const offTheCurve = Buffer.concat([point.subarray(0, 1), Buffer.alloc(point.length - 1, 0x11)]);

/** Every way to be refused, by reason; a reason without a row does not compile. */
const REFUSED: Record<Exclude<CredentialsProblem, OfPathAlone>, Row[]> = {
  NoCertificate: [{ because: "it sends none", sent: credentials(leaf, [], { certificates: [] }), says: /no X\.509/ }],
  MalformedCertificate: [
    { because: "its certificate is no DER", sent: withCertificates(Buffer.from("not DER")), says: /cannot be read/ },
    { because: "its certificate is empty", sent: withCertificates(Buffer.alloc(0)), says: /cannot be read/ },
    { because: "its certificate is cut", sent: withCertificates(leaf.certificate.der.subarray(0, -1)), says: /octet/ },
    {
      because: "a certificate beside its own is malformed",
      sent: withCertificates(leaf.certificate.der, ca.certificate.der, Buffer.from("3003020101", "hex")),
      says: /cannot be read/,
    },
  ],
  UnreadableKey: [
    {
      because: "its key is no point of the curve",
      sent: withCertificates(resigned(leaf.certificate, ca, point, offTheCurve), ca.certificate.der),
      says: /public key of "O=Femtogate, CN=gateway"/,
    },
  ],
  PathTooLong: [
    { because: "its path has five certificates", sent: deepCredentials(5), says: /has 5 certificates, at most 4/ },
    {
      because: "a policy allows fewer",
      sent: credentials(),
      by: { maxPath: 1 },
      says: /has 2 certificates, at most 1/,
    },
  ],
  NoPathToTrustAnchor: [
    { because: "another root is above it", sent: credentials(strangers, [otherCa]), says: /no path from/ },
    { because: "it brings its own root", sent: credentials(strangers, [otherCa, otherRoot]), says: /no path from/ },
    { because: "the CA between is missing", sent: credentials(leaf, []), says: /CN=CA/ },
    { because: "no root is trusted", sent: credentials(), by: { roots: [] }, says: /no path from/ },
  ],
  NotYetValid: [
    {
      because: "its certificate is not valid yet (7.2.3-3)",
      sent: credentials(makeLeaf({ notBefore: NOW + 1000 })),
      says: /CN=gateway" is not valid before/,
    },
    {
      because: "its CA is not valid yet",
      sent: withCa({ notBefore: NOW + 1000 }),
      says: /CN=late CA" is not valid before/,
    },
  ],
  Expired: [
    {
      because: "its certificate has expired (7.2.3-3)",
      sent: credentials(makeLeaf({ notAfter: NOW - 1000 })),
      says: /CN=gateway" expired at 2026-05-31T23:59:59/,
    },
    { because: "its CA has expired", sent: withCa({ notAfter: NOW - 1000 }), says: /CN=late CA" expired/ },
    {
      because: "the root has expired",
      sent: credentials(),
      by: { clock: { now: () => NOW + 101 * DAY } },
      says: /expired/,
    },
  ],
  BadSignature: [
    {
      because: "its certificate's signature is wrong",
      sent: credentials({ ...leaf, certificate: withBadSignature(leaf.certificate) }),
      says: /signature on "O=Femtogate, CN=gateway"/,
    },
    {
      because: "somebody else signed under the CA's name",
      sent: credentials(makeLeaf({ signer: otherCa.signer })),
      says: /signature on/,
    },
  ],
  NotACa: [{ because: "no CA issued it", sent: credentials(makeLeaf({ issuer: noCa }), [noCa]), says: /is no CA/ }],
  PathLengthExceeded: [
    {
      because: "a CA allows none below it",
      sent: credentials(makeLeaf({ issuer: belowNarrow }), [belowNarrow, narrowCa]),
      says: /allows 0 CAs below it/,
    },
  ],
  KeyUsageMissing: [
    {
      because: "its key is not for signatures",
      sent: credentials(makeLeaf({ extensions: [keyUsage("keyEncipherment"), NAMES] })),
      says: /lacks digitalSignature/,
    },
    {
      because: "its CA may sign no certificates",
      sent: credentials(makeLeaf({ issuer: signOnlyCa }), [signOnlyCa]),
      says: /lacks keyCertSign/,
    },
  ],
  PurposeNotAllowed: [
    {
      because: "its certificate is for TLS only",
      sent: credentials(makeLeaf({ more: [extendedKeyUsage(Oid.serverAuth)] })),
      says: /does not allow ike/,
    },
  ],
  UnknownCriticalExtension: [
    {
      because: "its certificate has a critical extension that nobody here knows",
      sent: credentials(makeLeaf({ more: [{ oid: "1.2.3.4", critical: true, value: write.nullValue() }] })),
      says: /1\.2\.3\.4/,
    },
  ],
  WeakAlgorithm: [
    {
      because: "its key is short",
      sent: credentials(makeLeaf({ keys: weakKeys })),
      says: /an RSA key of 1024 bits/,
    },
  ],
  WrongAuth: [
    { because: "AUTH is by another key", sent: authOf(sibling), says: /does not verify/ },
    { because: "AUTH is over other octets", sent: { ...credentials(), octets: Buffer.from("other") }, says: /AUTH/ },
    { because: "an octet of AUTH is changed", sent: withAuth((data) => (data[data.length - 1]! ^= 1)), says: /AUTH/ },
    { because: "method 9 is by another key", sent: authOf(sibling, []), says: /AUTH/ },
    {
      because: "AUTH is empty",
      sent: { ...credentials(leaf, [ca], { hashes: [] }), authData: Buffer.alloc(0) },
      says: /AUTH/,
    },
  ],
  UnsupportedMethod: [
    {
      because: "AUTH is a shared key's",
      sent: { ...credentials(), authMethod: AuthMethod.SHARED_KEY },
      says: /method 2/,
    },
    { because: "AUTH is of no method", sent: { ...credentials(), authMethod: AuthMethod.NULL }, says: /method 13/ },
  ],
  HashNotAccepted: [
    {
      because: "AUTH uses a hash that was not announced",
      sent: credentials(leaf, [ca], { hashes: [HashAlgorithm.SHA2_512] }),
      by: { acceptedHashes: [HashAlgorithm.SHA2_256] },
      says: /sha512, which was not announced/,
    },
    { because: "AUTH uses SHA-1", sent: sha1Auth(), says: /sha1, which was not announced/ },
  ],
  KeyMismatch: [
    {
      because: "AUTH is ECDSA's and its key is RSA's",
      sent: { ...credentials(makeLeaf({ keys: rsaKeys })), ...authOnly(credentials()) },
      says: /the certificate's key is rsa/,
    },
    {
      because: "AUTH is of the other curve's method",
      sent: { ...credentials(), authMethod: AuthMethod.ECDSA_384 },
      says: /method 10/,
    },
    {
      because: "its key allows another hash only",
      sent: {
        ...withCertificates(makeLeaf({ keys: boundPss }).certificate.der, ca.certificate.der),
        ...authOnly(pssAuth),
      },
      says: /sha512, which the certificate's key does not allow/,
    },
  ],
  MalformedAuth: [
    {
      because: "AUTH ends within its algorithm identifier",
      sent: { ...credentials(), authData: Buffer.from("0f300d", "hex") },
      says: /shorter than the algorithm identifier/,
    },
  ],
  IdentityMismatch: [
    {
      because: "it claims another FQDN (7.2.5.2.1-2)",
      sent: credentials(leaf, [ca], fqdnIdentity("other.operator.example")),
      says: /claims to be other\.operator\.example, its certificate is for segw\.operator\.example/,
    },
    {
      because: "it claims an FQDN that only begins like its own",
      sent: credentials(leaf, [ca], fqdnIdentity(`${FQDN}.evil.example`)),
      says: /claims to be/,
    },
    {
      because: "it claims an FQDN with an octet beside",
      sent: credentials(leaf, [ca], { idType: IdType.FQDN, idData: Buffer.from(`${FQDN}\0`) }),
      says: /claims to be segw\.operator\.example\?,/,
    },
    {
      because: "it claims another address",
      sent: credentials(leaf, [ca], { idType: IdType.IPV4_ADDR, idData: parseIp("192.0.2.2")! }),
      says: /claims to be 192\.0\.2\.2/,
    },
    {
      because: "it claims an IPv4 address of sixteen octets",
      sent: credentials(leaf, [ca], { idType: IdType.IPV4_ADDR, idData: parseIp(ADDRESS_6)! }),
      says: /claims to be/,
    },
    {
      because: "it claims an IPv6 address of four octets",
      sent: credentials(leaf, [ca], { idType: IdType.IPV6_ADDR, idData: parseIp(ADDRESS)! }),
      says: /claims to be/,
    },
    {
      because: "it claims its subject, where the standard asks for subjectAltName",
      sent: credentials(leaf, [ca], { idType: IdType.DER_ASN1_DN, idData: leaf.certificate.subject.der }),
      says: /claims to be id type 9/,
    },
    {
      because: "its FQDN comes as a mail address",
      sent: credentials(leaf, [ca], { idType: IdType.RFC822_ADDR, idData: Buffer.from(FQDN) }),
      says: /claims to be/,
    },
    {
      because: "its certificate names nobody",
      sent: credentials(makeLeaf({ extensions: LEAF_EXTENSIONS })),
      says: /is for nobody/,
    },
  ],
  NameMismatch: [
    {
      because: "the device connected to another FQDN (7.2.2-4)",
      sent: credentials(leaf, [ca], { connectedTo: { fqdn: "segw2.operator.example" } }),
      says: /connected to segw2\.operator\.example, but the certificate is for segw\.operator\.example, 192\.0\.2\.1/,
    },
    {
      because: "the device connected to another address",
      sent: credentials(leaf, [ca], { connectedTo: { address: "192.0.2.2" } }),
      says: /connected to 192\.0\.2\.2/,
    },
    {
      because: "the device resolved an FQDN, and only the address is certified",
      sent: credentials(
        makeLeaf({ extensions: [...LEAF_EXTENSIONS, subjectAltName({ dns: [], ip: [parseIp(ADDRESS)!] })] }),
        [ca],
        { idType: IdType.IPV4_ADDR, idData: parseIp(ADDRESS)!, connectedTo: { fqdn: FQDN } },
      ),
      says: /connected to segw\.operator\.example/,
    },
    {
      because: "the device connected to an address that stands there as a DNS name",
      sent: credentials(
        makeLeaf({ extensions: [...LEAF_EXTENSIONS, subjectAltName({ dns: [FQDN, ADDRESS], ip: [] })] }),
        [ca],
        { connectedTo: { address: ADDRESS } },
      ),
      says: /connected to 192\.0\.2\.1/,
    },
  ],
  NoValidOcspResponse: [
    { because: "no response came (7.2.3-4)", sent: credentials(), by: LEAF_CHECKED, says: /no OCSP response for/ },
    {
      because: "the response is about another certificate",
      sent: withOcsp(ocsp(sibling, ca)),
      by: LEAF_CHECKED,
      says: /about another certificate/,
    },
    {
      because: "the response has expired",
      sent: withOcsp(ocsp(leaf, ca, { nextUpdate: NOW - 301_000 })),
      by: LEAF_CHECKED,
      says: /was good until/,
    },
    {
      because: "the response is too old and has no end",
      sent: withOcsp(ocsp(leaf, ca, { thisUpdate: NOW - DAY - 301_000, nextUpdate: undefined })),
      by: LEAF_CHECKED,
      says: /was good until/,
    },
    {
      because: "the response is from the future",
      sent: withOcsp(ocsp(leaf, ca, { thisUpdate: NOW + 301_000 })),
      by: LEAF_CHECKED,
      says: /check the clock/,
    },
    {
      because: "the gateway itself signed the response",
      sent: withOcsp(ocsp(leaf, ca, { by: leaf })),
      by: LEAF_CHECKED,
      says: /may not answer for this CA/,
    },
    {
      because: "another CA's responder signed it",
      sent: withOcsp(ocsp(leaf, ca, { by: responder({ issuer: otherCa }) })),
      by: LEAF_CHECKED,
      says: /may not answer/,
    },
    {
      because: "a responder that is not trusted signed it",
      sent: withOcsp(ocsp(leaf, ca, { by: make({ name: "anybody" }) })),
      by: LEAF_CHECKED,
      says: /may not answer/,
    },
    {
      because: "its signature is another key's",
      sent: withOcsp(ocsp(leaf, ca, { outer: { signer: otherCa.signer } })),
      by: LEAF_CHECKED,
      says: /does not verify/,
    },
    {
      because: "the responder had no answer",
      sent: withOcsp(buildOcspError(ResponseStatus.tryLater)),
      by: LEAF_CHECKED,
      says: /status 3/,
    },
    { because: "the response is no DER", sent: withOcsp(Buffer.from("OCSP")), by: LEAF_CHECKED, says: /malformed/ },
    {
      because: "the whole path is to be checked, and nothing is said of the CA",
      sent: withOcsp(ocsp(leaf, ca)),
      by: PATH_CHECKED,
      says: /CN=CA"|another certificate/,
    },
  ],
  CertificateRevoked: [
    {
      because: "its certificate is revoked",
      sent: withOcsp(ocsp(leaf, ca, { status: REVOKED })),
      by: LEAF_CHECKED,
      says: /CN=gateway" was revoked at 2026-05-31T00:00:00\.000Z, says "O=Femtogate, CN=CA"/,
    },
    {
      because: "its CA is revoked",
      sent: withOcsp(ocsp(leaf, ca), ocsp(ca, root, { status: REVOKED })),
      by: PATH_CHECKED,
      says: /CN=CA" was revoked/,
    },
  ],
  CertificateUnknown: [
    {
      because: "the responder does not know its certificate",
      sent: withOcsp(ocsp(leaf, ca, { status: UNKNOWN })),
      by: LEAF_CHECKED,
      says: /does not know "O=Femtogate, CN=gateway"/,
    },
  ],
};

for (const [reason, rows] of Object.entries(REFUSED)) {
  describe(`a peer is refused with ${reason}`, () => {
    for (const { because, sent, by, says } of rows) {
      test(`if ${because}`, () => {
        const refusal = refusalOf(sent, by);
        assert.equal(refusal.reason, reason, refusal.message);
        assert.match(refusal.message, says);
        assert.doesNotThrow(() => JSON.stringify(refusal), "the refusal can be logged");
      });
    }
  });
}

describe("the order of the checks", () => {
  test("is path, AUTH, identity, name, status: the first that fails is told", () => {
    const everything = {
      ...credentials(makeLeaf({ notAfter: NOW - 1000 })),
      ...authOnly(authOf(sibling)),
      ...fqdnIdentity("other.example"),
      connectedTo: { fqdn: "third.example" },
    };
    assert.equal(refusalOf(everything, LEAF_CHECKED).reason, "Expired");
    const valid = { ...everything, certificates: credentials().certificates };
    assert.equal(refusalOf(valid, LEAF_CHECKED).reason, "WrongAuth");
    const signed = { ...valid, ...authOnly(credentials()) };
    assert.equal(refusalOf(signed, LEAF_CHECKED).reason, "IdentityMismatch");
    const identified = { ...signed, ...fqdnIdentity(FQDN) };
    assert.equal(refusalOf(identified, LEAF_CHECKED).reason, "NameMismatch");
    assert.equal(refusalOf({ ...identified, connectedTo: { fqdn: FQDN } }, LEAF_CHECKED).reason, "NoValidOcspResponse");
  });
});

test("old devices' short keys and SHA-1 are accepted where that is allowed and announced", () => {
  const old = { allowWeakAlgorithms: true, acceptedHashes: [HashAlgorithm.SHA1, ...ALL_HASHES] };
  accepted(credentials(makeLeaf({ keys: weakKeys })), old);
  accepted(sha1Auth(), old);
});

test("a gateway's evidence names what was claimed and what is certified", () => {
  const { evidence } = refusalOf(credentials(leaf, [ca], fqdnIdentity("ap-2.example")), { checkServerName: false });
  assert.deepEqual(evidence, { claimed: "ap-2.example", certified: [FQDN, ADDRESS, ADDRESS_6] });
});

test("whatever a peer sends, there is a verdict, and only unchanged credentials are accepted", () => {
  const good = { ...credentials(), ocspResponses: [ocsp(leaf, ca)] };
  const anything = fc.oneof(octets(0, 60), mutated(fc.constant(leaf.certificate.der)));
  const changed = fc.record(
    {
      idType: fc.integer({ min: 0, max: 255 }),
      idData: octets(0, 40),
      certificates: fc.array(anything, { maxLength: 6 }),
      ocspResponses: fc.array(fc.oneof(octets(0, 60), mutated(fc.constant(good.ocspResponses[0]!))), { maxLength: 4 }),
      authMethod: fc.constantFrom(0, 1, 2, 9, 10, 11, 13, 14, 99),
      authData: fc.oneof(octets(0, 100), mutated(fc.constant(good.authData))),
      octets: octets(0, 40),
    },
    { requiredKeys: [], noNullPrototype: true },
  );
  fc.assert(
    fc.property(changed, (over) => {
      const verdict = verifyCredentials({ ...good, ...over }, policy(LEAF_CHECKED));
      if (!verdict.valid) {
        assert.ok(Object.hasOwn(REFUSED, verdict.refusal.reason), verdict.refusal.reason);
        assert.ok(verdict.refusal.message.length > 10);
      }
    }),
    { numRuns: 500 },
  );
});

function withCertificates(...certificates: Bytes[]): PeerCredentials {
  return credentials(leaf, [], { certificates });
}

/** An end entity whose path has `length` certificates below the root. */
function deepPath(length: number): { end: Made; above: Made[] } {
  const above: Made[] = [];
  while (above.length < length - 1)
    above.unshift(make({ name: `CA ${above.length}`, issuer: above[0] ?? root, extensions: CA_EXTENSIONS }));
  return { end: makeLeaf({ issuer: above[0] ?? root }), above };
}

function deepCredentials(length: number): PeerCredentials {
  const { end, above } = deepPath(length);
  return credentials(end, above);
}

function withCa(making: Making): PeerCredentials {
  const late = make({ name: "late CA", issuer: root, ...making });
  return credentials(makeLeaf({ issuer: late }), [late]);
}

/** The leaf's certificates with AUTH by another key. */
function authOf(other: Made, hashes: readonly number[] = ALL_HASHES): PeerCredentials {
  return { ...credentials(), ...authOnly(credentials(other, [], { hashes })) };
}

function authOnly({ authMethod, authData }: PeerCredentials): Pick<PeerCredentials, "authMethod" | "authData"> {
  return { authMethod, authData };
}

function withAuth(change: (data: Bytes) => void): PeerCredentials {
  const sent = credentials();
  const authData = Buffer.from(sent.authData);
  change(authData);
  return { ...sent, authData };
}

function sha1Auth(): PeerCredentials {
  const identifier = Buffer.from("300906072a8648ce3d0401", "hex");
  const signature = sign("sha1", OCTETS, leaf.keys.privateKey);
  return { ...credentials(), authData: Buffer.concat([Buffer.from([identifier.length]), identifier, signature]) };
}
