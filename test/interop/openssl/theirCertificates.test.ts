import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, test } from "node:test";
import { checkCrl, checkCrls } from "../../../src/trust/crl.ts";
import { checkOcspResponse, type OcspVerdict } from "../../../src/trust/ocsp.ts";
import { type PathRequest, validatePath } from "../../../src/trust/path.ts";
import { checkServerName } from "../../../src/trust/serverName.ts";
import { workingKey } from "../../../src/trust/workingKey.ts";
import type { Certificate } from "../../../src/x509/certificate.ts";
import { type Crl, parseCrl } from "../../../src/x509/crl.ts";
import { buildOcspRequest, certIdOf, parseOcspRequest, sameCertId } from "../../../src/x509/ocsp.ts";
import { OpenSsl } from "./openssl.ts";

const KINDS: Record<string, readonly string[]> = {
  "RSA-2048": ["-newkey", "rsa:2048"],
  "RSA-3072": ["-newkey", "rsa:3072"],
  "P-256": ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
  "P-384": ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384", "-sha384"],
  "P-521": ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-521", "-sha512"],
  "RSASSA-PSS": ["-newkey", "rsa:2048", "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:32"],
};

for (const [kind, newKey] of Object.entries(KINDS)) {
  test(`a ${kind} path that openssl made reads and is valid; without its CA, or for another use, it is not`, () => {
    const openssl = hierarchy(kind);
    const [root, ca, leaf] = ["root.pem", "ca.pem", "leaf.pem"].map((file) => openssl.readCertificate(file));
    const request: PathRequest = {
      leaf: leaf!,
      intermediates: [ca!],
      anchors: [root!],
      time: Date.now(),
      purpose: "ike",
      maxPath: 4,
      allowWeakAlgorithms: false,
    };
    assert.deepEqual(validatePath(request), {
      valid: true,
      path: [leaf, ca, root],
      policies: [],
      evidence: [],
    });
    const reason = (over: Partial<PathRequest>) => {
      const verdict = validatePath({ ...request, ...over });
      return verdict.valid ? "valid" : verdict.refusal.reason;
    };
    assert.equal(reason({ intermediates: [] }), "NoPathToTrustAnchor");
    assert.equal(reason({ purpose: "tlsServer" }), "PurposeNotAllowed");
    assert.equal(reason({ leaf: ca!, intermediates: [] }), "KeyUsageMissing");
    assert.equal(checkServerName(leaf!, { fqdn: "segw.example" }), undefined);
    assert.equal(checkServerName(leaf!, { address: "2001:db8::1" }), undefined);
    assert.equal(leaf!.subject.toString(), "C=DE, O=Op\\, erator, CN=segw.example");
    assert.deepEqual(leaf!.extensions.ocspUrls, ["http://ocsp.example/"]);
  });

  test(`a ${kind} CRL that openssl made reads, and says who is revoked`, () => {
    const openssl = hierarchy(kind);
    const [ca, leaf, other] = ["ca.pem", "leaf.pem", "other.pem"].map((file) => openssl.readCertificate(file));
    const options = newKey.includes("-sigopt") ? newKey.slice(newKey.indexOf("-sigopt")) : [];
    openssl.run("ca", ...CA, "-gencrl", ...options, "-out", "ca.crl.pem");
    openssl.run("crl", "-in", "ca.crl.pem", "-outform", "DER", "-out", "ca.crl");
    const crl = parseCrl(openssl.read("ca.crl"));
    const check = { crl, issuer: ca!, time: Date.now(), tolerance: 2000, allowWeakAlgorithms: false };
    assert.equal(checkCrl({ ...check, certificate: leaf! }).status, "good");
    const revoked = checkCrl({ ...check, certificate: other! });
    assert.ok(revoked.status === "revoked" && revoked.reasonCode === 4);
    assert.deepEqual(crl.number, Buffer.from([0x10]));
  });

  test(`openssl's ${kind} OCSP responder answers our request, and we judge its answers right`, () => {
    const openssl = hierarchy(kind);
    const [ca, leaf, other] = ["ca.pem", "leaf.pem", "other.pem"].map((file) => openssl.readCertificate(file));
    const options = kind === "RSASSA-PSS" ? ["-rsigopt", "rsa_padding_mode:pss", "-rsigopt", "rsa_pss_saltlen:32"] : [];
    const responder = ["ocsp", "-index", "index.txt", "-CA", "ca.pem", "-ndays", "1", ...options];
    const bySelf = ["-rsigner", "ca.pem", "-rkey", "ca.key"];
    const byDelegate = ["-rsigner", "signer.pem", "-rkey", "signer.key"];
    for (const signer of [bySelf, byDelegate, [...byDelegate, "-resp_key_id"]]) {
      for (const hash of ["sha1", "sha256"] as const) {
        const nonce = randomBytes(32);
        const ids = [leaf!, other!].map((certificate) => certIdOf(certificate, ca!, hash));
        openssl.write("request.der", buildOcspRequest(ids, nonce));
        openssl.run(...responder, ...signer, "-reqin", "request.der", "-respout", "response.der");
        const verdict = (certificate = leaf!, asked: Buffer = nonce): OcspVerdict =>
          checkOcspResponse({
            response: openssl.read("response.der"),
            certificate,
            issuer: ca!,
            time: Date.now(),
            tolerance: 2000,
            maxAge: 0,
            nonce: asked,
            trustedResponders: [],
            allowWeakAlgorithms: false,
          });
        assert.equal(verdict().status, "good", `${signer} ${hash}`);
        const revoked = verdict(other!);
        assert.ok(revoked.status === "revoked" && revoked.reasonCode === 4);
        const replayed = verdict(leaf!, randomBytes(32));
        assert.ok(replayed.status === "invalid" && replayed.problem.reason === "NonceMismatch");
      }
    }
    const stranger = openssl.try(
      ...responder,
      "-rsigner",
      "leaf.pem",
      "-rkey",
      "leaf.key",
      "-reqin",
      "request.der",
      "-respout",
      "response.der",
    );
    assert.ok(stranger.ok, stranger.output);
    const judged = checkOcspResponse({
      response: openssl.read("response.der"),
      certificate: leaf!,
      issuer: ca!,
      time: Date.now(),
      tolerance: 2000,
      maxAge: 0,
      trustedResponders: [],
      allowWeakAlgorithms: false,
    });
    assert.ok(judged.status === "invalid" && judged.problem.reason === "UntrustedResponder");
  });
}

test("CRLs that openssl ca made with -crlexts: scopes, a delta CRL, and what is critical and not known", () => {
  const openssl = hierarchy("P-256");
  const [ca, leaf, other] = ["ca.pem", "leaf.pem", "other.pem"].map((file) => openssl.readCertificate(file));
  const crlWith = (extensions: string) => {
    openssl.run("ca", ...CA, "-gencrl", "-crlexts", extensions, "-out", "ext.crl.pem");
    openssl.run("crl", "-in", "ext.crl.pem", "-outform", "DER", "-out", "ext.crl");
    return parseCrl(openssl.read("ext.crl"));
  };
  const common = { issuer: ca!, time: Date.now(), tolerance: 2000, allowWeakAlgorithms: false };
  const saying = (crl: Crl, certificate: Certificate) => {
    const verdict = checkCrl({ ...common, crl, certificate });
    return verdict.status === "invalid" ? verdict.problem.reason : verdict.status;
  };
  const [users, authorities, reasons, odd] = ["users", "authorities", "reasons", "odd"].map(crlWith) as Crl[];
  assert.deepEqual([saying(users!, leaf!), saying(users!, other!)], ["good", "revoked"]);
  assert.deepEqual([saying(authorities!, leaf!), saying(authorities!, other!)], ["OutOfScope", "OutOfScope"]);
  // Revoked for superseded: the list covers that reason, and says nothing of the others.
  assert.deepEqual([saying(reasons!, leaf!), saying(reasons!, other!)], ["ReasonsNotCovered", "revoked"]);
  assert.equal(saying(odd!, leaf!), "UnknownCriticalExtension");
  const [base, delta] = [crlWith("identified"), crlWith("delta")];
  assert.deepEqual(delta.baseNumber, Buffer.from([0x10]));
  assert.equal(saying(delta, leaf!), "DeltaWithoutBase");
  const together = checkCrls({
    ...{ certificate: leaf!, crls: [base, delta], useDeltas: true, ...common },
    signerOf: () => workingKey(ca!, undefined),
  });
  assert.ok(together.status === "good" && together.evidence[0]?.delta !== undefined);
});

test("an OCSP request that openssl made reads: its certificates, hash and nonce", () => {
  const openssl = hierarchy("P-256");
  const [ca, leaf, other] = ["ca.pem", "leaf.pem", "other.pem"].map((file) => openssl.readCertificate(file));
  openssl.run(
    "ocsp",
    "-issuer",
    "ca.pem",
    "-cert",
    "leaf.pem",
    "-sha256",
    "-cert",
    "other.pem",
    "-nonce",
    "-reqout",
    "request.der",
  );
  const { ids, nonce } = parseOcspRequest(openssl.read("request.der"));
  assert.ok(sameCertId(ids[0]!, certIdOf(leaf!, ca!, "sha1")));
  assert.ok(sameCertId(ids[1]!, certIdOf(other!, ca!, "sha256")));
  assert.ok(nonce !== undefined && nonce.length >= 16);
});

/** Made once for each kind of key, since RSA keys take long to find. */
function hierarchy(kind: string): OpenSsl {
  let made = hierarchies.get(kind);
  if (made === undefined) {
    made = new OpenSsl();
    hierarchies.set(kind, made);
    makeHierarchy(made, KINDS[kind]!);
  }
  return made;
}

/** root.pem, ca.pem, leaf.pem, other.pem (revoked) and signer.pem with their keys, and what `openssl ca` needs. */
function makeHierarchy(openssl: OpenSsl, newKey: readonly string[]): void {
  openssl.write("openssl.cnf", CONFIGURATION);
  openssl.write("index.txt", "");
  openssl.write("crlnumber", "10\n");
  const request = (name: string, subject: string) => [
    "req",
    "-config",
    "openssl.cnf",
    "-x509",
    "-nodes",
    "-days",
    "2",
    ...newKey,
    "-subj",
    subject,
    "-keyout",
    `${name}.key`,
    "-out",
    `${name}.pem`,
  ];
  const issue = (name: string, subject: string, extensions: string, issuer: string) =>
    openssl.run(
      ...request(name, subject),
      "-extensions",
      extensions,
      "-CA",
      `${issuer}.pem`,
      "-CAkey",
      `${issuer}.key`,
    );
  openssl.run(...request("root", "/C=DE/O=Operator/CN=Root"), "-extensions", "authority");
  issue("ca", "/C=DE/O=Operator/CN=CA", "authority", "root");
  issue("leaf", "/C=DE/O=Op, erator/CN=segw.example", "leaf", "ca");
  issue("other", "/C=DE/O=Operator/CN=other", "leaf", "ca");
  issue("signer", "/C=DE/O=Operator/CN=OCSP", "signer", "ca");
  for (const name of ["leaf", "other"]) openssl.run("ca", ...CA, "-valid", `${name}.pem`);
  openssl.run("ca", ...CA, "-revoke", "other.pem", "-crl_reason", "superseded");
}

const hierarchies = new Map<string, OpenSsl>();
after(() => {
  for (const made of hierarchies.values()) made[Symbol.dispose]();
});

const CA = ["-config", "openssl.cnf", "-cert", "ca.pem", "-keyfile", "ca.key"];

const CONFIGURATION = `
[req]
distinguished_name = dn
[dn]
[ca]
default_ca = here
[here]
database = index.txt
crlnumber = crlnumber
default_md = default
default_crl_days = 1
crl_extensions = crl
[crl]
authorityKeyIdentifier = keyid:always
[leaf]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = ipsecIKE
subjectAltName = DNS:segw.example, IP:192.0.2.1, IP:2001:db8::1
authorityInfoAccess = OCSP;URI:http://ocsp.example/
authorityKeyIdentifier = keyid
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[signer]
basicConstraints = CA:FALSE
keyUsage = digitalSignature
extendedKeyUsage = OCSPSigning
noCheck = ignored
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[users]
authorityKeyIdentifier = keyid
issuingDistributionPoint = critical, @for_users
[for_users]
onlyuser = TRUE
[authorities]
issuingDistributionPoint = critical, @for_authorities
[for_authorities]
onlyCA = TRUE
[reasons]
issuingDistributionPoint = critical, @for_reasons
[for_reasons]
onlysomereasons = superseded, keyCompromise
[odd]
1.2.3.4 = critical, DER:0500
[identified]
authorityKeyIdentifier = keyid
[delta]
authorityKeyIdentifier = keyid
2.5.29.27 = critical, DER:020110
`;
