/**
 * The peer's end of EAP (RFC 3748, RFC 4137 4): names its identity, acknowledges notifications, refuses methods it does
 * not have by Nak, answers a repeated request with the very response it gave before, and believes success and failure
 * only where the method does. One object is one conversation.
 */
import type { Bytes } from "../bytes/bytes.ts";
import { DecodeError } from "../bytes/reader.ts";
import type { EapRefusal, EapResult, PeerMethod, PeerMethodEffect, World } from "./method.ts";
import { decodeEap, type EapContent, type EapPacket, encodeEap, trimEap } from "./packet.ts";

export interface PeerOptions<W extends World> {
  /** What EAP-Response/Identity says, and what the layer below has said if it asked. */
  identity: Bytes;
  /** Acceptable methods, most preferred first; `make` is told the identity. */
  methods: readonly { type: number; make: (identity: Bytes) => PeerMethod<W> }[];
  /**
   * True where the layer below protects EAP packets, as IKEv2 does: then EAP-Failure ends the conversation whenever it
   * comes, and identifiers of success and failure do not matter. Without protection EAP-Failure is believed only where
   * the method expects it (RFC 4187 6.3.3).
   */
  protectedBelow: boolean;
}

export type PeerEffect<W extends World> =
  | { kind: "send"; packet: Bytes }
  | { kind: "ask"; askId: number; ask: W["ask"] }
  | { kind: "store"; record: W["record"] }
  /** Text that the server wants people to see (RFC 3748 5.2), as octets of UTF-8. */
  | { kind: "notice"; text: Bytes }
  | { kind: "succeeded"; result: EapResult }
  | { kind: "failed"; refusal: EapRefusal }
  | { kind: "dropped"; problem: string };

type State<W extends World> =
  | { kind: "ExpectMethod" }
  | { kind: "InMethod"; method: PeerMethod<W>; askId: number | undefined }
  | { kind: "Ended" };

export class EapPeer<W extends World> {
  readonly #options: PeerOptions<W>;
  #state: State<W> = { kind: "ExpectMethod" };
  /** The last request that was answered or is being, and its response as soon as there is one. */
  #last: { request: Bytes; response: Bytes | undefined } | undefined;
  #rounds = 0;
  #asks = 0;

  constructor(options: PeerOptions<W>) {
    this.#options = options;
  }

  /** Takes a packet from the server. */
  receive(bytes: Bytes): PeerEffect<W>[] {
    const packet = decodeOrProblem(bytes);
    if (typeof packet === "string") return dropped(packet);
    if (this.#state.kind === "Ended") return dropped("the conversation has ended");
    switch (packet.kind) {
      case "request":
        return this.#onRequest(packet.id, packet.content, Buffer.from(trimEap(bytes)));
      case "response":
        return dropped("a response from the server");
      case "success":
        return this.#onSuccess(packet.id);
      case "failure":
        return this.#onFailure(packet.id);
    }
  }

  /** The answer to an `ask`; one that comes late or twice is not acted on. */
  answer(askId: number, answer: W["answer"]): PeerEffect<W>[] {
    const state = this.#state;
    if (state.kind !== "InMethod" || state.askId !== askId) return dropped("the answer to a question no longer open");
    state.askId = undefined;
    return this.#carryOut(state, state.method.answer(answer));
  }

  #onRequest(id: number, content: EapContent, bytes: Bytes): PeerEffect<W>[] {
    if (this.#last !== undefined && this.#last.request[1] === id) {
      // RFC 3748 4.1: a repeated request draws the same response, and is not processed again.
      if (!this.#last.request.equals(bytes)) return dropped(`another request with the identifier ${id} of the last`);
      return this.#last.response === undefined
        ? dropped("a repeated request whose response is being made")
        : [{ kind: "send", packet: this.#last.response }];
    }
    if (this.#state.kind === "InMethod" && this.#state.askId !== undefined)
      return dropped("a request while an answer is awaited");
    if (++this.#rounds > MAX_ROUNDS) {
      this.#state = { kind: "Ended" };
      const message = `more than ${MAX_ROUNDS} EAP requests`;
      return [{ kind: "failed", refusal: { reason: "TooManyRounds", message, by: "us" } }];
    }
    const before = this.#last;
    this.#last = { request: bytes, response: undefined };
    const effects = this.#process(id, content, bytes);
    // A discarded request was never there: the last one answered may still be repeated.
    if (effects.every(({ kind }) => kind === "dropped")) this.#last = before;
    return effects;
  }

  #process(id: number, content: EapContent, bytes: Bytes): PeerEffect<W>[] {
    switch (content.kind) {
      case "identity":
        if (this.#state.kind === "InMethod") return dropped("a request for the identity in the midst of a method");
        return this.#respond(id, { kind: "identity", text: this.#options.identity });
      case "notification":
        return [
          { kind: "notice", text: content.text },
          ...this.#respond(id, { kind: "notification", text: Buffer.alloc(0) }),
        ];
      case "expanded": {
        const desired = this.#options.methods.map(({ type }) => ({ vendor: 0, type }));
        return this.#refuseMethod(() => this.#respond(id, { kind: "expandedNak", desired }));
      }
      case "method":
        return this.#onMethodRequest(id, content.type, bytes);
      default:
        return dropped(`a request of kind ${content.kind}`);
    }
  }

  #onMethodRequest(id: number, type: number, bytes: Bytes): PeerEffect<W>[] {
    if (this.#state.kind === "InMethod" && this.#state.method.type === type)
      return this.#carryOut(this.#state, this.#state.method.receive(bytes));
    const known = this.#options.methods.find((method) => method.type === type);
    if (known === undefined || this.#state.kind === "InMethod") {
      const desired = this.#options.methods.map((method) => method.type);
      return this.#refuseMethod(() => this.#respond(id, { kind: "nak", desired }));
    }
    const state: State<W> = { kind: "InMethod", method: known.make(this.#options.identity), askId: undefined };
    this.#state = state;
    return this.#carryOut(state, state.method.receive(bytes));
  }

  /** No Nak once a method has begun (RFC 3748 5.3.1, 2.1). */
  #refuseMethod(nak: () => PeerEffect<W>[]): PeerEffect<W>[] {
    return this.#state.kind === "InMethod" ? dropped("a request of another method in the midst of one") : nak();
  }

  #onSuccess(id: number): PeerEffect<W>[] {
    const result = this.#state.kind === "InMethod" ? this.#state.method.succeed() : undefined;
    // RFC 3748 4.2: a success that the method does not expect, or that answers no response of ours, is ignored.
    if (result === undefined) return dropped("a success that nothing has led to");
    if (!this.#options.protectedBelow && !this.#answersLast(id)) return dropped(`a success with identifier ${id}`);
    this.#state = { kind: "Ended" };
    return [{ kind: "succeeded", result }];
  }

  #onFailure(id: number): PeerEffect<W>[] {
    const expected = this.#state.kind === "InMethod" ? this.#state.method.fail() : REFUSED_WITHOUT_METHOD;
    const refusal = expected ?? (this.#options.protectedBelow ? UNEXPLAINED : undefined);
    if (refusal === undefined) return dropped("a failure that nothing has led to");
    if (!this.#options.protectedBelow && !this.#answersLast(id)) return dropped(`a failure with identifier ${id}`);
    this.#state = { kind: "Ended" };
    return [{ kind: "failed", refusal }];
  }

  #answersLast(id: number): boolean {
    return this.#last !== undefined && this.#last.request[1] === id;
  }

  #carryOut(state: Extract<State<W>, { kind: "InMethod" }>, effects: readonly PeerMethodEffect<W>[]): PeerEffect<W>[] {
    return effects.flatMap((effect): PeerEffect<W>[] => {
      if (effect.kind === "response") return this.#send(effect.packet);
      if (effect.kind === "discard") return dropped(effect.problem);
      if (effect.kind === "store") return [effect];
      state.askId = ++this.#asks;
      return [{ kind: "ask", askId: state.askId, ask: effect.ask }];
    });
  }

  #respond(id: number, content: EapContent): PeerEffect<W>[] {
    return this.#send(encodeEap({ kind: "response", id, content }));
  }

  #send(packet: Bytes): PeerEffect<W>[] {
    if (this.#last !== undefined) this.#last.response = packet;
    return [{ kind: "send", packet }];
  }
}

function decodeOrProblem(bytes: Bytes): EapPacket | string {
  try {
    return decodeEap(bytes);
  } catch (error) {
    if (error instanceof DecodeError) return error.message;
    throw error;
  }
}

function dropped(problem: string): { kind: "dropped"; problem: string }[] {
  return [{ kind: "dropped", problem }];
}

const REFUSED_WITHOUT_METHOD: EapRefusal = {
  reason: "RefusedWithoutMethod",
  message: "the server refused before any method began: it may not know the identity, or has no method in common",
  by: "them",
};
const UNEXPLAINED: EapRefusal = {
  reason: "UnexplainedFailure",
  message: "the server ended the authentication without saying why",
  by: "them",
};
/** Requests in one conversation, repetitions aside. */
const MAX_ROUNDS = 20;
