/**
 * The responder's second round of authentication: it passes the hosting party's EAP on to an AAA server and takes the key
 * that comes of it (RFC 4739, RFC 7296 2.16; TS 33.320 A.2 steps 5-20). It does not care which method is carried.
 */
import { copyOf, sameSecret } from "../../bytes/bytes.ts";
import { AuthMethod } from "../../tre/authSignature.ts";
import { certificatePayloads } from "../auth/certificatePayloads.ts";
import { identityOf } from "../auth/identity.ts";
import { find, findNotify, type Payload } from "../codec/message.ts";
import { NotifyType } from "../codec/numbers.ts";
import { authOctets, idBody, sharedKeyAuth } from "../crypto/auth.ts";
import type { EapRelayed, OwnAuth, PeerIdentity } from "./effects.ts";
import { type IkeSa, notify } from "./ikeSa.ts";
import { AUTH_LIMIT } from "./initiator.ts";
import { askAddress, refuse } from "./responder.ts";
import type { IkeSaState, SecondRound } from "./state.ts";

type In<K extends IkeSaState["kind"]> = Extract<IkeSaState, { kind: K }>;

/** True if the device says that another authentication follows this one (A.2-1, RFC 4739 2.3). */
export function announcesAnother(request: readonly Payload[]): boolean {
  return findNotify(request, NotifyType.ANOTHER_AUTH_FOLLOWS) !== undefined;
}

/** Why the rounds that a device announces do not fit its user profile (A.1-4); undefined if they do. */
export function roundsRefusal(
  sa: IkeSa,
  request: readonly Payload[],
  peer: PeerIdentity,
  secondRound: "required" | "allowed" | "forbidden",
): { reason: string; message: string } | undefined {
  const another = announcesAnother(request);
  if (
    another &&
    (!sa.connection.multipleAuth || findNotify(request, NotifyType.MULTIPLE_AUTH_SUPPORTED) === undefined)
  ) {
    return {
      reason: "MultipleAuthNotSupported",
      message: `${peer.text} announces another authentication without both sides' support (RFC 4739 2.3)`,
    };
  }
  if (another && secondRound === "forbidden")
    return {
      reason: "SecondRoundForbidden",
      message: `the profile of ${peer.text} is device only, and it announces a hosting party (TS 33.320 A.1)`,
    };
  if (!another && secondRound === "required")
    return {
      reason: "SecondRoundRequired",
      message: `the profile of ${peer.text} demands a hosting party, and it announces none (TS 33.320 A.1)`,
    };
  return undefined;
}

/** Ends the first round: proves who we are, and waits for the second identity (A.2 step 5). */
export function endFirstRound(sa: IkeSa, state: In<"AwaitResponderAuth">, auth: OwnAuth): void {
  const { init, request, peer, verified } = state;
  const { idType, idData: data } = sa.connection.identity;
  sa.sendResponse([
    { kind: "IDr", idType, data },
    ...certificatePayloads(auth.certificates, auth.ocspResponses),
    { kind: "AUTH", method: auth.method, data: auth.data },
  ]);
  sa.state = { kind: "ExpectSecondIdentity", init, request, peer, verified };
  sa.arm("halfOpen", ROUND_LIMIT);
}

/** The second identity, without AUTH: asks the AAA server with an empty EAP payload (A.2-3, steps 7 and 8). */
export function onSecondIdentity(sa: IkeSa, state: In<"ExpectSecondIdentity">, payloads: readonly Payload[]): void {
  const id = find(payloads, "IDi");
  if (id === undefined || find(payloads, "AUTH") !== undefined) {
    return refuse(sa, NotifyType.AUTHENTICATION_FAILED, {
      reason: "EapExpected",
      message: `${state.peer.text} announced another authentication; EAP with an identity of its own is what is known here`,
    });
  }
  const { init, request, peer, verified } = state;
  relay(sa, { init, request, peer, verified, party: identityOf(id), rounds: 0 }, undefined);
}

/** An EAP response of the hosting party's (A.2 steps 13, 14). */
export function onEapMessage(sa: IkeSa, state: In<"ExpectEapMessage">, payloads: readonly Payload[]): void {
  const packet = find(payloads, "EAP");
  if (packet === undefined) {
    return refuse(sa, NotifyType.AUTHENTICATION_FAILED, {
      reason: "MissingPayload",
      message: `${state.round.peer.text} left its EAP conversation (RFC 7296 2.16)`,
    });
  }
  relay(sa, state.round, copyOf(packet.data));
}

/** What the AAA server says (A.2 steps 10, 15). */
export function onRelayed(sa: IkeSa, { round }: In<"AwaitAaa">, answer: EapRelayed): void {
  switch (answer.kind) {
    case "request":
      sa.sendResponse([{ kind: "EAP", data: answer.packet }]);
      sa.state = { kind: "ExpectEapMessage", round };
      break;
    case "success":
      // Without a key the two rounds would not be bound to this IKE SA (RFC 7296 2.16).
      if (answer.msk.length < LEAST_MSK) {
        return refuse(sa, NotifyType.AUTHENTICATION_FAILED, {
          reason: "EapKeyMissing",
          message: `the AAA server let ${round.party.text} in but gave no key; its method must make one`,
        });
      }
      sa.sendResponse([{ kind: "EAP", data: answer.packet }]);
      sa.state = { kind: "ExpectEapAuth", round, msk: copyOf(answer.msk), eap: answer.eap };
      break;
    case "failure": {
      const { packet, refusal } = answer;
      // RFC 7296 2.16: EAP Failure is told within the exchange, and nothing of the IKE SA remains.
      sa.sendResponse([
        ...(packet === undefined ? [] : [{ kind: "EAP" as const, data: packet }]),
        notify(NotifyType.AUTHENTICATION_FAILED),
      ]);
      return sa.fail({ ...refusal, by: "us", notify: NotifyType.AUTHENTICATION_FAILED });
    }
  }
  sa.arm("halfOpen", ROUND_LIMIT);
}

/** The device takes back its attempt between two rounds, or refuses us (RFC 7296 2.21.2, 1.4.1). */
export function onGivingUp(sa: IkeSa, payloads: readonly Payload[]): void {
  const refused = findNotify(payloads, NotifyType.AUTHENTICATION_FAILED) !== undefined;
  sa.sendResponse([]);
  if (!refused && find(payloads, "D") === undefined) return;
  const message = refused ? "the device refuses this gateway or its network" : "the device took its attempt back";
  sa.fail({
    reason: refused ? "PeerRefused" : "Cancelled",
    message,
    by: "peer",
    ...(refused ? { notify: NotifyType.AUTHENTICATION_FAILED } : {}),
  });
}

/** AUTH made from the MSK: both rounds are one peer's (A.2-6, step 20). */
export function onEapAuth(sa: IkeSa, state: In<"ExpectEapAuth">, payloads: readonly Payload[]): void {
  const { round, msk, eap } = state;
  const { init, party, peer, verified, request } = round;
  const auth = find(payloads, "AUTH");
  if (auth === undefined || auth.method !== AuthMethod.SHARED_KEY) {
    return refuse(sa, NotifyType.AUTHENTICATION_FAILED, {
      reason: "MissingPayload",
      message: `${party.text} sent no AUTH after EAP (RFC 7296 2.16)`,
    });
  }
  if (announcesAnother(payloads)) {
    return refuse(sa, NotifyType.AUTHENTICATION_FAILED, {
      reason: "TooManyRounds",
      message: `${peer.text} announces a third authentication; two are known here`,
    });
  }
  const suite = sa.suite!;
  const theirs = authOctets(
    init.request,
    init.nonceR,
    suite.prf,
    sa.keys!.pi,
    idBody({ idType: party.idType, data: party.idData }),
  );
  if (!sameSecret(auth.data, sharedKeyAuth(suite.prf, msk, theirs))) {
    return refuse(sa, NotifyType.AUTHENTICATION_FAILED, {
      reason: "WrongAuth",
      message: `the AUTH of ${party.text} was not made with the key of its EAP conversation`,
    });
  }
  const { idType, idData: data } = sa.connection.identity;
  const ours = authOctets(init.response, init.nonceI, suite.prf, sa.keys!.pr, idBody({ idType, data }));
  const own: OwnAuth = {
    method: AuthMethod.SHARED_KEY,
    data: sharedKeyAuth(suite.prf, msk, ours),
    certificates: [],
    ocspResponses: [],
  };
  const evidence = { ...verified.evidence, eap, hostingParty: party.text };
  askAddress(sa, { kind: "AwaitResponderAuth", init, request, peer, verified: { ...verified, evidence } }, own, true);
}

function relay(sa: IkeSa, round: SecondRound, packet: Buffer | undefined): void {
  if (round.rounds >= MAX_ROUNDS) {
    return refuse(sa, NotifyType.AUTHENTICATION_FAILED, {
      reason: "TooManyEapRounds",
      message: `the EAP conversation of ${round.party.text} had no end after ${MAX_ROUNDS} rounds`,
    });
  }
  sa.state = { kind: "AwaitAaa", round: { ...round, rounds: round.rounds + 1 } };
  sa.arm("halfOpen", AUTH_LIMIT);
  sa.ask({ ask: "relayEap", device: round.peer, party: round.party, packet });
}

/** How long a device may take for its next message, milliseconds: a person may have to unlock a card. */
const ROUND_LIMIT = 60_000;
/** More than any method needs for a full authentication with resynchronization; EAP-TLS with long paths takes as many. */
const MAX_ROUNDS = 24;
/** Octets (RFC 3748 7.10). */
const LEAST_MSK = 64;
