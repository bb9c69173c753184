/** What both ends of RadSec share: who the other one is, and how much may wait for it (RFC 6614 2.3, 2.4). */
import type { Socket } from "node:net";
import type { PeerCertificate, TLSSocket } from "node:tls";
import { dnsNamesIn } from "../../http/mutualTls.ts";

export interface Endpoint {
  address: string;
  port: number;
}

/** DNS names in the verified certificate of a client. */
export function certifiedNames(socket: TLSSocket): readonly string[] {
  return dnsNamesIn(socket.getPeerCertificate().raw);
}

/** Refuses, before anything is sent to it, a server whose certificate is for another name. */
export function requireName(name: string): (host: string, certificate: PeerCertificate) => Error | undefined {
  return (_host, { raw }) => {
    if (dnsNamesIn(raw).some((certified) => certified.toLowerCase() === name.toLowerCase())) return undefined;
    return new Error(`the certificate is not for ${name}`);
  };
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
