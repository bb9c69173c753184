/**
 * The verdict on a TLS peer's certificates (TS 33.320 8.3.2.1, 8.3.3.1): path, identity or name, profile, stapled status.
 *
 * TLS itself has proved that the peer has the key. OpenSSL's own opinion of the path is not asked for: it keeps its
 * verdict with a session, and so lets a certificate that has expired since resume it.
 */
import type { Bytes } from "../bytes/bytes.ts";
import { fqdn } from "../config/fields.ts";
import { checkServerName } from "../trust/serverName.ts";
import type { Certificate } from "../x509/certificate.ts";
import { namesOf } from "../x509/extensions.ts";
import { checkInBand, type InBandPolicy } from "./inBandStatus.ts";
import { type PeerPathPolicy, validatePeerPath } from "./peerPath.ts";
import { checkProfile, type ProfilePolicy } from "./peerProfile.ts";
import { type Refused, refuse } from "./peerRefusal.ts";
import type { PeerRefusal } from "./trustedEnvironment.ts";

export interface TlsPeerPolicy extends PeerPathPolicy {
  /** Undefined: profiles do not count. */
  profile: ProfilePolicy | undefined;
}

/** A device that an H(e)MS may talk to, as far as its certificates say. */
export interface VerifiedTlsClient {
  /** The FQDN in its common name, in lower case (8.3.3.1-2). */
  identity: string;
  /** End entity first, root last. */
  path: readonly Certificate[];
}

/** As the device sent them, its own first; `known` are CAs that it need not send. Never throws for what a peer sends. */
export function verifyTlsClient(
  certificates: readonly Bytes[],
  policy: TlsPeerPolicy,
  known: readonly Certificate[],
): ({ valid: true } & VerifiedTlsClient) | { valid: false; refusal: PeerRefusal } {
  const found = validatePeerPath(certificates, policy, "tlsClient", known);
  if (!found.valid) return found;
  const [leaf] = found.path;
  const { commonName } = leaf.subject;
  if (commonName === undefined || !fqdn.safeParse(commonName).success) {
    const refusal = {
      reason: "IdentityNotFqdn",
      message: `the common name of "${leaf.subject}" is no FQDN, and so not a device's identity (TS 33.320 8.3.3.1)`,
    };
    return { valid: false, refusal };
  }
  const identity = commonName.toLowerCase();
  return checkProfile(identity, found.path, policy.profile) ?? { valid: true, identity, path: found.path };
}

/** What an H(e)MS showed to a device that connected to it. */
export interface TlsServerCredentials {
  /** DER, the server's own first. */
  certificates: readonly Bytes[];
  /** DER of the stapled OCSP response. */
  stapled: Bytes | undefined;
  /** `used`: where a valid one came; a certificate of which it says that it is revoked is refused, a missing one is not. */
  stapling: "ignored" | "used" | "required";
  connectedTo: { fqdn: string } | { address: string };
}

export interface VerifiedTlsServer {
  names: readonly string[];
  path: readonly Certificate[];
  /** "in-band good" or "not checked". */
  ocsp: string;
}

/** Never throws for what a peer sends. */
export function verifyTlsServer(
  { certificates, stapled, stapling, connectedTo }: TlsServerCredentials,
  policy: TlsPeerPolicy & Omit<InBandPolicy, "inBandOcsp">,
): ({ valid: true } & VerifiedTlsServer) | Refused {
  const found = validatePeerPath(certificates, policy, "tlsServer");
  if (!found.valid) return found;
  const [leaf] = found.path;
  // 8.3.2.1-1.
  const mismatch = checkServerName(leaf, connectedTo);
  if (mismatch !== undefined)
    return refuse(
      "NameMismatch",
      `connected to ${mismatch.expected}, but the certificate is for ${mismatch.certified.join(", ") || "nobody"} (TS 33.320 8.3.2.1)`,
      { ...mismatch },
    );
  const name = "fqdn" in connectedTo ? connectedTo.fqdn : connectedTo.address;
  const conformance = checkProfile(name, found.path, policy.profile);
  if (conformance !== undefined) return conformance;
  const inBandOcsp = stapling === "ignored" ? "off" : "leaf";
  const responses = stapled === undefined ? [] : [stapled];
  const status = checkInBand(responses, found.path, { ...policy, inBandOcsp }, policy.clock.now());
  const refused = "reason" in status;
  if (refused && (status.reason !== "NoValidOcspResponse" || stapling !== "used"))
    return { valid: false, refusal: status };
  const ocsp = !refused && status.answered.length > 0 ? "in-band good" : "not checked";
  return { valid: true, names: namesOf(leaf.extensions.subjectAltName), path: found.path, ocsp };
}
