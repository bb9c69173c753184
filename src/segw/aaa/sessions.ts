/**
 * AAA sessions of attached devices, one an IKE SA and its successors: from authorization through the hosting party's EAP
 * and accounting to the end, whoever brings that about (TS 33.320 7.x, A.2; TS 29.273 7.2.2).
 */
import type { Bytes } from "../../bytes/bytes.ts";
import type { ChildSaUsage } from "../../esp/dataPlane.ts";
import type { EapRelayed, IkeSaId, PeerIdentity } from "../../ike/sa/effects.ts";
import type { Clock, Milliseconds, Random, Timers } from "../../sim/environment.ts";
import type { PeerRefusal } from "../../tre/trustedEnvironment.ts";
import type { AaaClient, AaaGrant, AaaSession, DeviceAuthorization } from "./client.ts";

export interface AaaSessionsOptions {
  client: AaaClient;
  /** In front of each session's name: Diameter's is "host;high;low" (RFC 6733 8.8). */
  name: string;
  clock: Clock;
  random: Random;
  timers: Timers;
  /** What a session's tunnels have carried so far. */
  usageOf(sa: IkeSaId): Pick<ChildSaUsage, "inboundBytes" | "outboundBytes">;
  /** The server wants it ended, or its time is over. */
  onEnd(sa: IkeSaId, cause: "detachedByAaa" | "sessionTimeout"): void;
}

interface Kept {
  session: AaaSession;
  grant: AaaGrant;
  startedAt: number | undefined;
  cancelTimeout: () => void;
}

export class AaaSessions {
  readonly #options: AaaSessionsOptions;
  readonly #bySa = new Map<IkeSaId, Kept>();
  readonly #byName = new Map<string, IkeSaId>();
  readonly #ending = new Set<Promise<void>>();
  #count = 0;

  constructor(options: AaaSessionsOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#bySa.size;
  }

  /** Begins a session for a device that has proved who it is. */
  begin(sa: IkeSaId, device: string, from: string): void {
    const { name, random } = this.#options;
    this.#count += 1;
    // RFC 6733 8.8: unique also after a restart, which the random part sees to.
    const id = `${name};${random.bytes(4).readUInt32BE()};${this.#count}`;
    const session: AaaSession = { id, device, from, party: undefined, context: {} };
    this.#bySa.set(sa, { session, grant: {}, startedAt: undefined, cancelTimeout: () => undefined });
    this.#byName.set(id, sa);
  }

  /** Asks whether the device may connect (7.x-1). */
  async authorize(sa: IkeSaId): Promise<DeviceAuthorization> {
    const kept = this.#bySa.get(sa);
    if (kept === undefined) return { kind: "refused", refusal: NO_SESSION };
    const answer = await this.#options.client.authorize(kept.session);
    if (answer.kind === "accepted") kept.grant = { ...kept.grant, ...answer.grant };
    return answer;
  }

  /** Passes a packet of the hosting party's on. */
  async relay(sa: IkeSaId, party: PeerIdentity, packet: Bytes | undefined): Promise<EapRelayed | PeerRefusal> {
    const kept = this.#bySa.get(sa);
    if (kept === undefined) return NO_SESSION;
    kept.session.party = party.text;
    const { answer, grant } = await this.#options.client.eap(kept.session, packet);
    kept.grant = { ...kept.grant, ...grant };
    return answer;
  }

  /** The inner address that the server assigns, if it does. */
  addressOf(sa: IkeSaId): string | undefined {
    return this.#bySa.get(sa)?.grant.address;
  }

  /** The device is attached: accounting and the session's time begin. */
  attached(sa: IkeSaId, address: string | undefined): void {
    const kept = this.#bySa.get(sa);
    if (kept === undefined) return;
    const { clock, client } = this.#options;
    kept.startedAt = clock.now();
    client.started(kept.session, address);
    this.#armTimeout(sa, kept);
  }

  /** Rekeying has put one IKE SA in the place of another. */
  transfer(from: IkeSaId, to: IkeSaId): void {
    const kept = this.#bySa.get(from);
    if (kept === undefined) return;
    this.#bySa.delete(from);
    this.#bySa.set(to, kept);
    this.#byName.set(kept.session.id, to);
    kept.cancelTimeout();
    this.#armTimeout(to, kept);
  }

  /** The IKE SA is gone or was never established. */
  gone(sa: IkeSaId, cause: string): void {
    const kept = this.#bySa.get(sa);
    if (kept === undefined) return;
    this.#bySa.delete(sa);
    this.#byName.delete(kept.session.id);
    kept.cancelTimeout();
    const { clock, client, usageOf } = this.#options;
    const { inboundBytes, outboundBytes } = usageOf(sa);
    const seconds = kept.startedAt === undefined ? 0 : Math.round((clock.now() - kept.startedAt) / 1000);
    const told = client.ended(kept.session, { cause, seconds, inputOctets: inboundBytes, outputOctets: outboundBytes });
    this.#ending.add(told);
    void told.finally(() => this.#ending.delete(told));
  }

  /** The server ends a session; false if there is none of that name. */
  detach(name: string): boolean {
    const sa = this.#byName.get(name);
    if (sa === undefined) return false;
    this.#options.onEnd(sa, "detachedByAaa");
    return true;
  }

  /** Resolves once the server was told of every end, or could not be within `limit`. */
  async close(limit: Milliseconds): Promise<void> {
    await new Promise<void>((resolve) => {
      const cancel = this.#options.timers.after(limit, resolve);
      void Promise.allSettled(this.#ending).then(() => {
        cancel();
        resolve();
      });
    });
    await this.#options.client.close();
  }

  #armTimeout(sa: IkeSaId, kept: Kept): void {
    const { sessionTimeout } = kept.grant;
    if (sessionTimeout === undefined || kept.startedAt === undefined) return;
    const { timers, clock, onEnd } = this.#options;
    const left = kept.startedAt + sessionTimeout * 1000 - clock.now();
    kept.cancelTimeout = timers.after(Math.max(0, left), () => onEnd(sa, "sessionTimeout"));
  }
}

const NO_SESSION: PeerRefusal = { reason: "NoAaaSession", message: "the device has left meanwhile" };
