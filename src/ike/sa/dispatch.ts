/** From decoded messages, answers and timers to the exchange that each belongs to, by the state of the IKE SA. */
import type { IkeHeader, Payload } from "../codec/message.ts";
import { ExchangeType, NotifyType } from "../codec/numbers.ts";
import { deleteChild, onCreateChildRequest, onCreateChildResponse, sendCreateChild } from "./childExchange.ts";
import { onEapAuth, onEapMessage, onGivingUp, onRelayed, onSecondIdentity } from "./eapRelay.ts";
import type { Answer, DropReason } from "./effects.ts";
import { onEapResponse, onFinalResponse, onFinalVerdict, onHostingParty } from "./hostingPartyRound.ts";
import { type IkeSa, notify } from "./ikeSa.ts";
import {
  onInformationalRequest,
  onInformationalResponse,
  sendDeleteChild,
  sendDeleteIke,
  sendLiveness,
  tellAuthenticationFailed,
} from "./informational.ts";
import { onAuthResponse, onInitResponse, onResponderVerified, refusePeer, sendAuth } from "./initiator.ts";
import { isIkeRekey, onRekeyIkeRequest, onRekeyIkeResponse, sendRekeyIke } from "./rekeyIke.ts";
import { onAddress, onAuthRequest, onInitiatorVerified, onOwnAuth, refuse } from "./responder.ts";
import type { Intent } from "./state.ts";

/** Acts on a request that is new, whole and authentic. Returns why, where it was not acted on. */
export function onRequest(sa: IkeSa, header: IkeHeader, payloads: readonly Payload[]): DropReason | undefined {
  const { state } = sa;
  sa.answering = { exchangeType: header.exchangeType, messageId: header.messageId };
  const unknown = payloads.find((p) => p.kind === "unknown" && p.critical);
  if (unknown?.kind === "unknown") {
    // RFC 7296 2.5: told in the response, and nothing of the request is acted on.
    sa.sendResponse([notify(NotifyType.UNSUPPORTED_CRITICAL_PAYLOAD, Buffer.from([unknown.type]))]);
    if (state.kind === "ExpectAuthRequest")
      sa.fail({
        reason: "UnsupportedCriticalPayload",
        message: `the peer insists on payload type ${unknown.type}, which is unknown here`,
        by: "us",
        notify: NotifyType.UNSUPPORTED_CRITICAL_PAYLOAD,
      });
    return undefined;
  }
  if (header.exchangeType === ExchangeType.IKE_AUTH && state.kind === "ExpectAuthRequest")
    onAuthRequest(sa, state, payloads);
  else if (header.exchangeType === ExchangeType.IKE_AUTH && state.kind === "ExpectSecondIdentity")
    onSecondIdentity(sa, state, payloads);
  else if (header.exchangeType === ExchangeType.IKE_AUTH && state.kind === "ExpectEapMessage")
    onEapMessage(sa, state, payloads);
  else if (header.exchangeType === ExchangeType.IKE_AUTH && state.kind === "ExpectEapAuth")
    onEapAuth(sa, state, payloads);
  else if (header.exchangeType === ExchangeType.INFORMATIONAL && isBetweenRounds(sa)) onGivingUp(sa, payloads);
  else if (header.exchangeType === ExchangeType.INFORMATIONAL && isUp(sa)) onInformationalRequest(sa, payloads);
  else if (header.exchangeType === ExchangeType.CREATE_CHILD_SA && isUp(sa)) {
    if (state.kind !== "Established") sa.sendResponse([notify(NotifyType.TEMPORARY_FAILURE)]);
    else if (isIkeRekey(payloads)) onRekeyIkeRequest(sa, state, payloads);
    else onCreateChildRequest(sa, payloads);
  } else {
    sa.answering = undefined;
    return "unexpectedExchange";
  }
  pump(sa);
  return undefined;
}

/** Acts on the response to our outstanding request. */
export function onResponse(sa: IkeSa, header: IkeHeader, payloads: readonly Payload[], packet: Buffer): void {
  const { state } = sa;
  const sent = sa.outgoing?.sent;
  if (sent === undefined) return;
  if (sent.kind === "init" && state.kind === "ExpectInitResponse") onInitResponse(sa, state, header, payloads, packet);
  else if (sent.kind === "auth" && state.kind === "ExpectAuthResponse") onAuthResponse(sa, state, payloads);
  else if (sent.kind === "auth" && state.kind === "ExpectEapResponse") onEapResponse(sa, state, payloads);
  else if (sent.kind === "auth" && state.kind === "ExpectFinalResponse") onFinalResponse(sa, state, payloads);
  else if (sent.kind === "rekeyIke" && state.kind === "Established") onRekeyIkeResponse(sa, sent, state, payloads);
  else if (sent.kind === "createChild") onCreateChildResponse(sa, sent, payloads);
  else onInformationalResponse(sa, sent);
  pump(sa);
}

/** Takes the shell's answer to a question; one that comes late or for another question changes nothing. */
export function onAnswer(sa: IkeSa, requestId: number, answer: Answer): void {
  if (!sa.takeAnswer(requestId)) return;
  const { state } = sa;
  switch (answer.ask) {
    case "computeAuth":
      if (state.kind === "AwaitInitiatorAuth") {
        if ("reason" in answer.result) sa.fail({ ...answer.result, by: "us" });
        else sendAuth(sa, state, answer.result);
      } else if (state.kind === "AwaitResponderAuth") {
        if ("reason" in answer.result) refuse(sa, NotifyType.AUTHENTICATION_FAILED, answer.result);
        else onOwnAuth(sa, state, answer.result);
      }
      break;
    case "verifyPeer":
      if (state.kind === "AwaitResponderVerdict") {
        if ("reason" in answer.result) refusePeer(sa, { ...answer.result, by: "us" });
        else onResponderVerified(sa, state, answer.result);
      } else if (state.kind === "AwaitInitiatorVerdict") {
        if ("reason" in answer.result) refuse(sa, NotifyType.AUTHENTICATION_FAILED, answer.result);
        else onInitiatorVerified(sa, state, answer.result);
      }
      break;
    case "hostingParty":
      onHostingPartyAnswer(sa, answer.result);
      break;
    case "relayEap":
      if (state.kind !== "AwaitAaa") break;
      if ("reason" in answer.result) refuse(sa, NotifyType.AUTHENTICATION_FAILED, answer.result);
      else onRelayed(sa, state, answer.result);
      break;
    case "assignAddress":
      if (state.kind === "AwaitAddress") {
        if ("reason" in answer.result) {
          sa.host.emit({
            kind: "event",
            event: {
              kind: "childFailed",
              sa: sa.id,
              notify: NotifyType.INTERNAL_ADDRESS_FAILURE,
              message: answer.result.message,
            },
          });
          onAddress(sa, state, undefined);
        } else onAddress(sa, state, answer.result);
      }
      break;
  }
  pump(sa);
}

function onHostingPartyAnswer(sa: IkeSa, result: Extract<Answer, { ask: "hostingParty" }>["result"]): void {
  const { state } = sa;
  if (state.kind !== "AwaitHostingParty" && state.kind !== "AwaitFinalVerdict") return;
  if ("reason" in result) refusePeer(sa, { ...result, by: "us" });
  else if (state.kind === "AwaitHostingParty") onHostingParty(sa, state, result);
  else onFinalVerdict(sa, state, result);
}

/** Does what is due at `now`. */
export function onTime(sa: IkeSa, now: number): void {
  for (const [timer, at] of sa.timers) {
    if (at > now) continue;
    sa.timers.delete(timer);
    switch (timer) {
      case "retransmit":
        if (!sa.retransmit()) return onUnresponsive(sa);
        break;
      case "halfOpen":
        return sa.fail({ reason: "TimedOut", message: `nothing came while in ${sa.state.kind}`, by: "us" });
      case "liveness": {
        const idle = now - sa.lastHeard;
        if (idle >= sa.connection.dpdInterval) {
          if (sa.outgoing === undefined) sa.enqueue({ kind: "liveness" });
          sa.arm("liveness", sa.connection.dpdInterval);
        } else sa.arm("liveness", sa.connection.dpdInterval - idle);
        break;
      }
      case "keepalive":
        sa.host.emit({ kind: "sendKeepalive", from: sa.path.local, to: sa.path.remote });
        sa.arm("keepalive", sa.connection.natKeepaliveInterval);
        break;
      case "rekeyIke":
      case "retryRekeyIke":
        sa.enqueue({ kind: "rekeyIke" });
        break;
      case "expireIke":
        sa.enqueue({ kind: "deleteIke", cause: "lifetimeOver" });
        break;
      case "linger":
        return sa.close("rekeyed");
    }
  }
  for (const child of [...sa.children.values()]) {
    if (child.expireAt <= now) {
      child.expireAt = Number.POSITIVE_INFINITY;
      deleteChild(sa, child);
    } else if (child.rekeyAt <= now && child.phase === "installed") {
      child.rekeyAt = Number.POSITIVE_INFINITY;
      sa.enqueue({ kind: "createChild", replaces: child.id });
    }
  }
  pump(sa);
}

/** Starts the next exchange if the window is free. */
export function pump(sa: IkeSa): void {
  while (!sa.isClosed && sa.outgoing === undefined && sa.queue.length > 0) {
    if (!mayStart(sa, sa.queue[0]!)) return;
    start(sa, sa.queue.shift()!);
  }
}

function start(sa: IkeSa, intent: Intent): void {
  switch (intent.kind) {
    case "liveness":
      return sendLiveness(sa);
    case "rekeyIke":
      return sendRekeyIke(sa, intent);
    case "createChild":
      return sendCreateChild(sa, intent);
    case "deleteChild":
      return sendDeleteChild(sa, intent);
    case "deleteIke":
      return sendDeleteIke(sa, intent);
    case "tellAuthenticationFailed":
      return tellAuthenticationFailed(sa, intent);
  }
}

function mayStart(sa: IkeSa, intent: Intent): boolean {
  if (intent.kind === "tellAuthenticationFailed") return true;
  if (intent.kind === "deleteIke") return isUp(sa);
  return sa.state.kind === "Established";
}

/** The first round has authenticated the device, which may speak up before the second has ended. */
function isBetweenRounds({ state }: IkeSa): boolean {
  return state.kind === "ExpectSecondIdentity" || state.kind === "ExpectEapMessage" || state.kind === "ExpectEapAuth";
}

function isUp(sa: IkeSa): boolean {
  return sa.state.kind === "Established" || sa.state.kind === "Rekeyed" || sa.state.kind === "Deleting";
}

function onUnresponsive(sa: IkeSa): void {
  if (sa.state.kind === "Deleting") return sa.close(sa.state.cause);
  if (sa.state.kind === "Rekeyed") return sa.close("rekeyed");
  if (sa.state.kind === "Established") return sa.close("peerUnresponsive");
  sa.fail({
    reason: "PeerUnresponsive",
    message: `no answer from ${sa.path.remote.address} port ${sa.path.remote.port} in ${sa.connection.retransmission.tries} tries`,
    by: "us",
  });
}
