/**
 * All IKE SAs of one UDP service, without a socket, a clock or a file of its own.
 *
 * Datagrams, times, answers and commands go in; effects come out, in the order in which they must be carried out. What
 * a stranger sends costs a bounded amount: half-open IKE SAs are counted, cookies are asked for above a threshold, and
 * no key is derived before a protected message arrives (RFC 7296 2.6).
 */
import type { Bytes } from "../bytes/bytes.ts";
import { DecodeError } from "../bytes/reader.ts";
import type { ChildSaId, EspSpi, PlaneEvent, UdpAddress } from "../esp/dataPlane.ts";
import type { Clock, Random } from "../sim/environment.ts";
import { identityKey } from "./auth/identity.ts";
import { type DecodedMessage, decodeMessage, decodePayloads, UnsupportedVersionError } from "./codec/decode.ts";
import { describePayload } from "./codec/describe.ts";
import { encodeMessage } from "./codec/encode.ts";
import { isFirstFragment, peekHeader, spiFromBytes } from "./codec/header.ts";
import { find, findNotify, type IkeHeader, type IkeSpi, NO_SPI, type Payload } from "./codec/message.ts";
import { ExchangeType, NotifyType } from "./codec/numbers.ts";
import { Reassembly } from "./crypto/fragments.ts";
import { openEncrypted } from "./crypto/protect.ts";
import { deleteChild } from "./sa/childExchange.ts";
import type { Connection } from "./sa/connection.ts";
import { CookieJar } from "./sa/cookie.ts";
import { Deadlines } from "./sa/deadlines.ts";
import { onAnswer, onRequest, onResponse, onTime, pump } from "./sa/dispatch.ts";
import type { Answer, CloseCause, DropReason, Effect, IkeSaId, PeerIdentity } from "./sa/effects.ts";
import { IkeSa, notify, type Path, type SaHost } from "./sa/ikeSa.ts";
import { sendInit } from "./sa/initiator.ts";
import { chooseIke } from "./sa/proposal.ts";
import { answerInit, deriveKeysLate, MAX_INIT_OCTETS } from "./sa/responder.ts";

export interface EndpointOptions {
  clock: Clock;
  random: Random;
  /** Answers IKE_SA_INIT under this connection; undefined refuses all requests. */
  responder: Connection | undefined;
  /** Half-open IKE SAs above which a cookie is asked for (RFC 7296 2.6). */
  cookieThreshold: number;
  /** Half-open IKE SAs above which IKE_SA_INIT is dropped. */
  maxHalfOpen: number;
  /** Emits a `message` event for each message. */
  trace: boolean;
  /** Emits `keys` events; only for captures a person asked for. */
  exportKeys: boolean;
}

export const ENDPOINT_DEFAULTS = {
  cookieThreshold: 128,
  maxHalfOpen: 10_000,
  trace: false,
  exportKeys: false,
} as const;

/** Seconds-long work of an established IKE SA, on demand. */
export type Command = "rekeyIke" | "rekeyChildren" | "deleteChildren" | "createChild" | "checkLiveness" | "close";

export class IkeEndpoint {
  readonly #options: EndpointOptions;
  readonly #host: SaHost;
  readonly #cookies: CookieJar;
  readonly #byId = new Map<IkeSaId, IkeSa>();
  readonly #bySpi = new Map<IkeSpi, IkeSa>();
  readonly #halfOpen = new Map<string, IkeSa>();
  readonly #byPeer = new Map<string, IkeSaId>();
  readonly #byChild = new Map<ChildSaId, IkeSa>();
  readonly #espSpis = new Set<EspSpi>();
  readonly #inboundSpis = new Map<ChildSaId, EspSpi>();
  readonly #deadlines = new Deadlines<IkeSa>();
  #effects: Effect[] = [];
  #closing = false;
  #nextSaId = 1;
  #nextChildId = 1;

  constructor(options: EndpointOptions) {
    this.#options = options;
    this.#cookies = new CookieJar(options.clock, options.random);
    this.#host = {
      clock: options.clock,
      random: options.random,
      trace: options.trace,
      exportKeys: options.exportKeys,
      emit: (effect) => this.#emit(effect),
      newSpi: () => this.#newSpi(),
      newEspSpi: () => this.#newEspSpi(),
      newChildId: () => this.#nextChildId++ as ChildSaId,
      adopt: (make) => this.#adopt(make),
      find: (id) => this.#byId.get(id),
      poke: (sa) => this.#poke(sa),
      release: (sa) => this.#release(sa),
      announce: (sa, peer) => this.#announce(sa, peer),
    };
  }

  /** IKE SAs in any state. */
  get size(): number {
    return this.#byId.size;
  }

  get halfOpen(): number {
    return this.#halfOpen.size;
  }

  /** Begins an IKE SA as initiator. */
  initiate(connection: Connection, path: Path): { id: IkeSaId; effects: Effect[] } {
    const sa = this.#adopt(
      (id) =>
        new IkeSa({
          id,
          host: this.#host,
          connection,
          initiator: true,
          originalInitiator: true,
          initiatorSpi: this.#newSpi(),
          responderSpi: NO_SPI,
          path,
          // Replaced at once by sendInit; a closed state never reaches the wire.
          state: { kind: "Closed" },
        }),
    );
    sendInit(sa);
    return { id: sa.id, effects: this.#finish(sa) };
  }

  /** Takes a datagram without its non-ESP marker; `natT` if it came on the NAT traversal port. */
  receive(packet: Bytes, from: UdpAddress, to: UdpAddress, natT: boolean): Effect[] {
    const header = peekHeader(packet);
    if (header === undefined) return this.#drop("malformed", from, `${packet.length} octets, no IKE header`);
    const ownSpi = header.fromInitiator ? header.responderSpi : header.initiatorSpi;
    if (ownSpi === NO_SPI) return this.#receiveInit(packet, header, from, to, natT);
    const sa = this.#bySpi.get(ownSpi);
    // A stranger may send any SPI: silence costs nothing and tells nothing (RFC 7296 2.21.4 allows it).
    if (sa === undefined) return this.#drop("unknownSpi", from, `no IKE SA ${ownSpi}`);
    if (header.fromInitiator === sa.initiator)
      return this.#drop("malformed", from, "initiator flag does not fit the IKE SA");
    const dropped = this.#receiveFor(sa, packet, header, from, to);
    if (dropped !== undefined) this.#dropped(dropped.reason, from, dropped.detail);
    return this.#finish(sa);
  }

  /** The shell's answer to a `request` effect. */
  answer(id: IkeSaId, requestId: number, answer: Answer): Effect[] {
    const sa = this.#byId.get(id);
    if (sa === undefined) return [];
    onAnswer(sa, requestId, answer);
    return this.#finish(sa);
  }

  /** Does all that is due; call it at `nextDeadline`. */
  onTime(): Effect[] {
    const now = this.#options.clock.now();
    for (let sa = this.#deadlines.takeDue(now); sa !== undefined; sa = this.#deadlines.takeDue(now)) {
      onTime(sa, now);
      this.#reschedule(sa);
    }
    return this.#takeEffects();
  }

  /** When `onTime` wants to be called next, or undefined for never. */
  nextDeadline(): number | undefined {
    return this.#deadlines.next();
  }

  /** Starts an exchange on an established IKE SA; false if there is no such IKE SA. */
  command(id: IkeSaId, command: Command, cause: CloseCause = "deletedByUs"): { found: boolean; effects: Effect[] } {
    const sa = this.#byId.get(id);
    if (sa === undefined) return { found: false, effects: [] };
    this.#enqueueCommand(sa, command, cause);
    pump(sa);
    return { found: true, effects: this.#finish(sa) };
  }

  #enqueueCommand(sa: IkeSa, command: Command, cause: CloseCause): void {
    switch (command) {
      case "checkLiveness":
        return sa.enqueue({ kind: "liveness" });
      case "rekeyIke":
        return sa.enqueue({ kind: "rekeyIke" });
      case "rekeyChildren":
        for (const child of sa.children.values()) sa.enqueue({ kind: "createChild", replaces: child.id });
        return;
      case "createChild":
        return sa.enqueue({ kind: "createChild", replaces: undefined });
      case "deleteChildren":
        for (const child of sa.children.values()) deleteChild(sa, child);
        return;
      case "close":
        if (sa.state.kind === "Established" || sa.state.kind === "Rekeyed") {
          // What waited no longer matters, except the Delete itself.
          sa.queue = [];
          return sa.enqueue({ kind: "deleteIke", cause });
        }
        if (sa.state.kind !== "Deleting")
          sa.fail({ reason: "Cancelled", message: "ended before it was established", by: "us" });
    }
  }

  /** Deletes every IKE SA and takes no new ones, as on shutdown. */
  closeAll(): Effect[] {
    this.#closing = true;
    const effects: Effect[] = [];
    for (const id of [...this.#byId.keys()]) effects.push(...this.command(id, "close", "shutdown").effects);
    return effects;
  }

  /** Forgets every IKE SA that is left, as when its peer did not answer the Delete in time. */
  abandonAll(): Effect[] {
    for (const sa of [...this.#byId.values()]) sa.close("shutdown");
    return this.#takeEffects();
  }

  /** Takes what the data plane noticed: SAs that near their limits, peers that moved. */
  onPlaneEvent(event: PlaneEvent): Effect[] {
    if (event.kind === "unknownSpi") return [];
    const sa = this.#byChild.get(event.id);
    const child = sa?.children.get(event.id);
    if (sa === undefined || child === undefined) return [];
    if (event.kind === "limit") sa.enqueue({ kind: "createChild", replaces: event.id });
    else this.#follow(sa, event.remote);
    pump(sa);
    return this.#finish(sa);
  }

  // ---- IKE_SA_INIT from strangers ----

  #receiveInit(packet: Bytes, header: IkeHeader, from: UdpAddress, to: UdpAddress, natT: boolean): Effect[] {
    const connection = this.#options.responder;
    if (connection === undefined) return this.#drop("unknownSpi", from, "this side answers no IKE_SA_INIT");
    if (this.#closing) return this.#drop("unknownSpi", from, "this side is about to end");
    if (
      header.exchangeType !== ExchangeType.IKE_SA_INIT ||
      header.response ||
      header.messageId !== 0 ||
      !header.fromInitiator
    ) {
      return this.#drop("unexpectedExchange", from, `exchange ${header.exchangeType} without a responder SPI`);
    }
    if (packet.length > MAX_INIT_OCTETS) return this.#drop("malformed", from, `IKE_SA_INIT of ${packet.length} octets`);
    const key = `${header.initiatorSpi} ${from.address} ${from.port}`;
    const known = this.#halfOpen.get(key);
    if (known !== undefined) {
      const same = known.state.kind === "ExpectAuthRequest" && known.state.init.request.equals(packet);
      if (same) known.repeatResponse();
      else this.#dropped("unexpectedMessageId", from, "another IKE_SA_INIT under the same SPI");
      return this.#finish(known);
    }
    let decoded: DecodedMessage;
    try {
      decoded = decodeMessage(packet);
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      if (error instanceof UnsupportedVersionError) {
        this.#reject(header, notify(NotifyType.INVALID_MAJOR_VERSION, Buffer.from([0x20])), from, to, natT);
        return this.#drop("unsupportedVersion", from, error.message);
      }
      return this.#drop("malformed", from, error.message);
    }
    this.#traceReceived(undefined, decoded.header, decoded.payloads, 1, packet.length, from, to);
    const offer = find(decoded.payloads, "SA");
    const ke = find(decoded.payloads, "KE");
    const nonce = find(decoded.payloads, "Nonce");
    if (offer === undefined || ke === undefined || nonce === undefined)
      return this.#drop("malformed", from, "IKE_SA_INIT without SA, KE or Nonce");
    if (this.#halfOpen.size >= this.#options.maxHalfOpen)
      return this.#drop("halfOpenLimit", from, `${this.#halfOpen.size} half-open IKE SAs`);
    if (this.#halfOpen.size >= this.#options.cookieThreshold) {
      const cookie = findNotify(decoded.payloads, NotifyType.COOKIE);
      if (cookie === undefined || !this.#cookies.accepts(cookie.data, header.initiatorSpi, nonce.data, from)) {
        this.#reject(
          header,
          notify(NotifyType.COOKIE, this.#cookies.make(header.initiatorSpi, nonce.data, from)),
          from,
          to,
          natT,
        );
        return cookie === undefined
          ? this.#takeEffects()
          : this.#drop("cookieWrong", from, "cookie is not ours or too old");
      }
    }
    const unknown = decoded.payloads.find((p) => p.kind === "unknown" && p.critical);
    if (unknown?.kind === "unknown") {
      this.#reject(
        header,
        notify(NotifyType.UNSUPPORTED_CRITICAL_PAYLOAD, Buffer.from([unknown.type])),
        from,
        to,
        natT,
      );
      return this.#drop("unsupportedCriticalPayload", from, `payload type ${unknown.type}, marked critical`);
    }
    const chosen = chooseIke(connection.ikeProposals, offer.proposals);
    if (chosen === undefined) {
      this.#reject(header, notify(NotifyType.NO_PROPOSAL_CHOSEN), from, to, natT);
      return this.#drop("noProposal", from, "no IKE proposal in common");
    }
    if (chosen.suite.group !== ke.group) {
      const group = Buffer.alloc(2);
      group.writeUInt16BE(chosen.suite.group);
      this.#reject(header, notify(NotifyType.INVALID_KE_PAYLOAD, group), from, to, natT);
      return this.#takeEffects();
    }
    const sa = this.#adopt(
      (id) =>
        new IkeSa({
          id,
          host: this.#host,
          connection,
          initiator: false,
          originalInitiator: false,
          initiatorSpi: header.initiatorSpi,
          responderSpi: this.#newSpi(),
          path: { local: to, remote: from, natT, natPorts: { local: to.port, remote: from.port } },
          state: { kind: "Closed" },
        }),
    );
    sa.halfOpenKey = key;
    this.#halfOpen.set(key, sa);
    answerInit(sa, {
      packet,
      payloads: decoded.payloads,
      suite: chosen.suite,
      proposalNumber: chosen.number,
      peerPublic: ke.data,
      nonceI: nonce.data,
    });
    return this.#finish(sa);
  }

  /** Answers an IKE_SA_INIT without keeping anything about it. */
  #reject(request: IkeHeader, payload: Payload, from: UdpAddress, to: UdpAddress, natT: boolean): void {
    const header: IkeHeader = { ...request, responderSpi: NO_SPI, fromInitiator: false, response: true };
    const packet = encodeMessage(header, [payload]);
    this.#emit({ kind: "send", packet, from: to, to: from, natT });
    if (this.#options.trace) {
      this.#emit({
        kind: "event",
        event: {
          kind: "message",
          sa: undefined,
          direction: "sent",
          header,
          payloads: [describePayload(payload)],
          fragments: 1,
          bytes: packet.length,
          local: to,
          remote: from,
        },
      });
    }
  }

  // ---- messages for an IKE SA that exists ----

  #receiveFor(
    sa: IkeSa,
    packet: Bytes,
    header: IkeHeader,
    from: UdpAddress,
    to: UdpAddress,
  ): { reason: DropReason; detail: string } | undefined {
    if (header.response) {
      if (sa.outgoing?.messageId !== header.messageId)
        return { reason: "unexpectedMessageId", detail: `response ${header.messageId} answers nothing that is open` };
    } else {
      const verdict = sa.classifyRequest(header.messageId);
      if (verdict === "stray")
        return {
          reason: "unexpectedMessageId",
          detail: `request ${header.messageId}, expected ${sa.expectedRequestId}`,
        };
      if (verdict === "inProgress") return undefined;
      if (verdict === "repeated") {
        // Of a fragmented request only the first fragment brings the answer again (RFC 7383 2.6.1).
        if (isFirstFragment(packet)) sa.repeatResponse();
        return undefined;
      }
    }
    let decoded: DecodedMessage;
    try {
      decoded = decodeMessage(packet);
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      return { reason: "malformed", detail: error.message };
    }
    if (decoded.encrypted === undefined) {
      if (header.exchangeType !== ExchangeType.IKE_SA_INIT || !header.response)
        return { reason: "unencrypted", detail: `exchange ${header.exchangeType} without SK` };
      this.#traceReceived(sa, decoded.header, decoded.payloads, 1, packet.length, from, to);
      sa.lastHeard = sa.now();
      onResponse(sa, decoded.header, decoded.payloads, packet);
      return undefined;
    }
    return this.#receiveProtected(sa, decoded, packet, from, to);
  }

  #receiveProtected(
    sa: IkeSa,
    decoded: DecodedMessage,
    packet: Bytes,
    from: UdpAddress,
    to: UdpAddress,
  ): { reason: DropReason; detail: string } | undefined {
    const { header } = decoded;
    if (sa.keys === undefined) {
      if (sa.state.kind !== "ExpectAuthRequest" || header.exchangeType !== ExchangeType.IKE_AUTH)
        return { reason: "unexpectedExchange", detail: "protected message before there are keys" };
      if (!deriveKeysLate(sa, sa.state)) return undefined;
    }
    let payloads: Payload[];
    let fragments = 1;
    let octets = packet.length;
    try {
      let inner = openEncrypted(packet, decoded, sa.suite!, sa.keys!, sa.peerRole);
      if (decoded.encrypted!.kind === "SKF") {
        const { fragmentNumber, totalFragments } = decoded.encrypted!;
        const key = `${header.response ? "r" : "q"}${header.messageId}`;
        if (sa.reassembly?.key !== key) sa.reassembly = new Reassembly(key);
        sa.reassembly.datagramOctets += packet.length;
        octets = sa.reassembly.datagramOctets;
        const whole = sa.reassembly.add(fragmentNumber, totalFragments, inner.firstInner, inner.plaintext);
        if (whole === undefined) return undefined;
        sa.reassembly = undefined;
        inner = { firstInner: whole.firstInner, plaintext: whole.bytes };
        fragments = totalFragments;
      }
      this.#follow(sa, from, to);
      sa.lastHeard = sa.now();
      payloads = decodePayloads(inner.firstInner, inner.plaintext);
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      if (error.name === "IntegrityError") return { reason: "integrityFailed", detail: error.message };
      // Authentic and yet malformed: the peer is told, and the IKE SA ends (RFC 7296 2.21.3).
      if (!header.response) {
        sa.answering = { exchangeType: header.exchangeType, messageId: header.messageId };
        sa.sendResponse([notify(NotifyType.INVALID_SYNTAX)]);
      }
      if (sa.state.kind === "Established" || sa.state.kind === "Rekeyed" || sa.state.kind === "Deleting")
        sa.close("protocolError");
      else sa.fail({ reason: "InvalidSyntax", message: error.message, by: "us", notify: NotifyType.INVALID_SYNTAX });
      return { reason: "malformed", detail: error.message };
    }
    this.#traceReceived(sa, header, payloads, fragments, octets, from, to);
    if (header.response) {
      onResponse(sa, header, payloads, packet);
      return undefined;
    }
    const reason = onRequest(sa, header, payloads);
    return reason === undefined
      ? undefined
      : { reason, detail: `exchange ${header.exchangeType} while in ${sa.state.kind}` };
  }

  /** An authentic message from a new address: the NAT has rebound, or the peer has moved to port 4500 (RFC 7296 2.23). */
  #follow(sa: IkeSa, remote: UdpAddress, local: UdpAddress = sa.path.local): void {
    const moved = sa.path.remote.port !== remote.port || sa.path.remote.address !== remote.address;
    const localMoved = sa.path.local.port !== local.port || sa.path.local.address !== local.address;
    if (!moved && !localMoved) return;
    // The side that is not behind a NAT follows the side that is; nobody follows the gateway about.
    if (sa.originalInitiator || !sa.connection.followPeerAddress) return;
    const natT = localMoved && local.port !== sa.path.natPorts.local ? true : sa.path.natT;
    sa.path = { ...sa.path, local, remote, natT };
    for (const child of sa.children.values()) this.#emit({ kind: "moveChild", child: child.id, local, remote });
    if (sa.state.kind === "Established") this.#emit({ kind: "event", event: { kind: "moved", sa: sa.id, remote } });
  }

  // ---- tables ----

  #adopt(make: (id: IkeSaId) => IkeSa): IkeSa {
    const sa = make(this.#nextSaId++ as IkeSaId);
    this.#byId.set(sa.id, sa);
    this.#bySpi.set(sa.ownSpi, sa);
    return sa;
  }

  #release(sa: IkeSa): void {
    this.#byId.delete(sa.id);
    this.#bySpi.delete(sa.ownSpi);
    this.#deadlines.delete(sa);
    this.#leaveHalfOpen(sa);
    if (sa.peerKey !== undefined && this.#byPeer.get(sa.peerKey) === sa.id) this.#byPeer.delete(sa.peerKey);
  }

  #leaveHalfOpen(sa: IkeSa): void {
    if (sa.halfOpenKey === undefined) return;
    this.#halfOpen.delete(sa.halfOpenKey);
    sa.halfOpenKey = undefined;
  }

  /** TS 33.320 A.1-9: an older IKE SA of the same device is deleted by INFORMATIONAL. */
  #announce(sa: IkeSa, peer: PeerIdentity): void {
    this.#leaveHalfOpen(sa);
    if (!sa.connection.uniquePeers || sa.originalInitiator) return;
    const key = identityKey(peer.idType, peer.idData);
    const olderId = this.#byPeer.get(key);
    this.#byPeer.set(key, sa.id);
    sa.peerKey = key;
    const older = olderId === undefined ? undefined : this.#byId.get(olderId);
    if (older === undefined || older === sa) return;
    older.queue = [];
    older.enqueue({ kind: "deleteIke", cause: "replacedByNewerSa" });
    this.#poke(older);
  }

  #poke(sa: IkeSa): void {
    pump(sa);
    this.#reschedule(sa);
  }

  #newSpi(): IkeSpi {
    for (;;) {
      const spi = spiFromBytes(this.#options.random.bytes(8));
      if (spi !== NO_SPI && !this.#bySpi.has(spi)) return spi;
    }
  }

  #newEspSpi(): EspSpi {
    for (;;) {
      // 0 to 255 are reserved (RFC 4303 2.1).
      const spi = this.#options.random.bytes(4).readUInt32BE() as EspSpi;
      if (spi > 255 && !this.#espSpis.has(spi)) return spi;
    }
  }

  // ---- effects ----

  #emit(effect: Effect): void {
    if (effect.kind === "installChild") {
      const sa = this.#byId.get(effect.sa);
      if (sa !== undefined) this.#byChild.set(effect.spec.id, sa);
      this.#espSpis.add(effect.spec.inbound.spi);
      this.#inboundSpis.set(effect.spec.id, effect.spec.inbound.spi);
    } else if (effect.kind === "removeChild") {
      this.#byChild.delete(effect.child);
      const spi = this.#inboundSpis.get(effect.child);
      if (spi !== undefined) this.#espSpis.delete(spi);
      this.#inboundSpis.delete(effect.child);
    } else if (effect.kind === "event" && effect.event.kind === "ikeRekeyed") {
      const successor = this.#byId.get(effect.event.to);
      if (successor !== undefined) {
        for (const child of successor.children.keys()) this.#byChild.set(child, successor);
        const { peer } = effect.event;
        const key = identityKey(peer.idType, peer.idData);
        successor.peerKey = key;
        if (this.#byPeer.get(key) === effect.event.from) this.#byPeer.set(key, successor.id);
      }
    }
    this.#effects.push(effect);
  }

  #finish(sa: IkeSa): Effect[] {
    this.#reschedule(sa);
    return this.#takeEffects();
  }

  #reschedule(sa: IkeSa): void {
    this.#deadlines.set(sa, sa.isClosed ? Number.POSITIVE_INFINITY : sa.nextDeadline());
  }

  #takeEffects(): Effect[] {
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }

  #drop(reason: DropReason, from: UdpAddress, detail: string): Effect[] {
    this.#dropped(reason, from, detail);
    return this.#takeEffects();
  }

  #dropped(reason: DropReason, from: UdpAddress, detail: string): void {
    this.#emit({ kind: "event", event: { kind: "dropped", reason, from, detail } });
  }

  #traceReceived(
    sa: IkeSa | undefined,
    header: IkeHeader,
    payloads: readonly Payload[],
    fragments: number,
    bytes: number,
    from: UdpAddress,
    to: UdpAddress,
  ): void {
    if (!this.#options.trace) return;
    this.#emit({
      kind: "event",
      event: {
        kind: "message",
        sa: sa?.id,
        direction: "received",
        header,
        payloads: payloads.map(describePayload),
        fragments,
        bytes,
        local: to,
        remote: from,
      },
    });
  }
}
