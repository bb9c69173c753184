/**
 * Identities that EAP-AKA gave out: pseudonyms, which outlive a restart, and contexts for fast re-authentication, which
 * hold keys and therefore stay in memory (RFC 4187 4.1.1.5, 5.4).
 */
import type { ReauthContext } from "../eap/aka/serverTypes.ts";
import type { Clock } from "../sim/environment.ts";
import { type Database, sql, text } from "../store/sql.ts";

export class Identities {
  readonly #database: Database;
  readonly #clock: Clock;
  /** In the order in which they were given. */
  readonly #reauths = new Map<string, ReauthContext>();

  constructor(database: Database, clock: Clock) {
    this.#database = database;
    this.#clock = clock;
  }

  async subscriberOf(pseudonym: string): Promise<string | undefined> {
    const [row] = await this.#database.rows(sql`SELECT imsi FROM pseudonym WHERE username = ${pseudonym}`);
    return row === undefined ? undefined : text(row, "imsi");
  }

  /** From now on; the one before goes on to lead to the subscriber, since the peer may not have got the new one. */
  async keepPseudonym(username: string, imsi: string): Promise<void> {
    const now = this.#clock.now();
    await Promise.all([
      this.#database.change(
        sql`INSERT INTO pseudonym (username, imsi, given_at) VALUES (${username}, ${imsi}, ${now})
            ON CONFLICT (username) DO UPDATE SET imsi = ${imsi}, given_at = ${now}`,
      ),
      this.#database.change(
        sql`DELETE FROM pseudonym WHERE imsi = ${imsi} AND username NOT IN
            (SELECT username FROM pseudonym WHERE imsi = ${imsi} ORDER BY given_at DESC, username LIMIT ${PSEUDONYMS})`,
      ),
    ]);
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

/** Pseudonyms that lead to one subscriber: the last one given, and the one before. */
const PSEUDONYMS = 2;
/** Contexts kept; a subscriber whose context was forgotten authenticates in full. */
const MAX_REAUTHS = 100_000;
