/** CERT and CERTREQ payloads: certificates, trusted CAs and in-band OCSP (RFC 7296 3.6, 3.7, RFC 4806 3). */
import { type Bytes, copyOf } from "../../bytes/bytes.ts";
import { type CertPayload, type CertReqPayload, findAll, type Payload } from "../codec/message.ts";
import { CertEncoding } from "../codec/numbers.ts";

/** Certificates and OCSP responses as received, each in its order, copied out of the packet. */
export interface ReceivedCertificates {
  certificates: Bytes[];
  ocspResponses: Bytes[];
}

/** Trusted CAs a peer named, and whether it asks for OCSP in-band. */
export interface ReceivedRequests {
  cas: Bytes[];
  ocsp: { responderHashes: Bytes[] } | undefined;
}

export function certificatePayloads(certificates: readonly Bytes[], ocspResponses: readonly Bytes[]): CertPayload[] {
  return [
    ...certificates.map((data): CertPayload => ({ kind: "CERT", encoding: CertEncoding.X509_SIGNATURE, data })),
    ...ocspResponses.map((data): CertPayload => ({ kind: "CERT", encoding: CertEncoding.OCSP_CONTENT, data })),
  ];
}

/** CERTREQ for X.509, and a separate one for OCSP where it is wanted (RFC 4806 4.1); zero hashes leave the choice open. */
export function certificateRequests(
  caHashes: readonly Bytes[],
  askOcsp: { responderHashes: readonly Bytes[] } | undefined,
): CertReqPayload[] {
  const requests: CertReqPayload[] = [
    { kind: "CERTREQ", encoding: CertEncoding.X509_SIGNATURE, data: Buffer.concat(caHashes) },
  ];
  if (askOcsp !== undefined)
    requests.push({
      kind: "CERTREQ",
      encoding: CertEncoding.OCSP_CONTENT,
      data: Buffer.concat(askOcsp.responderHashes),
    });
  return requests;
}

export function receivedCertificates(payloads: readonly Payload[]): ReceivedCertificates {
  const received: ReceivedCertificates = { certificates: [], ocspResponses: [] };
  for (const { encoding, data } of findAll(payloads, "CERT")) {
    if (encoding === CertEncoding.X509_SIGNATURE) received.certificates.push(copyOf(data));
    else if (encoding === CertEncoding.OCSP_CONTENT) received.ocspResponses.push(copyOf(data));
  }
  return received;
}

export function receivedRequests(payloads: readonly Payload[]): ReceivedRequests {
  const received: ReceivedRequests = { cas: [], ocsp: undefined };
  for (const { encoding, data } of findAll(payloads, "CERTREQ")) {
    if (encoding === CertEncoding.X509_SIGNATURE) received.cas.push(...hashes(data));
    else if (encoding === CertEncoding.OCSP_CONTENT) received.ocsp = { responderHashes: hashes(data) };
  }
  return received;
}

/** At most MAX_HASHES SHA-1 values; a trailing fragment is no hash and is left out. */
function hashes(data: Bytes): Bytes[] {
  const list: Bytes[] = [];
  for (let at = 0; at + SHA1_LENGTH <= data.length && list.length < MAX_HASHES; at += SHA1_LENGTH) {
    list.push(copyOf(data.subarray(at, at + SHA1_LENGTH)));
  }
  return list;
}

const SHA1_LENGTH = 20;

/** CAs or responders a peer may name; a gateway that trusts more than these has no use for the hint. */
const MAX_HASHES = 100;
