/**
 * The revocation status of peers, when they come and for as long as they stay (TS 33.320 7.2.2-7, -8, 7.2.4-4, 8.3.2.1-4).
 *
 * This remembers whose path belongs to which `Owner`: an IKE SA of a gateway, a session of an H(e)MS.
 */
import type { PeerClass } from "../trust/revocationPolicy.ts";
import { type CertificateStatus, describeStatusRefusal, type StatusRefusal } from "../trust/statusAnswer.ts";
import type { Certificate } from "../x509/certificate.ts";
import type { Lost, StatusService, Watch } from "./statusService.ts";

/** What is needed of `StatusService`. */
export type StatusSource = Pick<StatusService, "check" | "watch" | "onRevoked">;

/** Why a peer may not come or stay: typed, told, and with what it rests on. */
export interface StatusRefused {
  reason: StatusRefusal["reason"];
  message: string;
  evidence: Record<string, unknown>;
}

export interface PeerStatusOptions<Owner> {
  source: StatusSource;
  peerClass: PeerClass;
  /** A peer that stays may do so no longer. */
  onLost(owner: Owner, refusal: StatusRefused): void;
}

export class PeerStatus<Owner> {
  readonly #options: PeerStatusOptions<Owner>;
  readonly #stopListening: () => void;
  /** Paths of those that are coming. */
  readonly #paths = new Map<Owner, readonly Certificate[]>();
  readonly #watches = new Map<Owner, Watch>();
  readonly #owners = new Map<Watch, Owner>();

  constructor(options: PeerStatusOptions<Owner>) {
    this.#options = options;
    this.#stopListening = options.source.onRevoked((lost) => this.#onLost(lost));
  }

  /** The status in words ("OCSP good"), or why the peer is refused. */
  async check(owner: Owner, path: readonly Certificate[]): Promise<string | StatusRefused> {
    // Kept from now on: whoever goes while the answer is awaited takes it along.
    this.#paths.set(owner, path);
    const verdict = await this.#options.source.check(path, this.#options.peerClass);
    if (!verdict.accepted) {
      this.#paths.delete(owner);
      return refusalOf(verdict.refusal);
    }
    return describeStatus(verdict.certificates[0]);
  }

  /** It has come: its certificate is watched from now on. */
  attached(owner: Owner): void {
    const path = this.#paths.get(owner);
    if (path === undefined) return;
    this.#paths.delete(owner);
    const watch = this.#options.source.watch(path, this.#options.peerClass);
    this.#watches.set(owner, watch);
    this.#owners.set(watch, owner);
  }

  /** One owner takes the place of another, as IKE SAs do in rekeying. */
  transfer(from: Owner, to: Owner): void {
    const watch = this.#watches.get(from);
    if (watch === undefined) return;
    this.#watches.delete(from);
    this.#watches.set(to, watch);
    this.#owners.set(watch, to);
  }

  /** It has gone. */
  gone(owner: Owner): void {
    this.#paths.delete(owner);
    const watch = this.#watches.get(owner);
    if (watch === undefined) return;
    this.#watches.delete(owner);
    this.#owners.delete(watch);
    watch.close();
  }

  close(): void {
    this.#stopListening();
    for (const watch of this.#watches.values()) watch.close();
    this.#watches.clear();
    this.#owners.clear();
  }

  #onLost({ watch, refusal }: Lost): void {
    const owner = this.#owners.get(watch);
    if (owner === undefined) return;
    this.#watches.delete(owner);
    this.#owners.delete(watch);
    this.#options.onLost(owner, refusalOf(refusal));
  }
}

export function refusalOf(refusal: StatusRefusal): StatusRefused {
  return { reason: refusal.reason, message: describeStatusRefusal(refusal), evidence: { ...refusal } };
}

/** "OCSP good", "CRL and OCSP good", "OCSP unreachable, tolerated", "not checked". */
export function describeStatus(status: CertificateStatus | undefined): string {
  if (status === undefined || status.decision.kind === "notChecked") return "not checked";
  if (status.decision.kind === "tolerated") {
    return `${status.decision.troubles.map(({ method, trouble }) => `${method.toUpperCase()} ${trouble}`).join(", ")}, tolerated`;
  }
  const good = status.findings
    .filter(({ answer }) => answer.status === "good")
    .map(({ method }) => method.toUpperCase());
  return `${good.join(" and ")} good`;
}
