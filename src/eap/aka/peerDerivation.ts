/** The peer's part in agreeing on a key derivation function and a network name (RFC 9048 3.1, 3.2). */
import type { Attributes } from "./attributes.ts";
import type { AkaPeerOptions, DerivationRefusal } from "./peerTypes.ts";

/** What the peer chose and the list it chose from, kept to see that nothing else changes. */
export interface Negotiation {
  chosen: number;
  offered: readonly number[];
}

export type NegotiationVerdict =
  /** The first function of the list is acceptable. */
  | { kind: "agreed" }
  /** Another one of the list is, and the server is to hear so. */
  | { kind: "choose"; negotiation: Negotiation }
  /** Nothing is acceptable: to be treated as a wrong AUTN. */
  | { kind: "reject"; reason: DerivationRefusal; message: string }
  /** The list is not what it must be after a choice: to be treated as a wrong AT_MAC. */
  | { kind: "tampered"; message: string };

/** Judges AT_KDF_INPUT and AT_KDF of a challenge; `before` is what was chosen in answer to an earlier one. */
export function negotiateDerivation(
  { AT_KDF_INPUT: name, AT_KDF: kdfs = [] }: Attributes,
  { networkName, keyDerivations }: AkaPeerOptions,
  before: Negotiation | undefined,
): NegotiationVerdict {
  if (name === undefined || name.length === 0)
    return reject("NoNetworkName", "the server names no access network (AT_KDF_INPUT)");
  if (networkName !== undefined && name.toString("utf8") !== networkName)
    return reject("WrongNetworkName", `the server names an access network other than ${networkName}`);
  if (before !== undefined) {
    // The chosen one stands before the very list it was chosen from.
    const expected = [before.chosen, ...before.offered];
    if (String(kdfs) !== String(expected))
      return { kind: "tampered", message: `the server lists functions ${kdfs.join(", ")}, not ${expected.join(", ")}` };
    return { kind: "agreed" };
  }
  const first = kdfs[0];
  if (first === undefined) return reject("NoKdf", "the server names no key derivation function (AT_KDF)");
  if (new Set(kdfs).size !== kdfs.length)
    return reject("KdfTwice", `the server lists a key derivation function twice: ${kdfs.join(", ")}`);
  const acceptable = kdfs.find((kdf) => keyDerivations.some((known) => known.kdf === kdf));
  if (acceptable === undefined) return reject("NoCommonKdf", `none of the functions ${kdfs.join(", ")} is known here`);
  if (acceptable === first) return { kind: "agreed" };
  return { kind: "choose", negotiation: { chosen: acceptable, offered: [...kdfs] } };
}

function reject(reason: DerivationRefusal, message: string): NegotiationVerdict {
  return { kind: "reject", reason, message };
}
