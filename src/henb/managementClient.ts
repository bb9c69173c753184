/**
 * When the device talks to its H(e)MS: after each attachment, at intervals, and again after a failure.
 *
 * One session at a time; the end of the tunnel ends it.
 */
import type { Clock, Milliseconds, Random, Timers } from "../sim/environment.ts";
import type { PeerRefusal } from "../tre/trustedEnvironment.ts";
import type { InnerAccess } from "./innerAccess.ts";
import { ManagementError } from "./management.ts";
import type { ManagementOutcome } from "./managementSession.ts";

export interface ManagementClientOptions {
  /** One session; throws ManagementError. */
  run(inner: InnerAccess, signal: AbortSignal): Promise<ManagementOutcome>;
  /** Milliseconds from the end of a session to the next, 0: no other; and from a failure, 0: no other. */
  every: Milliseconds;
  retryAfter: Milliseconds;
  clock: Clock;
  random: Random;
  timers: Timers;
  onManaged(outcome: ManagementOutcome, lasted: Milliseconds): void;
  onFailed(refusal: PeerRefusal): void;
  onFault(error: unknown): void;
}

export class ManagementClient {
  readonly #options: ManagementClientOptions;
  /** The attachment that sessions belong to. */
  #attachment: AbortController | undefined;
  #cancel = () => {};

  constructor(options: ManagementClientOptions) {
    this.#options = options;
  }

  /** The tunnel can be used; called again while it is there, does nothing. */
  attached(inner: InnerAccess): void {
    if (this.#attachment !== undefined) return;
    this.#attachment = new AbortController();
    void this.#session(inner, this.#attachment.signal);
  }

  /** The tunnel is gone. */
  detached(): void {
    this.#cancel();
    this.#attachment?.abort();
    this.#attachment = undefined;
  }

  async #session(inner: InnerAccess, signal: AbortSignal): Promise<void> {
    const { run, clock, every, retryAfter, onManaged, onFailed, onFault } = this.#options;
    const begun = clock.now();
    let wait = every;
    try {
      const outcome = await run(inner, signal);
      if (signal.aborted) return;
      onManaged(outcome, clock.now() - begun);
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof ManagementError) onFailed(error.refusal);
      else onFault(error);
      // Half of it by chance: a fleet whose H(e)MS was gone is not to come back in step.
      wait = retryAfter / 2 + (retryAfter / 2) * (this.#options.random.bytes(2).readUInt16BE() / 0xffff);
    }
    if (wait > 0) this.#cancel = this.#options.timers.after(wait, () => void this.#session(inner, signal));
  }
}
