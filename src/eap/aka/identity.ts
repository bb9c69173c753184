/**
 * Identities of EAP-AKA: NAIs whose username begins with a digit that says what it is (RFC 4187 4.1.1, TS 23.003 14).
 */
import type { Bytes } from "../../bytes/bytes.ts";
import type { Random } from "../../sim/environment.ts";
import type { AkaVariant } from "./variant.ts";

export type AkaIdentity =
  /** The first digit followed by the IMSI. */
  { kind: "permanent"; imsi: string } | { kind: "pseudonym" | "reauth"; username: string } | { kind: "unknown" };

/** What an identity as it came is; anything that is not clearly one of ours is unknown. */
export function readIdentity(variant: AkaVariant, identity: Bytes): AkaIdentity {
  const username = usernameOf(textOf(identity));
  const { permanent, pseudonym, reauth } = variant.prefix;
  if (!USERNAME.test(username)) return { kind: "unknown" };
  switch (username[0]) {
    case permanent:
      return IMSI.test(username.slice(1)) ? { kind: "permanent", imsi: username.slice(1) } : { kind: "unknown" };
    case pseudonym:
      return { kind: "pseudonym", username };
    case reauth:
      return { kind: "reauth", username };
    default:
      return { kind: "unknown" };
  }
}

/** The permanent identity of an IMSI, such as "0001010123456789@realm". Throws RangeError for what is no IMSI. */
export function permanentIdentity(variant: AkaVariant, imsi: string, realm: string): string {
  if (!IMSI.test(imsi)) throw new RangeError("an IMSI has 6 to 15 digits (TS 23.003 2.2)");
  return `${variant.prefix.permanent}${imsi}@${realm}`;
}

/**
 * The realm of an operator's EPC that follows from an IMSI (TS 23.003 19.2); `mncDigits` is 2 or 3 and stands on the
 * card (EF_AD).
 */
export function realmOf(imsi: string, mncDigits: number): string {
  const mnc = imsi.slice(3, 3 + mncDigits).padStart(3, "0");
  return `nai.epc.mnc${mnc}.mcc${imsi.slice(0, 3)}.3gppnetwork.org`;
}

/** A fresh username that says nothing about the subscriber (RFC 4187 4.1.1.7): 128 random bits behind its digit. */
export function freshUsername(prefix: string, random: Random): string {
  return prefix + random.bytes(16).toString("hex");
}

/** With the realm of `like` behind it, unless it has its own (RFC 4187 4.1.1.8). */
export function withRealmOf(username: string, like: string): string {
  const at = like.indexOf("@");
  return at < 0 || username.includes("@") ? username : username + like.slice(at);
}

/** An identity's octets as text: one character an octet, so that nothing is lost or invented. */
export function textOf(identity: Bytes): string {
  return identity.toString("latin1");
}

/** What stands before the realm. */
export function usernameOf(identity: string): string {
  const at = identity.indexOf("@");
  return at < 0 ? identity : identity.slice(0, at);
}

const IMSI = /^\d{6,15}$/;
/** Printable characters without space: a username is a key in stores and stands in log lines. */
const USERNAME = /^[\x21-\x7e]{1,253}$/;
