/** What both ends of RadSec share: certificates on both sides, and who the other one is (RFC 6614 2.3, 2.4). */
import type { Socket } from "node:net";
import type { PeerCertificate, TLSSocket } from "node:tls";
import { DecodeError } from "../../bytes/reader.ts";
import { parseCertificate } from "../../x509/certificate.ts";

/** PEM of our chain and key, and of the CAs that sign the other side's certificates. */
export interface TlsCredentials {
  certificates: string;
  key: string;
  authorities: string;
}

export interface Endpoint {
  address: string;
  port: number;
}

export function tlsOptions({ certificates, key, authorities }: TlsCredentials) {
  return { cert: certificates, key, ca: authorities, minVersion: "TLSv1.2" as const, rejectUnauthorized: true };
}

/** DNS names in the verified certificate of a client. */
export function certifiedNames(socket: TLSSocket): readonly string[] {
  return namesIn(socket.getPeerCertificate().raw);
}

/** Refuses, before anything is sent to it, a server whose certificate is for another name. */
export function requireName(name: string): (host: string, certificate: PeerCertificate) => Error | undefined {
  return (_host, { raw }) => {
    if (namesIn(raw).some((certified) => certified.toLowerCase() === name.toLowerCase())) return undefined;
    return new Error(`the certificate is not for ${name}`);
  };
}

function namesIn(raw: Buffer | undefined): readonly string[] {
  if (raw === undefined) return [];
  try {
    return parseCertificate(raw).extensions.subjectAltName?.dns ?? [];
  } catch (error) {
    // OpenSSL has verified it and yet it is none that we read: it names nobody.
    if (error instanceof DecodeError) return [];
    throw error;
  }
}

/** True unless so much waits for the other side to read it that it must be gone; the connection is then cut. */
export function writeOrCut(socket: Socket, bytes: Buffer): boolean {
  socket.write(bytes);
  if (socket.writableLength <= MAX_UNSENT) return true;
  socket.destroy();
  return false;
}

/** Octets that wait for the other side to read them. */
const MAX_UNSENT = 1024 * 1024;
