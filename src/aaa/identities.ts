/**
 * Identities that EAP-AKA gave out: pseudonyms, which outlive a restart, and contexts for fast re-authentication, which
 * hold keys and therefore stay in memory (RFC 4187 4.1.1.5, 5.4).
 */
import { copyOf } from "../bytes/bytes.ts";
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
    this.#reauths.set(username, { ...context, ...keptKeys(context) });
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

/** The keys in memory of their own: as parts of Node's pool each of them would keep the whole piece of it. */
function keptKeys({ kEncr, kAut, secret }: ReauthContext): Pick<ReauthContext, "kEncr" | "kAut" | "secret"> {
  const all = copyOf(Buffer.concat([kEncr, kAut, secret]));
  const [second, third] = [kEncr.length, kEncr.length + kAut.length];
  return { kEncr: all.subarray(0, second), kAut: all.subarray(second, third), secret: all.subarray(third) };
}

/** Contexts kept; a subscriber whose context was forgotten authenticates in full. */
const MAX_REAUTHS = 100_000;
