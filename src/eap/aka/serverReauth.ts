/** Fast re-authentication on the server's side (RFC 4187 5, 9.7, 9.8): no vector, a counter and a nonce instead. */
import type { Bytes } from "../../bytes/bytes.ts";
import type { Attributes } from "./attributes.ts";
import {
  type AkaMessage,
  decryptAttributes,
  EncryptedIn,
  encodeAkaMessage,
  encryptAttributes,
  macIsRight,
} from "./message.ts";
import { freshReauth, type ServerContext } from "./serverChallenge.ts";
import type { AkaServerRefusal, ReauthContext, Reauthentication } from "./serverTypes.ts";

/** The request and what its answer is held against. */
export function makeReauthentication(
  context: ServerContext,
  reauth: ReauthContext,
  id: number,
): { packet: Bytes; reauthentication: Reauthentication } {
  const { variant, options, identity, checkcode } = context;
  const nonceS = options.random.bytes(16);
  // The last one that is allowed gives no identity for another.
  const nextReauth = reauth.counter < options.maxReauthentications ? freshReauth(context) : undefined;
  const secret: Attributes = { AT_COUNTER: reauth.counter, AT_NONCE_S: nonceS };
  if (nextReauth !== undefined) secret.AT_NEXT_REAUTH_ID = Buffer.from(nextReauth, "ascii");
  const attributes: Attributes = {
    ...encryptAttributes(reauth.kEncr, options.random.bytes(16), secret),
    AT_CHECKCODE: checkcode.value(),
  };
  if (options.resultIndications) attributes.AT_RESULT_IND = true;
  const packet = encodeAkaMessage("request", variant, id, "reauthentication", attributes, { kAut: reauth.kAut });
  const keys = variant.reauthKeys(reauth.secret, identity, reauth.counter, nonceS);
  // AT_MAC is the last attribute that is written.
  const mac = Buffer.from(packet.subarray(packet.length - 16));
  return { packet, reauthentication: { context: reauth, keys, nonceS, nextReauth, mac } };
}

type ReauthenticationResponse = Extract<AkaMessage<"response">, { subtype: "reauthentication" }>;

export type ReauthenticationVerdict =
  | { kind: "right"; indicate: boolean }
  /** The peer has seen this counter already: a full authentication must follow (RFC 4187 5.5). */
  | { kind: "counterTooSmall" }
  | { kind: "wrong"; refusal: AkaServerRefusal };

/** Throws DecodeError for encrypted attributes that are no such thing. */
export function judgeReauthenticationResponse(
  { variant, options, checkcode }: ServerContext,
  { context: { kAut, kEncr, counter }, nonceS }: Reauthentication,
  { attributes, macOffset }: ReauthenticationResponse,
  packet: Bytes,
): ReauthenticationVerdict {
  if (!macIsRight(variant, kAut, packet, macOffset, nonceS))
    return wrong("WrongMac", "AT_MAC of the answer to the fast re-authentication is wrong: the peer holds other keys");
  if (!checkcode.agrees(attributes.AT_CHECKCODE))
    return wrong("WrongCheckcode", "the peer saw other AKA-Identity messages: somebody changed them on their way");
  const secret = decryptAttributes(kEncr, attributes, EncryptedIn.reauthenticationResponse);
  if (secret.AT_COUNTER !== counter)
    return wrong("WrongCounter", `the peer answers with counter ${secret.AT_COUNTER}, ${counter} was sent`);
  if (secret.AT_COUNTER_TOO_SMALL === true) return { kind: "counterTooSmall" };
  return { kind: "right", indicate: options.resultIndications && attributes.AT_RESULT_IND === true };
}

function wrong(reason: AkaServerRefusal["reason"], message: string): ReauthenticationVerdict {
  return { kind: "wrong", refusal: { reason, message, by: "us" } };
}
