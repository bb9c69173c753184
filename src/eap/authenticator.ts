/**
 * The server's end of EAP (RFC 3748 4, RFC 4137 5): asks for an identity, offers methods in order of preference, heeds
 * Nak, pairs responses with requests by their identifier, and bounds rounds and retransmissions.
 *
 * It keeps no time: the layer below says when a request got no answer (`retransmit`), and over IKEv2, RADIUS and
 * Diameter, which retransmit themselves (RFC 7296 3.16, RFC 3579 2.3), it never does. One object is one conversation.
 */
import type { Bytes } from "../bytes/bytes.ts";
import { DecodeError } from "../bytes/reader.ts";
import type { Random } from "../sim/environment.ts";
import type { EapRefusal, EapResult, ServerMethod, ServerMethodEffect, World } from "./method.ts";
import { decodeEap, type EapContent, type EapPacket, encodeEap, trimEap } from "./packet.ts";

export interface AuthenticatorOptions<W extends World> {
  /** What may be offered, most preferred first; a method is made when it is. */
  methods: readonly { type: number; make: () => ServerMethod<W> }[];
  random: Random;
}

export type AuthenticatorEffect<W extends World> =
  | { kind: "send"; packet: Bytes }
  | { kind: "ask"; askId: number; ask: W["ask"] }
  | { kind: "store"; record: W["record"] }
  /** `packet` is the EAP-Success that goes out with the result. */
  | { kind: "succeeded"; packet: Bytes; result: EapResult }
  | { kind: "failed"; packet: Bytes; refusal: EapRefusal }
  | { kind: "dropped"; problem: string };

/** How a conversation begins. */
export type Beginning =
  /** Nothing is known: the peer is asked by EAP-Request/Identity. */
  | { kind: "nothing" }
  /** The layer below said who the peer claims to be: IDi, User-Name (RFC 3579 2.1, TS 33.320 A.2-3). */
  | { kind: "identity"; identity: Bytes }
  /** The pass-through authenticator asked already, and this is the EAP-Response/Identity it relays. */
  | { kind: "response"; packet: Bytes };

type State<W extends World> =
  | { kind: "Idle" }
  | { kind: "ExpectIdentity" }
  | { kind: "InMethod"; method: ServerMethod<W>; askId: number | undefined; begun: boolean }
  | { kind: "Ended" };

export class EapAuthenticator<W extends World> {
  readonly #options: AuthenticatorOptions<W>;
  #state: State<W> = { kind: "Idle" };
  #identity: Bytes | undefined;
  /** Types offered so far, so that none is offered twice. */
  readonly #offered = new Set<number>();
  #lastRequest: Bytes | undefined;
  /** Identifier of the last request, and of the success or failure that follows its response (RFC 3748 4.2). */
  #id: number;
  #rounds = 0;
  #retransmissions = 0;
  #asks = 0;

  constructor(options: AuthenticatorOptions<W>) {
    this.#options = options;
    this.#id = options.random.bytes(1)[0]!;
  }

  /** True once it has succeeded or failed: nothing further comes out of it. */
  get ended(): boolean {
    return this.#state.kind === "Ended";
  }

  begin(beginning: Beginning): AuthenticatorEffect<W>[] {
    switch (beginning.kind) {
      case "nothing":
        this.#state = { kind: "ExpectIdentity" };
        return this.#send(
          encodeEap({ kind: "request", id: this.#nextId(), content: { kind: "identity", text: Buffer.alloc(0) } }),
        );
      case "identity":
        return this.#takeIdentity(beginning.identity);
      case "response": {
        const decoded = decodeOrProblem(beginning.packet);
        if (typeof decoded === "string") return [{ kind: "dropped", problem: decoded }];
        if (decoded.kind !== "response" || decoded.content.kind !== "identity")
          return [{ kind: "dropped", problem: "the conversation begins with something other than an identity" }];
        this.#id = decoded.id;
        return this.#takeIdentity(decoded.content.text);
      }
    }
  }

  /** Takes a packet from the peer. */
  receive(bytes: Bytes): AuthenticatorEffect<W>[] {
    const packet = decodeOrProblem(bytes);
    if (typeof packet === "string") return [{ kind: "dropped", problem: packet }];
    if (packet.kind !== "response") return dropped(`a ${packet.kind} from the peer`);
    const state = this.#state;
    if (state.kind === "Idle" || state.kind === "Ended") return dropped("no response is expected");
    if (packet.id !== this.#id) return dropped(`response ${packet.id} where ${this.#id} is expected`);
    if (state.kind === "InMethod") return this.#receiveInMethod(state, packet.content, bytes);
    if (packet.content.kind !== "identity") return dropped("no identity in answer to the request for one");
    return this.#takeIdentity(packet.content.text);
  }

  /** The answer to an `ask`; one that comes late or twice is not acted on. */
  answer(askId: number, answer: W["answer"]): AuthenticatorEffect<W>[] {
    const state = this.#state;
    if (state.kind !== "InMethod" || state.askId !== askId) return dropped("the answer to a question no longer open");
    state.askId = undefined;
    return this.#carryOut(state, state.method.answer(answer, this.#peekId()));
  }

  /** The last request again, octet for octet; fails after too many (RFC 3748 4.3). */
  retransmit(): AuthenticatorEffect<W>[] {
    const awaitsPeer =
      this.#state.kind === "ExpectIdentity" || (this.#state.kind === "InMethod" && this.#state.askId === undefined);
    if (!awaitsPeer || this.#lastRequest === undefined) return [];
    if (++this.#retransmissions > MAX_RETRANSMISSIONS)
      return this.#fail({
        reason: "PeerSilent",
        message: `no answer to ${MAX_RETRANSMISSIONS} retransmissions of a request`,
        by: "us",
      });
    return [{ kind: "send", packet: this.#lastRequest }];
  }

  #takeIdentity(identity: Bytes): AuthenticatorEffect<W>[] {
    if (identity.length > MAX_IDENTITY)
      return this.#fail({
        reason: "IdentityTooLong",
        message: `an identity of ${identity.length} octets, at most ${MAX_IDENTITY} are taken`,
        by: "us",
      });
    this.#identity = Buffer.from(identity);
    return this.#offer(() => true);
  }

  /** Begins the first method not yet offered that the peer would have. */
  #offer(wanted: (type: number) => boolean): AuthenticatorEffect<W>[] {
    for (const { type, make } of this.#options.methods) {
      if (this.#offered.has(type) || !wanted(type)) continue;
      this.#offered.add(type);
      const method = make();
      const state: State<W> = { kind: "InMethod", method, askId: undefined, begun: false };
      this.#state = state;
      return this.#carryOut(state, method.begin(this.#identity, this.#peekId()));
    }
    return this.#fail({
      reason: "NoCommonMethod",
      message: `the peer wants none of the EAP methods ${[...this.#offered].join(", ")}`,
      by: "us",
    });
  }

  #receiveInMethod(
    state: Extract<State<W>, { kind: "InMethod" }>,
    content: EapContent,
    bytes: Bytes,
  ): AuthenticatorEffect<W>[] {
    if (state.askId !== undefined) return dropped("a response while an answer is awaited");
    switch (content.kind) {
      case "nak":
        return this.#onNak(state, content.desired);
      case "expandedNak":
        return this.#onNak(
          state,
          content.desired.filter(({ vendor }) => vendor === 0).map(({ type }) => type),
        );
      case "method":
        if (content.type !== state.method.type) break;
        state.begun = true;
        return this.#carryOut(state, state.method.receive(Buffer.from(trimEap(bytes)), this.#peekId()));
    }
    return dropped(`a response of another type than ${state.method.type}`);
  }

  /** Nak answers the first request of a method only (RFC 3748 5.3.1). */
  #onNak(state: Extract<State<W>, { kind: "InMethod" }>, desired: readonly number[]): AuthenticatorEffect<W>[] {
    if (state.begun) return dropped("a Nak in the midst of a method");
    return this.#offer((type) => desired.includes(type));
  }

  #carryOut(
    state: Extract<State<W>, { kind: "InMethod" }>,
    effects: readonly ServerMethodEffect<W>[],
  ): AuthenticatorEffect<W>[] {
    return effects.flatMap((effect) => this.#carryOutOne(state, effect));
  }

  #carryOutOne(
    state: Extract<State<W>, { kind: "InMethod" }>,
    effect: ServerMethodEffect<W>,
  ): AuthenticatorEffect<W>[] {
    switch (effect.kind) {
      case "request":
        this.#nextId();
        return this.#send(effect.packet);
      case "ask":
        state.askId = ++this.#asks;
        return [{ kind: "ask", askId: state.askId, ask: effect.ask }];
      case "store":
        return [effect];
      case "discard":
        return dropped(effect.problem);
      case "success":
        this.#state = { kind: "Ended" };
        return [{ kind: "succeeded", packet: encodeEap({ kind: "success", id: this.#id }), result: effect.result }];
      case "failure":
        return this.#fail(effect.refusal);
    }
  }

  #send(packet: Bytes): AuthenticatorEffect<W>[] {
    if (++this.#rounds > MAX_ROUNDS)
      return this.#fail({ reason: "TooManyRounds", message: `more than ${MAX_ROUNDS} EAP requests`, by: "us" });
    this.#lastRequest = packet;
    this.#retransmissions = 0;
    return [{ kind: "send", packet }];
  }

  #fail(refusal: EapRefusal): AuthenticatorEffect<W>[] {
    this.#state = { kind: "Ended" };
    return [{ kind: "failed", packet: encodeEap({ kind: "failure", id: this.#id }), refusal }];
  }

  /** The identifier that the next request will have, different from the last (RFC 3748 4.1). */
  #peekId(): number {
    return (this.#id + 1) & 0xff;
  }

  #nextId(): number {
    this.#id = this.#peekId();
    return this.#id;
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

/** Requests in one conversation; EAP-AKA's longest way takes eight. */
const MAX_ROUNDS = 20;
/** RFC 3748 4.3 suggests three to five. */
const MAX_RETRANSMISSIONS = 5;
/** Octets: what AT_IDENTITY can carry, so that both ways of saying it have one limit. */
const MAX_IDENTITY = 1016;
