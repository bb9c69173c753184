/**
 * Requests that this node sent: each gets exactly one end, an answer or a reason why there is none.
 *
 * One whose peer is lost, silent, or answers that it cannot deliver goes to another peer with its T bit set and the same
 * End-to-End Identifier (RFC 6733 5.5.4), as long as there is one that was not tried. Whichever answer comes first
 * counts; answers to what is no longer open are dropped.
 */
import type { Milliseconds } from "../../sim/environment.ts";
import { findAvp } from "../codec/commands.ts";
import { describeCommand } from "../codec/describe.ts";
import { AVPS } from "../codec/dictionary.ts";
import type { DiameterMessage } from "../codec/message.ts";
import { ResultCode } from "../codec/numbers.ts";
import type { ConnectionId, Effect, TransactionId } from "./effects.ts";
import type { Peer } from "./peer.ts";
import { choosePeer, type Destination } from "./route.ts";
import type { NodeLimits, NodeTimers } from "./settings.ts";

interface Transaction {
  id: TransactionId;
  message: DiameterMessage;
  destination: Destination;
  peer: Peer;
  connection: ConnectionId;
  hopByHop: number;
  attempts: number;
  /** Peers that had their chance. */
  tried: Set<Peer>;
  deadline: Milliseconds;
}

export interface TransactionsHost {
  readonly timers: NodeTimers;
  readonly limits: NodeLimits;
  readonly peers: ReadonlyMap<string, Peer>;
  now(): Milliseconds;
  emit(effect: Effect): void;
}

export class Transactions {
  readonly #host: TransactionsHost;
  /** By connection and Hop-by-Hop Identifier, in the order of their deadlines: all have the same patience. */
  readonly #open = new Map<string, Transaction>();
  #hopByHop: number;
  #nextId = 1;

  /** Hop-by-Hop Identifiers count from `firstHopByHop`, which is random (RFC 6733 3). */
  constructor(host: TransactionsHost, firstHopByHop: number) {
    this.#host = host;
    this.#hopByHop = firstHopByHop;
  }

  get size(): number {
    return this.#open.size;
  }

  /** When the first one has waited long enough. */
  nextDeadline(): Milliseconds {
    const [first] = this.#open.values();
    return first?.deadline ?? Number.POSITIVE_INFINITY;
  }

  start(message: DiameterMessage, destination: Destination, busy: boolean): TransactionId {
    const id = this.#nextId++ as TransactionId;
    const peer = busy ? undefined : this.#choose(destination, new Set());
    if (peer !== undefined) this.#send({ id, message, destination, attempts: 0, tried: new Set() }, peer);
    else
      this.#host.emit({
        kind: "unanswered",
        transaction: id,
        reason: busy ? "TooBusy" : "NoPeer",
        message: busy
          ? "too many requests wait for answers"
          : `no peer is connected for application ${destination.application} in ${destination.realm}`,
      });
    return id;
  }

  onAnswer(peer: Peer, connection: ConnectionId, message: DiameterMessage): void {
    const { hopByHop, endToEnd, command, error } = message.header;
    const key = keyOf(connection, hopByHop);
    const transaction = this.#open.get(key);
    const asked = transaction?.message.header;
    if (transaction === undefined || asked?.endToEnd !== endToEnd || asked.command !== command) {
      const text = `${describeCommand(message)} answers nothing that is open`;
      this.#host.emit({
        kind: "event",
        event: { kind: "dropped", reason: "unexpectedAnswer", peer: peer.settings.host, message: text },
      });
      return;
    }
    this.#open.delete(key);
    const other = error && worthAnotherPeer(message) ? this.#another(transaction) : undefined;
    if (other !== undefined) this.#move(transaction, other);
    else this.#host.emit({ kind: "answered", transaction: transaction.id, message, peer: peer.settings.host });
  }

  /** Gives up those that waited too long, or tries another peer. */
  advance(): void {
    const now = this.#host.now();
    for (const transaction of this.#open.values()) {
      if (transaction.deadline > now) break;
      this.#retry(transaction, "Timeout");
    }
  }

  /** A peer is lost, or suspect and another could take over. */
  failOver(lost: Peer): void {
    const waiting = [...this.#open.values()].filter(({ peer }) => peer === lost);
    for (const transaction of waiting) {
      if (lost.open === undefined || this.#another(transaction) !== undefined) this.#retry(transaction, "NoPeer");
    }
  }

  #send(start: Pick<Transaction, "id" | "message" | "destination" | "attempts" | "tried">, peer: Peer): void {
    const { connection } = peer.open!;
    const hopByHop = this.#hopByHop;
    this.#hopByHop = (this.#hopByHop + 1) >>> 0;
    const { id, message, destination } = start;
    const attempts = start.attempts + 1;
    const tried = start.tried.add(peer);
    const deadline = this.#host.now() + this.#host.timers.answer;
    this.#open.set(keyOf(connection, hopByHop), {
      id,
      message,
      destination,
      peer,
      connection,
      hopByHop,
      attempts,
      tried,
      deadline,
    });
    const header = { ...message.header, hopByHop, retransmitted: attempts > 1 };
    this.#host.emit({ kind: "send", connection, message: { header, avps: message.avps } });
  }

  #retry(transaction: Transaction, reason: "Timeout" | "NoPeer"): void {
    const { id, message, peer, connection, hopByHop } = transaction;
    this.#open.delete(keyOf(connection, hopByHop));
    const other = this.#another(transaction);
    if (other !== undefined) return this.#move(transaction, other);
    const problem =
      reason === "Timeout"
        ? `no answer within ${this.#host.timers.answer} ms`
        : "the peer is gone, and there is no other";
    const text = `${describeCommand(message)} to ${peer.settings.host}: ${problem}`;
    this.#host.emit({ kind: "unanswered", transaction: id, reason, message: text });
  }

  #move(transaction: Transaction, to: Peer): void {
    const { id, peer } = transaction;
    const event = { kind: "failedOver", transaction: id, from: peer.settings.host, to: to.settings.host } as const;
    this.#host.emit({ kind: "event", event });
    this.#send(transaction, to);
  }

  #another({ attempts, destination, tried }: Transaction): Peer | undefined {
    return attempts < this.#host.limits.attempts ? this.#choose(destination, tried) : undefined;
  }

  #choose(destination: Destination, tried: ReadonlySet<Peer>): Peer | undefined {
    return choosePeer(this.#host.peers.values(), destination, tried);
  }
}

/** TOO_BUSY and UNABLE_TO_DELIVER say that another peer may do better (RFC 6733 7.1.3). */
function worthAnotherPeer(answer: DiameterMessage): boolean {
  const result = findAvp(answer, AVPS["Result-Code"].code);
  const code = result?.length === 4 ? result.readUInt32BE() : 0;
  return code === ResultCode.TOO_BUSY || code === ResultCode.UNABLE_TO_DELIVER;
}

function keyOf(connection: ConnectionId, hopByHop: number): string {
  return `${connection} ${hopByHop}`;
}
