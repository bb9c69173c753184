/**
 * CREATE_CHILD_SA for the IKE SA itself, with rekeying that crosses the peer's (RFC 7296 1.3.2, 2.8.2, 2.18).
 *
 * The new IKE SA inherits all CHILD SAs. Whoever began the rekeying deletes the old IKE SA; of two that crossed, the one
 * with the lowest of the four nonces loses and is deleted by the side that began it.
 */
import { type Bytes, compareBytes, copyOf } from "../../bytes/bytes.ts";
import { spiFromBytes, spiToBytes } from "../codec/header.ts";
import { find, findNotify, type IkeSpi, type NotifyPayload, type Payload } from "../codec/message.ts";
import { ExchangeType, NotifyType } from "../codec/numbers.ts";
import { BadKeyExchangeError, generateKeyExchange } from "../crypto/dh.ts";
import { deriveIkeKeys } from "../crypto/kdf.ts";
import type { IkeSuite } from "../crypto/suite.ts";
import { armLifetime } from "./established.ts";
import { IkeSa, notify } from "./ikeSa.ts";
import { chooseIke, offerIke, offersGroup } from "./proposal.ts";
import type { IkeSaState, Intent, Sent } from "./state.ts";

type SentRekey = Extract<Sent, { kind: "rekeyIke" }>;
type Established = Extract<IkeSaState, { kind: "Established" }>;

export function sendRekeyIke(sa: IkeSa, intent: Extract<Intent, { kind: "rekeyIke" }>): void {
  const group = intent.group ?? sa.suite!.group;
  const ke = generateKeyExchange(group);
  const nonceI = sa.nonce();
  const ownSpi = sa.host.newSpi();
  const payloads: Payload[] = [
    { kind: "SA", proposals: offerIke(sa.connection.ikeProposals, spiToBytes(ownSpi)) },
    { kind: "Nonce", data: nonceI },
    { kind: "KE", group, data: ke.publicValue },
  ];
  sa.sendRequest(ExchangeType.CREATE_CHILD_SA, payloads, {
    kind: "rekeyIke",
    ke,
    nonceI,
    ownSpi,
    collision: undefined,
  });
}

/** True if a CREATE_CHILD_SA request concerns the IKE SA: its proposals are for IKE. */
export function isIkeRekey(payloads: readonly Payload[]): boolean {
  return find(payloads, "SA")?.proposals[0]?.protocol === 1;
}

export function onRekeyIkeRequest(sa: IkeSa, state: Established, payloads: readonly Payload[]): void {
  const offer = find(payloads, "SA");
  const nonce = find(payloads, "Nonce");
  const theirKe = find(payloads, "KE");
  if (offer === undefined || nonce === undefined || theirKe === undefined)
    return void sa.sendResponse([notify(NotifyType.INVALID_SYNTAX)]);
  // RFC 7296 2.25.2: busy with a CHILD SA's exchange or already going.
  const busy = sa.outgoing?.sent.kind;
  if (busy === "createChild" || busy === "deleteChild" || busy === "deleteIke")
    return void sa.sendResponse([notify(NotifyType.TEMPORARY_FAILURE)]);
  const chosen = chooseIke(sa.connection.ikeProposals, offer.proposals);
  if (chosen === undefined || chosen.peerSpi.length !== 8)
    return void sa.sendResponse([notify(NotifyType.NO_PROPOSAL_CHOSEN)]);
  if (theirKe.group !== chosen.suite.group) {
    const data = Buffer.alloc(2);
    data.writeUInt16BE(chosen.suite.group);
    return void sa.sendResponse([notify(NotifyType.INVALID_KE_PAYLOAD, data)]);
  }
  const ke = generateKeyExchange(chosen.suite.group);
  let sharedSecret: Buffer;
  try {
    sharedSecret = ke.computeShared(theirKe.data);
  } catch (error) {
    if (!(error instanceof BadKeyExchangeError)) throw error;
    return void sa.sendResponse([notify(NotifyType.INVALID_SYNTAX)]);
  }
  const ownSpi = sa.host.newSpi();
  const nonceI = copyOf(nonce.data);
  const nonceR = sa.nonce();
  sa.sendResponse([
    {
      kind: "SA",
      proposals: [{ number: chosen.number, protocol: 1, spi: spiToBytes(ownSpi), transforms: chosen.transforms }],
    },
    { kind: "Nonce", data: nonceR },
    { kind: "KE", group: chosen.suite.group, data: ke.publicValue },
  ]);
  const successor = makeSuccessor(sa, state, {
    initiator: false,
    initiatorSpi: spiFromBytes(chosen.peerSpi),
    responderSpi: ownSpi,
    suite: chosen.suite,
    nonceI,
    nonceR,
    sharedSecret,
  });
  const ours = sa.outgoing?.sent;
  if (ours?.kind === "rekeyIke") {
    successor.contending = true;
    ours.collision = { theirs: successor.id, lowestNonce: lower(nonceI, nonceR) };
  } else {
    handOver(sa, state, successor, false);
    sa.arm("linger", LINGER);
  }
}

export function onRekeyIkeResponse(sa: IkeSa, sent: SentRekey, state: Established, payloads: readonly Payload[]): void {
  sa.endOutgoing();
  const theirs = sent.collision === undefined ? undefined : sa.host.find(sent.collision.theirs);
  const answer = find(payloads, "SA");
  const nonce = find(payloads, "Nonce");
  const theirKe = find(payloads, "KE");
  const chosen = answer?.proposals.length === 1 ? chooseIke(sa.connection.ikeProposals, answer.proposals) : undefined;
  if (
    chosen === undefined ||
    nonce === undefined ||
    theirKe === undefined ||
    chosen.peerSpi.length !== 8 ||
    chosen.suite.group !== sent.ke.group ||
    theirKe.group !== sent.ke.group
  ) {
    // The peer's own rekeying, which crossed ours, went through: that one counts.
    if (theirs !== undefined) return handOverToTheirs(sa, state, theirs);
    return retryLater(sa, sent, payloads);
  }
  let sharedSecret: Buffer;
  try {
    sharedSecret = sent.ke.computeShared(theirKe.data);
  } catch (error) {
    if (!(error instanceof BadKeyExchangeError)) throw error;
    if (theirs !== undefined) return handOverToTheirs(sa, state, theirs);
    return retryLater(sa, sent, payloads);
  }
  sa.retries = 0;
  const nonceR = copyOf(nonce.data);
  const successor = makeSuccessor(sa, state, {
    initiator: true,
    initiatorSpi: sent.ownSpi as IkeSpi,
    responderSpi: spiFromBytes(chosen.peerSpi),
    suite: chosen.suite,
    nonceI: sent.nonceI,
    nonceR,
    sharedSecret,
  });
  const oursIsLowest =
    sent.collision !== undefined && compareBytes(lower(sent.nonceI, nonceR), sent.collision.lowestNonce) < 0;
  if (theirs !== undefined && oursIsLowest) {
    successor.enqueue({ kind: "deleteIke", cause: "rekeyed" });
    sa.host.poke(successor);
    return handOverToTheirs(sa, state, theirs);
  }
  if (theirs !== undefined) {
    // Ours won: the peer deletes its own new one.
    theirs.state = { kind: "Rekeyed", peer: state.peer, successor: successor.id };
    theirs.timers.clear();
    theirs.arm("linger", LINGER);
    sa.host.poke(theirs);
  }
  handOver(sa, state, successor, true);
  sa.enqueue({ kind: "deleteIke", cause: "rekeyed" });
}

interface SuccessorInit {
  initiator: boolean;
  initiatorSpi: IkeSpi;
  responderSpi: IkeSpi;
  suite: IkeSuite;
  nonceI: Bytes;
  nonceR: Bytes;
  sharedSecret: Bytes;
}

function makeSuccessor(sa: IkeSa, state: Established, init: SuccessorInit): IkeSa {
  const successor = sa.host.adopt(
    (id) =>
      new IkeSa({
        id,
        host: sa.host,
        connection: sa.connection,
        initiator: init.initiator,
        originalInitiator: sa.originalInitiator,
        initiatorSpi: init.initiatorSpi,
        responderSpi: init.responderSpi,
        path: sa.path,
        state: { ...state },
      }),
  );
  successor.nat = { ...sa.nat };
  successor.peerFragments = sa.peerFragments;
  successor.peerHashes = sa.peerHashes;
  const { nonceI, nonceR, sharedSecret, initiatorSpi: spiI, responderSpi: spiR } = init;
  // SKEYSEED comes from the old SK_d under the old PRF (RFC 7296 2.18).
  const keys = deriveIkeKeys(init.suite, {
    nonceI,
    nonceR,
    sharedSecret,
    spiI,
    spiR,
    previous: { prf: sa.suite!.prf, d: sa.keys!.d },
  });
  successor.useKeys(init.suite, keys);
  successor.forgetAuthentication();
  return successor;
}

/** Moves the CHILD SAs to the new IKE SA; the old one only waits for its Delete. */
function handOver(sa: IkeSa, state: Established, successor: IkeSa, byUs: boolean): void {
  for (const [id, child] of sa.children) successor.children.set(id, child);
  sa.children.clear();
  for (const intent of sa.queue)
    if (intent.kind === "createChild" || intent.kind === "deleteChild") successor.enqueue(intent);
  sa.queue = sa.queue.filter((intent) => intent.kind === "deleteIke");
  sa.timers.clear();
  sa.state = { kind: "Rekeyed", peer: state.peer, successor: successor.id };
  successor.contending = false;
  armLifetime(successor);
  sa.host.emit({ kind: "event", event: { kind: "ikeRekeyed", from: sa.id, to: successor.id, peer: state.peer, byUs } });
  sa.host.poke(successor);
}

/**
 * The peer deletes an IKE SA that both sides were rekeying: its own rekeying has won and carries on, though the answer
 * to ours is still on its way (RFC 7296 2.25.2).
 */
export function carryOnAfterCollision(sa: IkeSa): void {
  const sent = sa.outgoing?.sent;
  if (sent?.kind !== "rekeyIke" || sent.collision === undefined || sa.state.kind !== "Established") return;
  const theirs = sa.host.find(sent.collision.theirs);
  if (theirs?.state.kind === "Established") handOver(sa, sa.state, theirs, false);
}

function handOverToTheirs(sa: IkeSa, state: Established, theirs: IkeSa): void {
  handOver(sa, state, theirs, false);
  sa.arm("linger", LINGER);
}

function retryLater(sa: IkeSa, sent: SentRekey, payloads: readonly Payload[]): void {
  const groupData = findNotify(payloads, NotifyType.INVALID_KE_PAYLOAD)?.data;
  const group = groupData?.length === 2 ? groupData.readUInt16BE() : undefined;
  if (group !== undefined && group !== sent.ke.group && offersGroup(sa.connection.ikeProposals, group)) {
    sa.enqueue({ kind: "rekeyIke", group });
    return;
  }
  const error = payloads.find((p): p is NotifyPayload => p.kind === "N");
  sa.host.emit({
    kind: "event",
    event: {
      kind: "childFailed",
      sa: sa.id,
      notify: error?.type ?? 0,
      message: "the peer refused to rekey the IKE SA",
    },
  });
  sa.retries += 1;
  if (sa.retries <= MAX_RETRIES) sa.arm("retryRekeyIke", RETRY_AFTER * sa.retries);
}

function lower(a: Bytes, b: Bytes): Bytes {
  return compareBytes(a, b) <= 0 ? a : b;
}

/** Milliseconds the old IKE SA waits for the peer's Delete. */
const LINGER = 60_000;
/** Milliseconds before a refused rekeying is tried again (RFC 7296 2.25). */
const RETRY_AFTER = 5_000;
const MAX_RETRIES = 5;
