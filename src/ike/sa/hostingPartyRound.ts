/**
 * The initiator's second round of authentication: the hosting party's, by EAP, after the device's by certificate
 * (RFC 4739, RFC 7296 2.16; TS 33.320 A.2 steps 7-20).
 *
 * The EAP peer, the MSK and everything made from it stay in the hosting party's module; this core carries packets and
 * AUTH payloads to and fro, and bounds how often.
 */
import { copyOf } from "../../bytes/bytes.ts";
import { AuthMethod } from "../../tre/authSignature.ts";
import { find, type Payload } from "../codec/message.ts";
import { ExchangeType } from "../codec/numbers.ts";
import { authOctets, idBody } from "../crypto/auth.ts";
import { prfHash } from "../crypto/prf.ts";
import type { HostingPartyAnswer, PeerIdentity, VerifiedPeer } from "./effects.ts";
import type { IkeSa } from "./ikeSa.ts";
import { AUTH_LIMIT, errorNotify, fail, refusePeer, takeTunnel } from "./initiator.ts";
import type { FirstRound, IkeSaState } from "./state.ts";
import { notifyText } from "./wireErrors.ts";

type In<K extends IkeSaState["kind"]> = Extract<IkeSaState, { kind: K }>;

/** The gateway is authentic and expects a second round: asks who the hosting party claims to be (A.2-2). */
export function beginHostingParty(sa: IkeSa, first: FirstRound): void {
  sa.state = { kind: "AwaitHostingParty", first, party: undefined, rounds: 0 };
  sa.arm("halfOpen", AUTH_LIMIT);
  sa.ask({ ask: "hostingParty", step: { kind: "begin" } });
}

/** The module has answered: an identity, an EAP packet, or that the gateway's network is the right one (A.2-5, A.2-6). */
export function onHostingParty(sa: IkeSa, state: In<"AwaitHostingParty">, answer: HostingPartyAnswer): void {
  switch (answer.kind) {
    case "identity":
      // A.2 step 7: the second identity, and no AUTH, asks for EAP (RFC 7296 2.16).
      return sendRound(sa, { ...state, party: answer.identity }, [
        { kind: "IDi", idType: answer.identity.idType, data: answer.identity.idData },
      ]);
    case "respond":
      return sendRound(sa, state, [{ kind: "EAP", data: answer.packet }]);
    case "succeeded": {
      const { init } = state.first;
      const octets = authOctets(init.request, init.nonceR, sa.suite!.prf, sa.keys!.pi, idBody(bodyOf(state.party!)));
      return sa.ask({ ask: "hostingParty", step: { kind: "computeAuth", prf: prfHash(sa.suite!.prf), octets } });
    }
    case "auth":
      // A.2 step 19.
      sa.sendRequest(ExchangeType.IKE_AUTH, [{ kind: "AUTH", method: AuthMethod.SHARED_KEY, data: answer.data }], {
        kind: "auth",
      });
      sa.state = { kind: "ExpectFinalResponse", first: state.first };
      return void sa.timers.delete("halfOpen");
    case "verified":
      return;
  }
}

/** A response within the EAP conversation: the module takes its packet (A.2 steps 11, 17). */
export function onEapResponse(sa: IkeSa, state: In<"ExpectEapResponse">, payloads: readonly Payload[]): void {
  sa.endOutgoing();
  const packet = find(payloads, "EAP");
  // An EAP-Failure beside the refusal says no more than that.
  if (errorNotify(payloads) !== undefined) return refusedRound(sa, payloads, "EAP");
  // The response may name and authenticate the gateway again (A.2-4); the first round has settled that.
  if (packet === undefined) return refusedRound(sa, payloads, "EAP");
  sa.state = { kind: "AwaitHostingParty", first: state.first, party: state.party, rounds: state.rounds };
  sa.arm("halfOpen", AUTH_LIMIT);
  sa.ask({ ask: "hostingParty", step: { kind: "receive", packet: copyOf(packet.data) } });
}

/** The last response: AUTH made from the MSK, the address and the CHILD SA (A.2 step 20, A.2-7). */
export function onFinalResponse(sa: IkeSa, state: In<"ExpectFinalResponse">, payloads: readonly Payload[]): void {
  sa.endOutgoing();
  const auth = find(payloads, "AUTH");
  if (auth === undefined || auth.method !== AuthMethod.SHARED_KEY) return refusedRound(sa, payloads, "AUTH");
  const { first } = state;
  const { init, peer } = first;
  const octets = authOctets(init.response, init.nonceI, sa.suite!.prf, sa.keys!.pr, idBody(bodyOf(peer)));
  sa.state = { kind: "AwaitFinalVerdict", first, response: payloads };
  sa.arm("halfOpen", AUTH_LIMIT);
  const step = { kind: "verifyAuth" as const, prf: prfHash(sa.suite!.prf), octets, auth: copyOf(auth.data) };
  sa.ask({ ask: "hostingParty", step });
}

export function onFinalVerdict(sa: IkeSa, state: In<"AwaitFinalVerdict">, answer: HostingPartyAnswer): void {
  if (answer.kind !== "verified") return;
  const { first, response } = state;
  takeTunnel(sa, { ...first, response, nonces: first.init }, withEap(first.verified, answer.eap));
}

function sendRound(sa: IkeSa, state: In<"AwaitHostingParty">, payloads: readonly Payload[]): void {
  const { first, party, rounds } = state;
  if (rounds >= MAX_ROUNDS) {
    const message = `the gateway keeps asking for EAP: ended after ${MAX_ROUNDS} rounds`;
    return refusePeer(sa, { reason: "TooManyEapRounds", message, by: "us" });
  }
  sa.sendRequest(ExchangeType.IKE_AUTH, payloads, { kind: "auth" });
  sa.state = { kind: "ExpectEapResponse", first, party: party!, rounds: rounds + 1 };
  sa.timers.delete("halfOpen");
}

function refusedRound(sa: IkeSa, payloads: readonly Payload[], missing: string): void {
  const refused = errorNotify(payloads);
  if (refused !== undefined) {
    const message = `the responder answered the hosting party's round with ${notifyText(refused)}`;
    return fail(sa, { reason: "PeerRefused", message, notify: refused });
  }
  refusePeer(sa, {
    reason: "MissingPayload",
    message: `the IKE_AUTH response lacks ${missing} (RFC 4739 2.1)`,
    by: "us",
  });
}

function withEap(verified: VerifiedPeer, eap: string): VerifiedPeer {
  return { ...verified, evidence: { ...verified.evidence, eap } };
}

function bodyOf({ idType, idData: data }: Pick<PeerIdentity, "idType" | "idData">) {
  return { idType, data };
}

/** Messages from the device in its second round: more than any method here needs, and an end to a loop. */
const MAX_ROUNDS = 30;
