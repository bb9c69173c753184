/** Identification payloads as people read them (RFC 7296 3.5). */
import { type Bytes, copyOf } from "../../bytes/bytes.ts";
import { formatIp } from "../../bytes/ip.ts";
import type { IdPayload } from "../codec/message.ts";
import { IdType } from "../codec/numbers.ts";
import type { PeerIdentity } from "../sa/effects.ts";

export function identityOf(payload: IdPayload): PeerIdentity {
  return { idType: payload.idType, idData: copyOf(payload.data), text: identityText(payload.idType, payload.data) };
}

export function fqdnIdentity(fqdn: string): { idType: number; idData: Bytes } {
  return { idType: IdType.FQDN, idData: Buffer.from(fqdn, "ascii") };
}

export function identityText(idType: number, idData: Bytes): string {
  switch (idType) {
    case IdType.FQDN:
    case IdType.RFC822_ADDR:
      // Control characters never reach a terminal or a log line.
      return idData.subarray(0, MAX_TEXT).toString("latin1").replace(/[^\x20-\x7e]/g, "?");
    case IdType.IPV4_ADDR:
    case IdType.IPV6_ADDR:
      return idData.length === 4 || idData.length === 16 ? formatIp(idData) : `address 0x${idData.subarray(0, 16).toString("hex")}`;
    default:
      return `id type ${idType} 0x${idData.subarray(0, 32).toString("hex")}`;
  }
}

const MAX_TEXT = 255;
