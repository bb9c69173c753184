/** INFORMATIONAL: Delete, liveness, and errors told apart from their cause (RFC 7296 1.4, 2.4, 2.21). */
import { findAll, findNotify, type Payload } from "../codec/message.ts";
import { ExchangeType, NotifyType, Protocol } from "../codec/numbers.ts";
import { espSpiBytes } from "./child.ts";
import { onPeerDeletes } from "./childExchange.ts";
import { type IkeSa, notify } from "./ikeSa.ts";
import { carryOnAfterCollision } from "./rekeyIke.ts";
import type { Intent, Sent } from "./state.ts";

/** An empty request that any live peer answers (RFC 7296 2.4). */
export function sendLiveness(sa: IkeSa): void {
  sa.sendRequest(ExchangeType.INFORMATIONAL, [], { kind: "liveness" });
}

export function sendDeleteChild(sa: IkeSa, intent: Extract<Intent, { kind: "deleteChild" }>): void {
  sa.sendRequest(
    ExchangeType.INFORMATIONAL,
    [{ kind: "D", protocol: Protocol.ESP, spis: [espSpiBytes(intent.inboundSpi)] }],
    { kind: "deleteChild", child: intent.child },
  );
}

export function sendDeleteIke(sa: IkeSa, intent: Extract<Intent, { kind: "deleteIke" }>): void {
  sa.sendRequest(ExchangeType.INFORMATIONAL, [{ kind: "D", protocol: Protocol.IKE, spis: [] }], {
    kind: "deleteIke",
    cause: intent.cause,
  });
  if (intent.cause !== "rekeyed") sa.state = { kind: "Deleting", peer: sa.peer, cause: intent.cause };
}

/** RFC 7296 2.21.2: an initiator that refuses the responder says so in a request of its own. */
export function tellAuthenticationFailed(
  sa: IkeSa,
  intent: Extract<Intent, { kind: "tellAuthenticationFailed" }>,
): void {
  sa.sendRequest(ExchangeType.INFORMATIONAL, [notify(NotifyType.AUTHENTICATION_FAILED)], {
    kind: "tellAuthenticationFailed",
  });
  // One transmission is a courtesy; nothing is kept waiting for a peer that is not trusted.
  sa.fail({ ...intent.refusal, notify: NotifyType.AUTHENTICATION_FAILED });
}

export function onInformationalRequest(sa: IkeSa, payloads: readonly Payload[]): void {
  const failed = findNotify(payloads, NotifyType.AUTHENTICATION_FAILED);
  if (failed !== undefined) {
    sa.sendResponse([]);
    return sa.close("authenticationFailed");
  }
  const answer: Payload[] = [];
  for (const { protocol, spis } of findAll(payloads, "D")) {
    if (protocol === Protocol.IKE) {
      sa.sendResponse([]);
      carryOnAfterCollision(sa);
      // The peer may know the loser of two rekeyings before the answer to ours tells us.
      return sa.close(sa.state.kind === "Rekeyed" || sa.contending ? "rekeyed" : "deletedByPeer");
    }
    if (protocol !== Protocol.ESP) continue;
    // The answer names our halves of the same pairs; a pair that we delete at the same time is not named (RFC 7296 1.4.1).
    const ours: Buffer[] = [];
    for (const spi of spis) {
      if (spi.length !== 4) continue;
      const child = [...sa.children.values()].find((c) => c.outboundSpi === spi.readUInt32BE());
      if (child === undefined) continue;
      const deletedByUs = sa.outgoing?.sent.kind === "deleteChild" && sa.outgoing.sent.child === child.id;
      if (!deletedByUs) ours.push(espSpiBytes(child.inboundSpi));
      onPeerDeletes(sa, child.outboundSpi);
    }
    if (ours.length > 0) answer.push({ kind: "D", protocol: Protocol.ESP, spis: ours });
  }
  sa.sendResponse(answer);
}

export function onInformationalResponse(sa: IkeSa, sent: Sent): void {
  sa.endOutgoing();
  if (sent.kind === "deleteChild") {
    const child = sa.children.get(sent.child);
    if (child !== undefined) sa.removeChild(child);
  }
  if (sent.kind === "deleteIke") sa.close(sent.cause);
}
