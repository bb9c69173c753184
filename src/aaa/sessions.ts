/**
 * Accepted sessions: who is attached through which gateway, and until when.
 *
 * One session is one small object, strings shared with what it came from where possible: a million of them must fit into
 * a machine. Sessions that are over without anybody saying so end by their timeout, since every session has one.
 */
import type { Milliseconds } from "../sim/environment.ts";
import type { AccessProfile } from "./profile.ts";

/** What an accepted session is granted. */
export interface Grant {
  profile: AccessProfile & { sessionTimeout: number };
  /** IMSI, after EAP. */
  subscriber: string | undefined;
}

/** The access side that a session came through, and how to speak to it again. */
export interface Gateway {
  /** Origin-Host, or the RADIUS client's name. */
  readonly name: string;
  /** ASR or Disconnect-Request: true if the gateway has ended the session, or has none such. */
  abort(session: Session): Promise<boolean>;
  /** RAR, after which the gateway asks anew; or CoA-Request with the grant itself. True if the gateway goes along. */
  reauthorize(session: Session, grant: Grant): Promise<boolean>;
  /** Whether what `abort` says of one session cannot be taken for the other, both being this gateway's. */
  tellsApart(one: Session, other: Session): boolean;
}

export interface Session {
  /** Session-Id, or what Class says to a RADIUS client. */
  readonly id: string;
  readonly gateway: Gateway;
  /** FQDN of the device, if the gateway named it. */
  device: string | undefined;
  /** The device's outer address, if the gateway said it. */
  from: string | undefined;
  /** IMSI of the hosting party, once it is authenticated. */
  subscriber: string | undefined;
  /** What RADIUS needs to name the session to the gateway; undefined for Diameter. */
  accountingId: string | undefined;
  since: Milliseconds;
  expires: Milliseconds;
}

export class Sessions {
  readonly #byId = new Map<string, Session>();
  readonly #byDevice = new Map<string, Session>();
  readonly #limit: number;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get size(): number {
    return this.#byId.size;
  }

  get(id: string): Session | undefined {
    return this.#byId.get(id);
  }

  all(): IterableIterator<Session> {
    return this.#byId.values();
  }

  /** False if there are too many already. */
  add(session: Session): boolean {
    if (this.#byId.size >= this.#limit && !this.#byId.has(session.id)) return false;
    this.#byId.set(session.id, session);
    return true;
  }

  /** The session that the same device had before, if it is another; from now on this one counts. */
  takePlace(session: Session): Session | undefined {
    if (session.device === undefined) return undefined;
    const older = this.#byDevice.get(session.device);
    this.#byDevice.set(session.device, session);
    return older === session || older === undefined || !this.#byId.has(older.id) ? undefined : older;
  }

  remove(id: string): Session | undefined {
    const session = this.#byId.get(id);
    if (session === undefined) return undefined;
    this.#byId.delete(id);
    if (session.device !== undefined && this.#byDevice.get(session.device) === session)
      this.#byDevice.delete(session.device);
    return session;
  }

  /** All that came through a gateway that has lost them (RFC 6733 8.16, RFC 2866 5.1 Accounting-On). */
  removeOf(gateway: string): Session[] {
    const gone = [...this.#byId.values()].filter((session) => session.gateway.name === gateway);
    for (const { id } of gone) this.remove(id);
    return gone;
  }

  /** Those whose time is up. */
  removeExpired(now: Milliseconds): Session[] {
    const gone = [...this.#byId.values()].filter(({ expires }) => expires <= now);
    for (const { id } of gone) this.remove(id);
    return gone;
  }
}
