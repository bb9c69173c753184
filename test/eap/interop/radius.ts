/**
 * As much RADIUS as carries EAP between the tests and their peers (RFC 2865, RFC 3579, RFC 2548): no more.
 *
 * It stands in for `src/radius/codec`, whose functions have the same names and arguments as far as they go: when that
 * is there, this file goes and its importers name it instead.
 */
import { createHash, createHmac } from "node:crypto";
import type { Random } from "../../../src/sim/environment.ts";

export const Code = { AccessRequest: 1, AccessAccept: 2, AccessReject: 3, AccessChallenge: 11 } as const;

export interface Attribute {
  type: number;
  vendor: number;
  value: Buffer;
}

export interface RadiusPacket {
  code: number;
  identifier: number;
  authenticator: Buffer;
  attributes: readonly Attribute[];
}

export function decodePacket(bytes: Buffer): RadiusPacket {
  const attributes: Attribute[] = [];
  for (let at = 20; at < bytes.readUInt16BE(2); at += bytes[at + 1]!) {
    const value = bytes.subarray(at + 2, at + bytes[at + 1]!);
    if (bytes[at] === 26) attributes.push({ type: value[4]!, vendor: value.readUInt32BE(), value: value.subarray(6) });
    else attributes.push({ type: bytes[at]!, vendor: 0, value });
  }
  return { code: bytes[0]!, identifier: bytes[1]!, authenticator: bytes.subarray(4, 20), attributes };
}

export function firstOf({ attributes }: RadiusPacket, type: number, vendor = 0): Buffer | undefined {
  return attributes.find((one) => one.type === type && one.vendor === vendor)?.value;
}

/** The EAP packet that a RADIUS packet carries; undefined if it carries none. */
export function eapOf({ attributes }: RadiusPacket): Buffer | undefined {
  const parts = attributes.filter(({ type, vendor }) => type === EAP_MESSAGE && vendor === 0);
  return parts.length === 0 ? undefined : Buffer.concat(parts.map(({ value }) => value));
}

export function eapMessage(eap: Buffer): Attribute[] {
  const parts: Attribute[] = [];
  for (let at = 0; at < eap.length; at += 253) parts.push(plain(EAP_MESSAGE, eap.subarray(at, at + 253)));
  return parts;
}

export function plain(type: number, value: Buffer | string): Attribute {
  return { type, vendor: 0, value: Buffer.from(value) };
}

export function sealRequest(
  code: number,
  identifier: number,
  attributes: readonly Attribute[],
  secret: Buffer,
  random: Buffer,
): Buffer {
  return seal({ code, identifier, authenticator: random, attributes }, secret);
}

export function sealResponse(
  code: number,
  { identifier, authenticator }: RadiusPacket,
  attributes: readonly Attribute[],
  secret: Buffer,
): Buffer {
  const bytes = seal({ code, identifier, authenticator, attributes }, secret);
  md5(bytes, secret).copy(bytes, 4);
  return bytes;
}

/** Undefined if the Message-Authenticator of an Access-Request is right. */
export function verifyRequest(bytes: Buffer, secret: Buffer): string | undefined {
  for (let at = 20; at < bytes.length; at += bytes[at + 1]!) {
    if (bytes[at] !== MESSAGE_AUTHENTICATOR) continue;
    const blank = Buffer.from(bytes).fill(0, at + 2, at + 18);
    return hmac(blank, secret).equals(bytes.subarray(at + 2, at + 18)) ? undefined : "WrongMessageAuthenticator";
  }
  return "NoMessageAuthenticator";
}

export function mppeKeys(msk: Buffer, secret: Buffer, requestAuthenticator: Buffer, random: Random): Attribute[] {
  const salt = random.bytes(2);
  return [MPPE_RECV, MPPE_SEND].map((type, index) => {
    const own = Buffer.from([salt[0]! | 0x80, salt[1]! ^ index]);
    const key = Buffer.alloc(48);
    key[0] = 32;
    msk.copy(key, 1, 32 * index, 32 * index + 32);
    return { type, vendor: MICROSOFT, value: Buffer.concat([own, mask(key, secret, requestAuthenticator, own, true)]) };
  });
}

export function mskOf(packet: RadiusPacket, secret: Buffer, requestAuthenticator: Buffer): Buffer | undefined {
  const halves = [MPPE_RECV, MPPE_SEND].map((type) => {
    const value = firstOf(packet, type, MICROSOFT);
    if (value === undefined) return Buffer.alloc(0);
    return mask(value.subarray(2), secret, requestAuthenticator, value.subarray(0, 2), false).subarray(1, 33);
  });
  return halves.every(({ length }) => length === 32) ? Buffer.concat(halves) : undefined;
}

/** RFC 2548 2.4.2; the chain runs over the hidden blocks, which are the output or the input. */
function mask(input: Buffer, secret: Buffer, authenticator: Buffer, salt: Buffer, hides: boolean): Buffer {
  const output = Buffer.alloc(input.length);
  let previous = Buffer.concat([authenticator, salt]);
  for (let at = 0; at < input.length; at += 16) {
    const stream = createHash("md5").update(secret).update(previous).digest();
    for (let i = 0; i < 16; i++) output[at + i] = input[at + i]! ^ stream[i]!;
    previous = Buffer.from((hides ? output : input).subarray(at, at + 16));
  }
  return output;
}

/** The packet with a Message-Authenticator in front. */
function seal({ code, identifier, authenticator, attributes }: RadiusPacket, secret: Buffer): Buffer {
  const encoded = [plain(MESSAGE_AUTHENTICATOR, Buffer.alloc(16)), ...attributes].map(({ type, vendor, value }) => {
    if (vendor === 0) return Buffer.concat([Buffer.from([type, value.length + 2]), value]);
    const header = Buffer.from([26, value.length + 8, 0, 0, 0, 0, type, value.length + 2]);
    header.writeUInt32BE(vendor, 2);
    return Buffer.concat([header, value]);
  });
  const bytes = Buffer.concat([Buffer.from([code, identifier, 0, 0]), authenticator, ...encoded]);
  bytes.writeUInt16BE(bytes.length, 2);
  hmac(bytes, secret).copy(bytes, 22);
  return bytes;
}

function md5(bytes: Buffer, secret: Buffer): Buffer {
  return createHash("md5").update(bytes).update(secret).digest();
}

function hmac(bytes: Buffer, secret: Buffer): Buffer {
  return createHmac("md5", secret).update(bytes).digest();
}

const EAP_MESSAGE = 79;
const MESSAGE_AUTHENTICATOR = 80;
const MICROSOFT = 311;
const MPPE_SEND = 16;
const MPPE_RECV = 17;
