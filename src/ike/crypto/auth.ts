/** The octets that AUTH covers (RFC 7296 2.15); the signature itself is made and verified in the TrE. */
import { createHash } from "node:crypto";
import type { Bytes } from "../../bytes/bytes.ts";
import { spiToBytes } from "../codec/header.ts";
import type { IdPayload, IkeSpi } from "../codec/message.ts";
import { prf } from "./prf.ts";

/** What a side signs: its first message, the other's nonce and a MAC over its own identity (RFC 7296 2.15). */
export function authOctets(message: Bytes, nonce: Bytes, prfId: number, skp: Bytes, identityBody: Bytes): Bytes {
  return Buffer.concat([message, nonce, prf(prfId, skp, identityBody)]);
}

/** The ID payload without its generic header: RestOfInitIDPayload (RFC 7296 2.15). */
export function idBody(id: Pick<IdPayload, "idType" | "data">): Bytes {
  return Buffer.concat([Buffer.from([id.idType, 0, 0, 0]), id.data]);
}

/** AUTH under a key that EAP made: prf(prf(MSK, "Key Pad for IKEv2"), octets) (RFC 7296 2.15, 2.16). */
export function sharedKeyAuth(prfId: number, msk: Bytes, octets: Bytes): Bytes {
  return prf(prfId, prf(prfId, msk, KEY_PAD), octets);
}

/** 32 octets that stand for this IKE SA and no other, for INTEGRITY_INFO to be bound to (TS 33.320 7.2.2-13). */
export function integrityBinding(spiI: IkeSpi, spiR: IkeSpi, nonces: { nonceI: Bytes; nonceR: Bytes }): Bytes {
  const hash = createHash("sha256").update(spiToBytes(spiI)).update(spiToBytes(spiR));
  return hash.update(nonces.nonceI).update(nonces.nonceR).digest();
}

const KEY_PAD = Buffer.from("Key Pad for IKEv2");
