/** One short text an EAP packet, for ladders and logs: who asks what, never what is in it. */
import type { Bytes } from "../bytes/bytes.ts";
import { DecodeError } from "../bytes/reader.ts";
import { attributeNames } from "./aka/attributes.ts";
import { SUBTYPE_NAMES } from "./aka/message.ts";
import { decodeEap, type EapContent, EapType } from "./packet.ts";

/** "request AKA-Challenge RAND AUTN MAC", "response Nak AKA'", "success"; "malformed" for what cannot be read. */
export function describeEap(packet: Bytes): string {
  try {
    const decoded = decodeEap(packet);
    return "content" in decoded ? `${decoded.kind} ${describeContent(decoded.content)}` : decoded.kind;
  } catch (error) {
    if (error instanceof DecodeError) return "malformed";
    throw error;
  }
}

function describeContent(content: EapContent): string {
  switch (content.kind) {
    case "identity":
      return "Identity";
    case "notification":
      return "Notification";
    case "nak":
      return ["Nak", ...content.desired.map(typeName)].join(" ");
    case "expandedNak":
      return "Expanded Nak";
    case "expanded":
      return `type ${content.type.vendor}:${content.type.type}`;
    case "method":
      return describeMethod(content.type, content.body);
  }
}

/** EAP-AKA and EAP-AKA' have one form: subtype, two reserved octets, attributes (RFC 4187 8.1). */
function describeMethod(type: number, body: Bytes): string {
  if (type !== EapType.AKA && type !== EapType.AKA_PRIME) return typeName(type);
  const subtype = SUBTYPE_NAMES.get(body[0] ?? 0) ?? `subtype ${body[0]}`;
  const names = attributeNames(body.subarray(3)).map((name) => name.replace(/^AT_/, ""));
  return [`${typeName(type)}-${subtype}`, ...names].join(" ");
}

function typeName(type: number): string {
  return TYPES.get(type) ?? `type ${type}`;
}

/** IANA's registry "EAP Registry", method types that gateways meet. */
const TYPES = new Map<number, string>([
  [4, "MD5"],
  [13, "TLS"],
  [18, "SIM"],
  [21, "TTLS"],
  [EapType.AKA, "AKA"],
  [25, "PEAP"],
  [26, "MSCHAPv2"],
  [EapType.AKA_PRIME, "AKA'"],
]);
