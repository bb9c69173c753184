/** The initiator's side of IKE_SA_INIT and IKE_AUTH (RFC 7296 1.2, 2.6, 2.7; TS 33.320 A.1 steps 2-8). */
import { copyOf } from "../../bytes/bytes.ts";
import type { EspSpi, UdpAddress } from "../../esp/dataPlane.ts";
import {
  certificatePayloads,
  certificateRequests,
  receivedCertificates,
  receivedRequests,
} from "../auth/certificatePayloads.ts";
import { identityOf } from "../auth/identity.ts";
import { type ConfigAttribute, find, findNotify, type IkeHeader, type Payload } from "../codec/message.ts";
import { CfgAttribute, CfgType, ExchangeType, FIRST_STATUS_NOTIFY, NotifyType } from "../codec/numbers.ts";
import { authOctets, idBody, integrityBinding } from "../crypto/auth.ts";
import { BadKeyExchangeError, generateKeyExchange } from "../crypto/dh.ts";
import { deriveIkeKeys } from "../crypto/kdf.ts";
import { type ChildResult, completeChild, offerChild } from "./child.ts";
import type { IkeRefusal, OwnAuth, PeerIdentity, VerifiedPeer } from "./effects.ts";
import { becomeEstablished } from "./established.ts";
import { hashesOf, signatureHashes } from "./hashAlgorithms.ts";
import { beginHostingParty } from "./hostingPartyRound.ts";
import { type IkeSa, notify } from "./ikeSa.ts";
import { detectNat, natDetectionPayloads } from "./natDetection.ts";
import { chooseIke, offerIke, offersGroup } from "./proposal.ts";
import type { ChildNonces, IkeSaState } from "./state.ts";
import { notifyText } from "./wireErrors.ts";

type In<K extends IkeSaState["kind"]> = Extract<IkeSaState, { kind: K }>;

/** A responder may answer IKE_SA_INIT with a cookie and with another group, and each once more; not without end. */
const MAX_INIT_RESTARTS = 5;

/** Sends the first IKE_SA_INIT request, or the same one again with a cookie or another group. */
export function sendInit(
  sa: IkeSa,
  attempt: { group?: number; cookie?: Buffer; nonceI?: Buffer; restarts?: number } = {},
): void {
  const { connection } = sa;
  const group = attempt.group ?? connection.ikeProposals[0]!.groups[0]!;
  const previous = sa.state.kind === "ExpectInitResponse" && sa.state.ke.group === group ? sa.state.ke : undefined;
  const ke = previous ?? generateKeyExchange(group);
  const nonceI = attempt.nonceI ?? sa.nonce();
  const cookie = attempt.cookie;
  const payloads: Payload[] = [
    // A cookie stands first and everything else stays as it was (RFC 7296 2.6).
    ...(cookie === undefined ? [] : [notify(NotifyType.COOKIE, cookie)]),
    { kind: "SA", proposals: offerIke(connection.ikeProposals, Buffer.alloc(0)) },
    { kind: "KE", group, data: ke.publicValue },
    { kind: "Nonce", data: nonceI },
    ...natDetectionPayloads(sa),
    ...fragmentationPayloads(sa),
    ...signatureHashes(connection.signatureHashes),
  ];
  sa.restartRequests();
  const [request] = sa.sendRequest(ExchangeType.IKE_SA_INIT, payloads, { kind: "init" });
  sa.state = { kind: "ExpectInitResponse", ke, nonceI, request: request!, cookie, restarts: attempt.restarts ?? 0 };
}

export function onInitResponse(
  sa: IkeSa,
  state: In<"ExpectInitResponse">,
  header: IkeHeader,
  payloads: readonly Payload[],
  packet: Buffer,
): void {
  const restart = restartAsked(sa, state, payloads);
  if (restart === "refused") return;
  if (restart !== undefined) return sendInit(sa, restart);
  const refused = errorNotify(payloads);
  if (refused !== undefined)
    return fail(sa, {
      reason: "PeerRefused",
      message: `the responder answered IKE_SA_INIT with ${notifyText(refused)}`,
      notify: refused,
    });

  const saPayload = find(payloads, "SA");
  const ke = find(payloads, "KE");
  const nonce = find(payloads, "Nonce");
  if (saPayload === undefined || ke === undefined || nonce === undefined) {
    return fail(sa, {
      reason: "MissingPayload",
      message: "the IKE_SA_INIT response lacks SA, KE or Nonce (RFC 7296 1.2)",
    });
  }
  // One proposal, and one that we offered: anything else is a downgrade or a fault (RFC 7296 3.3.6).
  const chosen =
    saPayload.proposals.length === 1 ? chooseIke(sa.connection.ikeProposals, saPayload.proposals) : undefined;
  if (chosen === undefined || chosen.suite.group !== ke.group || ke.group !== state.ke.group) {
    return fail(sa, { reason: "ProposalNotOffered", message: "the responder chose algorithms that were not offered" });
  }
  let sharedSecret: Buffer;
  try {
    sharedSecret = state.ke.computeShared(ke.data);
  } catch (error) {
    if (!(error instanceof BadKeyExchangeError)) throw error;
    return fail(sa, { reason: "BadKeyExchange", message: error.message });
  }
  sa.endOutgoing();
  sa.responderSpi = header.responderSpi;
  detectNat(sa, payloads);
  const init = { request: state.request, response: copyOf(packet), nonceI: state.nonceI, nonceR: copyOf(nonce.data) };
  sa.useKeys(
    chosen.suite,
    deriveIkeKeys(chosen.suite, {
      nonceI: init.nonceI,
      nonceR: init.nonceR,
      sharedSecret,
      spiI: sa.initiatorSpi,
      spiR: sa.responderSpi,
    }),
  );
  notePeerAbilities(sa, payloads);
  // Without the second round the hosting party would go unproved: whoever stripped the announcement gains nothing.
  if (sa.connection.hostingParty && findNotify(payloads, NotifyType.MULTIPLE_AUTH_SUPPORTED) === undefined) {
    return fail(sa, {
      reason: "MultipleAuthNotSupported",
      message: "the responder does not support several authentications, and a hosting party is to follow (RFC 4739)",
    });
  }
  if (sa.nat.local || sa.nat.remote) moveToNatPort(sa);
  const { idType, idData: data } = sa.connection.identity;
  const octets = authOctets(init.request, init.nonceR, chosen.suite.prf, sa.keys!.pi, idBody({ idType, data }));
  sa.state = { kind: "AwaitInitiatorAuth", init, ocspAsked: sa.peerAsksOcsp !== undefined };
  sa.arm("halfOpen", AUTH_LIMIT);
  sa.ask({
    ask: "computeAuth",
    octets,
    peerHashes: sa.peerHashes,
    acceptableCas: sa.peerCas,
    ocspAsked: sa.peerAsksOcsp !== undefined,
    ocspResponderHashes: sa.peerAsksOcsp?.responderHashes ?? [],
    peerIdentity: undefined,
    integrityBinding: sa.connection.integrityInfo
      ? integrityBinding(sa.initiatorSpi, sa.responderSpi, init)
      : undefined,
  });
}

/** The TrE has computed AUTH: sends IKE_AUTH (TS 33.320 A.1-4). */
export function sendAuth(sa: IkeSa, state: In<"AwaitInitiatorAuth">, auth: OwnAuth): void {
  const { connection } = sa;
  const childSpi = sa.host.newEspSpi();
  const wanted: ConfigAttribute[] = connection.requestAttributes.map((type) => ({ type, value: Buffer.alloc(0) }));
  const payloads: Payload[] = [
    { kind: "IDi", idType: connection.identity.idType, data: connection.identity.idData },
    ...certificatePayloads(auth.certificates, auth.ocspResponses),
    notify(NotifyType.INITIAL_CONTACT),
    ...certificateRequests(connection.trustedCaHashes, connection.askOcsp),
    { kind: "AUTH", method: auth.method, data: auth.data },
    // TS 33.320 A.2-1, RFC 4739 2.3.
    ...(connection.hostingParty
      ? [notify(NotifyType.MULTIPLE_AUTH_SUPPORTED), notify(NotifyType.ANOTHER_AUTH_FOLLOWS)]
      : []),
    ...(auth.integrityReport === undefined ? [] : [notify(NotifyType.INTEGRITY_INFO, auth.integrityReport)]),
    ...(wanted.length > 0 ? [{ kind: "CP" as const, cfgType: CfgType.REQUEST, attributes: wanted }] : []),
    ...offerChild(sa, childSpi, false),
  ];
  sa.sendRequest(ExchangeType.IKE_AUTH, payloads, { kind: "auth" });
  sa.state = { kind: "ExpectAuthResponse", init: state.init, childSpi };
  sa.timers.delete("halfOpen");
}

export function onAuthResponse(sa: IkeSa, state: In<"ExpectAuthResponse">, payloads: readonly Payload[]): void {
  sa.endOutgoing();
  const id = find(payloads, "IDr");
  const auth = find(payloads, "AUTH");
  if (id === undefined || auth === undefined) {
    const refused = errorNotify(payloads);
    if (refused !== undefined)
      return fail(sa, {
        reason: "PeerRefused",
        message: `the responder answered IKE_AUTH with ${notifyText(refused)}`,
        notify: refused,
      });
    return refusePeer(sa, {
      reason: "MissingPayload",
      message: "the IKE_AUTH response lacks IDr or AUTH (RFC 7296 1.2)",
      by: "us",
    });
  }
  const { init } = state;
  const octets = authOctets(init.response, init.nonceI, sa.suite!.prf, sa.keys!.pr, idBody(id));
  const received = receivedCertificates(payloads);
  const peer = identityOf(id);
  sa.state = {
    kind: "AwaitResponderVerdict",
    response: payloads,
    childSpi: state.childSpi,
    peer,
    init,
  };
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
      connectedTo: sa.connection.connectedTo ?? { address: sa.path.remote.address },
    },
  });
}

/** The responder proved to be who it claims: now the hosting party, or else the tunnel (TS 33.320 A.1-8, A.2 step 6). */
export function onResponderVerified(sa: IkeSa, state: In<"AwaitResponderVerdict">, verified: VerifiedPeer): void {
  const { init, childSpi, peer } = state;
  if (sa.connection.hostingParty) return beginHostingParty(sa, { init, childSpi, peer, verified });
  takeTunnel(sa, { ...state, nonces: init }, verified);
}

/** What the responder's last message grants. */
interface Granted {
  peer: PeerIdentity;
  childSpi: EspSpi;
  nonces: ChildNonces;
  response: readonly Payload[];
}

/** Takes the address and the first CHILD SA (TS 33.320 A.1-7, A.2-7). */
export function takeTunnel(sa: IkeSa, { peer, childSpi, nonces, response }: Granted, verified: VerifiedPeer): void {
  sa.timers.delete("halfOpen");
  const reply = find(response, "CP");
  const attributes =
    reply?.cfgType === CfgType.REPLY ? reply.attributes.map((a) => ({ type: a.type, value: copyOf(a.value) })) : [];
  const asked = sa.connection.requestAttributes;
  const addressMissing =
    (asked.includes(CfgAttribute.INTERNAL_IP4_ADDRESS) || asked.includes(CfgAttribute.INTERNAL_IP6_ADDRESS)) &&
    !attributes.some(
      (a) => a.type === CfgAttribute.INTERNAL_IP4_ADDRESS || a.type === CfgAttribute.INTERNAL_IP6_ADDRESS,
    );
  becomeEstablished(sa, peer, verified, { attributes, selectors: [] });
  // A CHILD SA whose inner address nobody knows is not even installed.
  const child: ChildResult =
    addressMissing && find(response, "SA") !== undefined
      ? { kind: "failed", notify: NotifyType.INTERNAL_ADDRESS_FAILURE, message: "the responder assigned no address" }
      : completeChild(sa, response, childSpi, { nonceI: nonces.nonceI, nonceR: nonces.nonceR }, undefined, undefined);
  if (child.kind === "failed") {
    // Without a tunnel an IKE SA is no use to a device: it lets go at once and says why.
    const { notify: type, message } = child;
    sa.host.emit({ kind: "event", event: { kind: "childFailed", sa: sa.id, notify: type, message } });
    sa.enqueue({ kind: "deleteIke", cause: "protocolError" });
  }
}

/** Tells the responder that we refuse it, in an exchange of its own, and ends (RFC 7296 2.21.2). */
export function refusePeer(sa: IkeSa, refusal: IkeRefusal): void {
  sa.timers.delete("halfOpen");
  sa.enqueue({ kind: "tellAuthenticationFailed", refusal });
}

function restartAsked(
  sa: IkeSa,
  state: In<"ExpectInitResponse">,
  payloads: readonly Payload[],
): Parameters<typeof sendInit>[1] | "refused" | undefined {
  const cookie = findNotify(payloads, NotifyType.COOKIE);
  const otherGroup = findNotify(payloads, NotifyType.INVALID_KE_PAYLOAD);
  if (cookie === undefined && otherGroup === undefined) return undefined;
  const restarts = state.restarts + 1;
  if (restarts > MAX_INIT_RESTARTS) {
    fail(sa, {
      reason: "NoAgreement",
      message: `the responder asked for another IKE_SA_INIT more than ${MAX_INIT_RESTARTS} times`,
    });
    return "refused";
  }
  if (cookie !== undefined) {
    if (cookie.data.length === 0 || cookie.data.length > 64) return "refused"; // RFC 7296 2.6: 1 to 64 octets; others are no answer
    return { cookie: copyOf(cookie.data), group: state.ke.group, nonceI: state.nonceI, restarts };
  }
  const group = otherGroup!.data.length === 2 ? otherGroup!.data.readUInt16BE() : 0;
  // Only a group that we offered, and not the one just refused: else this is a downgrade (RFC 7296 1.2, 2.7).
  if (group === state.ke.group || !offersGroup(sa.connection.ikeProposals, group)) {
    fail(sa, {
      reason: "GroupNotOffered",
      message: `the responder asked for key exchange group ${group}, which was not offered`,
      notify: NotifyType.INVALID_KE_PAYLOAD,
    });
    return "refused";
  }
  return { group, nonceI: state.nonceI, restarts, ...(state.cookie === undefined ? {} : { cookie: state.cookie }) };
}

/** What the peer announced in IKE_SA_INIT (RFC 7383 2.3, RFC 7427 4, RFC 7296 3.7). */
export function notePeerAbilities(sa: IkeSa, payloads: readonly Payload[]): void {
  sa.peerFragments = findNotify(payloads, NotifyType.IKEV2_FRAGMENTATION_SUPPORTED) !== undefined;
  sa.peerHashes = hashesOf(payloads);
  noteCertificateRequests(sa, payloads);
}

export function noteCertificateRequests(sa: IkeSa, payloads: readonly Payload[]): void {
  const requests = receivedRequests(payloads);
  sa.peerCas = requests.cas;
  sa.peerAsksOcsp = requests.ocsp;
}

export function fragmentationPayloads(sa: IkeSa): Payload[] {
  return sa.connection.fragmentSize === 0 ? [] : [notify(NotifyType.IKEV2_FRAGMENTATION_SUPPORTED)];
}

function moveToNatPort(sa: IkeSa): void {
  const at = (address: UdpAddress, port: number): UdpAddress => ({ address: address.address, port });
  sa.path = {
    ...sa.path,
    local: at(sa.path.local, sa.path.natPorts.local),
    remote: at(sa.path.remote, sa.path.natPorts.remote),
    natT: true,
  };
}

export function errorNotify(payloads: readonly Payload[]): number | undefined {
  for (const payload of payloads) if (payload.kind === "N" && payload.type < FIRST_STATUS_NOTIFY) return payload.type;
  return undefined;
}

/** Before the responder is authenticated nothing that it says can be trusted, so there is nobody to tell. */
export function fail(sa: IkeSa, refusal: { reason: string; message: string; notify?: number }): void {
  sa.fail({ ...refusal, by: refusal.reason === "PeerRefused" ? "peer" : "us" });
}

/** How long the shell may take for AUTH or a verdict, milliseconds. */
export const AUTH_LIMIT = 30_000;
