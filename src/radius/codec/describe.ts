/** One short line a packet, for ladders and logs: no secrets, and nothing of a peer's text unescaped. */
import type { Bytes } from "../../bytes/bytes.ts";
import { ATTRIBUTES, attributeName, FORMATS } from "./dictionary.ts";
import { eapOf } from "./eapMessage.ts";
import { Code } from "./numbers.ts";
import type { Attribute, RadiusPacket } from "./packet.ts";

/** "Access-Request"; a number for a code that is not known. */
export function describeCode({ code }: RadiusPacket): string {
  return CODE_NAMES.get(code) ?? `code ${code}`;
}

/** One short text an attribute, those that only protect the packet left out; `eap` tells what an EAP packet is. */
export function describeAttributes(packet: RadiusPacket, eap?: (packet: Bytes) => string): string[] {
  const { attributes } = packet;
  const shown = attributes.filter(({ type, vendor }) => attributeName(type, vendor) !== "Message-Authenticator");
  const isEap = ({ type, vendor }: Attribute) => attributeName(type, vendor) === "EAP-Message";
  const others = shown.filter((one) => !isEap(one)).map(describeAttribute);
  // In parts it is one.
  const carried = eapOf(packet);
  if (carried === undefined) return others;
  if (eap === undefined) return [...others, `EAP-Message(${carried.length} octets)`];
  return [...others, `EAP-Message(${carried.length === 0 ? "empty" : eap(carried)})`];
}

function describeAttribute({ type, vendor, value }: Attribute): string {
  const name = attributeName(type, vendor);
  if (name === undefined) return `attribute ${vendor === 0 ? "" : `${vendor}:`}${type}`;
  const { format: of } = ATTRIBUTES[name];
  // Octets mean something to who made them; keys and State are among them.
  if (of === "octets") return `${name}(${value.length} octets)`;
  const { exactly, decode } = FORMATS[of];
  const decoded = exactly === undefined || exactly === value.length ? decode(value) : undefined;
  if (decoded === undefined) return `${name}(malformed)`;
  const text = of === "time" ? new Date(Number(decoded)).toISOString() : String(decoded);
  return `${name}=${text.slice(0, MAX_TEXT).replaceAll(/[^\x20-\x7e]/g, "?")}`;
}

/** "AccessRequest" is Access-Request (RFC 2865 3); CoA keeps its small o (RFC 5176 2.3). */
const CODE_NAMES = new Map<number, string>(
  Object.entries(Code).map(([name, code]) => [
    code,
    name
      .replace(/(?<=[a-z])(?=[A-Z])/g, "-")
      .replace(/-(Ack|Nak)$/, (end) => end.toUpperCase())
      .replace(/^Coa/, "CoA"),
  ]),
);
const MAX_TEXT = 80;
