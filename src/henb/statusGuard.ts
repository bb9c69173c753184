/**
 * Keeps user traffic back until the gateway is known to be good, and looks again while the device is attached
 * (TS 33.320 7.2.2-5, 7.2.3-5).
 *
 * One attempt at a time: `judge` begins with a gateway whose credentials are valid, `forget` ends. What comes of a check
 * after that is of no account, however late.
 */
import type { ChildSaId, ChildSaSpec } from "../esp/dataPlane.ts";
import type { Hold } from "../esp/hold.ts";
import type { Clock, Milliseconds, Random, Timers } from "../sim/environment.ts";
import type { PathStatus, PeerRefusal, TrustedEnvironment, VerifiedPathId } from "../tre/trustedEnvironment.ts";
import { GatewayStatus, type StatusNetwork, type StatusOutcome } from "./gatewayStatus.ts";
import type { OcspConfig } from "./ocspConfig.ts";
import { StatusWatch, type Tunnel } from "./statusWatch.ts";

/** What came of a check through the tunnel or of a later one. */
export type StatusNews =
  /** `first`: user traffic flows from now on. `goodUntil`: milliseconds since 1970, when the first answer runs out. */
  | { kind: "good"; first: boolean; ocsp: string; goodUntil: Milliseconds }
  /** `ends`: the gateway is not to be relied on any more; nothing of the users passes from now on. */
  | { kind: "notGood"; ends: boolean; refusal: PeerRefusal };

export interface StatusGuardParts {
  config: OcspConfig;
  /** Our own outer address, where one is configured. */
  outerAddress: string | undefined;
  tre: TrustedEnvironment;
  network: StatusNetwork;
  clock: Clock;
  random: Random;
  timers: Timers;
  /** Resolves once inner addresses and routes of the newest tunnel are in place. */
  tunnelReady(): Promise<void>;
  setHold(child: ChildSaId, hold: Hold | undefined): void;
  onNews(news: StatusNews): void;
  onFault(what: string, error: unknown): void;
}

export class StatusGuard {
  readonly #parts: StatusGuardParts;
  readonly #status: GatewayStatus;
  #watch: StatusWatch | undefined;
  /** For every tunnel of the attempt, those that rekeying makes included. */
  #hold: Hold | undefined;
  readonly #children = new Set<ChildSaId>();
  #tunnel: ChildSaSpec | undefined;
  #innerAddresses: readonly string[] = [];
  #asking = false;
  #cancelNext: () => void = () => undefined;

  constructor(parts: StatusGuardParts) {
    this.#parts = parts;
    this.#status = new GatewayStatus(parts);
  }

  /** Checks what can be checked before the tunnel; why there is to be none, or what is known so far. */
  async judge(path: VerifiedPathId, found: PathStatus): Promise<StatusWatch | PeerRefusal> {
    const watch = new StatusWatch({ ...this.#parts, status: this.#status }, path, found);
    return (await watch.beforeTunnel()) ?? watch;
  }

  /** From here on the gateway of this watch is the one being attached to. */
  adopt(watch: StatusWatch): void {
    this.forget();
    this.#watch = watch;
    this.#hold = watch.pending ? [] : undefined;
  }

  /** True while user traffic is held back. */
  get holds(): boolean {
    return this.#hold !== undefined;
  }

  /** The CHILD SA as it is to be installed. */
  prepare(spec: ChildSaSpec): ChildSaSpec {
    this.#tunnel = spec;
    return this.#hold === undefined ? spec : { ...spec, hold: this.#hold };
  }

  /** The IKE SA stands, with these inner addresses. */
  established(innerAddresses: readonly string[]): void {
    this.#innerAddresses = innerAddresses;
    if (!this.holds) this.#planNext(false);
  }

  installed(child: ChildSaId): void {
    this.#children.add(child);
    if (this.#watch?.pending === true && !this.#asking) void this.#askFirst(this.#watch);
  }

  removed(child: ChildSaId): void {
    this.#children.delete(child);
  }

  /** The attempt or the attachment is over. */
  forget(): void {
    this.#cancelNext();
    this.#watch = undefined;
    // The hold stays until the next attempt: until the peer has answered the Delete there may be a tunnel.
    this.#tunnel = undefined;
    this.#children.clear();
    this.#asking = false;
  }

  /** 7.2.3-5: the check through the tunnel, before any user data. */
  async #askFirst(watch: StatusWatch): Promise<void> {
    this.#asking = true;
    const outcome = await this.#outcome(watch, async () => {
      await this.#parts.tunnelReady();
      const tunnel = this.#reach();
      const pass = (hold: Hold) => this.#watch === watch && watch.pending && this.#holdAll(hold);
      return tunnel === undefined ? NO_TUNNEL : watch.throughTunnel(tunnel, pass);
    });
    if (this.#watch !== watch) return;
    this.#asking = false;
    if (!outcome.good) return this.#end(outcome.refusal);
    this.#holdAll(undefined);
    this.#tellGood(watch, true);
  }

  async #askAgain(watch: StatusWatch): Promise<void> {
    const { config, clock } = this.#parts;
    const outcome = await this.#outcome(watch, async () => {
      const tunnel = this.#reach();
      return tunnel === undefined ? NO_TUNNEL : watch.again(tunnel);
    });
    if (this.#watch !== watch) return;
    if (outcome.good) return this.#tellGood(watch, false);
    const { refusal } = outcome;
    const overdue = config.disconnectOn === "refused" && clock.now() >= watch.goodUntil;
    if (refusal.reason === "CertificateRevoked" || overdue) return this.#end(refusal);
    this.#parts.onNews({ kind: "notGood", ends: false, refusal });
    this.#planNext(true);
  }

  /** What a check came to; that it could not be carried out is no good outcome either. */
  async #outcome(watch: StatusWatch, check: () => Promise<StatusOutcome>): Promise<StatusOutcome> {
    try {
      return await check();
    } catch (error) {
      if (this.#watch === watch) this.#parts.onFault("the gateway's status cannot be asked for", error);
      return FAILED;
    }
  }

  #tellGood(watch: StatusWatch, first: boolean): void {
    this.#parts.onNews({ kind: "good", first, ocsp: watch.text, goodUntil: watch.goodUntil });
    if (this.#watch === watch) this.#planNext(false);
  }

  #end(refusal: PeerRefusal): void {
    this.#cancelNext();
    this.#watch = undefined;
    // At once, not when the peer has answered the Delete.
    this.#holdAll([]);
    this.#parts.onNews({ kind: "notGood", ends: true, refusal });
  }

  #planNext(afterFailure: boolean): void {
    const { config, timers } = this.#parts;
    const watch = this.#watch;
    if (watch === undefined || config.recheck === 0) return;
    this.#cancelNext = timers.after(watch.pauseBeforeNext(afterFailure), () => void this.#askAgain(watch));
  }

  #holdAll(hold: Hold | undefined): void {
    this.#hold = hold;
    for (const child of this.#children) this.#parts.setHold(child, hold);
  }

  #reach(): Tunnel | undefined {
    if (this.#tunnel === undefined) return undefined;
    const { localSelectors, remoteSelectors } = this.#tunnel;
    return { innerAddresses: this.#innerAddresses, localSelectors, remoteSelectors };
  }
}

const NO_TUNNEL: StatusOutcome = unasked("there is no tunnel");
const FAILED: StatusOutcome = unasked("it could not be asked for; the log's fault says why");

function unasked(problem: string): StatusOutcome {
  const message = `no valid OCSP response about the gateway: ${problem} (TS 33.320 7.2.3)`;
  return {
    good: false,
    goodUntil: Number.POSITIVE_INFINITY,
    refusal: { reason: "NoValidOcspResponse", message },
    left: [],
  };
}
