/** The path of the certificates that a peer sent, to roots of our own (TS 33.320 7.2.3, 7.2.4, 8.3.2.1). */
import type { Bytes } from "../bytes/bytes.ts";
import { DecodeError } from "../bytes/reader.ts";
import type { Clock } from "../sim/environment.ts";
import { describePathRefusal, type Purpose, validatePath } from "../trust/path.ts";
import type { SignatureCache } from "../trust/signatureCache.ts";
import { type Certificate, parseCertificate } from "../x509/certificate.ts";
import { type Refused, refuse } from "./peerRefusal.ts";

export interface PeerPathPolicy {
  clock: Clock;
  roots: readonly Certificate[];
  /** Certificates a path may have, without the root (TS 33.320 7.2.3-2, 7.2.4-2). */
  maxPath: number;
  allowWeakAlgorithms: boolean;
  signatureCache?: SignatureCache;
}

/**
 * The validated path, end entity first and root last, of certificates as sent, the end entity's first; `known` are CAs
 * that the peer need not send. Never throws for what a peer sends.
 */
export function validatePeerPath(
  sent: readonly Bytes[],
  policy: PeerPathPolicy,
  purpose: Purpose,
  known: readonly Certificate[] = [],
): { valid: true; path: readonly [Certificate, ...Certificate[]] } | Refused {
  let certificates: Certificate[];
  try {
    certificates = sent.map((der) => policy.signatureCache?.read(der) ?? parseCertificate(der));
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    return refuse("MalformedCertificate", `a certificate of the peer cannot be read: ${error.message}`);
  }
  const [leaf, ...others] = certificates;
  if (leaf === undefined) return refuse("NoCertificate", "the peer sent no X.509 certificate");
  // A peer that sends its root along does no harm: it is no part of the path and never trusted for being sent.
  const intermediates = others.filter(
    (certificate) => !(certificate.isSelfIssued && policy.roots.some((root) => root.der.equals(certificate.der))),
  );
  const verdict = validatePath({
    leaf,
    intermediates: [...intermediates, ...known],
    anchors: policy.roots,
    time: policy.clock.now(),
    purpose,
    maxPath: policy.maxPath,
    allowWeakAlgorithms: policy.allowWeakAlgorithms,
    ...(policy.signatureCache === undefined ? {} : { signatureCache: policy.signatureCache }),
  });
  if (!verdict.valid)
    return refuse(verdict.refusal.reason, describePathRefusal(verdict.refusal), { ...verdict.refusal });
  const [, ...above] = verdict.path;
  return { valid: true, path: [leaf, ...above] };
}
