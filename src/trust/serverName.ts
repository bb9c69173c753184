/** Is this the certificate of the peer that was meant? (TS 33.320 7.2.2-4, 7.2.5.2.1-2, RFC 4945 5.1.1) */
import { type Bytes, sameBytes } from "../bytes/bytes.ts";
import { parseIp } from "../bytes/ip.ts";
import type { Certificate } from "../x509/certificate.ts";
import { namesOf } from "../x509/extensions.ts";

/** The name that was meant, and those the certificate carries. */
export interface NameMismatch {
  reason: "NameMismatch";
  expected: string;
  certified: readonly string[];
}

/** The name a device connected to must stand in subjectAltName: the FQDN where DNS resolved it, else the address. */
export function checkServerName(
  certificate: Certificate,
  connectedTo: { fqdn: string } | { address: string },
): NameMismatch | undefined {
  const names = certificate.extensions.subjectAltName;
  const matches =
    "fqdn" in connectedTo
      ? hasDns(certificate, connectedTo.fqdn)
      : hasAddress(certificate, parseIp(connectedTo.address));
  if (matches) return undefined;
  return {
    reason: "NameMismatch",
    expected: "fqdn" in connectedTo ? connectedTo.fqdn : connectedTo.address,
    certified: namesOf(names),
  };
}

/** Exact and without regard to case; no wildcards, since a gateway has a name of its own. */
export function hasDns(certificate: Certificate, fqdn: string): boolean {
  const wanted = withoutDot(fqdn);
  return certificate.extensions.subjectAltName?.dns.some((name) => withoutDot(name) === wanted) ?? false;
}

/** True if `address`, 4 or 16 octets, stands in subjectAltName. */
export function hasAddress(certificate: Certificate, address: Bytes | undefined): boolean {
  return (
    address !== undefined &&
    (certificate.extensions.subjectAltName?.ip.some((octets) => sameBytes(octets, address)) ?? false)
  );
}

function withoutDot(name: string): string {
  return name.toLowerCase().replace(/\.$/, "");
}
