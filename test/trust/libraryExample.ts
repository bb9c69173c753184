import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import {
  CrlIndex,
  describePathRefusal,
  fromPem,
  lint,
  parseCertificate,
  parseCrl,
  SignatureCache,
  validatePath,
} from "femtogate/trust";

const cache = new SignatureCache();
const certificates = (file: string) => fromPem(readFileSync(file, "utf8"), "CERTIFICATE").map((der) => cache.read(der));

const [leaf, ...intermediates] = certificates("peer.pem");
const anchors = fromPem(readFileSync("roots.pem", "utf8"), "CERTIFICATE").map((der) => parseCertificate(der));
const crls = fromPem(readFileSync("crls.pem", "utf8"), "X509 CRL").map((der) =>
  CrlIndex.build(parseCrl(der), { bytes: randomBytes }),
);

const verdict = validatePath({
  leaf: leaf!,
  intermediates,
  anchors,
  crls,
  time: Date.now(),
  purpose: "ike",
  name: { fqdn: "segw.example" },
  maxPath: 4,
  allowWeakAlgorithms: false,
  signatureCache: cache,
});

if (verdict.valid) {
  console.log(`valid: ${verdict.path.map(({ subject }) => subject).join(" < ")}`);
  for (const { issuer, number } of verdict.evidence) console.log(`  not revoked by CRL ${number} of ${issuer}`);
} else {
  console.log(`${verdict.refusal.reason}: ${describePathRefusal(verdict.refusal)}`);
}

for (const { rule, severity, found } of lint({ certificate: leaf!, profile: "segw", release: "newest" }))
  console.log(`${severity} ${rule}: ${found}`);
