/**
 * The part of the trusted environment that TLS towards the H(e)MS needs (TS 33.320 8.3.2.1): the device's key as a handle
 * that signs, and the verdict on the H(e)MS.
 *
 * A `SecureContext` of Node is such a handle: whoever has it can make handshakes and cannot read the key. A TrE with
 * hardware behind it makes one by an OpenSSL provider or engine that leaves the key where it is.
 */
import type { SecureContext } from "node:tls";
import type { Bytes } from "../bytes/bytes.ts";
import type { TlsServerCredentials } from "./tlsPeer.ts";
import type { PeerRefusal } from "./trustedEnvironment.ts";

/** What the TrE found an H(e)MS to be. */
export interface TlsServerEvidence {
  /** DER, end entity first, root last. */
  path: readonly Bytes[];
  /** DNS names and addresses that its certificate carries. */
  names: readonly string[];
  /** "in-band good", or "not checked". */
  ocsp: string;
}

export type TlsServerVerdict = { valid: true; evidence: TlsServerEvidence } | { valid: false; refusal: PeerRefusal };

export interface TlsEnvironment {
  /** The device's own credentials for TLS. */
  secureContext(): Promise<SecureContext>;
  /** Path, name, profile and stapled status. That the H(e)MS has its key is proved by the handshake, outside of here. */
  verifyServer(credentials: TlsServerCredentials): Promise<TlsServerVerdict>;
}
