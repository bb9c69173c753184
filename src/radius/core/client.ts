/**
 * The asking side of RADIUS, without a socket or a clock of its own: several servers in order, retransmission and
 * fail-over (RFC 2865 2.4 and 2.5, RFC 5080 2.2.1, RFC 6613 2.6).
 *
 * A server that lets a request run through all its retransmissions is left alone for a while. Each request ends exactly
 * once. Answers that cannot be believed are dropped, and the request goes on waiting: an attacker who guesses must not
 * end it.
 */
import { type Bytes, copyOf } from "../../bytes/bytes.ts";
import { DecodeError } from "../../bytes/reader.ts";
import type { Clock, Milliseconds, Random } from "../../sim/environment.ts";
import { type IntegrityProblem, sealRequest, verifyResponse } from "../codec/authenticators.ts";
import { mskOf } from "../codec/mppeKeys.ts";
import { Code } from "../codec/numbers.ts";
import { type Attribute, decodePacket, type RadiusPacket } from "../codec/packet.ts";

export type RadiusTransactionId = number & { readonly __brand: "RadiusTransactionId" };

export interface ServerSettings {
  name: string;
  secret: Bytes;
  /** TLS: nothing is sent twice on a connection (RFC 6613 2.6.1). */
  reliable: boolean;
}

export interface RadiusClientOptions {
  clock: Clock;
  random: Random;
  /** In the order in which they are asked. */
  servers: readonly ServerSettings[];
  timers?: Partial<RadiusClientTimers>;
  /** Sockets a server, each with its own 256 Identifiers. */
  channels?: number;
}

export interface RadiusClientTimers {
  /** IRT: until the first retransmission; each further wait is twice as long (RFC 5080 2.2.1). */
  first: Milliseconds;
  /** MRT: the longest wait. */
  longest: Milliseconds;
  /** Times that a request is sent to one server. */
  attempts: number;
  /** How long a server that did not answer is left alone while there is another. */
  deadTime: Milliseconds;
}

export type RadiusClientEffect =
  | { kind: "send"; server: number; channel: number; bytes: Bytes }
  | {
      kind: "answered";
      transaction: RadiusTransactionId;
      packet: RadiusPacket;
      server: number;
      /** From MS-MPPE-Recv-Key and MS-MPPE-Send-Key. */
      msk: Bytes | undefined;
    }
  | { kind: "unanswered"; transaction: RadiusTransactionId; reason: "Timeout" | "TooBusy"; message: string }
  | { kind: "event"; event: RadiusClientEvent };

export type RadiusClientEvent =
  | { kind: "serverSilent"; server: string }
  | { kind: "serverBack"; server: string }
  | { kind: "dropped"; reason: "Malformed" | "UnexpectedAnswer" | IntegrityProblem; server: string };

interface Transaction {
  id: RadiusTransactionId;
  code: number;
  attributes: readonly Attribute[];
  /** Its conversation lives on that server alone. */
  only: number | undefined;
  tried: Set<number>;
  server: number;
  channel: number;
  identifier: number;
  authenticator: Bytes;
  bytes: Bytes;
  attempts: number;
  wait: Milliseconds;
  due: Milliseconds;
}

export class RadiusClient {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #servers: readonly ServerSettings[];
  readonly #timers: RadiusClientTimers;
  readonly #channels: number;
  /** By server, channel and Identifier. */
  readonly #open = new Map<number, Transaction>();
  /** Servers left alone, and until when. */
  readonly #silent = new Map<number, Milliseconds>();
  readonly #nextIdentifier: number[];
  /** No transaction is due before it; looked for anew by `advance` only. */
  #due = Number.POSITIVE_INFINITY;
  #nextId = 1;
  #effects: RadiusClientEffect[] = [];

  constructor({ clock, random, servers, timers, channels = 16 }: RadiusClientOptions) {
    this.#clock = clock;
    this.#random = random;
    this.#servers = servers;
    this.#timers = { ...TIMERS, ...timers };
    this.#channels = channels;
    this.#nextIdentifier = servers.map(() => random.bytes(1)[0]!);
  }

  /** Sends a request; `answered` or `unanswered` follows exactly once. `only` names the one server that may have it. */
  request(
    code: number,
    attributes: readonly Attribute[],
    only?: number,
  ): { transaction: RadiusTransactionId; effects: RadiusClientEffect[] } {
    const transaction = this.#nextId++ as RadiusTransactionId;
    this.#start({ id: transaction, code, attributes, only, tried: new Set() });
    return { transaction, effects: this.#takeEffects() };
  }

  /** A packet from a server, on the channel that its request took. */
  received(server: number, channel: number, bytes: Bytes): RadiusClientEffect[] {
    const { name, secret } = this.#servers[server]!;
    const drop = (reason: (RadiusClientEvent & { kind: "dropped" })["reason"]) => {
      this.#effects.push({ kind: "event", event: { kind: "dropped", reason, server: name } });
      return this.#takeEffects();
    };
    let packet: RadiusPacket;
    try {
      packet = decodePacket(bytes);
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      return drop("Malformed");
    }
    const key = this.#key(server, channel, packet.identifier);
    const transaction = this.#open.get(key);
    if (transaction === undefined || !answers(transaction.code, packet.code)) return drop("UnexpectedAnswer");
    const whole = bytes.subarray(0, bytes.readUInt16BE(2));
    const problem = verifyResponse(whole, transaction.authenticator, secret);
    if (problem !== undefined) return drop(problem);
    this.#open.delete(key);
    if (this.#silent.delete(server)) this.#effects.push({ kind: "event", event: { kind: "serverBack", server: name } });
    const { id, authenticator } = transaction;
    const msk = packet.code === Code.AccessAccept ? mskOf(packet, secret, authenticator) : undefined;
    this.#effects.push({ kind: "answered", transaction: id, packet, server, msk });
    return this.#takeEffects();
  }

  /** The connection of a channel is gone, and with it the requests it carried: they go to another server. */
  lost(server: number, channel: number): RadiusClientEffect[] {
    for (const [key, transaction] of [...this.#open]) {
      if (transaction.server !== server || transaction.channel !== channel) continue;
      this.#open.delete(key);
      this.#giveUp(transaction);
    }
    return this.#takeEffects();
  }

  /** Does what is due; to be called when `nextDeadline` has come. */
  advance(): RadiusClientEffect[] {
    const now = this.#clock.now();
    if (now < this.#due) return this.#takeEffects();
    for (const [key, transaction] of [...this.#open]) {
      if (transaction.due > now) continue;
      if (!this.#servers[transaction.server]!.reliable && transaction.attempts < this.#timers.attempts) {
        transaction.attempts += 1;
        transaction.wait = Math.min(transaction.wait * 2, this.#timers.longest);
        transaction.due = now + this.#jittered(transaction.wait);
        // The same octets: Identifier and authenticator say that it is the same request (RFC 2865 2.5).
        const { server, channel, bytes } = transaction;
        this.#effects.push({ kind: "send", server, channel, bytes });
      } else {
        this.#open.delete(key);
        this.#giveUp(transaction);
      }
    }
    this.#due = Number.POSITIVE_INFINITY;
    for (const { due } of this.#open.values()) this.#due = Math.min(this.#due, due);
    return this.#takeEffects();
  }

  /** When `advance` may have something to do; Infinity for never. */
  nextDeadline(): Milliseconds {
    return this.#open.size === 0 ? Number.POSITIVE_INFINITY : this.#due;
  }

  /** Requests without an answer yet. */
  get waiting(): number {
    return this.#open.size;
  }

  #start(start: Pick<Transaction, "id" | "code" | "attributes" | "only" | "tried">): void {
    const server = start.only ?? this.#choose(start.tried);
    const place = server === undefined || start.tried.has(server) ? undefined : this.#freeIdentifier(server);
    if (server === undefined || place === undefined) {
      const timeout = start.tried.size > 0;
      this.#effects.push({
        kind: "unanswered",
        transaction: start.id,
        reason: timeout ? "Timeout" : "TooBusy",
        message: timeout ? `no answer from ${this.#namesOf(start.tried)}` : "too many requests wait for answers",
      });
      return;
    }
    const authenticator = copyOf(this.#random.bytes(16));
    const { secret, reliable } = this.#servers[server]!;
    const bytes = sealRequest(start.code, place.identifier, start.attributes, secret, authenticator);
    const wait = reliable ? this.#timers.longest : this.#timers.first;
    const due = this.#clock.now() + this.#jittered(wait);
    this.#due = Math.min(this.#due, due);
    this.#open.set(this.#key(server, place.channel, place.identifier), {
      ...start,
      tried: start.tried.add(server),
      server,
      ...place,
      // What the request went out with; other codes than Access-Request computed their own (RFC 2866 3).
      authenticator: bytes.subarray(4, 20),
      bytes,
      attempts: 1,
      wait,
      due,
    });
    this.#effects.push({ kind: "send", server, channel: place.channel, bytes });
  }

  #giveUp(transaction: Transaction): void {
    const { server } = transaction;
    if (!this.#silent.has(server))
      this.#effects.push({ kind: "event", event: { kind: "serverSilent", server: this.#servers[server]!.name } });
    this.#silent.set(server, this.#clock.now() + this.#timers.deadTime);
    this.#start(transaction);
  }

  /** The first server that is not left alone; if all are, the one whose time is up first. */
  #choose(tried: ReadonlySet<number>): number | undefined {
    let best: { server: number; until: number } | undefined;
    for (let server = 0; server < this.#servers.length; server++) {
      if (tried.has(server)) continue;
      const until = this.#silent.get(server) ?? 0;
      if (until <= this.#clock.now()) return server;
      if (best === undefined || until < best.until) best = { server, until };
    }
    return best?.server;
  }

  #freeIdentifier(server: number): { channel: number; identifier: number } | undefined {
    const places = this.#channels * IDENTIFIERS;
    const from = this.#nextIdentifier[server]!;
    for (let step = 0; step < Math.min(places, MAX_STEPS); step++) {
      // All channels take turns only once the first one is full: a socket that is not needed is not opened.
      const place = (from + step) % places;
      const channel = Math.floor(place / IDENTIFIERS);
      const identifier = place % IDENTIFIERS;
      if (this.#open.has(this.#key(server, channel, identifier))) continue;
      const used = this.#open.size < IDENTIFIERS / 2 ? IDENTIFIERS : places;
      this.#nextIdentifier[server] = (place + 1) % used;
      return { channel, identifier };
    }
    return undefined;
  }

  #key(server: number, channel: number, identifier: number): number {
    return (server * this.#channels + channel) * IDENTIFIERS + identifier;
  }

  /** RFC 5080 2.2.1: RAND is from -0.1 to 0.1. */
  #jittered(wait: Milliseconds): Milliseconds {
    return wait * (0.9 + (0.2 * this.#random.bytes(2).readUInt16BE()) / 0xffff);
  }

  #namesOf(servers: ReadonlySet<number>): string {
    return [...servers].map((server) => this.#servers[server]!.name).join(" nor ");
  }

  #takeEffects(): RadiusClientEffect[] {
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }
}

/** Which codes answer which (RFC 2865 4, RFC 2866 4, RFC 5176 3, RFC 5997 4.1). */
function answers(request: number, response: number): boolean {
  switch (request) {
    case Code.AccessRequest:
      return response === Code.AccessAccept || response === Code.AccessReject || response === Code.AccessChallenge;
    case Code.AccountingRequest:
      return response === Code.AccountingResponse;
    case Code.StatusServer:
      return response === Code.AccessAccept || response === Code.AccountingResponse;
    default:
      return response === request + 1 || response === request + 2;
  }
}

const TIMERS: RadiusClientTimers = { first: 2_000, longest: 16_000, attempts: 3, deadTime: 60_000 };
const IDENTIFIERS = 256;
/** Places looked at before a request is refused; beyond it nearly all are taken. */
const MAX_STEPS = 1024;
