/** What a certificate seems to be for, where nobody says: from its extensions, and from what it issued. */
import type { Purpose } from "../../trust/path.ts";
import type { CertificateProfile } from "../../trust/profiles/rule.ts";
import type { Certificate } from "../../x509/certificate.ts";
import { Oid } from "../../x509/oids.ts";
import type { Found } from "./material.ts";

/** What `validatePath` judges an end of this profile for. */
export const PURPOSES: Record<CertificateProfile, Purpose> = {
  segw: "ike",
  "henb-ikev2": "ike",
  "henb-tls": "tlsClient",
  henb: "ike",
  hems: "tlsServer",
  "root-ca": "any",
  "interconnection-ca": "any",
  "seg-ca": "any",
  "tls-ca": "any",
  "ne-ca": "any",
  "ocsp-signer": "ocspSigning",
};

/** `below` are the certificates issued under it, as far as they are known. */
export function guessProfile(
  { item, suggests }: Found<Certificate>,
  below: readonly Certificate[],
): CertificateProfile {
  const { basicConstraints, extendedKeyUsage: usages = [], subjectAltName } = item.extensions;
  if (basicConstraints?.ca === true) {
    if (item.isSelfIssued) return "root-ca";
    const forTls = below.some(({ extensions }) => {
      const purposes = extensions.extendedKeyUsage ?? [];
      return TLS.some((purpose) => purposes.includes(purpose)) && !IKE.some((purpose) => purposes.includes(purpose));
    });
    return forTls ? "tls-ca" : "ne-ca";
  }
  if (usages.includes(Oid.ocspSigning)) return "ocsp-signer";
  if (suggests !== undefined) return suggests;
  const ike = IKE.some((usage) => usages.includes(usage));
  if (usages.includes(Oid.clientAuth)) return ike ? "henb" : "henb-tls";
  if (usages.includes(Oid.serverAuth) && !ike) return "hems";
  // Gateways and devices have the same extensions; only a gateway is known by its address.
  return (subjectAltName?.ip.length ?? 0) > 0 ? "segw" : "henb-ikev2";
}

const TLS: readonly string[] = [Oid.serverAuth, Oid.clientAuth];
const IKE: readonly string[] = [Oid.ipsecIke, Oid.ikeIntermediate, Oid.ipsecEndSystem, Oid.ipsecTunnel, Oid.ipsecUser];
