/** The responder's side of IKE_SA_INIT and IKE_AUTH (RFC 7296 1.2; TS 33.320 A.1 steps 2-7). */
import { copyOf } from "../../bytes/bytes.ts";
import type { PeerCredentials } from "../../tre/trustedEnvironment.ts";
import { certificatePayloads, certificateRequests, receivedCertificates } from "../auth/certificatePayloads.ts";
import { identityOf } from "../auth/identity.ts";
import { find, findNotify, type Payload } from "../codec/message.ts";
import { CfgType, ExchangeType, NotifyType } from "../codec/numbers.ts";
import { authOctets, idBody, integrityBinding } from "../crypto/auth.ts";
import { BadKeyExchangeError, generateKeyExchange } from "../crypto/dh.ts";
import { deriveIkeKeys } from "../crypto/kdf.ts";
import type { IkeSuite } from "../crypto/suite.ts";
import { answerChild } from "./child.ts";
import { announcesAnother, endFirstRound, roundsRefusal } from "./eapRelay.ts";
import type { AssignedAddress, IkeRefusal, OwnAuth, VerifiedPeer } from "./effects.ts";
import { becomeEstablished } from "./established.ts";
import { signatureHashes } from "./hashAlgorithms.ts";
import { type IkeSa, notify } from "./ikeSa.ts";
import { AUTH_LIMIT, fragmentationPayloads, noteCertificateRequests, notePeerAbilities } from "./initiator.ts";
import { detectNat, natDetectionPayloads } from "./natDetection.ts";
import { offerIke } from "./proposal.ts";
import type { IkeSaState } from "./state.ts";

type In<K extends IkeSaState["kind"]> = Extract<IkeSaState, { kind: K }>;

/** An IKE_SA_INIT request that has passed cookie, limits and proposal choice (see `endpoint.ts`). */
export interface AcceptedInit {
  packet: Buffer;
  payloads: readonly Payload[];
  suite: IkeSuite;
  proposalNumber: number;
  peerPublic: Buffer;
  nonceI: Buffer;
}

/** Answers IKE_SA_INIT. The shared secret waits until IKE_AUTH, so that a spoofed request costs no derivation. */
export function answerInit(sa: IkeSa, init: AcceptedInit): void {
  const { connection } = sa;
  const ke = generateKeyExchange(init.suite.group);
  const nonceR = sa.nonce();
  detectNat(sa, init.payloads);
  notePeerAbilities(sa, init.payloads);
  sa.suite = init.suite;
  const chosen = offerIke(
    [
      {
        text: "",
        encr: [init.suite.encr],
        integ: init.suite.integ === 0 ? [] : [init.suite.integ],
        prf: [init.suite.prf],
        groups: [init.suite.group],
      },
    ],
    Buffer.alloc(0),
  );
  const payloads: Payload[] = [
    { kind: "SA", proposals: [{ ...chosen[0]!, number: init.proposalNumber }] },
    { kind: "KE", group: init.suite.group, data: ke.publicValue },
    { kind: "Nonce", data: nonceR },
    ...natDetectionPayloads(sa),
    // TS 33.320 A.1-3: the response asks for the device's certificate.
    ...certificateRequests(connection.trustedCaHashes, connection.askOcsp),
    ...fragmentationPayloads(sa),
    // TS 33.320 A.2-1.
    ...(connection.multipleAuth ? [notify(NotifyType.MULTIPLE_AUTH_SUPPORTED)] : []),
    ...(sa.peerHashes.length > 0 ? signatureHashes(connection.signatureHashes) : []),
  ];
  sa.answering = { exchangeType: ExchangeType.IKE_SA_INIT, messageId: 0 };
  const [response] = sa.sendResponse(payloads);
  sa.state = {
    kind: "ExpectAuthRequest",
    init: { request: copyOf(init.packet), response: response!, nonceI: copyOf(init.nonceI), nonceR },
    ke,
    peerPublic: copyOf(init.peerPublic),
  };
  sa.arm("halfOpen", HALF_OPEN_LIMIT);
}

/** Derives the keys when the first protected message arrives; false if the peer's public value is no good. */
export function deriveKeysLate(sa: IkeSa, state: In<"ExpectAuthRequest">): boolean {
  try {
    const sharedSecret = state.ke.computeShared(state.peerPublic);
    const { nonceI, nonceR } = state.init;
    sa.useKeys(
      sa.suite!,
      deriveIkeKeys(sa.suite!, { nonceI, nonceR, sharedSecret, spiI: sa.initiatorSpi, spiR: sa.responderSpi }),
    );
    return true;
  } catch (error) {
    if (!(error instanceof BadKeyExchangeError)) throw error;
    sa.fail({ reason: "BadKeyExchange", message: error.message, by: "us" });
    return false;
  }
}

export function onAuthRequest(sa: IkeSa, state: In<"ExpectAuthRequest">, payloads: readonly Payload[]): void {
  const id = find(payloads, "IDi");
  const auth = find(payloads, "AUTH");
  if (id === undefined)
    return refuse(sa, NotifyType.INVALID_SYNTAX, {
      reason: "MissingPayload",
      message: "the IKE_AUTH request lacks IDi (RFC 7296 1.2)",
    });
  const peer = identityOf(id);
  if (auth === undefined)
    return refuse(sa, NotifyType.AUTHENTICATION_FAILED, {
      reason: "EapNotOffered",
      message: `${peer.text} sent no AUTH: it wants EAP, which is not configured`,
    });
  const received = receivedCertificates(payloads);
  if (received.certificates.length === 0) {
    return refuse(sa, NotifyType.AUTHENTICATION_FAILED, {
      reason: "NoCertificate",
      message: `${peer.text} sent no X.509 certificate (TS 33.320 7.2.2-1)`,
    });
  }
  if (
    find(payloads, "SA") === undefined ||
    find(payloads, "TSi") === undefined ||
    find(payloads, "TSr") === undefined
  ) {
    return refuse(sa, NotifyType.INVALID_SYNTAX, {
      reason: "MissingPayload",
      message: "the IKE_AUTH request lacks SA, TSi or TSr (RFC 7296 1.2)",
    });
  }
  noteLateCertificateRequests(sa, payloads);
  const octets = authOctets(state.init.request, state.init.nonceR, sa.suite!.prf, sa.keys!.pi, idBody(id));
  sa.state = { kind: "AwaitInitiatorVerdict", init: state.init, request: payloads, peer };
  sa.arm("halfOpen", AUTH_LIMIT);
  sa.ask({
    ask: "verifyPeer",
    credentials: {
      idType: peer.idType,
      idData: peer.idData,
      certificates: received.certificates,
      ocspResponses: received.ocspResponses,
      authMethod: auth.method,
      authData: copyOf(auth.data),
      octets,
      connectedTo: { address: sa.path.local.address },
      remoteAddress: sa.path.remote.address,
      ...integrityOf(sa, state, payloads),
    },
  });
}

/** INTEGRITY_INFO as it came, with what it must be bound to (TS 33.320 A.1-6). */
function integrityOf(
  sa: IkeSa,
  { init }: In<"ExpectAuthRequest">,
  payloads: readonly Payload[],
): Pick<PeerCredentials, "integrity"> {
  if (!sa.connection.integrityInfo) return {};
  const report = findNotify(payloads, NotifyType.INTEGRITY_INFO)?.data;
  const binding = integrityBinding(sa.initiatorSpi, sa.responderSpi, init);
  return { integrity: { report: report === undefined ? undefined : copyOf(report), binding } };
}

/** The device proved to be who it claims: asks for our own AUTH and, where wanted, OCSP (TS 33.320 A.1-5). */
export function onInitiatorVerified(sa: IkeSa, state: In<"AwaitInitiatorVerdict">, verified: VerifiedPeer): void {
  const { init } = state;
  const refusal = roundsRefusal(sa, state.request, state.peer, verified.secondRound ?? "allowed");
  if (refusal !== undefined) return refuse(sa, NotifyType.AUTHENTICATION_FAILED, refusal);
  const { idType, idData: data } = sa.connection.identity;
  const octets = authOctets(init.response, init.nonceI, sa.suite!.prf, sa.keys!.pr, idBody({ idType, data }));
  sa.state = { kind: "AwaitResponderAuth", init, request: state.request, peer: state.peer, verified };
  sa.ask({
    ask: "computeAuth",
    octets,
    peerHashes: sa.peerHashes,
    acceptableCas: sa.peerCas,
    // TS 33.320 7.2.2-6: when asked, or unasked when so configured.
    ocspAsked: sa.peerAsksOcsp !== undefined || sa.connection.volunteerOcsp,
    ocspResponderHashes: sa.peerAsksOcsp?.responderHashes ?? [],
    peerIdentity: state.peer,
    integrityBinding: undefined,
  });
}

export function onOwnAuth(sa: IkeSa, state: In<"AwaitResponderAuth">, auth: OwnAuth): void {
  if (announcesAnother(state.request)) endFirstRound(sa, state, auth);
  else askAddress(sa, state, auth, false);
}

/** All authentications are done: assigns an address where one is asked for; `named` if IDr was sent before. */
export function askAddress(sa: IkeSa, state: In<"AwaitResponderAuth">, auth: OwnAuth, named: boolean): void {
  const asked = find(state.request, "CP");
  if (asked?.cfgType !== CfgType.REQUEST) {
    if (sa.connection.requireConfigRequest) {
      return refuse(sa, NotifyType.FAILED_CP_REQUIRED, {
        reason: "NoAddressRequested",
        message: `${state.peer.text} asked for no address, which this gateway requires`,
      });
    }
    return complete(sa, { ...state, kind: "AwaitAddress", auth, named }, undefined);
  }
  sa.state = {
    kind: "AwaitAddress",
    init: state.init,
    request: state.request,
    peer: state.peer,
    verified: state.verified,
    auth,
    named,
  };
  sa.ask({
    ask: "assignAddress",
    identity: state.peer,
    attributes: asked.attributes.map((a) => ({ type: a.type, value: copyOf(a.value) })),
  });
}

/** Without an address the IKE SA stands but carries no CHILD SA (RFC 7296 3.15.4). */
export function onAddress(sa: IkeSa, state: In<"AwaitAddress">, assigned: AssignedAddress | undefined): void {
  complete(sa, state, assigned ?? "failed");
}

/** Refuses the peer: tells it the notify and nothing else, and forgets it (RFC 7296 2.21.2). */
export function refuse(
  sa: IkeSa,
  type: (typeof NotifyType)[keyof typeof NotifyType],
  refusal: { reason: string; message: string; evidence?: Record<string, unknown> },
): void {
  sa.sendResponse([notify(type)]);
  const full: IkeRefusal = { ...refusal, by: "us", notify: type };
  sa.fail(full);
}

function complete(sa: IkeSa, state: In<"AwaitAddress">, assigned: AssignedAddress | "failed" | undefined): void {
  const { init, auth } = state;
  const payloads: Payload[] = [
    // RFC 4739 2.1: named once, in the round that authenticated us by certificate.
    ...(state.named
      ? []
      : [{ kind: "IDr" as const, idType: sa.connection.identity.idType, data: sa.connection.identity.idData }]),
    ...certificatePayloads(auth.certificates, auth.ocspResponses),
    { kind: "AUTH", method: auth.method, data: auth.data },
  ];
  const nonces = { nonceI: init.nonceI, nonceR: init.nonceR };
  if (assigned === "failed") {
    payloads.push(notify(NotifyType.INTERNAL_ADDRESS_FAILURE));
    sa.sendResponse(payloads);
    becomeEstablished(sa, state.peer, state.verified, undefined);
    return;
  }
  if (assigned !== undefined) payloads.push({ kind: "CP", cfgType: CfgType.REPLY, attributes: assigned.attributes });
  const answer = answerChild(
    sa,
    state.request,
    nonces,
    assigned?.selectors ?? sa.connection.remoteSelectors,
    undefined,
    undefined,
  );
  sa.sendResponse([...payloads, ...answer.payloads]);
  becomeEstablished(sa, state.peer, state.verified, assigned);
  answer.conclude();
}

/** strongSwan and others send CERTREQ in IKE_AUTH, where it belongs for an initiator (RFC 7296 1.2). */
function noteLateCertificateRequests(sa: IkeSa, payloads: readonly Payload[]): void {
  if (find(payloads, "CERTREQ") !== undefined) noteCertificateRequests(sa, payloads);
}

/** How long a peer may take from IKE_SA_INIT to IKE_AUTH, milliseconds. */
const HALF_OPEN_LIMIT = 30_000;
/** Octets of an IKE_SA_INIT request, which is kept until IKE_AUTH; several times what peers send. */
export const MAX_INIT_OCTETS = 8_192;
