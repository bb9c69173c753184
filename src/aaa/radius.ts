/**
 * The AAA server's face over RADIUS: EAP (RFC 3579), device authorization, accounting (RFC 2866), and the other way
 * Disconnect and CoA (RFC 5176).
 *
 * Device authorization (7.x-1) is an Access-Request with Service-Type Call-Check, which RFC 2865 5.6 has for just this:
 * a verdict on who calls, before any authentication, its identity in User-Name and Calling-Station-Id. Access-Accept says
 * that the device alone suffices; Access-Challenge without EAP-Message that a hosting party must follow, whose EAP then
 * carries the State of that challenge.
 */
import { type Bytes, copyOf } from "../bytes/bytes.ts";
import { DecodeError } from "../bytes/reader.ts";
import { eapMessage, eapOf } from "../radius/codec/eapMessage.ts";
import { AcctStatusType, Code, ErrorCause, ServiceType } from "../radius/codec/numbers.ts";
import { type Attribute, attribute, attributeOf, type RadiusPacket } from "../radius/codec/packet.ts";
import type { RadiusAnswer } from "../radius/core/server.ts";
import type { ReceivedRequest } from "../radius/transport/listener.ts";
import { type RadiusRequester, RadiusUnansweredError } from "../radius/transport/requester.ts";
import type { Clock, Random } from "../sim/environment.ts";
import type { AaaServer, AccessQuery, Decision } from "./server.ts";
import type { Gateway, Grant, Session } from "./sessions.ts";

export interface RadiusFrontOptions {
  aaa: AaaServer;
  clock: Clock;
  random: Random;
  /** Sends Disconnect and CoA to a client, by its name; undefined where none is configured. */
  requesterFor(client: string): RadiusRequester | undefined;
  /** The store or this program is at fault; the client hears nothing of it. */
  onFault(error: unknown): void;
}

export class RadiusFront {
  readonly #options: RadiusFrontOptions;
  readonly #gateways = new Map<string, Gateway>();

  constructor(options: RadiusFrontOptions) {
    this.#options = options;
  }

  /** Answers one request; undefined for silence. Never rejects. */
  async answer({ packet, client }: ReceivedRequest): Promise<RadiusAnswer | undefined> {
    try {
      if (packet.code === Code.AccountingRequest) return await this.#account(packet, client);
      const payload = eapOf(packet);
      if (payload !== undefined) return await this.#authenticate(packet, client, copyOf(payload));
      if (attributeOf(packet, "Service-Type") === ServiceType.CallCheck) return await this.#authorize(packet, client);
      return { code: Code.AccessReject, attributes: [attribute("Reply-Message", "only EAP and Call-Check are taken")] };
    } catch (error) {
      // A value not of its attribute's format: RFC 2865 5 wants such a request refused or dropped.
      if (error instanceof DecodeError && packet.code === Code.AccessRequest)
        return { code: Code.AccessReject, attributes: [] };
      // Without an answer the client asks again, or another server.
      this.#options.onFault(error);
      return undefined;
    }
  }

  async #authorize(packet: RadiusPacket, client: string): Promise<RadiusAnswer | undefined> {
    const device = attributeOf(packet, "User-Name");
    if (device === undefined) return { code: Code.AccessReject, attributes: [] };
    const query = this.#query(packet, client);
    const decision = await this.#options.aaa.authorizeDevice({ ...query, device });
    const session = Buffer.from(query.session, "latin1");
    switch (decision.kind) {
      case "accept":
        return { code: Code.AccessAccept, attributes: [...granted(decision.grant), attribute("Class", session)] };
      case "hostingPartyFollows":
        return { code: Code.AccessChallenge, attributes: [attribute("State", session)] };
      case "reject":
        return { code: Code.AccessReject, attributes: [attribute("Reply-Message", decision.reason)] };
      default:
        return undefined;
    }
  }

  async #authenticate(packet: RadiusPacket, client: string, payload: Bytes): Promise<RadiusAnswer | undefined> {
    const query = this.#query(packet, client);
    const user = attributeOf(packet, "User-Name");
    const device = attributeOf(packet, "Calling-Station-Id");
    return this.#inRadius(await this.#options.aaa.eap({ ...query, device, user, payload }), query.session);
  }

  #inRadius(decision: Decision, sessionId: string): RadiusAnswer | undefined {
    const session = Buffer.from(sessionId, "latin1");
    switch (decision.kind) {
      case "challenge":
        return {
          code: Code.AccessChallenge,
          attributes: [...eapMessage(decision.packet), attribute("State", session)],
        };
      case "accept":
        return {
          code: Code.AccessAccept,
          attributes: [...eapMessage(decision.eap!.packet), ...granted(decision.grant), attribute("Class", session)],
          msk: decision.eap!.msk,
        };
      case "reject":
        // RFC 3579 2.6.5: no Reply-Message beside EAP-Message; without one the gateway makes its own EAP-Failure.
        return {
          code: Code.AccessReject,
          attributes: decision.packet === undefined ? [] : eapMessage(decision.packet),
        };
      default:
        return undefined;
    }
  }

  async #account(packet: RadiusPacket, client: string): Promise<RadiusAnswer> {
    const status = attributeOf(packet, "Acct-Status-Type");
    const answer = { code: Code.AccountingResponse, attributes: [] };
    if (status === AcctStatusType.AccountingOn || status === AcctStatusType.AccountingOff) {
      this.#options.aaa.gatewayRestarted(client);
      return answer;
    }
    const kind = status === AcctStatusType.Start ? "start" : status === AcctStatusType.Stop ? "stop" : "interim";
    const own = attributeOf(packet, "Acct-Session-Id") ?? "";
    const session = attributeOf(packet, "Class")?.toString("latin1") ?? `${client} ${own}`;
    const known = this.#options.aaa.sessions.get(session);
    if (known !== undefined && own !== "") known.accountingId = own;
    const octets = (low: number | undefined, high: number | undefined) =>
      low === undefined ? undefined : low + (high ?? 0) * 2 ** 32;
    await this.#options.aaa.account(
      {
        kind,
        session,
        device: attributeOf(packet, "Calling-Station-Id"),
        subscriber: attributeOf(packet, "User-Name"),
        seconds: attributeOf(packet, "Acct-Session-Time"),
        inputOctets: octets(attributeOf(packet, "Acct-Input-Octets"), attributeOf(packet, "Acct-Input-Gigawords")),
        outputOctets: octets(attributeOf(packet, "Acct-Output-Octets"), attributeOf(packet, "Acct-Output-Gigawords")),
        cause: attributeOf(packet, "Acct-Terminate-Cause"),
      },
      this.#gateway(client),
    );
    // Diameter has STR for that.
    if (kind === "stop") this.#options.aaa.end(session, "accountingStop", this.#gateway(client));
    return answer;
  }

  #query(packet: RadiusPacket, client: string): Omit<AccessQuery, "device"> {
    // A session of ours comes back in State; one that we did not give names nothing, and the EAP in it begins anew.
    const state = attributeOf(packet, "State")?.toString("latin1") ?? "";
    const gateway = this.#gateway(client);
    return {
      session: this.#options.aaa.knows(state, gateway) ? state : this.#options.random.bytes(16).toString("hex"),
      gateway,
      from: untagged(attributeOf(packet, "Tunnel-Client-Endpoint")),
      accountingId: attributeOf(packet, "Acct-Session-Id"),
    };
  }

  #gateway(client: string): Gateway {
    let gateway = this.#gateways.get(client);
    if (gateway === undefined) {
      gateway = new RadiusGateway(client, this.#options);
      this.#gateways.set(client, gateway);
    }
    return gateway;
  }
}

class RadiusGateway implements Gateway {
  readonly name: string;
  readonly #options: RadiusFrontOptions;

  constructor(name: string, options: RadiusFrontOptions) {
    this.name = name;
    this.#options = options;
  }

  /** A session that the gateway has not is ended as well. */
  async abort(session: Session): Promise<boolean> {
    return (await this.#tell(Code.DisconnectRequest, session, [])) !== "failed";
  }

  /** The grant itself: RFC 5176 3.2 has Authorize-Only too, for which the gateway would have to ask by another request. */
  async reauthorize(session: Session, { profile }: Grant): Promise<boolean> {
    const { sessionTimeout, filter } = profile;
    const code = await this.#tell(Code.CoaRequest, session, [
      attribute("Session-Timeout", sessionTimeout),
      ...(filter === undefined ? [] : [attribute("Filter-Id", filter)]),
    ]);
    return code === "done";
  }

  /** By Acct-Session-Id alone: RFC 5176 3 lets a gateway pass over Class, and the names are the same. */
  tellsApart({ accountingId: one }: Session, { accountingId: other }: Session): boolean {
    return one !== undefined && other !== undefined && one !== other;
  }

  async #tell(code: number, session: Session, more: readonly Attribute[]): Promise<"done" | "noSession" | "failed"> {
    const requester = this.#options.requesterFor(this.name);
    if (requester === undefined) return "failed";
    const user = session.subscriber ?? session.device;
    const attributes: Attribute[] = [
      // RFC 5176 3.3: names the session, and says when, against replays.
      ...(user === undefined ? [] : [attribute("User-Name", user)]),
      ...(session.device === undefined ? [] : [attribute("Calling-Station-Id", session.device)]),
      ...(session.accountingId === undefined ? [] : [attribute("Acct-Session-Id", session.accountingId)]),
      attribute("Class", Buffer.from(session.id, "latin1")),
      attribute("Event-Timestamp", this.#options.clock.now()),
      ...more,
    ];
    try {
      const { packet } = await requester.request(code, attributes);
      if (packet.code === code + 1) return "done";
      return attributeOf(packet, "Error-Cause") === ErrorCause.SessionContextNotFound ? "noSession" : "failed";
    } catch (error) {
      if (error instanceof RadiusUnansweredError || error instanceof DecodeError) return "failed";
      throw error;
    }
  }
}

/** RFC 2868 3.3: a tag of 0 to 31 may stand in front. */
function untagged(text: string | undefined): string | undefined {
  return text !== undefined && text.charCodeAt(0) < 0x20 ? text.slice(1) : text;
}

function granted({ profile, subscriber }: Grant): Attribute[] {
  const { address, filter, sessionTimeout } = profile;
  const six = address?.includes(":") === true;
  return [
    attribute("Session-Timeout", sessionTimeout),
    ...(subscriber === undefined ? [] : [attribute("User-Name", subscriber)]),
    ...(filter === undefined ? [] : [attribute("Filter-Id", filter)]),
    ...(address === undefined ? [] : [attribute(six ? "Framed-IPv6-Address" : "Framed-IP-Address", address)]),
  ];
}
