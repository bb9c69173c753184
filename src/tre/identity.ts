/** Identities of IKE peers (RFC 7296 3.5, RFC 4945 3.1). */
import type { Bytes } from "../bytes/bytes.ts";
import { formatIp } from "../bytes/ip.ts";

/** ID types (RFC 7296 3.5). */
export const IdType = {
  IPV4_ADDR: 1,
  FQDN: 2,
  RFC822_ADDR: 3,
  IPV6_ADDR: 5,
  DER_ASN1_DN: 9,
  DER_ASN1_GN: 10,
  KEY_ID: 11,
} as const;

/** The identity of a device or gateway that is named by an FQDN (TS 33.320 5.2-5). */
export function fqdnIdentity(fqdn: string): { idType: number; idData: Bytes } {
  return { idType: IdType.FQDN, idData: Buffer.from(fqdn, "ascii") };
}

/** As people read it; safe to print. */
export function identityText(idType: number, idData: Bytes): string {
  switch (idType) {
    case IdType.FQDN:
    case IdType.RFC822_ADDR:
      // Control characters never reach a terminal or a log line.
      return idData
        .subarray(0, MAX_TEXT)
        .toString("latin1")
        .replace(/[^\x20-\x7e]/g, "?");
    case IdType.IPV4_ADDR:
    case IdType.IPV6_ADDR:
      return idData.length === 4 || idData.length === 16
        ? formatIp(idData)
        : `address 0x${idData.subarray(0, 16).toString("hex")}`;
    default:
      return `id type ${idType} 0x${idData.subarray(0, 32).toString("hex")}`;
  }
}

const MAX_TEXT = 255;
