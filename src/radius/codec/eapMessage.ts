/** EAP packets in and out of EAP-Message attributes (RFC 3579 3.1). */
import type { Bytes } from "../../bytes/bytes.ts";
import { type Attribute, attribute, attributesOf, MAX_VALUE, type RadiusPacket } from "./packet.ts";

/** Attributes that carry `eap`, in order; an empty EAP-Start becomes one attribute without a value (RFC 3579 2.1). */
export function eapMessage(eap: Bytes): Attribute[] {
  const parts: Attribute[] = [];
  for (let at = 0; at < eap.length || at === 0; at += MAX_VALUE)
    parts.push(attribute("EAP-Message", eap.subarray(at, at + MAX_VALUE)));
  return parts;
}

/** The EAP packet that a RADIUS packet carries, empty for EAP-Start; undefined if it carries none. */
export function eapOf(packet: RadiusPacket): Bytes | undefined {
  const parts = attributesOf(packet, "EAP-Message");
  if (parts.length === 0) return undefined;
  return parts.length === 1 ? parts[0] : Buffer.concat(parts);
}
