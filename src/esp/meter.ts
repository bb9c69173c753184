/** Counters of one CHILD SA and the limits that they run into; what a plane knows of an SA that carries no packet. */
import type { ChildSaId, ChildSaSpec, ChildSaUsage, PlaneEvent } from "./dataPlane.ts";

/** Counts whole inner packets. Announces `soft` and `hard` at most once each. */
export class SaMeter {
  readonly #id: ChildSaId;
  readonly #limits: ChildSaSpec["limits"];
  readonly #onEvent: (event: PlaneEvent) => void;
  #inboundBytes = 0;
  #inboundPackets = 0;
  #outboundBytes = 0;
  #outboundPackets = 0;
  #replayed = 0;
  #integrityFailures = 0;
  #held = 0;
  #announced: "nothing" | "soft" | "hard" = "nothing";

  constructor(spec: ChildSaSpec, onEvent: (event: PlaneEvent) => void) {
    this.#id = spec.id;
    this.#limits = spec.limits && { ...spec.limits };
    this.#onEvent = onEvent;
  }

  /** True once nothing may be sent any more: the hard limit, or the last sequence number, is used up. */
  get exhausted(): boolean {
    return this.#announced === "hard";
  }

  inbound(bytes: number): void {
    this.#inboundBytes += bytes;
    this.#inboundPackets += 1;
    this.#check();
  }

  outbound(bytes: number): void {
    this.#outboundBytes += bytes;
    this.#outboundPackets += 1;
    this.#check();
  }

  replayed(): void {
    this.#replayed += 1;
  }

  integrityFailure(): void {
    this.#integrityFailures += 1;
  }

  held(): void {
    this.#held += 1;
  }

  /** Ends sending for good, as at the last sequence number (RFC 4303 3.3.3). */
  exhaust(): void {
    this.#announce("hard");
  }

  usage(): ChildSaUsage {
    return {
      inboundBytes: this.#inboundBytes,
      inboundPackets: this.#inboundPackets,
      outboundBytes: this.#outboundBytes,
      outboundPackets: this.#outboundPackets,
      replayed: this.#replayed,
      integrityFailures: this.#integrityFailures,
      held: this.#held,
    };
  }

  #check(): void {
    if (this.#limits === undefined || this.#announced === "hard") return;
    const { softBytes = Infinity, softPackets = Infinity, hardPackets = Infinity } = this.#limits;
    const packets = Math.max(this.#inboundPackets, this.#outboundPackets);
    const bytes = Math.max(this.#inboundBytes, this.#outboundBytes);
    if (packets >= hardPackets) this.#announce("hard");
    else if (packets >= softPackets || bytes >= softBytes) this.#announce("soft");
  }

  #announce(level: "soft" | "hard"): void {
    if (this.#announced === level || this.#announced === "hard") return;
    this.#announced = level;
    this.#onEvent({ kind: "limit", id: this.#id, level });
  }
}
