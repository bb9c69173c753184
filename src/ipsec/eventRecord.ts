/** IKE events as plain records, for logs and for programs that read them; nothing secret is in them. */
import { formatIp } from "../bytes/ip.ts";
import type { UdpAddress } from "../esp/dataPlane.ts";
import type { ConfigAttribute } from "../ike/codec/message.ts";
import { CfgAttribute, ExchangeType } from "../ike/codec/numbers.ts";
import { describeSuite } from "../ike/crypto/suite.ts";
import type { IkeEvent } from "../ike/sa/effects.ts";

/** A record's members are JSON values; `event` is the event's kind. */
export type EventRecord = Record<string, unknown> & { event: string };

export type EventLevel = "debug" | "info" | "warn";

export interface DescribedEvent {
  level: EventLevel;
  /** One sentence for people. */
  text: string;
  record: EventRecord;
}

/** What to log of an event; undefined for key material, which has its own file and its own switch. */
export function describeEvent(event: IkeEvent): DescribedEvent | undefined {
  switch (event.kind) {
    case "keys":
      return undefined;
    case "message": {
      const { header } = event;
      const exchange = EXCHANGES.get(header.exchangeType) ?? `exchange ${header.exchangeType}`;
      const record = {
        event: "message",
        sa: event.sa,
        direction: event.direction,
        exchange,
        response: header.response,
        messageId: header.messageId,
        initiatorSpi: header.initiatorSpi,
        responderSpi: header.responderSpi,
        payloads: event.payloads,
        fragments: event.fragments,
        bytes: event.bytes,
        local: addressText(event.local),
        remote: addressText(event.remote),
      };
      return {
        level: "info",
        text: `${event.direction} ${exchange} ${header.response ? "response" : "request"} ${header.messageId}: ${event.payloads.join(" ")}`,
        record,
      };
    }
    case "retransmission":
      return {
        level: "debug",
        text: `request ${event.messageId} sent again, attempt ${event.attempt}`,
        record: { event: "retransmission", sa: event.sa, messageId: event.messageId, attempt: event.attempt },
      };
    case "established": {
      const addresses = innerAddresses(event.addresses);
      const suite = describeSuite(event.suite);
      return {
        level: "info",
        text: `IKE SA with ${event.peer.text} established: ${suite}, ${event.evidence.ocsp}${addresses.length > 0 ? `, inner address ${addresses.join(" and ")}` : ""}`,
        record: {
          event: "established",
          sa: event.sa,
          peer: event.peer.text,
          suite,
          addresses,
          path: event.evidence.path,
          names: event.evidence.names,
          ocsp: event.evidence.ocsp,
          integrity: event.evidence.integrity,
          eap: event.evidence.eap,
          hostingParty: event.evidence.hostingParty,
          remote: addressText(event.remote),
        },
      };
    }
    case "failed": {
      const { refusal } = event;
      const who = event.peer?.text ?? addressText(event.remote);
      return {
        level: "warn",
        text: `no IKE SA with ${who}: ${refusal.message} (${refusal.reason})`,
        record: {
          event: "failed",
          sa: event.sa,
          peer: event.peer?.text,
          reason: refusal.reason,
          message: refusal.message,
          by: refusal.by,
          notify: refusal.notify,
          evidence: refusal.evidence,
          remote: addressText(event.remote),
        },
      };
    }
    case "closed":
      return {
        level: "info",
        text: `IKE SA with ${event.peer?.text ?? "an unknown peer"} ended: ${event.cause}`,
        record: { event: "closed", sa: event.sa, peer: event.peer?.text, cause: event.cause },
      };
    case "ikeRekeyed":
      return {
        level: "info",
        text: `IKE SA with ${event.peer.text} rekeyed by ${event.byUs ? "us" : "the peer"}`,
        record: { event: "ikeRekeyed", from: event.from, to: event.to, peer: event.peer.text, byUs: event.byUs },
      };
    case "childInstalled":
      return {
        level: "info",
        text: `CHILD SA ${event.child} installed: ${event.suite}${event.replaces === undefined ? "" : `, in place of ${event.replaces}`}`,
        record: {
          event: "childInstalled",
          sa: event.sa,
          child: event.child,
          suite: event.suite,
          inboundSpi: spiText(event.inboundSpi),
          outboundSpi: spiText(event.outboundSpi),
          replaces: event.replaces,
        },
      };
    case "childRemoved":
      return {
        level: "info",
        text: `CHILD SA ${event.child} removed`,
        record: { event: "childRemoved", sa: event.sa, child: event.child },
      };
    case "childFailed":
      return {
        level: "warn",
        text: `no CHILD SA: ${event.message}`,
        record: { event: "childFailed", sa: event.sa, notify: event.notify, message: event.message },
      };
    case "moved":
      return {
        level: "info",
        text: `the peer is now at ${addressText(event.remote)}`,
        record: { event: "moved", sa: event.sa, remote: addressText(event.remote) },
      };
    case "dropped":
      // Anybody can cause these, as many as they like: no log line by default, a counter instead.
      return {
        level: "debug",
        text: `a datagram from ${addressText(event.from)} was dropped: ${event.detail}`,
        record: { event: "dropped", reason: event.reason, from: addressText(event.from), detail: event.detail },
      };
  }
}

/** The inner addresses that configuration attributes assign (RFC 7296 3.15.1). */
export function innerAddresses(attributes: readonly ConfigAttribute[]): string[] {
  const addresses: string[] = [];
  for (const { type, value } of attributes) {
    if (type === CfgAttribute.INTERNAL_IP4_ADDRESS && value.length === 4) addresses.push(formatIp(value));
    else if (type === CfgAttribute.INTERNAL_IP6_ADDRESS && value.length === 17)
      addresses.push(formatIp(value.subarray(0, 16)));
  }
  return addresses;
}

/** The DNS servers that configuration attributes name (RFC 7296 3.15.1). */
export function innerDnsServers(attributes: readonly ConfigAttribute[]): string[] {
  return attributes
    .filter(
      ({ type, value }) =>
        (type === CfgAttribute.INTERNAL_IP4_DNS && value.length === 4) ||
        (type === CfgAttribute.INTERNAL_IP6_DNS && value.length === 16),
    )
    .map(({ value }) => formatIp(value));
}

function addressText({ address, port }: UdpAddress): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

function spiText(spi: number): string {
  return spi.toString(16).padStart(8, "0");
}

const EXCHANGES = new Map<number, string>(Object.entries(ExchangeType).map(([name, number]) => [number, name]));
