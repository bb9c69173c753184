/**
 * The AAA server over RADIUS, by UDP or RadSec: EAP (RFC 3579), device authorization by Call-Check (RFC 2865 5.6; see
 * src/aaa/radius.ts), accounting (RFC 2866) and, the other way, Disconnect and CoA (RFC 5176).
 */

import { type Bytes, copyOf, EMPTY } from "../../bytes/bytes.ts";
import { formatIp, parseIp } from "../../bytes/ip.ts";
import { DecodeError } from "../../bytes/reader.ts";
import { describeEap } from "../../eap/describe.ts";
import { encodeEap } from "../../eap/packet.ts";
import { StrangerLog } from "../../observe/strangerLog.ts";
import { eapMessage, eapOf } from "../../radius/codec/eapMessage.ts";
import {
  AcctStatusType,
  AcctTerminateCause,
  Code,
  NasPortType,
  ServiceType,
  TunnelMediumType,
  TunnelType,
} from "../../radius/codec/numbers.ts";
import { type Attribute, attribute, attributeOf, type RadiusPacket } from "../../radius/codec/packet.ts";
import type { RadiusClientEvent } from "../../radius/core/client.ts";
import { RadiusListener, type RadiusListenerOptions } from "../../radius/transport/listener.ts";
import { type RadiusTrace, reportPackets } from "../../radius/transport/messageRecord.ts";
import {
  RadiusRequester,
  type RadiusRequesterOptions,
  RadiusUnansweredError,
} from "../../radius/transport/requester.ts";
import type { PeerRefusal } from "../../tre/trustedEnvironment.ts";
import {
  type AaaClient,
  type AaaClientHost,
  type AaaGrant,
  type AaaSession,
  type DeviceAuthorization,
  type RelayedEap,
  type SessionEnd,
  unreachable,
} from "./client.ts";
import { answerDynamic } from "./dynamicAuthorization.ts";
import { grantOf } from "./radiusGrant.ts";

export interface RadiusClientSettings {
  /** NAS-Identifier. */
  gateway: string;
  /** Its own addresses, that a NAS-IP-Address may name; where they are not known, any may. */
  addresses: readonly string[];
  authentication: Asking;
  /** Undefined: no accounting. */
  accounting: Asking | undefined;
  /** Where Disconnect- and CoA-Requests are taken; undefined for nowhere. */
  dynamicAuthorization: Omit<RadiusListenerOptions, "onRequest" | "onDrop" | "trace"> | undefined;
}

type Asking = Omit<RadiusRequesterOptions, "onEvent" | "trace">;

export class RadiusAaaClient implements AaaClient {
  readonly #settings: RadiusClientSettings;
  readonly #host: AaaClientHost;
  readonly #authentication: RadiusRequester;
  readonly #accounting: RadiusRequester | undefined;
  #listener: RadiusListener | undefined;

  private constructor(settings: RadiusClientSettings, host: AaaClientHost) {
    this.#settings = settings;
    this.#host = host;
    const heard = { onEvent: (event: RadiusClientEvent) => this.#onEvent(event), trace: traceOf(host) };
    this.#authentication = new RadiusRequester({ ...settings.authentication, ...heard });
    if (settings.accounting !== undefined) this.#accounting = new RadiusRequester({ ...settings.accounting, ...heard });
  }

  static async start(settings: RadiusClientSettings, host: AaaClientHost): Promise<RadiusAaaClient> {
    const client = new RadiusAaaClient(settings, host);
    if (settings.dynamicAuthorization !== undefined) {
      const { gateway, addresses, authentication } = settings;
      const strangers = new StrangerLog(authentication.clock);
      client.#listener = await RadiusListener.start({
        ...settings.dynamicAuthorization,
        onRequest: ({ packet }, answer) =>
          answer(answerDynamic(packet, { gateway, addresses, host, now: authentication.clock.now() })),
        onDrop: (_reason, message) => strangers.say((_more, tail) => host.onProblem(`RADIUS: ${message}${tail}`)),
        trace: traceOf(host),
      });
    }
    // RADIUS has no connections: whether a server is there shows with the first request.
    for (const { name } of settings.authentication.servers) host.onUp(name);
    return client;
  }

  async authorize(session: AaaSession): Promise<DeviceAuthorization> {
    const answer = await this.#ask(session, [
      attribute("User-Name", session.device),
      attribute("Service-Type", ServiceType.CallCheck),
      ...this.#common(session),
    ]);
    if ("reason" in answer) return { kind: "refused", refusal: answer };
    const { packet, grant } = answer;
    if (packet.code === Code.AccessAccept) return { kind: "accepted", secondRound: "allowed", grant };
    if (packet.code === Code.AccessChallenge) return { kind: "accepted", secondRound: "required", grant: {} };
    return { kind: "refused", refusal: refusalOf("DeviceNotAuthorized", session.device, packet) };
  }

  async eap(session: AaaSession, eap: Bytes | undefined): Promise<RelayedEap> {
    const answer = await this.#ask(session, [
      attribute("User-Name", session.party ?? session.device),
      ...this.#common(session),
      ...eapMessage(eap ?? identityResponse(session)),
    ]);
    if ("reason" in answer) return failure(answer, undefined);
    const { packet, msk, grant } = answer;
    const carried = eapOf(packet);
    const payload = carried === undefined ? undefined : copyOf(carried);
    if (packet.code === Code.AccessChallenge && payload !== undefined)
      return { answer: { kind: "request", packet: payload }, grant: {} };
    if (packet.code !== Code.AccessAccept || payload === undefined) {
      return failure(refusalOf("HostingPartyRefused", session.party ?? session.device, packet), payload);
    }
    return {
      answer: { kind: "success", packet: payload, msk: copyOf(msk ?? EMPTY), eap: "eap success" },
      grant,
    };
  }

  started(session: AaaSession): void {
    void this.#account(session, AcctStatusType.Start, []);
  }

  async ended(session: AaaSession, end: SessionEnd): Promise<void> {
    // RADIUS has no other way to say that an authorized session came to nothing.
    if (!end.accounted && !end.authorized) return;
    await this.#account(session, AcctStatusType.Stop, [
      attribute("Acct-Session-Time", end.seconds),
      attribute("Acct-Input-Octets", end.inputOctets % 2 ** 32),
      attribute("Acct-Input-Gigawords", Math.floor(end.inputOctets / 2 ** 32)),
      attribute("Acct-Output-Octets", end.outputOctets % 2 ** 32),
      attribute("Acct-Output-Gigawords", Math.floor(end.outputOctets / 2 ** 32)),
      attribute("Acct-Terminate-Cause", CAUSES[end.cause] ?? AcctTerminateCause.UserRequest),
    ]);
  }

  async close(): Promise<void> {
    this.#authentication.close();
    this.#accounting?.close();
    await this.#listener?.close();
  }

  async #account(session: AaaSession, status: number, more: readonly Attribute[]): Promise<void> {
    if (this.#accounting === undefined) return;
    const { class: kept } = session.context;
    try {
      await this.#accounting.request(Code.AccountingRequest, [
        attribute("Acct-Status-Type", status),
        // RFC 2865 5.1: the name that the server gave counts from then on.
        attribute("User-Name", session.user ?? session.party ?? session.device),
        ...this.#common(session),
        ...session.addresses.map(framed),
        ...(Buffer.isBuffer(kept) ? [attribute("Class", kept)] : []),
        ...more,
      ]);
    } catch (error) {
      if (!(error instanceof RadiusUnansweredError)) throw error;
      this.#host.onProblem(`RADIUS accounting: ${error.message}`);
    }
  }

  #onEvent(event: RadiusClientEvent): void {
    const { server } = event;
    if (event.kind === "serverBack") this.#host.onUp(server);
    else if (event.kind === "serverSilent")
      this.#host.onProblem(`RADIUS: ${server} does not answer; others are asked before it for a while`);
    // An answer that comes late or twice is none of these, and no harm.
    else if (event.reason !== "UnexpectedAnswer")
      this.#host.onProblem(`RADIUS: an answer from ${server} is dropped (${event.reason}): check the secret`);
  }

  async #ask(
    session: AaaSession,
    attributes: readonly Attribute[],
  ): Promise<{ packet: RadiusPacket; msk: Bytes | undefined; grant: AaaGrant } | PeerRefusal> {
    const { state, server } = session.context;
    const all = Buffer.isBuffer(state) ? [...attributes, attribute("State", state)] : attributes;
    try {
      // A conversation stays with the server that began it: only that one knows its State (RFC 2865 5.24).
      const only = typeof server === "string" && Buffer.isBuffer(state) ? Number(server) : undefined;
      const reply = await this.#authentication.request(Code.AccessRequest, all, only);
      session.context.server = String(reply.server);
      const given = attributeOf(reply.packet, "State");
      session.context.state = given === undefined ? undefined : copyOf(given);
      session.user = attributeOf(reply.packet, "User-Name") ?? session.user;
      const kept = attributeOf(reply.packet, "Class");
      if (kept !== undefined) session.context.class = copyOf(kept);
      return { ...reply, grant: grantOf(reply.packet) };
    } catch (error) {
      if (error instanceof RadiusUnansweredError || error instanceof DecodeError) return unreachable(error.message);
      throw error;
    }
  }

  #common(session: AaaSession): Attribute[] {
    return [
      attribute("NAS-Identifier", this.#settings.gateway),
      attribute("NAS-Port-Type", NasPortType.Virtual),
      attribute("Calling-Station-Id", session.device),
      attribute("Acct-Session-Id", session.id),
      ...outerAddress(session.from),
    ];
  }
}

/** Where the device is, for location binding: the initiator's end of the tunnel (RFC 2868 3.1 to 3.3). */
function outerAddress(from: string): Attribute[] {
  const octets = parseIp(from);
  if (octets === undefined) return [];
  return [
    attribute("Tunnel-Type", TunnelType.ESP),
    attribute("Tunnel-Medium-Type", octets.length === 4 ? TunnelMediumType.IPv4 : TunnelMediumType.IPv6),
    attribute("Tunnel-Client-Endpoint", formatIp(octets)),
  ];
}

function traceOf({ onMessage }: AaaClientHost): RadiusTrace | undefined {
  return onMessage === undefined ? undefined : reportPackets(onMessage, describeEap);
}

function framed(address: string): Attribute {
  return attribute(address.includes(":") ? "Framed-IPv6-Address" : "Framed-IP-Address", address);
}

/**
 * What the device would answer to EAP-Request/Identity, which its IDi has answered already (RFC 3579 2.1). An empty
 * EAP-Message, as A.2-3 has it over Diameter, gets lost in a FreeRADIUS that proxies.
 */
function identityResponse({ party, device }: AaaSession): Bytes {
  return encodeEap({ kind: "response", id: 0, content: { kind: "identity", text: Buffer.from(party ?? device) } });
}

function failure(refusal: PeerRefusal, packet: Bytes | undefined): RelayedEap {
  return { answer: { kind: "failure", packet, refusal }, grant: {} };
}

function refusalOf(reason: string, who: string, packet: RadiusPacket): PeerRefusal {
  const says = attributeOf(packet, "Reply-Message");
  return {
    reason,
    message: `the AAA server refuses ${who}${says === undefined ? "" : `: ${printable(says)}`} (TS 33.320 7.x)`,
  };
}

function printable(text: string): string {
  return text.slice(0, MAX_TEXT).replace(/[^\x20-\x7e]/g, "?");
}

const MAX_TEXT = 200;

/** Why an IKE SA ended, in RADIUS's words (RFC 2866 5.10). */
const CAUSES: Record<string, number> = {
  deletedByPeer: AcctTerminateCause.UserRequest,
  deletedByUs: AcctTerminateCause.AdminReset,
  replacedByNewerSa: AcctTerminateCause.NasRequest,
  peerUnresponsive: AcctTerminateCause.LostCarrier,
  sessionTimeout: AcctTerminateCause.SessionTimeout,
  detachedByAaa: AcctTerminateCause.AdminReset,
  certificateRevoked: AcctTerminateCause.AdminReset,
  shutdown: AcctTerminateCause.AdminReset,
};
