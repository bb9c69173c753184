/**
 * CREATE_CHILD_SA for CHILD SAs, with rekeying that crosses the peer's (RFC 7296 1.3.1, 1.3.3, 2.8.1, 2.25).
 *
 * When both sides rekey one CHILD SA at once, both new ones are made; then the one with the lowest of the four nonces
 * loses, and the side that began it deletes it. The winner's initiator deletes the old one.
 */
import { type Bytes, compareBytes, copyOf } from "../../bytes/bytes.ts";
import type { ChildSaId, EspSpi } from "../../esp/dataPlane.ts";
import { find, findNotify, type NotifyPayload, type Payload } from "../codec/message.ts";
import { ExchangeType, Group, NotifyType, Protocol } from "../codec/numbers.ts";
import { generateKeyExchange } from "../crypto/dh.ts";
import { answerChild, childByPeerSpi, completeChild, espSpiBytes, offerChild } from "./child.ts";
import { type IkeSa, notify } from "./ikeSa.ts";
import { offersGroup } from "./proposal.ts";
import type { ChildSa, Intent, Sent } from "./state.ts";

type SentChild = Extract<Sent, { kind: "createChild" }>;

/** How long to wait before a rekeying that met TEMPORARY_FAILURE is tried again, milliseconds (RFC 7296 2.25). */
const RETRY_AFTER = 5_000;

export function sendCreateChild(sa: IkeSa, intent: Extract<Intent, { kind: "createChild" }>): void {
  const replaced = intent.replaces === undefined ? undefined : sa.children.get(intent.replaces);
  if (
    intent.replaces !== undefined &&
    (replaced === undefined || replaced.phase === "rekeyed" || replaced.phase === "deleting")
  )
    return;
  const group = intent.group ?? sa.connection.espProposals.flatMap((proposal) => proposal.groups)[0] ?? Group.NONE;
  const ke = group === Group.NONE ? undefined : generateKeyExchange(group);
  const nonceI = sa.nonce();
  const inboundSpi = sa.host.newEspSpi();
  const rekey: Payload[] =
    replaced === undefined
      ? []
      : [
          {
            kind: "N",
            protocol: Protocol.ESP,
            spi: espSpiBytes(replaced.inboundSpi),
            type: NotifyType.REKEY_SA,
            data: Buffer.alloc(0),
          },
        ];
  const [offer, tsi, tsr] = offerChild(sa, inboundSpi, ke !== undefined, replaced);
  const payloads: Payload[] = [
    ...rekey,
    offer!,
    { kind: "Nonce", data: nonceI },
    ...(ke === undefined ? [] : [{ kind: "KE" as const, group, data: ke.publicValue }]),
    tsi!,
    tsr!,
  ];
  if (replaced !== undefined) replaced.phase = "rekeying";
  sa.sendRequest(ExchangeType.CREATE_CHILD_SA, payloads, {
    kind: "createChild",
    replaces: intent.replaces,
    ke,
    nonceI,
    inboundSpi,
    collision: undefined,
  });
}

/** Answers a CREATE_CHILD_SA request that concerns a CHILD SA. */
export function onCreateChildRequest(sa: IkeSa, payloads: readonly Payload[]): void {
  const nonce = find(payloads, "Nonce");
  if (nonce === undefined) return void sa.sendResponse([notify(NotifyType.INVALID_SYNTAX)]);
  const rekey = findNotify(payloads, NotifyType.REKEY_SA);
  const replaced = rekey === undefined ? undefined : rekeyTarget(sa, rekey);
  if (rekey !== undefined && replaced === undefined) {
    return void sa.sendResponse([
      {
        kind: "N",
        protocol: rekey.protocol,
        spi: rekey.spi,
        type: NotifyType.CHILD_SA_NOT_FOUND,
        data: Buffer.alloc(0),
      },
    ]);
  }
  // RFC 7296 2.25.1: while we delete it, and 2.25.2: while we rekey or delete the IKE SA.
  const ikeBusy = sa.outgoing?.sent.kind === "rekeyIke" || sa.outgoing?.sent.kind === "deleteIke";
  if (ikeBusy || replaced?.phase === "deleting" || replaced?.phase === "rekeyed")
    return void sa.sendResponse([notify(NotifyType.TEMPORARY_FAILURE)]);
  if (replaced === undefined && sa.children.size >= MAX_CHILDREN)
    return void sa.sendResponse([notify(NotifyType.NO_ADDITIONAL_SAS)]);

  const nonceI = copyOf(nonce.data);
  const nonceR = sa.nonce();
  const state = sa.state.kind === "Established" ? sa.state : undefined;
  const assigned =
    sa.originalInitiator || state?.assigned === undefined ? sa.connection.remoteSelectors : state.assigned.selectors;
  const answer = answerChild(sa, payloads, { nonceI, nonceR }, assigned, replaced, "CREATE_CHILD_SA");
  sa.sendResponse(answer.payloads);
  const made = answer.conclude();
  if (made === undefined || replaced === undefined) return;
  const ours = sa.outgoing?.sent;
  if (ours?.kind === "createChild" && ours.replaces === replaced.id) {
    ours.collision = { theirs: made.id, lowestNonce: lower(nonceI, nonceR) };
  } else {
    retire(sa, replaced);
  }
}

export function onCreateChildResponse(sa: IkeSa, sent: SentChild, payloads: readonly Payload[]): void {
  sa.endOutgoing();
  const replaced = sent.replaces === undefined ? undefined : sa.children.get(sent.replaces);
  const nonce = find(payloads, "Nonce");
  if (nonce === undefined) return onFailure(sa, sent, payloads, replaced);
  const nonceR = copyOf(nonce.data);
  const result = completeChild(sa, payloads, sent.inboundSpi, { nonceI: sent.nonceI, nonceR }, sent.ke, replaced);
  if (result.kind === "failed") return giveUp(sa, result.notify, result.message, replaced);
  sa.retries = 0;
  if (sent.collision === undefined) {
    if (replaced !== undefined) deleteChild(sa, replaced);
    return;
  }
  const oursIsLowest = compareBytes(lower(sent.nonceI, nonceR), sent.collision.lowestNonce) < 0;
  const theirs = sa.children.get(sent.collision.theirs);
  if (oursIsLowest && theirs !== undefined) {
    deleteChild(sa, result.child);
    if (replaced !== undefined) retire(sa, replaced);
  } else {
    if (theirs !== undefined) retire(sa, theirs);
    if (replaced !== undefined) deleteChild(sa, replaced);
  }
}

/** Queues a Delete for a CHILD SA, which receives until the peer has answered. */
export function deleteChild(sa: IkeSa, child: ChildSa): void {
  if (child.phase === "deleting") return;
  child.phase = "deleting";
  child.rekeyAt = Number.POSITIVE_INFINITY;
  sa.enqueue({ kind: "deleteChild", child: child.id, inboundSpi: child.inboundSpi });
}

/** The peer will delete this CHILD SA; should it not, we do when the SA expires. */
function retire(sa: IkeSa, child: ChildSa): void {
  child.phase = "rekeyed";
  child.rekeyAt = Number.POSITIVE_INFINITY;
  child.expireAt = Math.min(child.expireAt, sa.now() + RETIRED_LIMIT);
}

function onFailure(sa: IkeSa, sent: SentChild, payloads: readonly Payload[], replaced: ChildSa | undefined): void {
  if (findNotify(payloads, NotifyType.CHILD_SA_NOT_FOUND) !== undefined) {
    // The peer has lost it: ours is a leftover, and traffic needs a new one (RFC 7296 2.25).
    if (replaced !== undefined) {
      sa.removeChild(replaced);
      if (sent.collision === undefined) sa.enqueue({ kind: "createChild", replaces: undefined });
    }
    return;
  }
  const groupData = findNotify(payloads, NotifyType.INVALID_KE_PAYLOAD)?.data;
  const group = groupData?.length === 2 ? groupData.readUInt16BE() : undefined;
  if (group !== undefined && group !== sent.ke?.group && offersGroup(sa.connection.espProposals, group)) {
    if (replaced !== undefined) replaced.phase = "installed";
    sa.enqueue({ kind: "createChild", replaces: sent.replaces, group });
    return;
  }
  const error = payloads.find((p): p is NotifyPayload => p.kind === "N");
  giveUp(sa, error?.type ?? NotifyType.INVALID_SYNTAX, "the peer refused a CHILD SA", replaced);
}

/** Keeps the old CHILD SA and tries again later, a few times; then lets it expire. */
function giveUp(sa: IkeSa, type: number, message: string, replaced: ChildSa | undefined): void {
  sa.host.emit({ kind: "event", event: { kind: "childFailed", sa: sa.id, notify: type, message } });
  if (replaced === undefined || replaced.phase !== "rekeying") return;
  replaced.phase = "installed";
  sa.retries += 1;
  replaced.rekeyAt = sa.retries > MAX_RETRIES ? Number.POSITIVE_INFINITY : sa.now() + RETRY_AFTER * sa.retries;
}

function rekeyTarget(sa: IkeSa, rekey: NotifyPayload): ChildSa | undefined {
  return rekey.protocol === Protocol.ESP && rekey.spi.length === 4
    ? childByPeerSpi(sa, rekey.spi.readUInt32BE() as EspSpi)
    : undefined;
}

function lower(a: Bytes, b: Bytes): Bytes {
  return compareBytes(a, b) <= 0 ? a : b;
}

/** Finds a CHILD SA by the SPI the peer deletes, for INFORMATIONAL. */
export function onPeerDeletes(sa: IkeSa, peerSpi: number): ChildSaId | undefined {
  const child = childByPeerSpi(sa, peerSpi);
  if (child === undefined) return undefined;
  sa.removeChild(child);
  return child.id;
}

/** CHILD SAs one IKE SA may hold, old and new ones of a rekeying included. */
const MAX_CHILDREN = 8;
const MAX_RETRIES = 5;
/** Milliseconds after which a CHILD SA that the peer should have deleted goes. */
const RETIRED_LIMIT = 60_000;
