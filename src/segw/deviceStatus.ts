/**
 * The revocation status of devices, at attachment and for as long as they stay (TS 33.320 7.2.2-7, -8, 7.2.4-4).
 *
 * The policy and the sources are `src/revocation`'s; this remembers whose path belongs to which IKE SA.
 */
import type { IkeSaId } from "../ike/sa/effects.ts";
import type { Lost, StatusService, Watch } from "../revocation/statusService.ts";
import type { PeerRefusal } from "../tre/trustedEnvironment.ts";
import { type CertificateStatus, describeStatusRefusal, type StatusRefusal } from "../trust/statusAnswer.ts";
import type { Certificate } from "../x509/certificate.ts";

/** What is needed of `StatusService`. */
export type StatusSource = Pick<StatusService, "check" | "watch" | "onRevoked">;

export interface DeviceStatusOptions {
  source: StatusSource;
  /** A device that is attached may stay no longer. */
  onLost(sa: IkeSaId, refusal: PeerRefusal): void;
}

export class DeviceStatus {
  readonly #options: DeviceStatusOptions;
  readonly #stopListening: () => void;
  /** Paths of devices that are attaching. */
  readonly #paths = new Map<IkeSaId, readonly Certificate[]>();
  readonly #watches = new Map<IkeSaId, Watch>();
  readonly #owners = new Map<Watch, IkeSaId>();

  constructor(options: DeviceStatusOptions) {
    this.#options = options;
    this.#stopListening = options.source.onRevoked((lost) => this.#onLost(lost));
  }

  /** The status in words ("OCSP good"), or why the device is refused. */
  async check(sa: IkeSaId, path: readonly Certificate[]): Promise<string | PeerRefusal> {
    const verdict = await this.#options.source.check(path, "device");
    if (!verdict.accepted) return refusalOf(verdict.refusal);
    this.#paths.set(sa, path);
    return describeStatus(verdict.certificates[0]);
  }

  /** The device is attached: its certificate is watched from now on. */
  attached(sa: IkeSaId): void {
    const path = this.#paths.get(sa);
    if (path === undefined) return;
    this.#paths.delete(sa);
    const watch = this.#options.source.watch(path, "device");
    this.#watches.set(sa, watch);
    this.#owners.set(watch, sa);
  }

  /** Rekeying has put one IKE SA in the place of another. */
  transfer(from: IkeSaId, to: IkeSaId): void {
    const watch = this.#watches.get(from);
    if (watch === undefined) return;
    this.#watches.delete(from);
    this.#watches.set(to, watch);
    this.#owners.set(watch, to);
  }

  /** The IKE SA is gone. */
  gone(sa: IkeSaId): void {
    this.#paths.delete(sa);
    const watch = this.#watches.get(sa);
    if (watch === undefined) return;
    this.#watches.delete(sa);
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
    const sa = this.#owners.get(watch);
    if (sa === undefined) return;
    this.#watches.delete(sa);
    this.#owners.delete(watch);
    this.#options.onLost(sa, refusalOf(refusal));
  }
}

function refusalOf(refusal: StatusRefusal): PeerRefusal {
  return { reason: refusal.reason, message: describeStatusRefusal(refusal), evidence: { ...refusal } };
}

/** "OCSP good", "CRL and OCSP good", "OCSP unreachable, tolerated", "not checked". */
function describeStatus(status: CertificateStatus | undefined): string {
  if (status === undefined || status.decision.kind === "notChecked") return "not checked";
  if (status.decision.kind === "tolerated") {
    return `${status.decision.troubles.map(({ method, trouble }) => `${method.toUpperCase()} ${trouble}`).join(", ")}, tolerated`;
  }
  const good = status.findings
    .filter(({ answer }) => answer.status === "good")
    .map(({ method }) => method.toUpperCase());
  return `${good.join(" and ")} good`;
}
