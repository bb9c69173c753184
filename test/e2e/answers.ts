/** What a responder may answer besides the truth. */
import type { Bytes } from "../../src/bytes/bytes.ts";
import type { CaName } from "../../src/pki/profiles.ts";
import type { Certificate } from "../../src/x509/certificate.ts";
import {
  buildOcspResponse,
  certIdOf,
  parseOcspRequest,
  parseOcspResponse,
  type SingleResponse,
} from "../../src/x509/ocsp.ts";
import { type Credentials, DAY, START } from "./credentials.ts";
import type { Responder } from "./ecosystem.ts";

const GOOD = { status: { kind: "good" }, thisUpdate: START, nextUpdate: START + DAY } as const;

/** Answers signed by responders of these credentials' PKI. */
export function answersOf({ pki }: Credentials) {
  const signed = (ca: CaName, responses: SingleResponse[], nonce?: Bytes): Bytes => {
    const { certificate, signer } = pki.ocspSigners().find((one) => one.ca === ca)!;
    return buildOcspResponse({
      responderId: { byName: certificate.subject },
      producedAt: START,
      responses,
      nonce,
      certificates: [certificate.der],
      signer,
    });
  };
  return {
    /** Says of every certificate asked about that it is good, but for `change`, signed by that CA's responder. */
    answering:
      (change: Partial<SingleResponse>, ca: CaName = "device-ca"): Responder["alter"] =>
      (_response, request) => {
        const { ids, nonce } = parseOcspRequest(request);
        return signed(
          ca,
          ids.map((id) => ({ ...GOOD, id, ...change })),
          nonce,
        );
      },
    /** A good answer about a certificate of `ca`, signed by that one's responder or another's. */
    goodOf: (certificate: Certificate, ca: CaName, by: CaName = ca): Bytes =>
      signed(by, [{ ...GOOD, id: certIdOf(certificate, pki.ca(ca)) }]),
  };
}

export function flippedInSignature(response: Bytes): Bytes {
  const copy = Buffer.from(response);
  const { signature } = parseOcspResponse(copy).basic!;
  const at = copy.indexOf(signature) + signature.length - 1;
  copy[at]! ^= 1;
  return copy;
}
