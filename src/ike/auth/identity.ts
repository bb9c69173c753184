/** Identification payloads as identities (RFC 7296 3.5). */
import { type Bytes, copyOf } from "../../bytes/bytes.ts";
import { identityText } from "../../tre/identity.ts";
import type { IdPayload } from "../codec/message.ts";
import type { PeerIdentity } from "../sa/effects.ts";

export function identityOf(payload: IdPayload): PeerIdentity {
  return { idType: payload.idType, idData: copyOf(payload.data), text: identityText(payload.idType, payload.data) };
}

/** The same for two identities if and only if they are of one type and equal octet by octet. */
export function identityKey(idType: number, idData: Bytes): string {
  return `${idType} ${idData.toString("latin1")}`;
}
