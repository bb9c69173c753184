import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import test from "node:test";
import fc from "fast-check";
import { DecodeError } from "../../../src/bytes/reader.ts";
import { element, enumerated, integer, oid, sequence, setOf, utf8String } from "../../../src/der/writer.ts";
import { CRL_RULES } from "../../../src/trust/profiles/crlRules.ts";
import { CERTIFICATE_RULES, lint } from "../../../src/trust/profiles/lint.ts";
import {
  CERTIFICATE_PROFILES,
  type CertificateProfile,
  type Circumstances,
  type Release,
} from "../../../src/trust/profiles/rule.ts";
import {
  basicConstraints,
  crlDistributionPoint,
  extendedKeyUsage,
  keyUsage,
  type NewExtension,
  subjectAltName,
} from "../../../src/x509/build.ts";
import { type Certificate, parseCertificate } from "../../../src/x509/certificate.ts";
import { makeName, Name } from "../../../src/x509/name.ts";
import { Oid } from "../../../src/x509/oids.ts";
import { DAY, NOW, name } from "../../x509/made.ts";
import {
  type CrlSpoiling,
  certificateOf,
  crlOf,
  DEVICE,
  EC,
  HEMS,
  SEGW,
  type Spoiling,
  signerUnder,
  unknownExtension,
  withoutExtensions,
} from "./conforming.ts";

const RELEASES: readonly Release[] = ["R9", "newest"];

test("a certificate made after its profile breaks no rule of either release", () => {
  for (const release of RELEASES) {
    for (const profile of CERTIFICATE_PROFILES) {
      const certificate = certificateOf(profile, release);
      assert.deepEqual(lint({ certificate, profile, release }), [], `${profile} ${release}`);
    }
    assert.deepEqual(lint({ crl: crlOf(release), release }), [], release);
  }
});

for (const [rule, profile, releases, spoiling, circumstances] of breaking()) {
  test(`${rule} (${profile}) is found broken, and nothing else`, () => {
    for (const release of RELEASES) {
      const certificate = certificateOf(profile, release, spoiling);
      const request = { certificate, profile, release, ...(circumstances === undefined ? {} : { circumstances }) };
      const broken = lint(request).map((finding) => finding.rule);
      if (releases.includes(release)) assert.deepEqual(broken, [rule], release);
      else assert.ok(!broken.includes(rule), `${rule} does not belong to ${release}`);
    }
  });
}

for (const [rule, spoiling, releases] of breakingCrls()) {
  test(`${rule} (CRL) is found broken, and nothing else`, () => {
    for (const release of RELEASES) {
      const broken = lint({ crl: crlOf(release, spoiling), release }).map((finding) => finding.rule);
      assert.deepEqual(broken, releases.includes(release) ? [rule] : [], release);
    }
  });
}

test("C1: version 1 is found, apart from what it cannot carry", () => {
  for (const release of RELEASES) {
    const whole = certificateOf("segw", release);
    const broken = (version: 1 | 3) =>
      lint({ certificate: withoutExtensions(whole, version), profile: "segw", release }).map((finding) => finding.rule);
    assert.deepEqual(broken(1), ["C1", ...broken(3)]);
  }
});

test("every rule is broken by a test", () => {
  const tested = new Set(["C1", ...breaking().map(([rule]) => rule), ...breakingCrls().map(([rule]) => rule)]);
  assert.deepEqual(
    [...CERTIFICATE_RULES, ...CRL_RULES].map(({ id }) => id).filter((id) => !tested.has(id)),
    [],
  );
});

test("where servers and names are not told, the rules that need them say nothing; where they are met, neither", () => {
  const quiet: [CertificateProfile, Circumstances][] = [
    ["segw", { identity: SEGW.toUpperCase(), ocspServer: true, statusInBand: true }],
    ["henb-ikev2", { identity: DEVICE, crlServer: false, ocspServer: false }],
    ["henb", { identity: DEVICE }],
    ["hems", { identity: HEMS, ocspServer: false }],
    ["ne-ca", { crlServer: true }],
  ];
  for (const [profile, circumstances] of quiet) {
    const certificate = certificateOf(profile, "newest");
    assert.deepEqual(lint({ certificate, profile, release: "newest", circumstances }), [], profile);
  }
  const pointed = { extensions: { [Oid.crlDistributionPoints]: crlDistributionPoint("http://crl.example/a.crl") } };
  const device = certificateOf("henb-ikev2", "newest", pointed);
  const circumstances = { crlServer: true, ocspServer: true };
  assert.deepEqual(lint({ certificate: device, profile: "henb-ikev2", release: "newest", circumstances }), []);
});

test("a finding names clause, what was found and what to do", () => {
  const certificate = certificateOf("henb-ikev2", "newest", { extensions: { [Oid.subjectAltName]: undefined } });
  assert.deepEqual(lint({ certificate, profile: "henb-ikev2", release: "newest" }), [
    {
      rule: "E9",
      severity: "error",
      clause: "TS 33.310 6.1.3, TS 33.320 7.2.5.2.1 (7.2.5.2.1-2)",
      requirement: "subjectAltName has the H(e)NB's identity, an FQDN, equal to IDi.",
      found: "no dNSName",
      fix: "Issue it with the device's FQDN as dNSName in subjectAltName.",
      confidence: "text",
    },
  ]);
});

test("a damaged certificate that can still be read is judged without an error", () => {
  const whole = certificateOf("henb", "newest", {
    extensions: { [Oid.crlDistributionPoints]: crlDistributionPoint("http://a.example") },
  });
  fc.assert(
    fc.property(
      fc.nat(whole.der.length - 1),
      fc.nat(255),
      fc.constantFrom(...CERTIFICATE_PROFILES),
      (at, octet, profile) => {
        const der = Buffer.from(whole.der);
        der[at] = octet;
        let certificate: Certificate;
        try {
          certificate = parseCertificate(der);
        } catch (error) {
          assert.ok(error instanceof DecodeError);
          return;
        }
        const circumstances = { issuer: whole, identity: DEVICE, crlServer: true, ocspServer: true };
        for (const release of RELEASES) lint({ certificate, profile, release, circumstances });
      },
    ),
    { numRuns: 2000 },
  );
});

type Breaking = [rule: string, CertificateProfile, readonly Release[], Spoiling, Circumstances?];

function breaking(): Breaking[] {
  const both = RELEASES;
  const old: Release[] = ["R9"];
  const newest: Release[] = ["newest"];
  const without = (id: string): Spoiling => ({ extensions: { [id]: undefined } });
  const having = (...list: NewExtension[]): Spoiling => ({
    extensions: Object.fromEntries(list.map((each) => [each.oid, each])),
  });
  const relaxed = (made: NewExtension): NewExtension => ({ ...made, critical: false });
  const subject = (types: [type: string, value: string][]) => makeName(types.map(([type, value]) => ({ type, value })));
  const printable = setOf(sequence(oid(Oid.organization), element(0x13, Buffer.from("Femtogate"))));
  const rightly = setOf(sequence(oid(Oid.commonName), utf8String(SEGW)));
  const printableName = new Name(sequence(printable, rightly), name(SEGW).attributes);
  const rsa = (modulusLength: number, publicExponent = 65537) =>
    generateKeyPairSync("rsa", { modulusLength, publicExponent });
  return [
    ["C2", "segw", both, { signer: signerUnder("1.2.840.113549.1.1.4") }],
    ["C2", "segw", newest, { signer: signerUnder(Oid.ecdsaWithSha1) }],
    ["C2a", "segw", old, { signer: signerUnder(Oid.sha1WithRsa) }],
    ["C3", "segw", both, { signer: signerUnder("1.3.101.112") }],
    ["C3", "segw", old, { signer: signerUnder(Oid.ecdsaWithSha256) }],
    ["C3a", "segw", newest, { signer: signerUnder(Oid.sha256WithRsa) }],
    ["C4", "segw", both, { keys: generateKeyPairSync("ed25519") }],
    ["C4", "segw", old, { keys: EC }],
    ["C5", "segw", both, { keys: rsa(768) }],
    ["C5", "segw", newest, { keys: rsa(1024) }],
    ["C5", "root-ca", both, { keys: rsa(1024) }],
    ["C5a", "segw", old, { keys: rsa(1024) }],
    ["C6", "segw", both, { keys: rsa(2048, 3) }],
    ["C7", "segw", newest, { keys: generateKeyPairSync("ec", { namedCurve: "P-256", paramEncoding: "explicit" }) }],
    ["C7a", "segw", newest, { keys: generateKeyPairSync("ec", { namedCurve: "P-521" }) }],
    [
      "C8",
      "segw",
      both,
      {
        subject: subject([
          [Oid.locality, "Here"],
          [Oid.commonName, SEGW],
        ]),
      },
    ],
    [
      "C8",
      "segw",
      both,
      {
        issuer: subject([
          [Oid.commonName, "CA"],
          [Oid.organization, "Operator"],
        ]),
      },
    ],
    [
      "C8",
      "segw",
      both,
      {
        subject: subject([
          [Oid.domainComponent, "example"],
          [Oid.commonName, SEGW],
        ]),
      },
    ],
    ["C8a", "segw", both, { subject: printableName }],
    ["C9", "ne-ca", both, { subject: makeName([]) }],
    ["C10", "segw", both, { serial: Buffer.alloc(21, 0x11) }],
    ["C10", "segw", both, { serial: Buffer.alloc(1) }],
    ["C10a", "segw", newest, { serial: Buffer.alloc(7, 0x11) }],
    ["C11", "segw", both, having(crlDistributionPoint("https://crl.example/a.crl"))],
    ["C12", "segw", both, having(unknownExtension(true))],
    ["C12", "segw", both, having({ ...subjectAltName({ dns: [SEGW] }), critical: true })],
    ["C12a", "segw", newest, having(basicConstraints(false))],
    ["C13", "segw", newest, {}, { issuer: certificateOf("ne-ca", "R9", { subject: name("CA") }) }],
    ["C14", "segw", both, {}, { issuer: certificateOf("ne-ca", "newest", { subject: name("Other CA"), keys: EC }) }],
    ["CA1", "ne-ca", both, having(relaxed(basicConstraints(true, 0)))],
    ["CA1", "root-ca", both, without(Oid.basicConstraints)],
    ["CA1", "root-ca", both, having(basicConstraints(false))],
    ["CA2", "interconnection-ca", both, having(basicConstraints(true, 0))],
    ["CA3", "ne-ca", both, having(basicConstraints(true))],
    ["CA4", "tls-ca", both, without(Oid.keyUsage)],
    ["CA4", "tls-ca", both, having(relaxed(keyUsage("keyCertSign", "cRLSign")))],
    ["CA4", "tls-ca", both, having(keyUsage("cRLSign"))],
    ["CA5", "seg-ca", both, having(keyUsage("keyCertSign"))],
    ["CA6", "ne-ca", both, without(Oid.subjectKeyIdentifier)],
    ["CA7", "ne-ca", both, without(Oid.authorityKeyIdentifier)],
    ["CA8", "ne-ca", both, without(Oid.crlDistributionPoints), { crlServer: true }],
    ["CA9", "interconnection-ca", both, { issuer: name("Other CA") }],
    ["E1", "segw", both, without(Oid.authorityKeyIdentifier)],
    ["E2", "segw", both, having(relaxed(basicConstraints(true)))],
    ["E3", "segw", both, having(keyUsage("keyEncipherment"))],
    ["E3", "henb-ikev2", both, without(Oid.keyUsage)],
    ["E3", "henb", both, having(relaxed(keyUsage("digitalSignature")))],
    ["E3", "segw", newest, having(keyUsage("nonRepudiation"))],
    ["E4", "hems", both, having(keyUsage("nonRepudiation"))],
    ["E4", "henb-tls", newest, having(keyUsage("keyEncipherment"))],
    ["E5", "segw", both, having(extendedKeyUsage(Oid.serverAuth))],
    ["E6", "hems", both, having(extendedKeyUsage(Oid.clientAuth))],
    ["E6", "henb", both, having(extendedKeyUsage(Oid.ipsecIke))],
    ["E7", "henb-tls", newest, without(Oid.extendedKeyUsage)],
    ["E8", "segw", both, having(subjectAltName({ email: ["a@example"] }))],
    ["E9", "henb-ikev2", both, having(subjectAltName({ ip: [Buffer.of(192, 0, 2, 1)] }))],
    ["E9", "henb-ikev2", both, {}, { identity: "ap-0002.example" }],
    ["E10", "segw", both, {}, { identity: "other.example" }],
    ["E10", "segw", both, {}, { identity: "192.0.2.1" }],
    ["E11", "henb-tls", newest, without(Oid.subjectAltName)],
    ["E12", "hems", both, without(Oid.subjectAltName)],
    ["E12", "hems", both, {}, { identity: "other.example" }],
    ["E13", "henb-tls", both, { subject: name("Access Point 1") }],
    ["E13", "henb-tls", both, {}, { identity: "ap-0002.example" }],
    ["E14", "hems", both, { subject: name("HeMS") }],
    ["E15", "henb-ikev2", both, {}, { crlServer: true }],
    ["E15", "henb-tls", both, having(crlDistributionPoint("http://crl.example/a.crl")), { ocspServer: true }],
    ["E16", "segw", both, {}, { ocspServer: true }],
    ["E16", "hems", both, {}, { ocspServer: true, statusInBand: false }],
    ["O1", "ocsp-signer", both, having(extendedKeyUsage(Oid.anyExtendedKeyUsage))],
    ["O2", "ocsp-signer", both, having(keyUsage("nonRepudiation"))],
    ["O3", "ocsp-signer", both, without(Oid.ocspNoCheck)],
    ["O4", "ocsp-signer", both, { notAfter: NOW + 400 * DAY }],
  ];
}

function breakingCrls(): [rule: string, CrlSpoiling, readonly Release[]][] {
  const having = (...list: NewExtension[]): CrlSpoiling => ({
    extensions: Object.fromEntries(list.map((each) => [each.oid, each])),
  });
  return [
    ["L1", { version: 1 }, RELEASES],
    ["L1a", { signer: signerUnder("1.2.840.113549.1.1.4") }, RELEASES],
    ["L1a", { signer: signerUnder(Oid.sha1WithRsa) }, ["newest"]],
    ["L2", { nextUpdate: "absent" }, RELEASES],
    ["L3", { extensions: { [Oid.crlNumber]: undefined } }, RELEASES],
    ["L3", having({ oid: Oid.crlNumber, critical: true, value: integer(7) }), RELEASES],
    ["L4", { extensions: { [Oid.authorityKeyIdentifier]: undefined } }, RELEASES],
    ["L5", { reason: 0 }, RELEASES],
    ["L5", { reason: 8 }, RELEASES],
    ["L6", having({ oid: "1.3.6.1.4.1.55555.1", critical: true, value: enumerated(1) }), RELEASES],
  ];
}
