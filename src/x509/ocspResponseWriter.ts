/** OCSP responses as octets (RFC 6960 4.2.1), written thousands of times a second. */
import type { Bytes } from "../bytes/bytes.ts";
import { contextTag, Tag } from "../der/reader.ts";
import { enumerated, generalizedTime, oid } from "../der/writer.ts";
import { BackwardWriter } from "./backwardWriter.ts";
import { extension, type NewExtension } from "./build.ts";
import type { ResponderId, SingleResponse } from "./ocsp.ts";
import { Oid } from "./oids.ts";

/** What a response is to say; times in milliseconds since 1970. */
export interface OcspResponseContent {
  responderId: ResponderId;
  producedAt: number;
  responses: readonly SingleResponse[];
  nonce: Bytes | undefined;
  /** Response extensions besides the nonce. */
  extensions?: readonly NewExtension[];
}

/** DER of ResponseData, which is what is signed. */
export function ocspResponseData({ responderId, producedAt, responses, nonce, ...more }: OcspResponseContent): Bytes {
  const extensions = (more.extensions ?? []).map(extension);
  const responder = "byName" in responderId ? responderId.byName.der : responderId.byKey;
  const room =
    responder.length +
    (nonce?.length ?? 0) +
    extensions.reduce((sum, { length }) => sum + length, 0) +
    responses.reduce((sum, { id }) => sum + id.der.length + ROOM, ROOM);
  const out = new BackwardWriter(room);
  const end = out.mark;
  if (nonce !== undefined || extensions.length > 0) {
    for (const one of extensions.toReversed()) out.bytes(one);
    if (nonce !== undefined) writeNonce(out, nonce);
    out.element(Tag.SEQUENCE, end).element(EXPLICIT_1, end);
  }
  const afterResponses = out.mark;
  for (const one of responses.toReversed()) writeSingle(out, one);
  out.element(Tag.SEQUENCE, afterResponses).bytes(dateOf(producedAt));
  const afterResponder = out.mark;
  out.bytes(responder);
  if ("byName" in responderId) out.element(EXPLICIT_1, afterResponder);
  else out.element(Tag.OCTET_STRING, afterResponder).element(EXPLICIT_2, afterResponder);
  return out.element(Tag.SEQUENCE, end).view();
}

/** DER of a successful response: ResponseData with its signature; `certificates` are DER. */
export function signedOcspResponse(
  data: Bytes,
  algorithm: Bytes,
  signature: Bytes,
  certificates: readonly Bytes[],
): Bytes {
  const octets = certificates.reduce(
    (sum, { length }) => sum + length,
    data.length + algorithm.length + signature.length,
  );
  const out = new BackwardWriter(octets + ROOM);
  const end = out.mark;
  if (certificates.length > 0) {
    for (const one of certificates.toReversed()) out.bytes(one);
    out.element(Tag.SEQUENCE, end).element(EXPLICIT_0, end);
  }
  const afterSignature = out.mark;
  out.bytes(signature).bytes(NO_UNUSED_BITS).element(Tag.BIT_STRING, afterSignature);
  return out
    .bytes(algorithm)
    .bytes(data)
    .element(Tag.SEQUENCE, end)
    .element(Tag.OCTET_STRING, end)
    .bytes(BASIC)
    .element(Tag.SEQUENCE, end)
    .element(EXPLICIT_0, end)
    .bytes(SUCCESSFUL)
    .element(Tag.SEQUENCE, end)
    .view();
}

function writeSingle(out: BackwardWriter, { id, status, thisUpdate, nextUpdate }: SingleResponse): void {
  const end = out.mark;
  if (nextUpdate !== undefined) out.bytes(dateOf(nextUpdate)).element(EXPLICIT_0, end);
  out.bytes(dateOf(thisUpdate));
  const afterStatus = out.mark;
  if (status.kind === "revoked") {
    if (status.reason !== undefined) out.bytes(enumerated(status.reason)).element(EXPLICIT_0, afterStatus);
    out.bytes(dateOf(status.at)).element(EXPLICIT_1, afterStatus);
  } else out.element(status.kind === "good" ? IMPLICIT_0 : IMPLICIT_2, afterStatus);
  out.bytes(id.der).element(Tag.SEQUENCE, end);
}

function writeNonce(out: BackwardWriter, nonce: Bytes): void {
  const end = out.mark;
  out
    .bytes(nonce)
    .element(Tag.OCTET_STRING, end)
    .element(Tag.OCTET_STRING, end)
    .bytes(NONCE)
    .element(Tag.SEQUENCE, end);
}

/** The same few dates come over and over. */
function dateOf(at: number): Bytes {
  const second = Math.floor(at / 1000);
  let date = DATES.get(second);
  if (date === undefined) {
    date = generalizedTime(at);
    if (DATES.size >= MAX_DATES) DATES.clear();
    DATES.set(second, date);
  }
  return date;
}

const EXPLICIT_0 = contextTag(0, "constructed");
const EXPLICIT_1 = contextTag(1, "constructed");
const EXPLICIT_2 = contextTag(2, "constructed");
const IMPLICIT_0 = contextTag(0, "primitive");
const IMPLICIT_2 = contextTag(2, "primitive");
const NO_UNUSED_BITS = Buffer.from([0]);
const SUCCESSFUL = enumerated(0);
const BASIC = oid(Oid.ocspBasic);
const NONCE = oid(Oid.ocspNonce);
/** Octets of headers, dates and statuses, counted generously, of the whole and of each single response. */
const ROOM = 128;
const DATES = new Map<number, Bytes>();
const MAX_DATES = 256;
