/**
 * Messages of EAP-AKA and EAP-AKA' (RFC 4187 9, 10.1; RFC 9048 3.1, 4): subtype, the attributes it must and may carry,
 * AT_MAC over the whole packet, and the encrypted attributes inside AT_ENCR_DATA.
 */
import { createCipheriv, createDecipheriv } from "node:crypto";
import { type Bytes, EMPTY, sameSecret } from "../../bytes/bytes.ts";
import { hmac } from "../../bytes/digest.ts";
import { DecodeError } from "../../bytes/reader.ts";
import { EAP_HEADER_LENGTH, encodeEap, trimEap } from "../packet.ts";
import {
  type AttributeName,
  type Attributes,
  type DecodedAttributes,
  decodeAttributes,
  encodeAttributes,
} from "./attributes.ts";
import type { AkaVariant } from "./variant.ts";

const MAC = ["AT_MAC"] as const;
const ENCRYPTED = ["AT_IV", "AT_ENCR_DATA"] as const;
const CHECKS = ["AT_CHECKCODE", "AT_RESULT_IND"] as const;

/** RFC 4187 10.1 with RFC 9048 3.1, 3.2 and 4: what a message of each subtype must carry, and what it may. */
const REQUESTS = {
  identity: format(5, [], ["AT_ANY_ID_REQ", "AT_FULLAUTH_ID_REQ", "AT_PERMANENT_ID_REQ"]),
  challenge: format(
    1,
    ["AT_RAND", "AT_AUTN", ...MAC],
    [...ENCRYPTED, ...CHECKS, "AT_BIDDING", "AT_KDF", "AT_KDF_INPUT"],
  ),
  reauthentication: format(13, [...ENCRYPTED, ...MAC], [...CHECKS]),
  notification: format(12, ["AT_NOTIFICATION"], [...ENCRYPTED, ...MAC]),
} as const;

const RESPONSES = {
  identity: format(5, ["AT_IDENTITY"], []),
  /** AT_RES and AT_MAC, or AT_KDF alone: whoever takes it tells the two apart (RFC 9048 3.2). */
  challenge: format(1, [], ["AT_RES", ...MAC, ...ENCRYPTED, ...CHECKS, "AT_KDF"]),
  authenticationReject: format(2, [], []),
  synchronizationFailure: format(4, ["AT_AUTS"], ["AT_KDF"]),
  reauthentication: format(13, [...ENCRYPTED, ...MAC], [...CHECKS]),
  notification: format(12, [], [...ENCRYPTED, ...MAC]),
  clientError: format(14, ["AT_CLIENT_ERROR_CODE"], []),
} as const;

/** Names of subtypes (RFC 4187 11), by number. */
export const SUBTYPE_NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries({ ...REQUESTS, ...RESPONSES }).map(([name, { number }]) => [number, capitalized(name)]),
);

/** What may stand in AT_ENCR_DATA (RFC 4187 10.1, the columns' asterisks). */
export const EncryptedIn = {
  challenge: new Set<AttributeName>(["AT_PADDING", "AT_NEXT_PSEUDONYM", "AT_NEXT_REAUTH_ID"]),
  reauthenticationRequest: new Set<AttributeName>(["AT_PADDING", "AT_NEXT_REAUTH_ID", "AT_COUNTER", "AT_NONCE_S"]),
  reauthenticationResponse: new Set<AttributeName>(["AT_PADDING", "AT_COUNTER", "AT_COUNTER_TOO_SMALL"]),
  notification: new Set<AttributeName>(["AT_PADDING", "AT_COUNTER"]),
} as const;

type Formats = { request: typeof REQUESTS; response: typeof RESPONSES };
type With<N extends AttributeName> = Attributes & Required<Pick<Attributes, N>>;

/** A decoded message; `attributes` has at least those that its subtype must carry. */
export type AkaMessage<K extends keyof Formats> = {
  [S in keyof Formats[K]]: Formats[K][S] extends Format<infer N>
    ? { subtype: S; attributes: With<N>; macOffset: number | undefined }
    : never;
}[keyof Formats[K]];

/** Decodes an EAP packet of the variant's type, header and all, that `decodeEap` took; throws DecodeError. */
export function decodeAkaMessage<K extends keyof Formats>(kind: K, variant: AkaVariant, packet: Bytes): AkaMessage<K> {
  const octets = trimEap(packet);
  const subtype = octets[SUBTYPE_AT];
  if (octets.length < ATTRIBUTES_AT || subtype === undefined)
    throw new DecodeError("AKA.subtype", octets.length, `${variant.name} needs ${ATTRIBUTES_AT} octets`);
  const known = Object.entries<Format<AttributeName>>(FORMATS[kind]).find(([, { number }]) => number === subtype);
  if (known === undefined)
    throw new DecodeError("AKA.subtype", SUBTYPE_AT, `${subtype} is no subtype of a ${variant.name} ${kind}`);
  const [name, { required, allowed }] = known;
  const decoded = decodeAttributes(octets.subarray(ATTRIBUTES_AT), allowed, ATTRIBUTES_AT);
  refuseForeign(decoded.attributes, variant);
  for (const attribute of required) {
    if (decoded.attributes[attribute] === undefined)
      throw new DecodeError(`AKA.${name}`, octets.length, `${attribute} is missing (RFC 4187 10.1)`);
  }
  const macOffset = decoded.macOffset === undefined ? undefined : ATTRIBUTES_AT + decoded.macOffset;
  return { subtype: name, attributes: decoded.attributes, macOffset } as AkaMessage<K>;
}

/**
 * Encodes a message. With `mac` it ends in an AT_MAC over the whole packet and `mac.extra` (RFC 4187 10.15).
 */
export function encodeAkaMessage<K extends keyof Formats>(
  kind: K,
  variant: AkaVariant,
  id: number,
  subtype: keyof Formats[K] & string,
  attributes: Attributes,
  mac?: { kAut: Bytes; extra?: Bytes },
): Bytes {
  const { number } = (FORMATS[kind] as Record<string, Format<AttributeName>>)[subtype]!;
  const encoded = encodeAttributes(mac === undefined ? attributes : { ...attributes, AT_MAC: NO_MAC });
  const body = Buffer.concat([Buffer.from([number, 0, 0]), encoded]);
  const packet = encodeEap({ kind, id, content: { kind: "method", type: variant.type, body } });
  if (mac !== undefined) macOf(variant, mac.kAut, packet, mac.extra).copy(packet, packet.length - MAC_LENGTH);
  return packet;
}

/** Checks AT_MAC of a received packet in constant time; `macOffset` is where its value stands. */
export function macIsRight(
  variant: AkaVariant,
  kAut: Bytes,
  packet: Bytes,
  macOffset: number | undefined,
  extra?: Bytes,
): boolean {
  if (macOffset === undefined) return false;
  const octets = trimEap(packet);
  const blank = Buffer.from(octets);
  blank.fill(0, macOffset, macOffset + MAC_LENGTH);
  return sameSecret(macOf(variant, kAut, blank, extra), octets.subarray(macOffset, macOffset + MAC_LENGTH));
}

/** AT_IV and AT_ENCR_DATA that hold `attributes`, padded by AT_PADDING (RFC 4187 10.12). `iv` has 16 octets. */
export function encryptAttributes(
  kEncr: Bytes,
  iv: Bytes,
  attributes: Attributes,
): Required<Pick<Attributes, "AT_IV" | "AT_ENCR_DATA">> {
  const bare = encodeAttributes(attributes);
  const missing = (BLOCK - (bare.length % BLOCK)) % BLOCK;
  const whole = missing === 0 ? bare : Buffer.concat([bare, encodeAttributes({ AT_PADDING: missing - 2 })]);
  // Of whole blocks without padding nothing is left for `final`.
  const cipher = createCipheriv("aes-128-cbc", kEncr, iv).setAutoPadding(false);
  return { AT_IV: iv, AT_ENCR_DATA: cipher.update(whole) };
}

/** The attributes inside AT_ENCR_DATA; throws DecodeError. Call it after AT_MAC was found right. */
export function decryptAttributes(
  kEncr: Bytes,
  { AT_IV: iv, AT_ENCR_DATA: content }: Attributes,
  allowed: ReadonlySet<AttributeName>,
): Attributes {
  if (iv === undefined || content === undefined)
    throw new DecodeError("AT_ENCR_DATA", 0, "AT_IV and AT_ENCR_DATA belong together (RFC 4187 10.12)");
  const decipher = createDecipheriv("aes-128-cbc", kEncr, iv).setAutoPadding(false);
  const decrypted: DecodedAttributes = decodeAttributes(
    Buffer.concat([decipher.update(content), decipher.final()]),
    allowed,
  );
  return decrypted.attributes;
}

/** AT_BIDDING is EAP-AKA's alone, AT_KDF and AT_KDF_INPUT are EAP-AKA''s (RFC 9048 3.1, 3.2, 4). */
function refuseForeign(attributes: Attributes, variant: AkaVariant): void {
  const foreign: readonly AttributeName[] = variant.name === "EAP-AKA" ? ["AT_KDF", "AT_KDF_INPUT"] : ["AT_BIDDING"];
  const found = foreign.find((name) => attributes[name] !== undefined);
  if (found !== undefined) throw new DecodeError(found, ATTRIBUTES_AT, `does not belong in ${variant.name}`);
}

/** RFC 4187 10.15, RFC 9048 3.4.2. */
function macOf({ hash }: AkaVariant, kAut: Bytes, packet: Bytes, extra: Bytes = EMPTY): Bytes {
  return hmac(hash, kAut, packet, extra).subarray(0, MAC_LENGTH);
}

interface Format<N extends AttributeName> {
  number: number;
  required: readonly N[];
  allowed: ReadonlySet<AttributeName>;
}

function format<const N extends AttributeName>(
  number: number,
  required: readonly N[],
  optional: readonly AttributeName[],
): Format<N> {
  return { number, required, allowed: new Set<AttributeName>([...required, ...optional]) };
}

const FORMATS: Formats = { request: REQUESTS, response: RESPONSES };
/** After the EAP header and the type. */
const SUBTYPE_AT = EAP_HEADER_LENGTH + 1;
/** After the subtype and two reserved octets. */
const ATTRIBUTES_AT = SUBTYPE_AT + 3;
const BLOCK = 16;
const MAC_LENGTH = 16;
const NO_MAC = Buffer.alloc(MAC_LENGTH);

function capitalized(name: string): string {
  return name[0]!.toUpperCase() + name.slice(1);
}
