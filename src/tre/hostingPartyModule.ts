/**
 * The hosting party's module (HPM, TS 33.320 A.2): what the device's core may ask of it, and nothing behind it.
 *
 * It stands beside the TrE: the device proves what it is, the HPM proves who operates it. The whole EAP peer runs inside
 * (A.2-5), so that RES, CK, IK and MSK never come out; of the MSK the core gets AUTH payloads, made and judged here
 * (A.2-6). An interface that gives out RES, CK and IK, as a card does, was rejected: whoever held it would hold the MSK.
 * All calls are asynchronous because a module may be a card or another process.
 */
import type { Bytes } from "../bytes/bytes.ts";
import type { EapRefusal } from "../eap/method.ts";

/** Hash of the PRF that IKE negotiated: prf is HMAC with it (RFC 7296 2.13). */
export type PrfHash = "sha1" | "sha256" | "sha384" | "sha512";

export interface HostingPartyModule {
  /** Who the hosting party is: for people and logs, not for the wire. */
  identity(): Promise<{ imsi: string; nai: string }>;
  /**
   * Begins a new authentication and forgets the one before with its MSK. The answer is the identity to claim in IDi of
   * the second round (RFC 7296 2.16, RFC 4739): the NAI that reveals least.
   */
  begin(): Promise<Bytes>;
  /** Takes one EAP packet from the network (A.2-5). */
  receive(packet: Bytes): Promise<HostingPartyStep>;
  /** AUTH of the device: prf(prf(MSK, "Key Pad for IKEv2"), octets) (A.2-6, RFC 7296 2.15, 2.16). Needs success before. */
  computeAuth(prf: PrfHash, octets: Bytes): Promise<Bytes>;
  /** True if the gateway's AUTH of the last round was made with the same MSK. Needs success before. */
  verifyAuth(prf: PrfHash, octets: Bytes, auth: Bytes): Promise<boolean>;
}

export type HostingPartyStep =
  | { kind: "respond"; packet: Bytes }
  /** EAP-Success that may be believed; from now on there are AUTHs. */
  | { kind: "succeeded"; method: "EAP-AKA" | "EAP-AKA'"; reauthentication: boolean }
  | { kind: "failed"; refusal: EapRefusal }
  /** The packet changes nothing, and nothing is sent. */
  | { kind: "ignored"; problem: string };

/** A call that does not fit what happened before: a mistake of the caller. */
export class HostingPartyError extends Error {
  override readonly name = "HostingPartyError";
}
