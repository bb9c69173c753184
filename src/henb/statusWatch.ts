/**
 * One gateway's status, from the verdict on its credentials to the end of the attachment (TS 33.320 7.2.2-5, 7.2.3-4,
 * 7.2.3-5): which certificates must be good, which are, by which way, until when, and what user traffic is held for it.
 *
 * In-band responses are judged with the credentials; what they leave open is asked about directly before the tunnel, then
 * through it, as far as configured. While the device is attached the last of the configured ways is repeated.
 */
import { parseIp } from "../bytes/ip.ts";
import type { Hold, TcpFlow } from "../esp/hold.ts";
import { selectorsMatch, type TrafficSelector } from "../esp/selector.ts";
import type { Clock, Milliseconds, Random } from "../sim/environment.ts";
import type { PathStatus, PeerRefusal, VerifiedPathId } from "../tre/trustedEnvironment.ts";
import type { GatewayStatus, StatusOutcome, StatusWay } from "./gatewayStatus.ts";
import type { OcspConfig } from "./ocspConfig.ts";

/** What a tunnel carries: what responders can be reached through it. */
export interface Tunnel {
  innerAddresses: readonly string[];
  localSelectors: readonly TrafficSelector[];
  remoteSelectors: readonly TrafficSelector[];
}

export interface StatusWatchParts {
  config: OcspConfig;
  status: GatewayStatus;
  clock: Clock;
  random: Random;
  /** Our own outer address, where one is configured. */
  outerAddress: string | undefined;
}

export class StatusWatch {
  readonly #parts: StatusWatchParts;
  readonly #path: VerifiedPathId;
  /** All that must be good. */
  readonly #required: readonly number[];
  #open: readonly number[];
  #goodUntil: Milliseconds;
  readonly #ways: string[] = [];

  constructor(parts: StatusWatchParts, path: VerifiedPathId, found: PathStatus) {
    this.#parts = parts;
    this.#path = path;
    this.#required = [...found.answered, ...found.unanswered];
    this.#open = found.unanswered;
    this.#goodUntil = found.goodUntil ?? Number.POSITIVE_INFINITY;
    if (found.answered.length > 0) this.#ways.push("in-band");
  }

  /** True while user traffic must wait for the check through the tunnel. */
  get pending(): boolean {
    return this.#open.length > 0;
  }

  /** For people: "in-band and direct good". */
  get text(): string {
    if (this.pending) return "to be asked through the tunnel";
    return this.#ways.length === 0 ? "not checked" : `${this.#ways.join(" and ")} good`;
  }

  /** When the first of the answers runs out; infinity if nothing was checked. */
  get goodUntil(): Milliseconds {
    return this.#goodUntil;
  }

  /** Asks directly where that is a way; why the gateway is not to be relied on, or undefined to go on. */
  async beforeTunnel(): Promise<PeerRefusal | undefined> {
    const { ask } = this.#parts.config;
    if (!this.pending || !ask.includes("direct")) return undefined;
    const outcome = await this.#ask(this.#open, this.#direct(undefined));
    if (outcome.good) return undefined;
    const isLast = !ask.includes("tunnel") || outcome.refusal.reason === "CertificateRevoked";
    return isLast ? outcome.refusal : undefined;
  }

  /** Asks through the tunnel, whose hold is to let through what `pass` is told; the verdict on what was left open. */
  throughTunnel(tunnel: Tunnel, pass: (hold: Hold) => void): Promise<StatusOutcome> {
    return this.#ask(this.#open, throughTunnel(tunnel, pass));
  }

  /** Asks about everything again, while user traffic flows. */
  again(tunnel: Tunnel): Promise<StatusOutcome> {
    const way = this.#parts.config.ask.includes("tunnel")
      ? throughTunnel(tunnel, () => undefined)
      : this.#direct(tunnel);
    return this.#ask(this.#required, way);
  }

  /** Milliseconds until the next check: up to a quarter early by chance, so that a fleet does not ask in step. */
  pauseBeforeNext(afterFailure: boolean): Milliseconds {
    const { config, clock, random } = this.#parts;
    if (afterFailure) return RETRY_AFTER;
    const left = Math.min(config.recheck, Math.max(0, this.#goodUntil - clock.now()));
    return Math.max(LEAST_PAUSE, left * (1 - JITTER * (random.bytes(2).readUInt16BE() / 0xffff)));
  }

  async #ask(certificates: readonly number[], way: StatusWay): Promise<StatusOutcome> {
    const outcome = await this.#parts.status.check({ path: this.#path, certificates }, way);
    const whole = certificates.length === this.#required.length;
    const answered = outcome.good || outcome.left.length < certificates.length;
    // A check of everything replaces what was known; it must not come down to when the answers before it ran out.
    if (outcome.good) this.#goodUntil = whole ? outcome.goodUntil : Math.min(this.#goodUntil, outcome.goodUntil);
    else if (!whole) this.#goodUntil = Math.min(this.#goodUntil, outcome.goodUntil);
    if (this.pending) this.#open = outcome.good ? [] : outcome.left;
    if (answered && !this.#ways.includes(way.name)) this.#ways.push(way.name);
    return outcome;
  }

  /** Once there is a tunnel, what lies behind it goes through it, as the system's routes have it. */
  #direct(tunnel: Tunnel | undefined): StatusWay {
    const { outerAddress } = this.#parts;
    return {
      name: "direct",
      endsTo(remote, remotePort) {
        const inner = tunnel === undefined ? undefined : innerAddressTo(tunnel, remote, remotePort);
        const local =
          inner ?? (outerAddress !== undefined && isSameFamily(outerAddress, remote) ? outerAddress : undefined);
        return local === undefined ? { remote } : { local, remote };
      },
    };
  }
}

function throughTunnel(tunnel: Tunnel, pass: (hold: Hold) => void): StatusWay {
  const passing: TcpFlow[] = [];
  return {
    name: "tunnel",
    endsTo(remote, remotePort) {
      const local = innerAddressTo(tunnel, remote, remotePort);
      // Anywhere else the query would leave beside the tunnel.
      if (local === undefined) return { problem: `${remote} is not reached through the tunnel` };
      const [localAddress, remoteAddress] = [parseIp(local)!, parseIp(remote)!];
      passing.push({ localAddress, remoteAddress, remotePort });
      pass([...passing]);
      return { local, remote };
    },
  };
}

/** Our inner address from which the tunnel carries TCP to that port. */
function innerAddressTo(tunnel: Tunnel, remote: string, remotePort: number): string | undefined {
  const to = parseIp(remote);
  if (to === undefined || !selectorsMatch(tunnel.remoteSelectors, TCP, to, remotePort)) return undefined;
  // The system chooses our port, so that any must do.
  const anyPort = tunnel.localSelectors.filter(({ startPort, endPort }) => startPort === 0 && endPort === 0xffff);
  return tunnel.innerAddresses.find((address) => {
    const from = parseIp(address);
    return from !== undefined && from.length === to.length && selectorsMatch(anyPort, TCP, from, 0);
  });
}

function isSameFamily(a: string, b: string): boolean {
  return a.includes(":") === b.includes(":");
}

const TCP = 6;
const JITTER = 0.25;
/** Milliseconds between two checks. */
const LEAST_PAUSE = 10_000;
/** Milliseconds after a check without a valid answer. */
const RETRY_AFTER = 60_000;
