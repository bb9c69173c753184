/**
 * One IKE SA: its keys, its windows, its timers and the plumbing that every exchange shares.
 *
 * What the exchanges mean stands beside this file (initiator, responder, child, rekey, informational); this one knows
 * how a message gets onto the wire, is repeated, answered once and remembered (RFC 7296 2.1-2.3).
 */
import { type Bytes, copyOf, EMPTY } from "../../bytes/bytes.ts";
import type { ChildSaId, EspSpi, UdpAddress } from "../../esp/dataPlane.ts";
import type { Clock, Random } from "../../sim/environment.ts";
import { describePayload } from "../codec/describe.ts";
import { encodeMessage, encodePayloads } from "../codec/encode.ts";
import { type IkeHeader, type IkeSpi, NO_SPI, type Payload } from "../codec/message.ts";
import { Encr, ExchangeType, type NotifyType } from "../codec/numbers.ts";
import type { Reassembly } from "../crypto/fragments.ts";
import type { IkeKeys } from "../crypto/kdf.ts";
import { ivLength, protectedLength, protectFragments, protectMessage, type SenderRole } from "../crypto/protect.ts";
import type { IkeSuite } from "../crypto/suite.ts";
import type { Connection } from "./connection.ts";
import type { CloseCause, Effect, IkeRefusal, IkeSaId, PeerIdentity, Request } from "./effects.ts";
import type { ChildSa, IkeSaState, Intent, Outgoing, Sent, TimerKind } from "./state.ts";

/** What an IKE SA needs of the endpoint that holds it. */
export interface SaHost {
  readonly clock: Clock;
  readonly random: Random;
  /** Emits `message` events for every message; costs a description of each. */
  readonly trace: boolean;
  /** Emits `keys` events; only for captures that a person asked for. */
  readonly exportKeys: boolean;
  emit(effect: Effect): void;
  newSpi(): IkeSpi;
  newEspSpi(): EspSpi;
  newChildId(): ChildSaId;
  /** Adds an IKE SA that rekeying made. */
  adopt(make: (id: IkeSaId) => IkeSa): IkeSa;
  find(id: IkeSaId): IkeSa | undefined;
  /** Starts what waits in another IKE SA than the one that is being acted on. */
  poke(sa: IkeSa): void;
  /** Takes a closed IKE SA out of all tables. */
  release(sa: IkeSa): void;
  /** Tells that an IKE SA became established, so that older ones of the same peer go (TS 33.320 A.1-9). */
  announce(sa: IkeSa, peer: PeerIdentity): void;
}

/** Outer addresses of an IKE SA; `natT` once it has moved to the NAT traversal port (RFC 7296 2.23). */
export interface Path {
  local: UdpAddress;
  remote: UdpAddress;
  natT: boolean;
  /** Ports to move to when a NAT is found. */
  natPorts: { local: number; remote: number };
}

/** Intents that may wait for the window; more than these is a fault of our own. */
const MAX_QUEUE = 16;

export class IkeSa {
  readonly id: IkeSaId;
  readonly host: SaHost;
  readonly connection: Connection;
  /** True if we began this IKE SA (the I flag of what we send); rekeying by the peer turns it round. */
  readonly initiator: boolean;
  /** True if we began the first IKE SA of this line: the device's side. */
  readonly originalInitiator: boolean;
  initiatorSpi: IkeSpi;
  responderSpi: IkeSpi;
  path: Path;
  suite: IkeSuite | undefined;
  keys: IkeKeys | undefined;
  nat = { local: false, remote: false };
  peerFragments = false;
  /** Made by a rekeying of the peer's that crosses ours, and not yet known to be the one that counts (RFC 7296 2.8.2). */
  contending = false;
  peerHashes: readonly number[] = [];
  /** CAs the peer trusts, from its CERTREQ (RFC 7296 3.7). */
  peerCas: readonly Bytes[] = [];
  /** The peer asked for our OCSP status in-band (RFC 4806 3.1). */
  peerAsksOcsp: { responderHashes: readonly Bytes[] } | undefined;
  state: IkeSaState;
  outgoing: Outgoing | undefined;
  queue: Intent[] = [];
  /** The request being answered, which a repetition must not start again. */
  answering: { exchangeType: number; messageId: number } | undefined;
  reassembly: Reassembly | undefined;
  children = new Map<ChildSaId, ChildSa>();
  timers = new Map<TimerKind, number>();
  lastHeard: number;
  createdAt: number;
  retries = 0;
  /** Key of the half-open table while this IKE SA stands in it. */
  halfOpenKey: string | undefined;
  /** Key of the table of peers while this IKE SA stands in it. */
  peerKey: string | undefined;

  #nextRequestId = 0;
  #expectedRequestId = 0;
  #lastResponse: { messageId: number; packets: readonly Bytes[] } | undefined;
  #pendingRequest = 0;
  #ivCounter = 0n;

  constructor(init: {
    id: IkeSaId;
    host: SaHost;
    connection: Connection;
    initiator: boolean;
    originalInitiator: boolean;
    initiatorSpi: IkeSpi;
    responderSpi: IkeSpi;
    path: Path;
    state: IkeSaState;
  }) {
    this.id = init.id;
    this.host = init.host;
    this.connection = init.connection;
    this.initiator = init.initiator;
    this.originalInitiator = init.originalInitiator;
    this.initiatorSpi = init.initiatorSpi;
    this.responderSpi = init.responderSpi;
    this.path = init.path;
    this.state = init.state;
    this.lastHeard = init.host.clock.now();
    this.createdAt = this.lastHeard;
  }

  get ownSpi(): IkeSpi {
    return this.initiator ? this.initiatorSpi : this.responderSpi;
  }

  /** The peer's proven identity, once there is one. */
  get peer(): PeerIdentity | undefined {
    const { state } = this;
    if ("peer" in state) return state.peer;
    if ("first" in state) return state.first.peer;
    return "round" in state ? state.round.peer : undefined;
  }

  get isClosed(): boolean {
    return this.state.kind === "Closed";
  }

  get expectedRequestId(): number {
    return this.#expectedRequestId;
  }

  now(): number {
    return this.host.clock.now();
  }

  // ---- requests of ours ----

  /** Queues an intent unless the same one already waits. */
  enqueue(intent: Intent): void {
    const same = (other: Intent) =>
      other.kind === intent.kind &&
      (intent.kind !== "createChild" || (other as typeof intent).replaces === intent.replaces) &&
      (intent.kind !== "deleteChild" || (other as typeof intent).child === intent.child);
    if (this.queue.some(same)) return;
    if (this.queue.length < MAX_QUEUE) this.queue.push(intent);
  }

  /** Sends a request and keeps it until its response comes (RFC 7296 2.1). */
  sendRequest(exchangeType: number, payloads: readonly Payload[], sent: Sent): readonly Bytes[] {
    const messageId = this.#nextRequestId++;
    const header = this.#header(exchangeType, messageId, false);
    const packets = this.#pack(header, payloads);
    this.outgoing = { sent, messageId, packets, attempts: 1 };
    this.#transmit(packets);
    this.#traceSent(header, payloads, packets);
    this.#armRetransmission(1);
    return packets;
  }

  /** Starts message ids over, for an IKE_SA_INIT that is tried again with a cookie or another group (RFC 7296 2.6). */
  restartRequests(): void {
    this.#nextRequestId = 0;
    this.endOutgoing();
  }

  endOutgoing(): void {
    this.outgoing = undefined;
    this.timers.delete("retransmit");
  }

  /** Sends the outstanding request again; false once all tries are used up. */
  retransmit(): boolean {
    const outgoing = this.outgoing;
    if (outgoing === undefined) return true;
    if (outgoing.attempts >= this.connection.retransmission.tries) return false;
    outgoing.attempts += 1;
    this.#transmit(outgoing.packets);
    this.host.emit({
      kind: "event",
      event: { kind: "retransmission", sa: this.id, messageId: outgoing.messageId, attempt: outgoing.attempts },
    });
    this.#armRetransmission(outgoing.attempts);
    return true;
  }

  // ---- requests of the peer's ----

  /** Whether a request is the next one, a repetition of the last one, or neither (RFC 7296 2.2). */
  classifyRequest(messageId: number): "new" | "repeated" | "inProgress" | "stray" {
    if (messageId === this.#expectedRequestId) return this.answering === undefined ? "new" : "inProgress";
    return this.#lastResponse?.messageId === messageId ? "repeated" : "stray";
  }

  repeatResponse(): void {
    if (this.#lastResponse !== undefined) this.#transmit(this.#lastResponse.packets);
  }

  /** Answers the request in `answering` and remembers the answer until the next request (RFC 7296 2.1). */
  sendResponse(payloads: readonly Payload[]): readonly Bytes[] {
    const answering = this.answering;
    if (answering === undefined) throw new Error("no request to answer: the exchange's state machine is at fault");
    const header = this.#header(answering.exchangeType, answering.messageId, true);
    const packets = this.#pack(header, payloads);
    // Copies of their own: a piece of Node's shared pool would keep kilobytes more alive until the next request.
    this.#lastResponse = { messageId: answering.messageId, packets: packets.map(copyOf) };
    this.#expectedRequestId = answering.messageId + 1;
    this.answering = undefined;
    this.#transmit(packets);
    this.#traceSent(header, payloads, packets);
    return packets;
  }

  // ---- the shell's answers ----

  ask(request: Request): void {
    this.#pendingRequest += 1;
    this.host.emit({ kind: "request", sa: this.id, requestId: this.#pendingRequest, request });
  }

  /** True if `requestId` is the question still open; it is closed by this call. */
  takeAnswer(requestId: number): boolean {
    if (requestId !== this.#pendingRequest) return false;
    this.#pendingRequest += 1;
    return true;
  }

  // ---- keys, timers, end ----

  useKeys(suite: IkeSuite, keys: IkeKeys): void {
    this.suite = suite;
    this.keys = keys;
    if (this.host.exportKeys) {
      this.host.emit({
        kind: "event",
        event: { kind: "keys", initiatorSpi: this.initiatorSpi, responderSpi: this.responderSpi, suite, keys },
      });
    }
  }

  /** Forgets what only authentication needed: SK_p*, raw copies of the other keys, the CAs that the peer named. */
  forgetAuthentication(): void {
    const { keys } = this;
    if (keys !== undefined) this.keys = { ...keys, ai: EMPTY, ar: EMPTY, ei: EMPTY, er: EMPTY, pi: EMPTY, pr: EMPTY };
    this.peerCas = [];
    this.peerAsksOcsp = undefined;
  }

  arm(timer: TimerKind, delay: number): void {
    this.timers.set(timer, this.now() + delay);
  }

  /** Earliest moment at which this IKE SA wants to be woken; Infinity for never. */
  nextDeadline(): number {
    let earliest = Number.POSITIVE_INFINITY;
    for (const at of this.timers.values()) if (at < earliest) earliest = at;
    for (const child of this.children.values()) {
      if (child.phase === "installed" && child.rekeyAt < earliest) earliest = child.rekeyAt;
      if (child.expireAt < earliest) earliest = child.expireAt;
    }
    return earliest;
  }

  /** Refuses the peer before the IKE SA was established, and forgets it. */
  fail(refusal: IkeRefusal): void {
    const peer = this.peer;
    this.#dismantle();
    this.host.emit({ kind: "event", event: { kind: "failed", sa: this.id, peer, refusal, remote: this.path.remote } });
  }

  /** Ends an established IKE SA and all its CHILD SAs, and forgets it. */
  close(cause: CloseCause): void {
    if (this.isClosed) return;
    const peer = this.peer;
    this.#dismantle();
    this.host.emit({ kind: "event", event: { kind: "closed", sa: this.id, peer, cause } });
  }

  removeChild(child: ChildSa): void {
    if (!this.children.delete(child.id)) return;
    this.host.emit({ kind: "removeChild", sa: this.id, child: child.id });
    this.host.emit({ kind: "event", event: { kind: "childRemoved", sa: this.id, child: child.id } });
  }

  /** Whose side sends: the original initiator of this IKE SA or its responder (RFC 7296 2.14). */
  get sendingRole(): SenderRole {
    return this.initiator ? "initiator" : "responder";
  }

  get peerRole(): SenderRole {
    return this.initiator ? "responder" : "initiator";
  }

  nonce(): Bytes {
    return this.host.random.bytes(NONCE_LENGTH);
  }

  #dismantle(): void {
    // A successor that the peer began and that nobody has moved into goes too.
    const sent = this.outgoing?.sent;
    const orphan =
      sent?.kind === "rekeyIke" && sent.collision !== undefined && this.state.kind !== "Rekeyed"
        ? sent.collision.theirs
        : undefined;
    if (orphan !== undefined) this.host.find(orphan)?.close("rekeyed");
    for (const child of [...this.children.values()]) this.removeChild(child);
    this.timers.clear();
    this.queue = [];
    this.outgoing = undefined;
    this.#pendingRequest += 1;
    this.state = { kind: "Closed" };
    this.host.release(this);
  }

  #header(exchangeType: number, messageId: number, response: boolean): IkeHeader {
    return {
      initiatorSpi: this.initiatorSpi,
      responderSpi: this.responderSpi,
      exchangeType,
      fromInitiator: this.initiator,
      response,
      messageId,
    };
  }

  #pack(header: IkeHeader, payloads: readonly Payload[]): readonly Bytes[] {
    if (header.exchangeType === ExchangeType.IKE_SA_INIT) {
      return [encodeMessage(header.response ? header : { ...header, responderSpi: NO_SPI }, payloads)];
    }
    const { suite, keys } = this;
    if (suite === undefined || keys === undefined)
      throw new Error("no keys yet: the exchange's state machine is at fault");
    const content = encodePayloads(payloads);
    const limit =
      this.connection.fragmentSize - (this.path.remote.address.includes(":") ? 48 : 28) - (this.path.natT ? 4 : 0);
    const fits = protectedLength(suite, content.bytes.length) <= limit;
    if (this.connection.fragmentSize === 0 || !this.peerFragments || fits) {
      return [protectMessage(header, content, suite, keys, this.sendingRole, this.#iv(suite))];
    }
    return protectFragments(header, content, suite, keys, this.sendingRole, () => this.#iv(suite), limit);
  }

  /** AES-GCM must never see an IV twice (RFC 5282 3.1): a counter. CBC needs one nobody can foretell: random. */
  #iv(suite: IkeSuite): Bytes {
    const length = ivLength(suite);
    if (suite.encr.id !== Encr.AES_GCM_16) return this.host.random.bytes(length);
    const iv = Buffer.allocUnsafe(length);
    iv.writeBigUInt64BE(this.#ivCounter++);
    return iv;
  }

  #transmit(packets: readonly Bytes[]): void {
    const { local, remote, natT } = this.path;
    for (const packet of packets) this.host.emit({ kind: "send", packet, from: local, to: remote, natT });
  }

  #traceSent(header: IkeHeader, payloads: readonly Payload[], packets: readonly Bytes[]): void {
    if (!this.host.trace) return;
    const bytes = packets.reduce((sum, packet) => sum + packet.length, 0);
    const { local, remote } = this.path;
    this.host.emit({
      kind: "event",
      event: {
        kind: "message",
        sa: this.id,
        direction: "sent",
        header,
        payloads: payloads.map(describePayload),
        fragments: packets.length,
        bytes,
        local,
        remote,
      },
    });
  }

  #armRetransmission(attempt: number): void {
    const { initial, factor } = this.connection.retransmission;
    const base = initial * factor ** (attempt - 1);
    // Up to 10 % later, so that a fleet that lost its gateway does not come back in step.
    this.arm("retransmit", base + (base * this.host.random.bytes(1)[0]!) / 2560);
  }
}

/** Octets of a nonce: at least half the PRF's key size for every PRF here (RFC 7296 2.10). */
const NONCE_LENGTH = 32;

/** A Notify payload that belongs to no SA in particular. */
export function notify(type: (typeof NotifyType)[keyof typeof NotifyType], data: Bytes = Buffer.alloc(0)): Payload {
  return { kind: "N", protocol: 0, spi: Buffer.alloc(0), type, data };
}
