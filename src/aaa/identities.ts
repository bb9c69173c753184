/**
 * Identities that EAP-AKA gave out: pseudonyms, which outlive a restart, and contexts for fast re-authentication, which
 * hold keys and therefore stay in memory (RFC 4187 4.1.1.5, 5.4).
 */
import type { ReauthContext } from "../eap/aka/serverTypes.ts";
import type { Pseudonyms } from "./pseudonyms.ts";

export class Identities {
  readonly pseudonyms: Pseudonyms;
  /** In the order in which they were given. */
  readonly #reauths = new Map<string, ReauthContext>();

  constructor(pseudonyms: Pseudonyms) {
    this.pseudonyms = pseudonyms;
  }

  keepReauth(username: string, context: ReauthContext): void {
    this.#reauths.set(username, context);
    if (this.#reauths.size <= MAX_REAUTHS) return;
    const { value } = this.#reauths.keys().next();
    if (value !== undefined) this.#reauths.delete(value);
  }

  /** Serves once. */
  takeReauth(username: string): ReauthContext | undefined {
    const context = this.#reauths.get(username);
    this.#reauths.delete(username);
    return context;
  }
}

/** Contexts kept; a subscriber whose context was forgotten authenticates in full. */
const MAX_REAUTHS = 100_000;
