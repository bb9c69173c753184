/** What the tunnels of each IKE SA have carried, those that were replaced or removed included; for accounting. */
import type { ChildSaId, ChildSaUsage, DataPlane } from "../esp/dataPlane.ts";
import type { IkeSaId } from "../ike/sa/effects.ts";

type Octets = Pick<ChildSaUsage, "inboundBytes" | "outboundBytes">;

export class TunnelUsage {
  readonly #plane: () => Pick<DataPlane, "usage"> | undefined;
  readonly #children = new Map<IkeSaId, Set<ChildSaId>>();
  readonly #past = new Map<IkeSaId, Octets>();

  constructor(plane: () => Pick<DataPlane, "usage"> | undefined) {
    this.#plane = plane;
  }

  installed(sa: IkeSaId, child: ChildSaId): void {
    const known = this.#children.get(sa);
    if (known === undefined) this.#children.set(sa, new Set([child]));
    else known.add(child);
  }

  /** Call it while the plane still knows the CHILD SA. */
  removing(sa: IkeSaId, child: ChildSaId): void {
    if (this.#children.get(sa)?.delete(child) !== true) return;
    this.#past.set(sa, sum(this.#past.get(sa) ?? NONE, this.#plane()?.usage(child) ?? NONE));
  }

  transfer(from: IkeSaId, to: IkeSaId): void {
    for (const table of [this.#children, this.#past] as Map<IkeSaId, unknown>[]) {
      const value = table.get(from);
      if (value !== undefined) table.set(to, value);
      table.delete(from);
    }
  }

  of(sa: IkeSaId): Octets {
    const present = [...(this.#children.get(sa) ?? [])].map((child) => this.#plane()?.usage(child) ?? NONE);
    return present.reduce<Octets>(sum, this.#past.get(sa) ?? NONE);
  }

  gone(sa: IkeSaId): void {
    this.#children.delete(sa);
    this.#past.delete(sa);
  }
}

function sum(a: Octets, b: Octets): Octets {
  return { inboundBytes: a.inboundBytes + b.inboundBytes, outboundBytes: a.outboundBytes + b.outboundBytes };
}

const NONE: Octets = { inboundBytes: 0, outboundBytes: 0 };
