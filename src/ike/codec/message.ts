/**
 * The IKEv2 message and its payloads as values (RFC 7296 3). Codecs turn them into octets and back; nothing here knows
 * the wire's layout.
 */
import type { Bytes } from "../../bytes/bytes.ts";
import type { TrafficSelector } from "../../esp/selector.ts";

/** An IKE SPI as 16 lower-case hex digits, so that it can key a Map; all zeros while unknown (RFC 7296 3.1). */
export type IkeSpi = string & { readonly __brand: "IkeSpi" };

export const NO_SPI = "0000000000000000" as IkeSpi;

export interface IkeHeader {
  initiatorSpi: IkeSpi;
  responderSpi: IkeSpi;
  exchangeType: number;
  /** Sent by the original initiator of this IKE SA (I flag). */
  fromInitiator: boolean;
  /** Answers a request (R flag). */
  response: boolean;
  messageId: number;
}

export type Payload =
  | SaPayload
  | KePayload
  | IdPayload
  | CertPayload
  | CertReqPayload
  | AuthPayload
  | NoncePayload
  | NotifyPayload
  | DeletePayload
  | VendorIdPayload
  | TsPayload
  | CpPayload
  | EapPayload
  | UnknownPayload;

export interface Transform {
  type: number;
  id: number;
  /** Key length attribute in bits (RFC 7296 3.3.5), where the transform has one. */
  keyLength?: number;
}

export interface Proposal {
  number: number;
  protocol: number;
  /** Empty, 4 octets (ESP, AH) or 8 octets (IKE). */
  spi: Bytes;
  transforms: Transform[];
}

export interface SaPayload {
  kind: "SA";
  proposals: Proposal[];
}
export interface KePayload {
  kind: "KE";
  group: number;
  data: Bytes;
}
export interface IdPayload {
  kind: "IDi" | "IDr";
  idType: number;
  data: Bytes;
}
export interface CertPayload {
  kind: "CERT";
  encoding: number;
  data: Bytes;
}
export interface CertReqPayload {
  kind: "CERTREQ";
  encoding: number;
  data: Bytes;
}
export interface AuthPayload {
  kind: "AUTH";
  method: number;
  data: Bytes;
}
export interface NoncePayload {
  kind: "Nonce";
  data: Bytes;
}
export interface NotifyPayload {
  kind: "N";
  protocol: number;
  spi: Bytes;
  type: number;
  data: Bytes;
}
export interface DeletePayload {
  kind: "D";
  protocol: number;
  spis: Bytes[];
}
export interface VendorIdPayload {
  kind: "V";
  data: Bytes;
}
export interface TsPayload {
  kind: "TSi" | "TSr";
  selectors: TrafficSelector[];
}
export interface ConfigAttribute {
  type: number;
  value: Bytes;
}
export interface CpPayload {
  kind: "CP";
  cfgType: number;
  attributes: ConfigAttribute[];
}
export interface EapPayload {
  kind: "EAP";
  data: Bytes;
}
/** A payload type this implementation does not know; kept so that its critical bit can be obeyed (RFC 7296 2.5). */
export interface UnknownPayload {
  kind: "unknown";
  type: number;
  critical: boolean;
  data: Bytes;
}

/** The payload type that a kind names; ID and TS payloads have two kinds each. */
type PayloadOf<K extends Payload["kind"], P = Payload> = P extends { kind: infer Kind }
  ? K extends Kind
    ? P
    : never
  : never;

/** The first payload of a kind, or undefined. */
export function find<K extends Payload["kind"]>(payloads: readonly Payload[], kind: K): PayloadOf<K> | undefined {
  for (const payload of payloads) if (payload.kind === kind) return payload as PayloadOf<K>;
  return undefined;
}

/** All payloads of a kind, in the order received. */
export function findAll<K extends Payload["kind"]>(payloads: readonly Payload[], kind: K): PayloadOf<K>[] {
  return payloads.filter((payload) => payload.kind === kind) as PayloadOf<K>[];
}

/** The first Notify payload of a type, or undefined. */
export function findNotify(payloads: readonly Payload[], type: number): NotifyPayload | undefined {
  for (const payload of payloads) if (payload.kind === "N" && payload.type === type) return payload;
  return undefined;
}
