/**
 * What a gateway answers to Disconnect- and CoA-Requests (RFC 5176): the session they name ends, or gets another time or
 * filter; all that a request says is done, or nothing.
 *
 * A session is found by its Acct-Session-Id, which Access-Requests and accounting carry. Whatever else names it has to
 * agree (RFC 5176 3). Authorize-Only, by which a server only asks to be asked, is refused: a server that knows what has
 * changed can say so.
 */
import { formatIp, parseIp } from "../../bytes/ip.ts";
import { DecodeError } from "../../bytes/reader.ts";
import { type AttributeName, attributeName } from "../../radius/codec/dictionary.ts";
import { Code, ErrorCause } from "../../radius/codec/numbers.ts";
import { attribute, attributeOf, attributesOf, type RadiusPacket } from "../../radius/codec/packet.ts";
import type { RadiusAnswer } from "../../radius/core/server.ts";
import type { Milliseconds } from "../../sim/environment.ts";
import type { AaaChange, AaaClientHost, AaaSession } from "./client.ts";

export interface DynamicAuthorization {
  /** NAS-Identifier. */
  gateway: string;
  /** Its own, of which NAS-IP-Address has to name one; none: it is not looked at. */
  addresses: readonly string[];
  host: Pick<AaaClientHost, "onDetach" | "onChange" | "sessionOf">;
  now: Milliseconds;
}

/** The answer to a request that is believed; undefined for silence. */
export function answerDynamic(packet: RadiusPacket, options: DynamicAuthorization): RadiusAnswer | undefined {
  const isCoa = packet.code === Code.CoaRequest;
  const nak = (cause: number): RadiusAnswer => ({
    code: isCoa ? Code.CoaNak : Code.DisconnectNak,
    attributes: [attribute("Error-Cause", cause)],
  });
  try {
    if (isStale(packet, options.now)) return undefined;
    const problem = unsupported(packet, isCoa) ?? misdirected(packet, options);
    if (problem !== undefined) return nak(problem);
    const name = attributeOf(packet, "Acct-Session-Id")!;
    if (!isCoa) {
      if (!options.host.onDetach(name)) return nak(ErrorCause.SessionContextNotFound);
      return { code: Code.DisconnectAck, attributes: [] };
    }
    const change = changeIn(packet);
    if (typeof change === "number") return nak(change);
    const done = options.host.onChange(name, change);
    if (done === "changed") return { code: Code.CoaAck, attributes: [] };
    return nak(done === "UnknownFilter" ? ErrorCause.InvalidAttributeValue : ErrorCause.SessionContextNotFound);
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    return nak(ErrorCause.InvalidAttributeValue);
  }
}

/** RFC 5176 6.3: a request of another time is a replay, and is dropped in silence. */
function isStale(packet: RadiusPacket, now: Milliseconds): boolean {
  const at = attributeOf(packet, "Event-Timestamp");
  return at !== undefined && Math.abs(now - at) > TIME_WINDOW;
}

/** Error-Cause, if the request says something that this gateway does not understand (RFC 5176 3.5). */
function unsupported(packet: RadiusPacket, isCoa: boolean): number | undefined {
  if (attributeOf(packet, "Service-Type") !== undefined) return ErrorCause.UnsupportedService;
  const isKnown = ({ type, vendor }: { type: number; vendor: number }) => {
    const name = attributeName(type, vendor);
    return name !== undefined && (NAMING.has(name) || (isCoa && CHANGING.has(name)));
  };
  return packet.attributes.every(isKnown) ? undefined : ErrorCause.UnsupportedAttribute;
}

/** Error-Cause, if the request is for another gateway, or names no session here. */
function misdirected(packet: RadiusPacket, { gateway, addresses, host }: DynamicAuthorization): number | undefined {
  const addressee = attributeOf(packet, "NAS-Identifier");
  if (addressee !== undefined && addressee !== gateway) return ErrorCause.NasIdentificationMismatch;
  const own = canonical(addresses);
  const named = [attributeOf(packet, "NAS-IP-Address"), attributeOf(packet, "NAS-IPv6-Address")];
  if (own.length > 0 && named.some((address) => address !== undefined && !own.includes(address)))
    return ErrorCause.NasIdentificationMismatch;
  const name = attributeOf(packet, "Acct-Session-Id");
  if (name === undefined) return ErrorCause.MissingAttribute;
  const session = host.sessionOf(name);
  return session !== undefined && names(packet, session) ? undefined : ErrorCause.SessionContextNotFound;
}

/** True if nothing in the packet speaks against its meaning this session. */
function names(packet: RadiusPacket, { device, party, user, addresses }: AaaSession): boolean {
  const said = attributeOf(packet, "User-Name");
  if (said !== undefined && ![device, party, user].includes(said)) return false;
  const station = attributeOf(packet, "Calling-Station-Id");
  if (station !== undefined && station.toLowerCase() !== device.toLowerCase()) return false;
  const framed = [attributeOf(packet, "Framed-IP-Address"), attributeOf(packet, "Framed-IPv6-Address")];
  const own = canonical(addresses);
  return framed.every((address) => address === undefined || own.includes(address));
}

/** As RADIUS's attributes have them. */
function canonical(addresses: readonly string[]): string[] {
  return addresses.map(parseIp).flatMap((one) => (one === undefined ? [] : [formatIp(one)]));
}

function changeIn(packet: RadiusPacket): AaaChange | number {
  const timeouts = attributesOf(packet, "Session-Timeout");
  const filters = attributesOf(packet, "Filter-Id");
  if (timeouts.length > 1 || filters.length > 1) return ErrorCause.InvalidRequest;
  const [sessionTimeout] = timeouts;
  const [filter] = filters;
  if (sessionTimeout === undefined && filter === undefined) return ErrorCause.MissingAttribute;
  // Some take 0 for "no limit", others for "at once".
  if (sessionTimeout === 0) return ErrorCause.InvalidAttributeValue;
  return {
    ...(sessionTimeout === undefined ? {} : { sessionTimeout }),
    ...(filter === undefined ? {} : { filter }),
  };
}

/** What says which session is meant, or belongs to RADIUS itself. */
const NAMING: ReadonlySet<AttributeName> = new Set([
  "User-Name",
  "NAS-Identifier",
  "NAS-IP-Address",
  "NAS-IPv6-Address",
  "NAS-Port",
  "NAS-Port-Type",
  "Called-Station-Id",
  "Calling-Station-Id",
  "Acct-Session-Id",
  "Framed-IP-Address",
  "Framed-IPv6-Address",
  "Class",
  "Reply-Message",
  "Event-Timestamp",
  "Message-Authenticator",
  "Proxy-State",
]);
const CHANGING: ReadonlySet<AttributeName> = new Set(["Session-Timeout", "Filter-Id"]);
/** Milliseconds (RFC 5176 6.3). */
const TIME_WINDOW = 300_000;
