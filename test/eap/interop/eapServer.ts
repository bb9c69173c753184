/** Our EAP server behind a RADIUS port on loopback, with the tests' operator as its HSS. */
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { AkaServer } from "../../../src/eap/aka/server.ts";
import type { AkaServerOptions, AkaServerWorld } from "../../../src/eap/aka/serverTypes.ts";
import type { AkaVariant } from "../../../src/eap/aka/variant.ts";
import { type AuthenticatorEffect, EapAuthenticator } from "../../../src/eap/authenticator.ts";
import type { EapRefusal, EapResult } from "../../../src/eap/method.ts";
import { sealResponse, verifyRequest } from "../../../src/radius/codec/authenticators.ts";
import { eapMessage, eapOf } from "../../../src/radius/codec/eapMessage.ts";
import { mppeKeys } from "../../../src/radius/codec/mppeKeys.ts";
import { Code } from "../../../src/radius/codec/numbers.ts";
import { attribute, attributeOf, decodePacket } from "../../../src/radius/codec/packet.ts";
import { seededRandom } from "../../../src/sim/random.ts";
import type { Operator } from "../aka/conversation.ts";
import { serverOptions } from "../aka/options.ts";

export const SECRET = Buffer.from("radius secret");

export interface EapRadiusServer extends AsyncDisposable {
  readonly port: number;
  /** How each conversation ended, in order. */
  readonly outcomes: readonly (EapResult | EapRefusal)[];
}

export async function startEapServer(
  operator: Operator,
  variants: readonly AkaVariant[],
  options: Partial<AkaServerOptions> = {},
): Promise<EapRadiusServer> {
  const socket: Socket = createSocket("udp4");
  const random = seededRandom("eap server");
  const sessions = new Map<string, EapAuthenticator<AkaServerWorld>>();
  const outcomes: (EapResult | EapRefusal)[] = [];

  const settle = (
    effects: readonly AuthenticatorEffect<AkaServerWorld>[],
    authenticator: EapAuthenticator<AkaServerWorld>,
  ) => {
    const packets: AuthenticatorEffect<AkaServerWorld>[] = [];
    for (const effect of effects) {
      if (effect.kind === "ask") {
        packets.push(...settle(authenticator.answer(effect.askId, operator.answer(effect.ask)), authenticator));
      } else if (effect.kind === "store") operator.store(effect.record);
      else packets.push(effect);
    }
    return packets;
  };

  socket.on("message", (bytes, from) => {
    const request = decodePacket(bytes);
    if (request.code !== Code.AccessRequest || verifyRequest(bytes, SECRET) !== undefined) return;
    const eap = Buffer.from(eapOf(request) ?? []);
    const known = sessions.get(attributeOf(request, "State")?.toString("hex") ?? "");
    const authenticator =
      known ??
      new EapAuthenticator<AkaServerWorld>({
        random,
        methods: variants.map((variant) => ({
          type: variant.type,
          make: () => new AkaServer(variant, serverOptions(random, options)),
        })),
      });
    const effects =
      known === undefined ? authenticator.begin({ kind: "response", packet: eap }) : authenticator.receive(eap);
    for (const effect of settle(effects, authenticator)) {
      if (effect.kind === "send") {
        const state = random.bytes(8);
        sessions.set(state.toString("hex"), authenticator);
        const attributes = [...eapMessage(effect.packet), attribute("State", state)];
        socket.send(sealResponse(Code.AccessChallenge, request, attributes, SECRET), from.port, from.address);
      } else if (effect.kind === "succeeded" || effect.kind === "failed") {
        outcomes.push(effect.kind === "succeeded" ? effect.result : effect.refusal);
        const code = effect.kind === "succeeded" ? Code.AccessAccept : Code.AccessReject;
        const keys =
          effect.kind === "succeeded" ? mppeKeys(effect.result.msk, SECRET, request.authenticator, random) : [];
        const attributes = [...eapMessage(effect.packet), ...keys];
        socket.send(sealResponse(code, request, attributes, SECRET), from.port, from.address);
      }
    }
  });
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  return {
    port: socket.address().port,
    outcomes,
    async [Symbol.asyncDispose]() {
      socket.close();
      await once(socket, "close");
    },
  };
}
