/**
 * AAA sessions of attached devices, one an IKE SA and its successors: from authorization through the hosting party's EAP
 * and accounting to the end, whoever brings that about (TS 33.320 7.x, A.2; TS 29.273 7.2.2).
 */
import type { Bytes } from "../../bytes/bytes.ts";
import type { ChildSaUsage } from "../../esp/dataPlane.ts";
import type { EapRelayed, IkeSaId, PeerIdentity } from "../../ike/sa/effects.ts";
import type { Clock, Milliseconds, Random, Timers } from "../../sim/environment.ts";
import type { PeerRefusal } from "../../tre/trustedEnvironment.ts";
import type { AaaChange, AaaClient, AaaGrant, AaaProfile, AaaSession, DeviceAuthorization } from "./client.ts";

export interface AaaSessionsOptions {
  client: AaaClient;
  /** In front of each session's name: Diameter's is "host;high;low" (RFC 6733 8.8). */
  name: string;
  clock: Clock;
  random: Random;
  timers: Timers;
  /** What a session's tunnels have carried so far. */
  usageOf(sa: IkeSaId): Pick<ChildSaUsage, "inboundBytes" | "outboundBytes">;
  /** Whether there is a filter of that name here. */
  hasFilter(name: string): boolean;
  /** The server wants it ended, or its time is over. */
  onEnd(sa: IkeSaId, cause: "detachedByAaa" | "sessionTimeout"): void;
  /** A device is attached, with that profile; `party` is the hosting party's name, where there is one. */
  onGranted(sa: IkeSaId, device: string, party: string | undefined, profile: AaaProfile): void;
  /** What an attached device is granted has changed; `filterChanged` if the data plane is to know. */
  onChanged(sa: IkeSaId, device: string, grant: AaaGrant, filterChanged: boolean): void;
  /** Hears why a session that was to be authorized anew was not. */
  onProblem(message: string): void;
}

interface Kept {
  session: AaaSession;
  secondRound: AaaProfile["secondRound"];
  grant: AaaGrant;
  startedAt: Milliseconds | undefined;
  /** The server keeps a session of that name. */
  authorized: boolean;
  /** Since when the grant's `sessionTimeout` counts, of a device that is attached. */
  timedFrom: Milliseconds;
  cancelTimeout: () => void;
  /** A re-authorization is under way, or one more is to follow it. */
  reauthorizing: "no" | "once" | "again";
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
    const session: AaaSession = { id, device, from, party: undefined, addresses: [], user: undefined, context: {} };
    const idle = {
      secondRound: "allowed",
      startedAt: undefined,
      authorized: false,
      timedFrom: 0,
      cancelTimeout: () => undefined,
      reauthorizing: "no",
    } as const;
    this.#bySa.set(sa, { session, grant: {}, ...idle });
    this.#byName.set(id, sa);
  }

  /** Asks whether the device may connect (7.x-1). */
  async authorize(sa: IkeSaId): Promise<DeviceAuthorization> {
    const kept = this.#bySa.get(sa);
    if (kept === undefined) return { kind: "refused", refusal: NO_SESSION };
    const answer = await this.#options.client.authorize(kept.session);
    if (answer.kind === "refused") return answer;
    kept.authorized = true;
    kept.secondRound = answer.secondRound;
    const refusal = this.#cannotApply(answer.grant, kept.session.device);
    if (refusal !== undefined) return { kind: "refused", refusal };
    kept.grant = { ...kept.grant, ...answer.grant };
    return answer;
  }

  /** Passes a packet of the hosting party's on. */
  async relay(sa: IkeSaId, party: PeerIdentity, packet: Bytes | undefined): Promise<EapRelayed | PeerRefusal> {
    const kept = this.#bySa.get(sa);
    if (kept === undefined) return NO_SESSION;
    kept.session.party = party.text;
    const { answer, grant } = await this.#options.client.eap(kept.session, packet);
    // A server that refuses forgets; one that gave no answer may not have.
    if (answer.kind !== "failure") kept.authorized = true;
    else if (answer.refusal.reason !== "AaaUnreachable") kept.authorized = false;
    const refusal = this.#cannotApply(grant, party.text);
    if (refusal !== undefined) return { kind: "failure", packet: undefined, refusal };
    kept.grant = { ...kept.grant, ...grant };
    return answer;
  }

  /** The inner addresses that the server assigns; none if it leaves that to the pool. */
  addressesOf(sa: IkeSaId): readonly string[] {
    return this.#bySa.get(sa)?.grant.addresses ?? [];
  }

  /** The filter that is upon the session, if there is one. */
  filterOf(sa: IkeSaId): string | undefined {
    return this.#bySa.get(sa)?.grant.filter;
  }

  /** A session by its name, as a server that wants to change it needs it. */
  sessionOf(name: string): AaaSession | undefined {
    const sa = this.#byName.get(name);
    return sa === undefined ? undefined : this.#bySa.get(sa)?.session;
  }

  /** The device is attached: accounting and the session's time begin. */
  attached(sa: IkeSaId, addresses: readonly string[]): void {
    const kept = this.#bySa.get(sa);
    if (kept === undefined) return;
    const { clock, client, onGranted } = this.#options;
    const { session, secondRound, grant } = kept;
    kept.startedAt = clock.now();
    kept.timedFrom = kept.startedAt;
    session.addresses = addresses;
    client.started(session);
    onGranted(sa, session.device, session.user ?? session.party, { secondRound, ...grant });
    this.#armTimeout(sa, kept);
  }

  /** Rekeying has put one IKE SA in the place of another. */
  transfer(from: IkeSaId, to: IkeSaId): void {
    const kept = this.#bySa.get(from);
    if (kept === undefined) return;
    this.#bySa.delete(from);
    this.#bySa.set(to, kept);
    this.#byName.set(kept.session.id, to);
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
    const { session, authorized, startedAt } = kept;
    const told = client.ended(session, {
      accounted: startedAt !== undefined,
      authorized,
      cause,
      seconds,
      inputOctets: inboundBytes,
      outputOctets: outboundBytes,
    });
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

  /** The server changes a session that stands (RFC 5176 3.2): all that it says, or nothing. */
  change(name: string, change: AaaChange): "changed" | "UnknownSession" | "UnknownFilter" {
    const sa = this.#byName.get(name);
    const kept = sa === undefined ? undefined : this.#bySa.get(sa);
    if (sa === undefined || kept?.startedAt === undefined) return "UnknownSession";
    if (this.#cannotApply(change, kept.session.device) !== undefined) return "UnknownFilter";
    this.#apply(sa, kept, { ...kept.grant, ...change }, change.sessionTimeout !== undefined);
    return "changed";
  }

  /** The server wants a session authorized anew (TS 29.273 7.2.2.4); false if there is none of that name that stands. */
  reauthorize(name: string): boolean {
    const sa = this.#byName.get(name);
    const kept = sa === undefined ? undefined : this.#bySa.get(sa);
    if (kept?.startedAt === undefined) return false;
    if (kept.reauthorizing !== "no") kept.reauthorizing = "again";
    else void this.#reauthorize(name, kept);
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

  async #reauthorize(name: string, kept: Kept): Promise<void> {
    do {
      kept.reauthorizing = "once";
      const answer = await this.#options.client.authorize(kept.session);
      // It may have been rekeyed, or have ended, meanwhile.
      const sa = this.#byName.get(name);
      if (sa === undefined) return;
      this.#onReauthorized(sa, kept, answer);
      // `reauthorize` may have been called while the server was asked, which the type checker cannot see.
    } while ((kept.reauthorizing as Kept["reauthorizing"]) === "again");
    kept.reauthorizing = "no";
  }

  #onReauthorized(sa: IkeSaId, kept: Kept, answer: DeviceAuthorization): void {
    const { onEnd, onProblem } = this.#options;
    const { device, party } = kept.session;
    const end = (why: string) => {
      onProblem(`${device} was authorized anew and is sent away: ${why}`);
      onEnd(sa, "detachedByAaa");
    };
    if (answer.kind === "refused") {
      // Nobody has said no; the session's own time limits how long that may last.
      if (answer.refusal.reason === "AaaUnreachable")
        return onProblem(`${device} could not be authorized anew: ${answer.refusal.message}`);
      return end(answer.refusal.message);
    }
    if (answer.secondRound === "required" && party === undefined) return end("it now needs a hosting party (A.1-4)");
    const refusal = this.#cannotApply(answer.grant, device);
    if (refusal !== undefined) return end(refusal.message);
    // An inner address stays as long as the tunnel; what else the server does not name any more is taken back.
    const { addresses } = kept.grant;
    this.#apply(sa, kept, { ...answer.grant, ...(addresses === undefined ? {} : { addresses }) }, true);
  }

  /** `timed`: the session's time begins anew. */
  #apply(sa: IkeSaId, kept: Kept, grant: AaaGrant, timed: boolean): void {
    const filterChanged = kept.grant.filter !== grant.filter;
    if (timed) kept.timedFrom = this.#options.clock.now();
    kept.grant = grant;
    this.#armTimeout(sa, kept);
    this.#options.onChanged(sa, kept.session.device, grant, filterChanged);
  }

  /** A filter that is not known here cannot be put upon a device, and without it the device would reach too much. */
  #cannotApply({ filter }: AaaChange, who: string): PeerRefusal | undefined {
    if (filter === undefined || this.#options.hasFilter(filter)) return undefined;
    return {
      reason: "UnknownFilter",
      message: `the AAA server puts filter "${filter}" upon ${who}, which is none of \`filters\` here`,
    };
  }

  #armTimeout(sa: IkeSaId, kept: Kept): void {
    kept.cancelTimeout();
    const { sessionTimeout } = kept.grant;
    if (sessionTimeout === undefined || kept.startedAt === undefined) return;
    const { timers, clock, onEnd } = this.#options;
    const due = kept.timedFrom + sessionTimeout * 1000;
    // A timer goes off early where the time is longer than the system has timers for.
    const onTime = () => (clock.now() < due ? this.#armTimeout(sa, kept) : onEnd(sa, "sessionTimeout"));
    kept.cancelTimeout = timers.after(Math.max(0, due - clock.now()), onTime);
  }
}

const NO_SESSION: PeerRefusal = { reason: "NoAaaSession", message: "the device has left meanwhile" };
