/** TLS with certificates on both sides between servers (RFC 6614 2.3, RFC 6733 13): credentials, and who the other one is. */
import { DecodeError } from "../bytes/reader.ts";
import { parseCertificate } from "../x509/certificate.ts";

/** PEM of our chain and key, and of the CAs that sign the other side's certificates. */
export interface TlsCredentials {
  certificates: string;
  key: string;
  authorities: string;
}

export function tlsOptions({ certificates, key, authorities }: TlsCredentials) {
  return { cert: certificates, key, ca: authorities, minVersion: "TLSv1.2" as const, rejectUnauthorized: true };
}

/** DNS names in a certificate that OpenSSL has verified, DER. */
export function dnsNamesIn(certificate: Buffer | undefined): readonly string[] {
  if (certificate === undefined) return [];
  try {
    return parseCertificate(certificate).extensions.subjectAltName?.dns ?? [];
  } catch (error) {
    // OpenSSL has verified it and yet it is none that we read: it names nobody.
    if (error instanceof DecodeError) return [];
    throw error;
  }
}
