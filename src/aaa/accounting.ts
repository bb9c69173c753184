/** What sessions used, one row a session, durable before it is acknowledged (RFC 2866, RFC 6733 9). */
import type { Clock } from "../sim/environment.ts";
import { type Database, sql } from "../store/sql.ts";

export interface AccountingReport {
  kind: "start" | "interim" | "stop";
  session: string;
  device: string | undefined;
  subscriber: string | undefined;
  seconds: number | undefined;
  inputOctets: number | undefined;
  outputOctets: number | undefined;
  /** Termination-Cause or Acct-Terminate-Cause, as it came. */
  cause: number | undefined;
}

export class Accounting {
  readonly #database: Database;
  readonly #clock: Clock;

  constructor(database: Database, clock: Clock) {
    this.#database = database;
    this.#clock = clock;
  }

  /**
   * Adds to what is known of the session. Reports may come twice and out of order: counters only grow, and a session that
   * stopped stays so.
   */
  async keep(report: AccountingReport): Promise<void> {
    const now = this.#clock.now();
    const { session, device = null, subscriber = null, seconds = null, cause = null, kind } = report;
    const { inputOctets = null, outputOctets = null } = report;
    const started = kind === "start" ? now : null;
    const stopped = kind === "stop" ? now : null;
    await this.#database.change(
      sql`INSERT INTO accounting AS known (session, device, subscriber, started_at, reported_at, stopped_at, seconds,
            input_octets, output_octets, cause)
          VALUES (${session}, ${device}, ${subscriber}, ${started}, ${now}, ${stopped}, ${seconds}, ${inputOctets},
            ${outputOctets}, ${cause})
          ON CONFLICT (session) DO UPDATE SET
            device = COALESCE(known.device, excluded.device),
            subscriber = COALESCE(known.subscriber, excluded.subscriber),
            started_at = COALESCE(known.started_at, excluded.started_at),
            reported_at = excluded.reported_at,
            stopped_at = COALESCE(known.stopped_at, excluded.stopped_at),
            seconds = CASE WHEN COALESCE(excluded.seconds, 0) > COALESCE(known.seconds, 0)
              THEN excluded.seconds ELSE known.seconds END,
            input_octets = CASE WHEN COALESCE(excluded.input_octets, 0) > COALESCE(known.input_octets, 0)
              THEN excluded.input_octets ELSE known.input_octets END,
            output_octets = CASE WHEN COALESCE(excluded.output_octets, 0) > COALESCE(known.output_octets, 0)
              THEN excluded.output_octets ELSE known.output_octets END,
            cause = COALESCE(known.cause, excluded.cause)`,
    );
  }
}
