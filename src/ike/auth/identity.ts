/** Identification payloads as identities (RFC 7296 3.5). */
import { copyOf } from "../../bytes/bytes.ts";
import { identityText } from "../../tre/identity.ts";
import type { IdPayload } from "../codec/message.ts";
import type { PeerIdentity } from "../sa/effects.ts";

export function identityOf(payload: IdPayload): PeerIdentity {
  return { idType: payload.idType, idData: copyOf(payload.data), text: identityText(payload.idType, payload.data) };
}
