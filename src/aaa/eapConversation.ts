/**
 * One EAP authentication behind RADIUS or Diameter: packets in, the next packet or the end out, with what the method asks
 * answered by HSS and identity store on the way.
 */
import type { Bytes } from "../bytes/bytes.ts";
import type { AkaServerAnswer, AkaServerAsk, AkaServerRecord, AkaServerWorld } from "../eap/aka/serverTypes.ts";
import type { AuthenticatorEffect, Beginning, EapAuthenticator } from "../eap/authenticator.ts";
import type { EapRefusal, EapResult } from "../eap/method.ts";

export interface ConversationServices {
  /** Never rejects. */
  answer(ask: AkaServerAsk): Promise<AkaServerAnswer>;
  /** Resolves once it is kept as durably as it has to be. */
  store(record: AkaServerRecord): Promise<void>;
}

export type Step =
  | { kind: "request"; packet: Bytes }
  | { kind: "success"; packet: Bytes; result: EapResult }
  | { kind: "failure"; packet: Bytes; refusal: EapRefusal }
  /** The packet was none that could be used; the last request, if there was one, waits on. */
  | { kind: "ignored"; problem: string; lastRequest: Bytes | undefined }
  /** A packet before is still being worked on. */
  | { kind: "busy" };

export class EapConversation {
  readonly #authenticator: EapAuthenticator<AkaServerWorld>;
  readonly #services: ConversationServices;
  #lastRequest: Bytes | undefined;
  #busy = false;

  constructor(authenticator: EapAuthenticator<AkaServerWorld>, services: ConversationServices) {
    this.#authenticator = authenticator;
    this.#services = services;
  }

  begin(beginning: Beginning): Promise<Step> {
    return this.#run(() => this.#authenticator.begin(beginning));
  }

  receive(packet: Bytes): Promise<Step> {
    return this.#run(() => this.#authenticator.receive(packet));
  }

  async #run(first: () => AuthenticatorEffect<AkaServerWorld>[]): Promise<Step> {
    if (this.#busy) return { kind: "busy" };
    this.#busy = true;
    try {
      let effects = first();
      for (;;) {
        // What is to be kept is kept before the peer hears of it.
        await Promise.all(effects.flatMap((one) => (one.kind === "store" ? [this.#services.store(one.record)] : [])));
        const ask = effects.find((effect) => effect.kind === "ask");
        if (ask === undefined) return this.#stepOf(effects);
        effects = this.#authenticator.answer(ask.askId, await this.#services.answer(ask.ask));
      }
    } finally {
      this.#busy = false;
    }
  }

  #stepOf(effects: readonly AuthenticatorEffect<AkaServerWorld>[]): Step {
    let problem = "nothing came of it";
    for (const effect of effects) {
      if (effect.kind === "succeeded") return { kind: "success", packet: effect.packet, result: effect.result };
      if (effect.kind === "failed") return { kind: "failure", packet: effect.packet, refusal: effect.refusal };
      if (effect.kind === "send") {
        this.#lastRequest = effect.packet;
        return { kind: "request", packet: effect.packet };
      }
      if (effect.kind === "dropped") problem = effect.problem;
    }
    return { kind: "ignored", problem, lastRequest: this.#lastRequest };
  }
}
