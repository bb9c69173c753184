/** OCSP requests and responses (RFC 6960 4.1, 4.2). */
import { createHash } from "node:crypto";
import type { Bytes } from "../bytes/bytes.ts";
import { contextTag, DerReader, inside, Tag } from "../der/reader.ts";
import { element, enumerated, explicit, nullValue, octetString, oid, sequence } from "../der/writer.ts";
import { extension } from "./build.ts";
import { type Certificate, parseCertificate } from "./certificate.ts";
import { type Extension, readExtensions } from "./extensions.ts";
import { type Name, readName } from "./name.ts";
import { type OcspResponseContent, ocspResponseData, signedOcspResponse } from "./ocspResponseWriter.ts";
import { Oid } from "./oids.ts";
import { readSignatureAlgorithm, type SignatureAlgorithm, type Signer } from "./signature.ts";

/** Names one certificate to a responder (RFC 6960 4.1.1). */
export interface CertId {
  hash: "sha1" | "sha256";
  issuerNameHash: Bytes;
  issuerKeyHash: Bytes;
  serial: Bytes;
  /** As received, for echoing. */
  der: Bytes;
}

/** A request as read. */
export interface OcspRequest {
  ids: CertId[];
  nonce: Bytes | undefined;
}

/** OCSPResponseStatus (RFC 6960 4.2.1). */
export const ResponseStatus = {
  successful: 0,
  malformedRequest: 1,
  internalError: 2,
  tryLater: 3,
  sigRequired: 5,
  unauthorized: 6,
} as const;

/** CertStatus (RFC 6960 4.2.1); `at` in milliseconds since 1970, `reason` a CRLReason. */
export type CertStatus =
  | { kind: "good" }
  | { kind: "revoked"; at: number; reason: number | undefined }
  | { kind: "unknown" };

/** What a responder says of one certificate (RFC 6960 4.2.1). */
export interface SingleResponse {
  id: CertId;
  status: CertStatus;
  /** Milliseconds since 1970. */
  thisUpdate: number;
  nextUpdate: number | undefined;
}

/** A single response as received. */
export interface ReceivedResponse extends SingleResponse {
  /** Critical extensions, of which none is processed. */
  unknownCritical: readonly string[];
}

/** Who signed, by subject name or by SHA-1 of the public key (RFC 6960 4.2.2.3). */
export type ResponderId = { byName: Name } | { byKey: Bytes };

/** A successful response as read; not yet judged. */
export interface BasicOcspResponse {
  /** What the responder signed. */
  tbs: Bytes;
  responderId: ResponderId;
  producedAt: number;
  responses: ReceivedResponse[];
  nonce: Bytes | undefined;
  extensions: readonly Extension[];
  signatureAlgorithm: SignatureAlgorithm;
  signature: Bytes;
  certificates: Certificate[];
}

/** A response as read: the content, or a status that says why there is none. */
export type OcspResponse = { status: number; basic: undefined } | { status: 0; basic: BasicOcspResponse };

/** The identifier of `certificate` as issued by `issuer`. */
export function certIdOf(
  certificate: Pick<Certificate, "serial">,
  issuer: Certificate,
  hash: CertId["hash"] = "sha1",
): CertId {
  const digest = (data: Bytes) => createHash(hash).update(data).digest();
  const issuerNameHash = digest(issuer.subject.der);
  const issuerKeyHash = digest(issuer.publicKeyBits);
  return {
    hash,
    issuerNameHash,
    issuerKeyHash,
    serial: certificate.serial,
    der: encodeCertId(hash, issuerNameHash, issuerKeyHash, certificate.serial),
  };
}

/** True if both name the same certificate by the same hash. */
export function sameCertId(a: CertId, b: CertId): boolean {
  return (
    a.hash === b.hash &&
    a.serial.equals(b.serial) &&
    a.issuerKeyHash.equals(b.issuerKeyHash) &&
    a.issuerNameHash.equals(b.issuerNameHash)
  );
}

/** DER of an unsigned request about `ids`, with a nonce of 1 to 128 octets or none (RFC 9654). */
export function buildOcspRequest(ids: readonly CertId[], nonce: Bytes | undefined): Bytes {
  const list = sequence(...ids.map((id) => sequence(id.der)));
  const extensions = nonce === undefined ? [] : [explicit(2, sequence(nonceExtension(nonce)))];
  return sequence(sequence(list, ...extensions));
}

/** Reads a request; its signature, which no client here makes, is passed over. Throws DerError. */
export function parseOcspRequest(der: Bytes): OcspRequest {
  const outer = new DerReader(der);
  const request = outer.sequence("OCSPRequest");
  outer.end("OCSPRequest");
  const tbs = request.sequence("tbsRequest");
  request.optional(contextTag(0, "constructed"), "optionalSignature");
  request.end("OCSPRequest");
  tbs.optional(contextTag(0, "constructed"), "version");
  tbs.optional(contextTag(1, "constructed"), "requestorName");
  const list = tbs.sequence("requestList");
  const ids: CertId[] = [];
  while (!list.atEnd) {
    if (ids.length >= MAX_REQUESTS) list.fail("requestList", `more than ${MAX_REQUESTS} certificates`);
    const one = list.sequence("Request");
    ids.push(readCertId(one));
    one.optional(contextTag(0, "constructed"), "singleRequestExtensions");
    one.end("Request");
  }
  const wrapped = tbs.optional(contextTag(2, "constructed"), "requestExtensions");
  tbs.end("tbsRequest");
  const extensions =
    wrapped === undefined ? [] : readExtensions(inside(wrapped).sequence("requestExtensions"), "requestExtensions");
  return { ids, nonce: readNonce(extensions) };
}

/** A response and who signs it. */
export interface NewOcspResponse extends OcspResponseContent {
  /** DER of the delegated signer's certificate; none where the CA itself signs. */
  certificates: readonly Bytes[];
  signer: Signer;
}

/** DER of a successful, signed response. */
export function buildOcspResponse(made: NewOcspResponse): Bytes {
  const content = ocspResponseData(made);
  return signedOcspResponse(content, made.signer.algorithm, made.signer.sign(content), made.certificates);
}

/** DER of a response that says only why there is none (RFC 6960 4.2.1). */
export function buildOcspError(status: number): Bytes {
  return sequence(enumerated(status));
}

/** Reads a response; throws DerError. */
export function parseOcspResponse(der: Bytes): OcspResponse {
  const outer = new DerReader(der);
  const response = outer.sequence("OCSPResponse");
  outer.end("OCSPResponse");
  const status = response.enumerated("responseStatus");
  const wrapped = response.optional(contextTag(0, "constructed"), "responseBytes");
  response.end("OCSPResponse");
  if (status !== ResponseStatus.successful) return { status, basic: undefined };
  if (wrapped === undefined) return response.fail("responseBytes", "are missing from a successful response");
  const bytes = inside(wrapped).sequence("responseBytes");
  const type = bytes.oid("responseType");
  if (type !== Oid.ocspBasic) bytes.fail("responseType", `${type} is not id-pkix-ocsp-basic`);
  const content = bytes.expect(Tag.OCTET_STRING, "response");
  const basicOuter = inside(content);
  const basic = basicOuter.sequence("BasicOCSPResponse");
  basicOuter.end("BasicOCSPResponse");
  return { status: 0, basic: readBasic(basic) };
}

function readBasic(basic: DerReader): BasicOcspResponse {
  const tbs = basic.expect(Tag.SEQUENCE, "tbsResponseData");
  const signatureAlgorithm = readSignatureAlgorithm(basic, "signatureAlgorithm");
  const signature = basic.bitString("signature");
  const certificates: Certificate[] = [];
  const wrapped = basic.optional(contextTag(0, "constructed"), "certs");
  basic.end("BasicOCSPResponse");
  if (wrapped !== undefined) {
    const list = inside(wrapped).sequence("certs");
    while (!list.atEnd) {
      if (certificates.length >= MAX_CERTIFICATES) list.fail("certs", `more than ${MAX_CERTIFICATES}`);
      certificates.push(parseCertificate(list.expect(Tag.SEQUENCE, "certs").whole));
    }
  }
  const data = inside(tbs);
  data.optional(contextTag(0, "constructed"), "version");
  const responderId = readResponderId(data);
  const producedAt = data.time("producedAt");
  const list = data.sequence("responses");
  const responses: ReceivedResponse[] = [];
  while (!list.atEnd) {
    if (responses.length >= MAX_REQUESTS) list.fail("responses", `more than ${MAX_REQUESTS}`);
    responses.push(readSingle(list.sequence("SingleResponse")));
  }
  const wrappedExtensions = data.optional(contextTag(1, "constructed"), "responseExtensions");
  data.end("tbsResponseData");
  const extensions =
    wrappedExtensions === undefined
      ? []
      : readExtensions(inside(wrappedExtensions).sequence("responseExtensions"), "responseExtensions");
  return {
    tbs: tbs.whole,
    responderId,
    producedAt,
    responses,
    nonce: readNonce(extensions),
    extensions,
    signatureAlgorithm,
    signature,
    certificates,
  };
}

function readResponderId(data: DerReader): ResponderId {
  const byName = data.optional(contextTag(1, "constructed"), "responderID");
  if (byName !== undefined) return { byName: readName(inside(byName), "responderID.byName") };
  const byKey = data.expect(contextTag(2, "constructed"), "responderID");
  return { byKey: inside(byKey).octetString("responderID.byKey") };
}

function readSingle(single: DerReader): ReceivedResponse {
  const id = readCertId(single);
  const status = readStatus(single);
  const thisUpdate = single.time("thisUpdate");
  const next = single.optional(contextTag(0, "constructed"), "nextUpdate");
  const wrapped = single.optional(contextTag(1, "constructed"), "singleExtensions");
  single.end("SingleResponse");
  const extensions =
    wrapped === undefined ? [] : readExtensions(inside(wrapped).sequence("singleExtensions"), "singleExtensions");
  return {
    id,
    status,
    thisUpdate,
    nextUpdate: next === undefined ? undefined : inside(next).time("nextUpdate"),
    unknownCritical: extensions.filter(({ critical }) => critical).map(({ oid }) => oid),
  };
}

function readStatus(single: DerReader): CertStatus {
  const status = single.element("certStatus");
  if (status.tag === contextTag(0, "primitive")) return { kind: "good" };
  if (status.tag === contextTag(2, "primitive")) return { kind: "unknown" };
  if (status.tag !== contextTag(1, "constructed"))
    single.fail("certStatus", `tag 0x${status.tag.toString(16)} is none of good, revoked and unknown`);
  const info = inside(status);
  const at = info.time("revocationTime");
  const reason = info.optional(contextTag(0, "constructed"), "revocationReason");
  return {
    kind: "revoked",
    at,
    reason: reason === undefined ? undefined : inside(reason).enumerated("revocationReason"),
  };
}

function readCertId(reader: DerReader): CertId {
  const whole = reader.expect(Tag.SEQUENCE, "CertID");
  const inner = inside(whole);
  const algorithm = inner.sequence("hashAlgorithm").oid("hashAlgorithm");
  const hash =
    algorithm === Oid.sha1
      ? "sha1"
      : algorithm === Oid.sha256
        ? "sha256"
        : inner.fail("hashAlgorithm", `${algorithm} is neither SHA-1 nor SHA-256`);
  const issuerNameHash = inner.octetString("issuerNameHash");
  const issuerKeyHash = inner.octetString("issuerKeyHash");
  const serial = inner.integer("serialNumber");
  inner.end("CertID");
  return { hash, issuerNameHash, issuerKeyHash, serial, der: whole.whole };
}

function encodeCertId(hash: CertId["hash"], nameHash: Bytes, keyHash: Bytes, serial: Bytes): Bytes {
  // The serial keeps its sign octet: content of the INTEGER as the certificate has it.
  return sequence(
    sequence(oid(hash === "sha1" ? Oid.sha1 : Oid.sha256), nullValue()),
    octetString(nameHash),
    octetString(keyHash),
    element(Tag.INTEGER, serial),
  );
}

function nonceExtension(nonce: Bytes): Bytes {
  return extension({ oid: Oid.ocspNonce, critical: false, value: octetString(nonce) });
}

function readNonce(extensions: readonly Extension[]): Bytes | undefined {
  const found = extensions.find((one) => one.oid === Oid.ocspNonce);
  if (found === undefined) return undefined;
  const reader = new DerReader(found.value, found.offset);
  const nonce = reader.octetString("nonce");
  if (nonce.length < 1 || nonce.length > MAX_NONCE)
    reader.fail("nonce", `${nonce.length} octets, RFC 9654 allows 1 to ${MAX_NONCE}`);
  return nonce;
}

/** Certificates one request may ask about; a path has four. */
const MAX_REQUESTS = 32;
/** Certificates that come with a response: the signer, and perhaps its path. */
const MAX_CERTIFICATES = 8;
/** RFC 9654 2.1; RFC 8954 before it said 32. */
const MAX_NONCE = 128;
