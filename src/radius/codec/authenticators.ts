/**
 * What proves that a RADIUS packet comes from who shares the secret (RFC 2865 3, RFC 2866 3, RFC 3579 3.2, RFC 5176 2.3).
 *
 * MD5 is not ours to choose. Whatever answers an Access-Request, and the request itself, is believed only with a
 * Message-Authenticator (HMAC-MD5): the bare Response Authenticator can be forged by chosen-prefix collisions within
 * minutes (CVE-2024-3596, "BlastRADIUS"). It goes first in a packet, where that attack cannot put anything before it.
 * Accounting has none (RFC 2869 5.19): FreeRADIUS computes one in an Accounting-Response over other octets than in any
 * other answer, and takes ours for forged.
 */
import { type Bytes, sameSecret } from "../../bytes/bytes.ts";
import { digest, hmac } from "../../bytes/digest.ts";
import { Code } from "./numbers.ts";
import { type Attribute, AUTHENTICATOR_LENGTH, encodePacket, HEADER_LENGTH, isNamed } from "./packet.ts";

/** Why a packet is not believed. */
export type IntegrityProblem =
  | "NoMessageAuthenticator"
  | "WrongMessageAuthenticator"
  | "RepeatedMessageAuthenticator"
  | "WrongAuthenticator";

/**
 * A request with its authenticators. `random` is the Request Authenticator of an Access-Request or Status-Server; other
 * requests compute theirs from the secret.
 */
export function sealRequest(
  code: number,
  identifier: number,
  attributes: readonly Attribute[],
  secret: Bytes,
  random: Bytes,
): Bytes {
  const own = withRandomAuthenticator(code);
  const authenticator = own ? random : ZEROS;
  if (code === Code.AccountingRequest) {
    const bytes = encodePacket({ code, identifier, authenticator, attributes });
    md5(bytes, secret).copy(bytes, 4);
    return bytes;
  }
  const bytes = encodePacket({ code, identifier, authenticator, attributes: seal(attributes) });
  fillMessageAuthenticator(bytes, secret);
  if (!own) md5(bytes, secret).copy(bytes, 4);
  return bytes;
}

/** An answer to a request. */
export function sealResponse(
  code: number,
  request: { code: number; identifier: number; authenticator: Bytes },
  attributes: readonly Attribute[],
  secret: Bytes,
): Bytes {
  const { identifier, authenticator } = request;
  const bare = request.code === Code.AccountingRequest;
  const bytes = encodePacket({ code, identifier, authenticator, attributes: bare ? attributes : seal(attributes) });
  if (!bare) fillMessageAuthenticator(bytes, secret);
  md5(bytes, secret).copy(bytes, 4);
  return bytes;
}

/** Undefined if a received request may be believed. `bytes` is the packet without what follows its length. */
export function verifyRequest(bytes: Bytes, secret: Bytes): IntegrityProblem | undefined {
  const code = bytes[0]!;
  if (withRandomAuthenticator(code)) return verifyMessageAuthenticator(bytes, secret, undefined, true);
  const copy = Buffer.from(bytes);
  copy.fill(0, 4, HEADER_LENGTH);
  if (!sameSecret(md5(copy, secret), bytes.subarray(4, HEADER_LENGTH))) return "WrongAuthenticator";
  return verifyMessageAuthenticator(bytes, secret, ZEROS, false);
}

/** Undefined if a received answer may be believed, by the Request Authenticator of its request. */
export function verifyResponse(bytes: Bytes, requestAuthenticator: Bytes, secret: Bytes): IntegrityProblem | undefined {
  const copy = Buffer.from(bytes);
  requestAuthenticator.copy(copy, 4);
  if (!sameSecret(md5(copy, secret), bytes.subarray(4, HEADER_LENGTH))) return "WrongAuthenticator";
  return verifyMessageAuthenticator(bytes, secret, requestAuthenticator, answersAccessRequest(bytes[0]!));
}

function verifyMessageAuthenticator(
  bytes: Bytes,
  secret: Bytes,
  authenticator: Bytes | undefined,
  required: boolean,
): IntegrityProblem | undefined {
  const at = messageAuthenticatorAt(bytes);
  if (at === "repeated") return "RepeatedMessageAuthenticator";
  if (at === undefined) return required ? "NoMessageAuthenticator" : undefined;
  const copy = Buffer.from(bytes);
  authenticator?.copy(copy, 4);
  copy.fill(0, at, at + AUTHENTICATOR_LENGTH);
  const given = bytes.subarray(at, at + AUTHENTICATOR_LENGTH);
  return sameSecret(hmac("md5", secret, copy), given) ? undefined : "WrongMessageAuthenticator";
}

/** Over the packet as it is, with the Request Authenticator in its place. */
function fillMessageAuthenticator(bytes: Bytes, secret: Bytes): void {
  hmac("md5", secret, bytes).copy(bytes, HEADER_LENGTH + 2);
}

/** `attributes` with an empty Message-Authenticator in front; the length of its value makes the packet's. */
function seal(attributes: readonly Attribute[]): Attribute[] {
  const others = attributes.filter((one) => !isNamed(one, "Message-Authenticator"));
  return [{ type: MESSAGE_AUTHENTICATOR, vendor: 0, value: ZEROS }, ...others];
}

/** Offset of the value of Message-Authenticator; `bytes` has been decoded once, so that its lengths are sound. */
function messageAuthenticatorAt(bytes: Bytes): number | "repeated" | undefined {
  let found: number | undefined;
  for (let at = HEADER_LENGTH; at + 2 <= bytes.length; at += Math.max(2, bytes[at + 1]!)) {
    if (bytes[at] !== MESSAGE_AUTHENTICATOR || bytes[at + 1] !== 2 + AUTHENTICATOR_LENGTH) continue;
    if (found !== undefined) return "repeated";
    found = at + 2;
  }
  return found;
}

function withRandomAuthenticator(code: number): boolean {
  return code === Code.AccessRequest || code === Code.StatusServer;
}

/** Of these the Message-Authenticator is insisted on; accounting and RFC 5176 answers may lack it (RFC 5080 2.2.2). */
function answersAccessRequest(code: number): boolean {
  return code === Code.AccessAccept || code === Code.AccessReject || code === Code.AccessChallenge;
}

function md5(bytes: Bytes, secret: Bytes): Bytes {
  return digest("md5", bytes, secret);
}

const MESSAGE_AUTHENTICATOR = 80;
const ZEROS = Buffer.alloc(AUTHENTICATOR_LENGTH);
