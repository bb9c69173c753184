/**
 * CHILD SAs: offering, answering and completing them, in IKE_AUTH and in CREATE_CHILD_SA
 * (RFC 7296 1.2, 1.3.1, 1.3.3, 2.9, 2.17).
 */

import { copyOf } from "../../bytes/bytes.ts";
import type { ChildSaId, EspDirection, EspSpi } from "../../esp/dataPlane.ts";
import type { TrafficSelector } from "../../esp/selector.ts";
import { find, findNotify, type Payload } from "../codec/message.ts";
import { FIRST_STATUS_NOTIFY, Group, NotifyType, Protocol } from "../codec/numbers.ts";
import { BadKeyExchangeError, generateKeyExchange, type KeyExchange } from "../crypto/dh.ts";
import { deriveChildKeys } from "../crypto/kdf.ts";
import { EXPIRY_FACTOR, jittered } from "./established.ts";
import { type IkeSa, notify } from "./ikeSa.ts";
import { isNarrowingOf, narrow } from "./narrowing.ts";
import { type ChosenEsp, chooseEsp, offerEsp } from "./proposal.ts";
import type { ChildNonces, ChildSa } from "./state.ts";
import { notifyText } from "./wireErrors.ts";

export type ChildResult =
  | { kind: "installed"; child: ChildSa }
  | { kind: "failed"; notify: number; message: string; group?: number };

/** Our answer to an offer: payloads to send, and what is done once they are: install the CHILD SA, or tell why not. */
export interface ChildAnswer {
  payloads: Payload[];
  conclude(): ChildSa | undefined;
}

/** SA, TSi and TSr of an offer; selectors of a CHILD SA that is being rekeyed stay as they are (RFC 7296 2.9.2). */
export function offerChild(sa: IkeSa, spi: EspSpi, withGroup: boolean, replaced?: ChildSa): Payload[] {
  const proposals = offerEsp(sa.connection.espProposals, espSpiBytes(spi), withGroup);
  return [
    { kind: "SA", proposals },
    { kind: "TSi", selectors: [...(replaced?.localSelectors ?? sa.connection.localSelectors)] },
    { kind: "TSr", selectors: [...(replaced?.remoteSelectors ?? sa.connection.remoteSelectors)] },
  ];
}

/**
 * Answers an offer as its responder. `peerSelectors` are what the peer may use on its side; `replaces` is the CHILD SA
 * that a rekeying replaces; `rekeyNonces` undefined means IKE_AUTH, which has no key exchange of its own.
 */
export function answerChild(
  sa: IkeSa,
  request: readonly Payload[],
  nonces: ChildNonces,
  peerSelectors: readonly TrafficSelector[],
  replaces: ChildSa | undefined,
  exchange: "CREATE_CHILD_SA" | undefined,
): ChildAnswer {
  const offer = find(request, "SA");
  const tsi = find(request, "TSi");
  const tsr = find(request, "TSr");
  if (offer === undefined || tsi === undefined || tsr === undefined)
    return refused(sa, NotifyType.INVALID_SYNTAX, "the peer's offer lacks SA, TSi or TSr (RFC 7296 1.3.1)");
  // We know tunnel mode only (TS 33.320 7.2: ESP tunnel); ignoring USE_TRANSPORT_MODE declines it (RFC 7296 1.3.1).
  const chosen = chooseEsp(sa.connection.espProposals, offer.proposals, exchange !== undefined);
  if (chosen === undefined) return refused(sa, NotifyType.NO_PROPOSAL_CHOSEN, "no ESP proposal in common");
  const { group, esp } = chosen.suite;
  const keyPayload = find(request, "KE");
  if (group !== Group.NONE && keyPayload?.group !== group) {
    const data = Buffer.alloc(2);
    data.writeUInt16BE(group);
    // The peer offers again with that group: nothing has gone wrong yet.
    return { payloads: [notify(NotifyType.INVALID_KE_PAYLOAD, data)], conclude: () => undefined };
  }
  const remoteSelectors = narrow(tsi.selectors, replaces?.remoteSelectors ?? peerSelectors);
  const localSelectors = narrow(tsr.selectors, replaces?.localSelectors ?? sa.connection.localSelectors);
  if (remoteSelectors.length === 0 || localSelectors.length === 0)
    return refused(sa, NotifyType.TS_UNACCEPTABLE, "the peer asks for traffic none of which is allowed here");

  let ke: KeyExchange | undefined;
  let sharedSecret: Buffer | undefined;
  if (group !== Group.NONE) {
    ke = generateKeyExchange(group);
    try {
      sharedSecret = ke.computeShared(keyPayload!.data);
    } catch (error) {
      if (!(error instanceof BadKeyExchangeError)) throw error;
      return refused(sa, NotifyType.INVALID_SYNTAX, error.message);
    }
  }
  const inboundSpi = sa.host.newEspSpi();
  const payloads: Payload[] = [
    {
      kind: "SA",
      proposals: [
        { number: chosen.number, protocol: Protocol.ESP, spi: espSpiBytes(inboundSpi), transforms: chosen.transforms },
      ],
    },
    ...(exchange === undefined ? [] : [{ kind: "Nonce" as const, data: nonces.nonceR }]),
    ...(ke === undefined ? [] : [{ kind: "KE" as const, group, data: ke.publicValue }]),
    { kind: "TSi", selectors: remoteSelectors },
    { kind: "TSr", selectors: localSelectors },
  ];
  const outboundSpi = espSpiOf(chosen.peerSpi);
  const conclude = () =>
    installChild(sa, {
      esp,
      nonces,
      sharedSecret,
      inboundSpi,
      outboundSpi,
      localSelectors,
      remoteSelectors,
      weOffered: false,
      replaces: replaces?.id,
    });
  return { payloads, conclude };
}

/** Takes the responder's answer to our offer and installs the CHILD SA, or says why there is none. */
export function completeChild(
  sa: IkeSa,
  response: readonly Payload[],
  inboundSpi: EspSpi,
  nonces: ChildNonces,
  ke: KeyExchange | undefined,
  replaces: ChildSa | undefined,
): ChildResult {
  const answer = find(response, "SA");
  const tsi = find(response, "TSi");
  const tsr = find(response, "TSr");
  if (answer === undefined || tsi === undefined || tsr === undefined) {
    const error = response.find((p) => p.kind === "N" && p.type < FIRST_STATUS_NOTIFY);
    const type = error?.kind === "N" ? error.type : NotifyType.INVALID_SYNTAX;
    const groupData = findNotify(response, NotifyType.INVALID_KE_PAYLOAD)?.data;
    const message = `the responder made no CHILD SA: ${notifyText(type)}`;
    return {
      kind: "failed",
      notify: type,
      message,
      ...(groupData?.length === 2 ? { group: groupData.readUInt16BE() } : {}),
    };
  }
  const chosen =
    answer.proposals.length === 1
      ? chooseEsp(sa.connection.espProposals, answer.proposals, ke !== undefined)
      : undefined;
  if (chosen === undefined)
    return failed(NotifyType.NO_PROPOSAL_CHOSEN, "the responder chose ESP algorithms that were not offered");
  const { esp, group }: ChosenEsp = chosen.suite;
  let sharedSecret: Buffer | undefined;
  if (group !== Group.NONE) {
    const theirs = find(response, "KE");
    if (theirs === undefined || ke === undefined || theirs.group !== ke.group)
      return failed(NotifyType.INVALID_SYNTAX, "the responder's KE payload does not fit its proposal");
    try {
      sharedSecret = ke.computeShared(theirs.data);
    } catch (error) {
      if (!(error instanceof BadKeyExchangeError)) throw error;
      return failed(NotifyType.INVALID_SYNTAX, error.message);
    }
  }
  const offeredLocal = replaces?.localSelectors ?? sa.connection.localSelectors;
  const offeredRemote = replaces?.remoteSelectors ?? sa.connection.remoteSelectors;
  if (!isNarrowingOf(tsi.selectors, offeredLocal) || !isNarrowingOf(tsr.selectors, offeredRemote)) {
    return failed(NotifyType.TS_UNACCEPTABLE, "the responder widened the traffic selectors that were offered");
  }
  const child = installChild(sa, {
    esp,
    nonces,
    sharedSecret,
    inboundSpi,
    outboundSpi: espSpiOf(chosen.peerSpi),
    localSelectors: tsi.selectors.map(copySelector),
    remoteSelectors: tsr.selectors.map(copySelector),
    weOffered: true,
    replaces: replaces?.id,
  });
  return { kind: "installed", child };
}

export function espSpiBytes(spi: EspSpi): Buffer {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32BE(spi);
  return bytes;
}

function espSpiOf(bytes: Buffer): EspSpi {
  return bytes.readUInt32BE() as EspSpi;
}

/** The CHILD SA that the peer names by the SPI it receives on: our outbound one (RFC 7296 1.4.1). */
export function childByPeerSpi(sa: IkeSa, spi: number): ChildSa | undefined {
  for (const child of sa.children.values()) if (child.outboundSpi === spi) return child;
  return undefined;
}

interface NewChild {
  esp: ChosenEsp["esp"];
  nonces: ChildNonces;
  sharedSecret: Buffer | undefined;
  inboundSpi: EspSpi;
  outboundSpi: EspSpi;
  localSelectors: TrafficSelector[];
  remoteSelectors: TrafficSelector[];
  /** True if we are the initiator of this exchange, whose keys come first (RFC 7296 2.17). */
  weOffered: boolean;
  replaces: ChildSaId | undefined;
}

function installChild(sa: IkeSa, made: NewChild): ChildSa {
  const { connection, host } = sa;
  const keys = deriveChildKeys(sa.suite!.prf, sa.keys!.d, {
    ...made.nonces,
    ...(made.sharedSecret === undefined ? {} : { sharedSecret: made.sharedSecret }),
    suite: made.esp,
  });
  const mine = made.weOffered ? keys.initiator : keys.responder;
  const theirs = made.weOffered ? keys.responder : keys.initiator;
  const outbound: EspDirection = { spi: made.outboundSpi, ...mine };
  const inbound: EspDirection = { spi: made.inboundSpi, ...theirs };
  const rekeys = connection.childRekeyAfter > 0;
  const now = sa.now();
  const child: ChildSa = {
    id: host.newChildId(),
    inboundSpi: made.inboundSpi,
    outboundSpi: made.outboundSpi,
    suite: made.esp,
    localSelectors: made.localSelectors.map(copySelector),
    remoteSelectors: made.remoteSelectors.map(copySelector),
    udpEncapsulated: sa.path.natT && (sa.nat.local || sa.nat.remote),
    rekeyAt: rekeys ? now + jittered(sa, connection.childRekeyAfter) : Number.POSITIVE_INFINITY,
    expireAt: rekeys ? now + connection.childRekeyAfter * EXPIRY_FACTOR : Number.POSITIVE_INFINITY,
    phase: "installed",
  };
  sa.children.set(child.id, child);
  host.emit({
    kind: "installChild",
    sa: sa.id,
    spec: {
      id: child.id,
      suite: child.suite,
      inbound,
      outbound,
      localSelectors: child.localSelectors,
      remoteSelectors: child.remoteSelectors,
      local: sa.path.local,
      remote: sa.path.remote,
      udpEncapsulated: child.udpEncapsulated,
      replayWindow: connection.replayWindow,
      limits: {
        ...(connection.childRekeyAfterBytes > 0 ? { softBytes: connection.childRekeyAfterBytes } : {}),
        ...SEQUENCE_LIMITS,
      },
    },
  });
  host.emit({
    kind: "event",
    event: {
      kind: "childInstalled",
      sa: sa.id,
      child: child.id,
      suite: `${child.suite.encryption}${child.suite.integrity === "none" ? "" : `/${child.suite.integrity}`}${child.suite.esn ? "/esn" : ""}`,
      inboundSpi: child.inboundSpi,
      outboundSpi: child.outboundSpi,
      replaces: made.replaces,
    },
  });
  return child;
}

function copySelector(selector: TrafficSelector): TrafficSelector {
  return { ...selector, startAddress: copyOf(selector.startAddress), endAddress: copyOf(selector.endAddress) };
}

/** The peer is told the notify; why stands in the event. */
function refused(sa: IkeSa, type: (typeof NotifyType)[keyof typeof NotifyType], message: string): ChildAnswer {
  return {
    payloads: [notify(type)],
    conclude() {
      sa.host.emit({ kind: "event", event: { kind: "childFailed", sa: sa.id, notify: type, message } });
      return undefined;
    },
  };
}

function failed(type: number, message: string): ChildResult {
  return { kind: "failed", notify: type, message };
}

/** Well before 32-bit sequence numbers run out (RFC 4303 3.3.3). */
const SEQUENCE_LIMITS = { softPackets: 3_000_000_000, hardPackets: 4_294_967_295 };
