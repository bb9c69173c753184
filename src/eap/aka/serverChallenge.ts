/** Full authentication on the server's side: the challenge, and the verdict on its answer (RFC 4187 9.3, 9.4). */
import { type Bytes, sameSecret } from "../../bytes/bytes.ts";
import { AkaLength } from "../akaFunctions.ts";
import type { AuthenticationVector } from "../authenticationVector.ts";
import type { Attributes } from "./attributes.ts";
import type { Checkcode } from "./checkcode.ts";
import { freshUsername } from "./identity.ts";
import { type AkaMessage, encodeAkaMessage, encryptAttributes, macIsRight } from "./message.ts";
import { BIDDING_PREFERS_AKA_PRIME } from "./numbers.ts";
import type { AkaServerOptions, AkaServerRefusal, Challenge } from "./serverTypes.ts";
import { AKA_DERIVATION, type AkaVariant, type KeyDerivation } from "./variant.ts";

/** What a conversation knows when it comes to a challenge. */
export interface ServerContext {
  variant: AkaVariant;
  options: AkaServerOptions;
  /** The identity that the peer sent last. */
  identity: Bytes;
  checkcode: Checkcode;
}

/** The functions on offer; EAP-AKA has one that nobody names. */
function offeredDerivations({ variant, options }: ServerContext): readonly KeyDerivation[] {
  return variant.name === "EAP-AKA" ? [AKA_DERIVATION] : options.keyDerivations;
}

/** A challenge with a vector that has the right lengths (see `vectorProblem`). `before` is the one it follows. */
export function makeChallenge(
  context: ServerContext,
  imsi: string,
  vector: AuthenticationVector,
  before: Challenge | undefined,
): Challenge {
  const { options } = context;
  const derivation = before?.derivation ?? offeredDerivations(context)[0]!;
  return {
    imsi,
    vector,
    derivation,
    keys: derivation.derive(context.identity, vector.ck, vector.ik),
    nextPseudonym: options.pseudonyms ? freshPseudonym(context, imsi) : undefined,
    nextReauth: options.maxReauthentications > 0 ? freshReauth(context) : undefined,
    resyncs: before?.resyncs ?? 0,
    renegotiated: before?.renegotiated ?? false,
  };
}

/** The same challenge under the function that the peer chose (RFC 9048 3.2). */
export function renegotiated(context: ServerContext, challenge: Challenge, derivation: KeyDerivation): Challenge {
  const keys = derivation.derive(context.identity, challenge.vector.ck, challenge.vector.ik);
  return { ...challenge, derivation, keys, renegotiated: true };
}

function freshPseudonym({ variant, options }: ServerContext, imsi: string): string {
  const { pseudonym } = variant.prefix;
  return options.newPseudonym?.(pseudonym, imsi) ?? freshUsername(pseudonym, options.random);
}

/** A fresh identity for the next fast re-authentication, with its realm (RFC 4187 5.4). */
export function freshReauth({ variant, options }: ServerContext): string {
  const username = freshUsername(variant.prefix.reauth, options.random);
  return options.reauthRealm === undefined ? username : `${username}@${options.reauthRealm}`;
}

/** What is wrong with a vector that came from outside, or undefined. */
export function vectorProblem({ rand, autn, xres, ck, ik }: AuthenticationVector): string | undefined {
  const fixed = { RAND: rand, AUTN: autn, CK: ck, IK: ik } as const;
  for (const [name, value] of Object.entries(fixed)) {
    if (value.length !== AkaLength[name as keyof typeof fixed]) return `${name} has ${value.length} octets`;
  }
  return xres.length < 4 || xres.length > 16 ? `XRES has ${xres.length} octets` : undefined;
}

export function encodeChallenge(context: ServerContext, challenge: Challenge, id: number): Bytes {
  const { variant, options, checkcode } = context;
  const attributes: Attributes = { AT_RAND: challenge.vector.rand, AT_AUTN: challenge.vector.autn };
  if (variant.name === "EAP-AKA'") {
    attributes.AT_KDF = offeredKdfs(context, challenge);
    attributes.AT_KDF_INPUT = Buffer.from(options.networkName, "utf8");
  } else if (options.prefersAkaPrime) {
    attributes.AT_BIDDING = BIDDING_PREFERS_AKA_PRIME;
  }
  const secret: Attributes = {};
  if (challenge.nextPseudonym !== undefined) secret.AT_NEXT_PSEUDONYM = Buffer.from(challenge.nextPseudonym, "ascii");
  if (challenge.nextReauth !== undefined) secret.AT_NEXT_REAUTH_ID = Buffer.from(challenge.nextReauth, "ascii");
  if (Object.keys(secret).length > 0)
    Object.assign(attributes, encryptAttributes(challenge.keys.kEncr, options.random.bytes(16), secret));
  attributes.AT_CHECKCODE = checkcode.value();
  if (options.resultIndications) attributes.AT_RESULT_IND = true;
  return encodeAkaMessage("request", variant, id, "challenge", attributes, { kAut: challenge.keys.kAut });
}

/** AT_KDF as it stands in the challenge: the chosen one stands again before the whole list (RFC 9048 3.2). */
export function offeredKdfs(context: ServerContext, challenge: Challenge): readonly number[] {
  const offer = offeredDerivations(context).map(({ kdf }) => kdf);
  return challenge.renegotiated ? [challenge.derivation.kdf, ...offer] : offer;
}

type ChallengeResponse = Extract<AkaMessage<"response">, { subtype: "challenge" }>;

export type ChallengeVerdict =
  | { kind: "right"; indicate: boolean }
  | { kind: "otherDerivation"; derivation: KeyDerivation }
  | { kind: "wrong"; refusal: AkaServerRefusal };

export function judgeChallengeResponse(
  context: ServerContext,
  challenge: Challenge,
  { attributes, macOffset }: ChallengeResponse,
  packet: Bytes,
): ChallengeVerdict {
  if (attributes.AT_KDF !== undefined) return judgeDerivation(context, challenge, attributes);
  if (!macIsRight(context.variant, challenge.keys.kAut, packet, macOffset))
    return wrong("WrongMac", "AT_MAC of the answer to the challenge is wrong: the peer holds other keys");
  if (!context.checkcode.agrees(attributes.AT_CHECKCODE))
    return wrong("WrongCheckcode", "the peer saw other AKA-Identity messages: somebody changed them on their way");
  if (attributes.AT_RES === undefined || !sameSecret(attributes.AT_RES, challenge.vector.xres))
    return wrong("WrongRes", "RES is not what the USIM of this subscriber answers");
  // Only what was offered can be agreed on (RFC 4187 6.2).
  return { kind: "right", indicate: context.options.resultIndications && attributes.AT_RESULT_IND === true };
}

/** RFC 9048 3.2: the peer may choose once, from the list, and not the one that stood first. */
function judgeDerivation(context: ServerContext, challenge: Challenge, attributes: Attributes): ChallengeVerdict {
  const [chosen, ...others] = attributes.AT_KDF!;
  const index = offeredDerivations(context).findIndex(({ kdf }) => kdf === chosen);
  if (challenge.renegotiated || others.length > 0 || index <= 0 || Object.keys(attributes).length > 1)
    return wrong("WrongKdf", `the peer chose the key derivation function ${chosen}, which is not on offer now`);
  return { kind: "otherDerivation", derivation: offeredDerivations(context)[index]! };
}

function wrong(reason: AkaServerRefusal["reason"], message: string): ChallengeVerdict {
  return { kind: "wrong", refusal: { reason, message, by: "us" } };
}
