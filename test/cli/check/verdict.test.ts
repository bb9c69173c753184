import assert from "node:assert/strict";
import test from "node:test";
import { enumerated, explicit, integer, sequence, time } from "../../../src/der/writer.ts";
import {
  authorityKeyIdentifier,
  basicConstraints,
  buildCrl,
  crlDistributionPoint,
  extendedKeyUsage,
  extension,
  keyIdOf,
  keyUsage,
  signed,
  subjectAltName,
} from "../../../src/x509/build.ts";
import type { RevokedEntry } from "../../../src/x509/crlEntries.ts";
import { buildOcspResponse, type CertStatus, certIdOf } from "../../../src/x509/ocsp.ts";
import { Oid } from "../../../src/x509/oids.ts";
import { DAY, KEY_MAKERS, make, NOW, withBadSignature } from "../../x509/made.ts";
import { CheckFolder, check, checkJson } from "./run.ts";

const TIME = ["--time", new Date(NOW).toISOString()];
const REVOKED_AT = Date.UTC(2026, 3, 5, 6, 7, 8);

const root = make({ name: "Manufacturer Root" });
const ca = make({ name: "Device CA", issuer: root });
const device = make({
  name: "ap-0001.example",
  serial: Buffer.alloc(16, 0x21),
  issuer: ca,
  extensions: [
    keyUsage("digitalSignature"),
    extendedKeyUsage(Oid.ipsecIke),
    subjectAltName({ dns: ["ap-0001.example"] }),
  ],
});

test("a device under a trusted root is valid: exit status 0, its path and its tree", async () => {
  using folder = new Folder();
  const { status, output } = await check(folder.chain, "--trust", folder.root, ...TIME);
  assert.equal(status, 0);
  assert.match(
    output,
    /^O=Femtogate, CN=Manufacturer Root {2}\(root CA, trusted\)\n└─ O=Femtogate, CN=Device CA {2}\(NE CA\)\n {3}└─ O=Femtogate, CN=ap-0001\.example {2}\(H\(e\)NB, IKEv2, valid\)\n/,
  );
  assert.match(output, /path {5}valid: 2 below the root "O=Femtogate, CN=Manufacturer Root"/);
  assert.match(
    output,
    /\nvalid: O=Femtogate, CN=ap-0001\.example\nas of 2026-06-01T00:00:00.000Z, by the profiles of release newest$/,
  );
});

test("without a trusted root it is undetermined: exit status 3", async () => {
  using folder = new Folder();
  const { status, output } = await check(folder.chain, ...TIME);
  assert.equal(status, 3);
  assert.match(output, /no trusted roots are given/);
});

test("a root that only came along is not trusted", async () => {
  using folder = new Folder();
  const { status } = await check(folder.chain, folder.root, ...TIME);
  assert.equal(status, 3);
});

test("expired, wrongly signed, under another root, of another name: invalid, exit status 1, each with its reason", async () => {
  using folder = new Folder();
  const other = folder.writeCertificates("other.pem", make({ name: "Other Root" }).certificate);
  const spoilt = folder.writeCertificates("spoilt.pem", withBadSignature(device.certificate), ca.certificate);
  const cases: [reason: RegExp, args: string[]][] = [
    [/expired at/, [folder.chain, "--trust", folder.root, "--time", "2030-01-01"]],
    [/does not verify/, [spoilt, "--trust", folder.root, ...TIME]],
    [/trusted root/, [folder.chain, "--trust", other, ...TIME]],
    [
      /breaks E9 .*ap-0001\.example, not ap-0002\.example/,
      [folder.chain, "--trust", folder.root, "--name", "ap-0002.example", ...TIME],
    ],
    [/tlsServer/, [folder.chain, "--trust", folder.root, "--profile", "hems", ...TIME]],
  ];
  for (const [reason, args] of cases) {
    const { status, report } = await checkJson(...args);
    assert.equal(status, 1, String(reason));
    assert.equal(report.result, "invalid");
    assert.match(report.ends[0]!.reasons.join("\n"), reason);
  }
});

test("a revoked device is told with CRL number, date of the entry and reason", async () => {
  using folder = new Folder();
  const entry = { serial: device.certificate.serial, revokedAt: REVOKED_AT, reason: 1 };
  const crl = folder.write("device.crl", crlOf([entry], 4711));
  const { status, output } = await check(folder.chain, "--trust", folder.root, "--crl", crl, ...TIME);
  assert.equal(status, 1);
  const flat = output.replace(/\s+/g, " ");
  assert.match(
    flat,
    /revoked: CRL number 4711 of "O=Femtogate, CN=Device CA" \(device\.crl\), revoked 2026-04-05T06:07:08Z, reason keyCompromise/,
  );
  const { report } = await checkJson(folder.chain, "--trust", folder.root, "--crl", crl, ...TIME);
  assert.deepEqual(report.ends[0]!.statuses[0]!.evidence[0], {
    source: "CRL",
    origin: "device.crl",
    issuer: "O=Femtogate, CN=Device CA",
    crlNumber: "4711",
    thisUpdate: "2026-06-01T00:00:00.000Z",
    nextUpdate: "2026-06-02T00:00:00.000Z",
    status: "revoked",
    revokedAt: "2026-04-05T06:07:08.000Z",
    reason: "keyCompromise",
  });
});

test("a CRL that says nothing against it makes it good; one that cannot be used leaves it undetermined", async () => {
  using folder = new Folder();
  const good = folder.write("good.crl", crlOf([], 1));
  const { status, report } = await checkJson(folder.chain, "--trust", folder.root, "--crl", good, ...TIME);
  assert.equal(status, 0);
  assert.equal(report.ends[0]!.statuses[0]!.status, "good");
  const stale = await checkJson(
    folder.chain,
    "--trust",
    folder.root,
    "--crl",
    good,
    "--time",
    new Date(NOW + 2 * DAY).toISOString(),
  );
  assert.equal(stale.status, 3);
  assert.match(stale.report.ends[0]!.reasons[0]!, /the CRL was good until 2026-06-02/);
});

test("an OCSP response decides: good, revoked, unknown; one about another certificate says nothing", async () => {
  using folder = new Folder();
  const other = make({ name: "ap-0002.example", issuer: ca }).certificate;
  const cases: [CertStatus, number, string][] = [
    [{ kind: "good" }, 0, "good"],
    [{ kind: "revoked", at: REVOKED_AT, reason: 4 }, 1, "revoked"],
    [{ kind: "unknown" }, 3, "unknown"],
  ];
  for (const [certStatus, expected, name] of cases) {
    const response = folder.write("response.der", responseOf(device.certificate, certStatus));
    const { status, report } = await checkJson(
      folder.chain,
      "--trust",
      folder.root,
      "--ocsp-response",
      response,
      ...TIME,
    );
    assert.equal(status, expected, name);
    assert.equal(report.ends[0]!.statuses[0]!.status, name);
  }
  const about = folder.write("other.der", responseOf(other, { kind: "good" }));
  const { status, report } = await checkJson(folder.chain, "--trust", folder.root, "--ocsp-response", about, ...TIME);
  assert.equal(status, 3);
  assert.equal(report.ends[0]!.statuses[0]!.status, "undetermined");
});

test("one source that says revoked outweighs another that says good", async () => {
  using folder = new Folder();
  const crl = folder.write("good.crl", crlOf([], 1));
  const response = folder.write(
    "response.der",
    responseOf(device.certificate, { kind: "revoked", at: REVOKED_AT, reason: undefined }),
  );
  const { status, report } = await checkJson(
    folder.chain,
    "--trust",
    folder.root,
    "--crl",
    crl,
    "--ocsp-response",
    response,
    ...TIME,
  );
  assert.equal(status, 1);
  assert.deepEqual(
    report.ends[0]!.statuses[0]!.evidence.map((each) => each.status),
    ["good", "revoked"],
  );
});

test("findings count from the severity that is asked for", async () => {
  using folder = new Folder();
  const args = [folder.chain, "--trust", folder.root, ...TIME];
  assert.equal((await check(...args)).status, 0);
  // The CA has no path length and a short serial number.
  assert.equal((await check(...args, "--severity", "warning")).status, 1);
  assert.equal((await check(...args, "--crl-server")).status, 1);
  const pointed = make({
    name: "ap-0003.example",
    issuer: ca,
    extensions: [keyUsage("digitalSignature"), subjectAltName({ dns: ["ap-0003.example"] })],
    more: [crlDistributionPoint("http://crl.example/device.crl")],
  });
  const chain = folder.writeCertificates("pointed.pem", pointed.certificate, ca.certificate);
  const { report } = await checkJson(chain, "--trust", folder.root, "--crl-server", ...TIME);
  // What is left is the CA's own pointer.
  assert.deepEqual(
    report.certificates.map(({ findings }) =>
      findings.map(({ rule }) => rule).filter((rule) => rule === "CA8" || rule === "E15"),
    ),
    [[], ["CA8"], []],
  );
});

test("a CA alone is judged too, and a trusted root by itself whatever its profile says of it", async () => {
  using folder = new Folder();
  const issuing = folder.writeCertificates("ca.pem", ca.certificate);
  const { status, report } = await checkJson(issuing, "--trust", folder.root, ...TIME);
  assert.equal(status, 0);
  assert.deepEqual(report.ends[0]!.path!.length, 2);
  // A root without keyUsage breaks its profile; the operator trusts it all the same.
  const bare = make({ name: "Bare Root", extensions: [basicConstraints(true)] });
  const root = folder.writeCertificates("bare.pem", bare.certificate);
  const trusted = await checkJson(root, "--trust", root, ...TIME);
  assert.deepEqual(trusted.report.certificates[0]!.findings.map(({ rule }) => rule).includes("CA4"), true);
  assert.deepEqual([trusted.status, trusted.report.ends[0]!.path!.length], [0, 1]);
});

test("CAs that issued one another are shown without end, and judged", async () => {
  using folder = new Folder();
  const keys = { a: KEY_MAKERS["P-256"](), b: KEY_MAKERS["P-256"]() };
  const self = { a: make({ name: "A", keys: keys.a }), b: make({ name: "B", keys: keys.b }) };
  const ring = [make({ name: "A", keys: keys.a, issuer: self.b }), make({ name: "B", keys: keys.b, issuer: self.a })];
  const file = folder.writeCertificates("ring.pem", ...ring.map(({ certificate }) => certificate));
  const { status, report } = await checkJson(file, "--trust", folder.root, ...TIME);
  assert.equal(status, 1);
  assert.equal(report.certificates.length, 2);
});

test("a delta CRL revokes what its base does not", async () => {
  using folder = new Folder();
  const base = folder.write("base.crl", crlOf([], 7));
  const entry = { serial: device.certificate.serial, revokedAt: REVOKED_AT, reason: 1 };
  const delta = folder.write("delta.crl", deltaOf(entry, 8, 7));
  const args = [folder.chain, "--trust", folder.root, "--crl", base, ...TIME];
  assert.equal((await check(...args)).status, 0);
  const { status, report } = await checkJson(...args, "--crl", delta);
  assert.equal(status, 1);
  const [evidence] = report.ends[0]!.statuses[0]!.evidence;
  assert.deepEqual([evidence!.crlNumber, evidence!.deltaCrlNumber, evidence!.reason], ["7", "8", "keyCompromise"]);
});

test("several ends are judged each by itself, and the worst decides the exit status", async () => {
  using folder = new Folder();
  const extensions = [keyUsage("digitalSignature"), subjectAltName({ dns: ["ap-0009.example"] })];
  const { certificate } = make({ name: "ap-0009.example", issuer: make({ name: "Stranger" }), extensions });
  const stranger = folder.writeCertificates("stranger.pem", certificate);
  const { status, report } = await checkJson(folder.chain, stranger, "--trust", folder.root, ...TIME);
  assert.equal(status, 1);
  assert.deepEqual(
    report.ends.map(({ subject, result }) => [subject, result]),
    [
      ["O=Femtogate, CN=ap-0001.example", "valid"],
      ["O=Femtogate, CN=ap-0009.example", "invalid"],
    ],
  );
});

test("a CRL alone is judged by its profile", async () => {
  using folder = new Folder();
  const { status, report } = await checkJson(
    folder.write("a.crl", crlOf([{ serial: Buffer.of(5), revokedAt: NOW, reason: 0 }], 1)),
    ...TIME,
  );
  assert.equal(status, 0);
  assert.deepEqual(
    report.crls[0]!.findings.map(({ rule }) => rule),
    ["L5"],
  );
});

test("wrong use is exit status 2, with what to write instead", async () => {
  using folder = new Folder();
  const empty = folder.write("empty.pem", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
  const cases: [RegExp, string[]][] = [
    [/say what to check/, []],
    [/ENOENT/, [folder.path("missing.pem")]],
    [/no certificate and no CRL/, [empty]],
    [/no PEM, DER, PKCS#7 or PKCS#12, and no capture/, [folder.write("text", "hello")]],
    [/--release is one of R9, newest/, [folder.chain, "--release", "R8"]],
    [/--profile is one of segw/, [folder.chain, "--profile", "sgw"]],
    [/--time "soon" is no date/, [folder.chain, "--time", "soon"]],
    [/has no CRL/, [folder.chain, "--crl", folder.root]],
    [/tls:\/\/HOST:PORT and ike/, ["tls://localhost"]],
    [/--cert and --key/, ["ike://127.0.0.1"]],
    [/the port of tls:\/\/127\.0\.0\.1:99999/, ["tls://127.0.0.1:99999"]],
    [/cannot be asked/, ["ftp://localhost"]],
    [/belong together/, [folder.chain, "--cert", folder.root]],
    [/unknown option|Unknown option/i, [folder.chain, "--trusted", folder.root]],
  ];
  for (const [complaint, args] of cases) {
    const ran = await check(...args);
    assert.equal(ran.status, 2, String(complaint));
    assert.match(ran.complaint, complaint);
  }
});

class Folder extends CheckFolder {
  readonly root = this.writeCertificates("root.pem", root.certificate);
  readonly chain = this.writeCertificates("device.pem", device.certificate, ca.certificate);
}

function crlOf(entries: readonly RevokedEntry[], number: number): Buffer {
  return buildCrl({
    issuer: ca.certificate.subject,
    thisUpdate: NOW,
    nextUpdate: NOW + DAY,
    number,
    entries,
    authorityKeyId: keyIdOf(ca.keys.publicKey),
    signer: ca.signer,
  });
}

function deltaOf({ serial, revokedAt, reason }: RevokedEntry, number: number, base: number): Buffer {
  const extensions = [
    authorityKeyIdentifier(keyIdOf(ca.keys.publicKey)),
    { oid: Oid.crlNumber, critical: false, value: integer(number) },
    { oid: Oid.deltaCrlIndicator, critical: true, value: integer(base) },
  ];
  const why = extension({ oid: Oid.reasonCode, critical: false, value: enumerated(reason!) });
  const tbs = sequence(
    integer(1),
    ca.signer.algorithm,
    ca.certificate.subject.der,
    time(NOW),
    time(NOW + DAY),
    sequence(sequence(integer(serial), time(revokedAt), sequence(why))),
    explicit(0, sequence(...extensions.map(extension))),
  );
  return signed(tbs, ca.signer);
}

function responseOf(certificate: typeof device.certificate, status: CertStatus): Buffer {
  return buildOcspResponse({
    responderId: { byKey: keyIdOf(ca.keys.publicKey) },
    producedAt: NOW,
    responses: [{ id: certIdOf(certificate, ca.certificate), status, thisUpdate: NOW, nextUpdate: NOW + DAY }],
    nonce: undefined,
    certificates: [],
    signer: ca.signer,
  });
}
