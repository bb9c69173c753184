import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { test } from "node:test";
import { Pki } from "../../src/pki/authority.ts";
import { KEY_KINDS } from "../../src/pki/certify.ts";
import { PkiError } from "../../src/pki/error.ts";
import { OcspResponder } from "../../src/pki/ocspResponder.ts";
import { CA_NAMES, PROFILES } from "../../src/pki/profiles.ts";
import { systemEnvironment } from "../../src/sim/system.ts";
import { type Purpose, validatePath } from "../../src/trust/path.ts";
import type { Certificate } from "../../src/x509/certificate.ts";
import { parseCrl } from "../../src/x509/crl.ts";
import { buildOcspError, buildOcspRequest, certIdOf, parseOcspResponse, ResponseStatus } from "../../src/x509/ocsp.ts";
import { Oid } from "../../src/x509/oids.ts";
import { makePki, StandingClock } from "./folder.ts";

const HOUR = 3600_000;

test("each profile is issued under its own CA, for its own purpose, with its names where TS 33.310 and 33.320 want them", (t) => {
  const pki = makePki(t, { ocspUrl: "http://pki.example/ocsp", crlUrl: "http://pki.example/crl/" });
  const expected = {
    segw: ["segw-ca", "O=Operator", [Oid.ipsecIke], "operator-root", "ike"],
    henb: ["device-ca", "O=Manufacturer", [Oid.ipsecIke], "manufacturer-root", "ike"],
    "henb-tls": ["device-tls-ca", "O=Manufacturer", [Oid.clientAuth], "manufacturer-root", "tlsClient"],
    "henb-both": ["device-ca", "O=Manufacturer", [Oid.ipsecIke, Oid.clientAuth], "manufacturer-root", "ike"],
    hems: ["hems-ca", "O=Operator", [Oid.serverAuth], "operator-root", "tlsServer"],
  } satisfies Record<(typeof PROFILES)[number], [string, string, string[], string, Purpose]>;
  for (const profile of PROFILES) {
    const [ca, organisation, purposes, root, purpose] = expected[profile];
    const { certificate, chain } = pki.issue({ profile, dns: ["a.example", "b.example"], ip: ["192.0.2.1"] });
    const { extensions } = certificate;
    assert.equal(certificate.issuer.toString(), pki.ca(ca).subject.toString());
    assert.equal(certificate.subject.toString(), `${organisation}, CN=a.example`);
    assert.deepEqual(extensions.extendedKeyUsage, purposes);
    assert.deepEqual(extensions.subjectAltName?.dns, ["a.example", "b.example"]);
    assert.deepEqual(extensions.subjectAltName?.ip, [Buffer.from([192, 0, 2, 1])]);
    assert.deepEqual(extensions.ocspUrls, ["http://pki.example/ocsp"]);
    assert.deepEqual(extensions.crlUrls, [`http://pki.example/crl/${ca}.crl`]);
    assert.deepEqual(
      certificate.extensionList.filter(({ critical }) => critical).map(({ oid }) => oid),
      [Oid.basicConstraints, Oid.keyUsage],
    );
    assert.ok(certificate.serial.length === 16 && certificate.serial[0]! < 0x80 && certificate.serial[0]! >= 0x40);
    assert.deepEqual(pathOf(chain, pki.ca(root), purpose), [...chain, pki.ca(root)]);
  }
  for (const name of CA_NAMES) {
    const { extensions, isSelfIssued } = pki.ca(name);
    // TS 33.310 6.1.2, 6.1.4: a root sets no limit, an issuing CA has no CA below it.
    assert.deepEqual(extensions.basicConstraints, { ca: true, pathLength: isSelfIssued ? undefined : 0 });
    assert.deepEqual(extensions.crlUrls.length, isSelfIssued ? 0 : 1);
  }
});

test("without servers there are no pointers to them", (t) => {
  const { extensions } = makePki(t).issue({ profile: "segw", dns: ["a.example"] }).certificate;
  assert.deepEqual([extensions.ocspUrls, extensions.crlUrls], [[], []]);
});

test("paths get as long as they are asked for, through CAs that are made once and answered for like all others", (t) => {
  const pki = makePki(t);
  const first = pki.issue({ profile: "henb", dns: ["a.example"], extraCas: 3 });
  const second = pki.issue({ profile: "henb", dns: ["b.example"], extraCas: 2 });
  assert.deepEqual([first.chain.length, second.chain.length], [5, 4]);
  assert.deepEqual(second.chain.slice(1), first.chain.slice(2));
  const root = pki.ca("manufacturer-root");
  assert.deepEqual(pathOf(second.chain, root, "ike"), [...second.chain, root]);
  const tiers = [1, 2, 3, 4].map((tier) => `device-ca-tier-${tier}`);
  assert.deepEqual(pki.caNames(), [...CA_NAMES, ...tiers]);
  assert.equal(pki.status("device-ca-tier-4", first.certificate.serial).kind, "good");
  assert.equal(pki.status("device-ca-tier-1", pki.ca("device-ca-tier-2").serial).kind, "good");
  assert.ok(pki.ocspSigners().some(({ issuer }) => issuer === second.chain[1]));
});

test("every kind of key makes CAs, end entities and CRLs", (t) => {
  for (const keys of KEY_KINDS) {
    const pki = makePki(t, { keys });
    for (const of of KEY_KINDS) {
      const { certificate, chain, key } = pki.issue({ profile: "segw", dns: ["a.example"], keys: of });
      assert.ok(pathOf(chain, pki.ca("operator-root"), "ike"));
      const { bits, curve } = { bits: undefined, curve: undefined, ...certificate.keyDescription };
      const kind = curve === Oid.p256 ? "p-256" : curve === Oid.p384 ? "p-384" : `rsa-${bits}`;
      assert.equal(kind, of);
      assert.equal(key.type, "private");
    }
    assert.equal(parseCrl(pki.crl("segw-ca")).issuer.toString(), "O=Operator, CN=SeGW CA");
  }
});

test("validity is as asked for, ends with the issuing CA at the latest, and begins an hour ago", (t) => {
  const clock = new StandingClock();
  const pki = makePki(t, {}, clock);
  const usual = pki.issue({ profile: "segw", dns: ["a.example"] }).certificate;
  assert.deepEqual([usual.notBefore, usual.notAfter], [clock.at - HOUR, clock.at + 2 * 365 * 24 * HOUR]);
  const past = { notBefore: clock.at - 9 * HOUR, notAfter: clock.at - HOUR };
  const expired = pki.issue({ profile: "segw", dns: ["a.example"], ...past }).certificate;
  assert.deepEqual([expired.notBefore, expired.notAfter], [past.notBefore, past.notAfter]);
  clock.at += 9 * 365 * 24 * HOUR;
  const late = pki.issue({ profile: "segw", dns: ["a.example"] }).certificate;
  assert.equal(late.notAfter, pki.ca("segw-ca").notAfter);
});

test("a name that cannot be certified is refused before anything is made", (t) => {
  const pki = makePki(t);
  const refused = (dns: string[], message: RegExp) =>
    assert.throws(() => pki.issue({ profile: "segw", dns }), { name: "PkiError", message });
  refused([], /needs a name/);
  refused(["a.example", "ü.example"], /"ü\.example" is no FQDN/);
  refused(["a.example\0"], /is no FQDN/);
  refused([`${"a".repeat(60)}.example`], /longer than the 64 characters/);
  assert.equal(pki.list().length, 4);
});

test("what was issued and revoked is there when the folder is opened again, and another process sees it at once", (t) => {
  const clock = new StandingClock();
  const pki = makePki(t, { operator: "Op" }, clock);
  const [a, b] = ["a.example", "b.example"].map((name) => pki.issue({ profile: "segw", dns: [name] }).certificate);
  pki.revoke(a!.serial, "superseded");
  const other = Pki.open(pki.directory, { ...systemEnvironment, clock });
  t.after(() => other.close());
  assert.deepEqual(other.status("segw-ca", a!.serial), { kind: "revoked", at: clock.at, reason: 4 });
  assert.deepEqual(other.status("segw-ca", b!.serial), { kind: "good" });
  assert.deepEqual(other.status("device-ca", b!.serial), { kind: "unknown" });
  assert.equal(
    other.issue({ profile: "segw", dns: ["c.example"] }).certificate.subject.toString(),
    "O=Op, CN=c.example",
  );
  assert.deepEqual(other.list(), pki.list());

  const before = pki.revision;
  assert.equal(pki.revision, before);
  other.revoke(b!.serial);
  assert.notEqual(pki.revision, before);
  assert.deepEqual(pki.status("segw-ca", b!.serial), { kind: "revoked", at: clock.at, reason: undefined });
  other.issue({ profile: "henb", dns: ["d.example"], extraCas: 1 });
  assert.ok(pki.ca("device-ca-tier-2"), "a CA that the other process made");
});

test("a serial number's leading zero octet is no difference", (t) => {
  const pki = makePki(t);
  const { serial } = pki.issue({ profile: "segw", dns: ["a.example"] }).certificate;
  pki.revoke(Buffer.concat([Buffer.from([0]), serial]));
  assert.equal(pki.status("segw-ca", serial).kind, "revoked");
});

test("a CRL keeps its number until something of its CA changes or it grows old, across restarts too", (t) => {
  const clock = new StandingClock();
  const pki = makePki(t, {}, clock);
  const { certificate } = pki.issue({ profile: "segw", dns: ["a.example"] });
  const other = pki.issue({ profile: "henb", dns: ["b.example"] }).certificate;
  const number = (of: Pki = pki) => parseCrl(of.crl("segw-ca")).number!.readUInt8();
  assert.deepEqual([number(), number()], [1, 1]);
  pki.issue({ profile: "segw", dns: ["c.example"] });
  pki.revoke(other.serial);
  assert.equal(number(), 1, "issuing, and another CA's revocations, are no news");
  pki.revoke(certificate.serial, "keyCompromise");
  const crl = parseCrl(pki.crl("segw-ca"));
  const entries = [...crl.entries()].map(({ serial, revokedAt, reason }) => ({ serial, revokedAt, reason }));
  assert.deepEqual(entries, [{ serial: certificate.serial, revokedAt: clock.at, reason: 1 }]);
  assert.deepEqual([crl.number!.readUInt8(), crl.thisUpdate, crl.nextUpdate], [2, clock.at, clock.at + 24 * HOUR]);
  const again = Pki.open(pki.directory, { ...systemEnvironment, clock });
  t.after(() => again.close());
  assert.equal(number(again), 2);
  clock.at += HOUR;
  assert.deepEqual([number(again), number()], [3, 3]);
  clock.at -= 2 * HOUR;
  assert.equal(number(), 4, "a clock put back makes no CRL from the future");
});

test("an OCSP signer that ends soon is certified anew with the key it has, for all who answer", (t) => {
  const clock = new StandingClock();
  const pki = makePki(t, {}, clock);
  const maker = makePki(t, { manufacturer: "Maker" }, clock);
  pki.importCa("maker", maker.ca("device-ca"), undefined, undefined);
  const responder = new OcspResponder(pki, clock);
  const { certificate } = pki.issue({ profile: "segw", dns: ["a.example"] });
  const request = buildOcspRequest([certIdOf(certificate, pki.ca("segw-ca"))], undefined);
  const signerOf = (der: Buffer) => parseOcspResponse(der).basic?.certificates[0];
  const first = signerOf(responder.answer(request).der)!;
  clock.at += 59 * 24 * HOUR;
  pki.renewOcspSigners();
  assert.equal(signerOf(responder.answer(request).der)!.notAfter, first.notAfter, "a month is left");
  clock.at += 2 * 24 * HOUR;
  pki.renewOcspSigners();
  clock.at += 12 * HOUR;
  const renewed = signerOf(responder.answer(request).der)!;
  assert.ok(renewed.notAfter > clock.at + 89 * 24 * HOUR);
  assert.ok(renewed.spki.equals(first.spki) && renewed.subject.equals(first.subject));
  const again = Pki.open(pki.directory, { ...systemEnvironment, clock });
  t.after(() => again.close());
  for (const signer of again.ocspSigners())
    assert.ok(signer.certificate.notAfter > clock.at + 89 * 24 * HOUR, signer.ca);
  // A signer whose end has come signs nothing.
  clock.at += 91 * 24 * HOUR;
  assert.deepEqual(responder.answer(request).der, buildOcspError(ResponseStatus.tryLater));
});

test("a revocation is refused for what was not issued and for what is revoked already", (t) => {
  const pki = makePki(t);
  const { serial } = pki.issue({ profile: "segw", dns: ["a.example"] }).certificate;
  assert.throws(() => pki.revoke(Buffer.from([1, 2])), { name: "PkiError", message: /serial 0102 was issued here/ });
  pki.revoke(serial, "keyCompromise");
  assert.throws(() => pki.revoke(serial, "superseded"), { name: "PkiError", message: /revoked already/ });
  const status = pki.status("segw-ca", serial);
  assert.equal(status.kind === "revoked" ? status.reason : undefined, 1, "the first reason stays");
});

test("a failed write of an issued key leaves no half file", (t) => {
  const pki = makePki(t);
  const issued = pki.issue({ profile: "segw", dns: ["a.example"] });
  assert.throws(() => pki.writeFiles(issued, `${pki.directory}/no/such/a`), /ENOENT/);
  pki.writeFiles(issued, `${pki.directory}/ca`);
  assert.deepEqual(
    readdirSync(pki.directory).filter((file) => /partial/.test(file)),
    [],
  );
});

test("no CA of that name", (t) => {
  const pki = makePki(t);
  assert.throws(
    () => pki.ca("constructor"),
    (error) => error instanceof PkiError && /there are operator-root/.test(error.message),
  );
});

function pathOf(chain: readonly Certificate[], root: Certificate, purpose: Purpose): readonly Certificate[] {
  const verdict = validatePath({
    leaf: chain[0]!,
    intermediates: chain.slice(1),
    anchors: [root],
    time: chain[0]!.notBefore,
    purpose,
    maxPath: 4,
    allowWeakAlgorithms: false,
  });
  assert.ok(verdict.valid, JSON.stringify(verdict));
  return verdict.path;
}
