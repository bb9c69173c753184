/**
 * CRL issuers that are no CAs of the path in question: their own paths, and whether those have been revoked (RFC 5280
 * 6.3.3 f).
 *
 * Their status is asked of the CRLs that the CAs of their own path sign, and of no further CRL issuer, so that two that
 * vouch for each other keep nobody busy. Only "revoked" counts: the operator has named each of them by its certificate,
 * and many a CA publishes no list that covers its CRL issuer.
 */
import type { Clock } from "../sim/environment.ts";
import { mayHaveSigned } from "../trust/crl.ts";
import { describePathRefusal, validatePath } from "../trust/path.ts";
import type { SignatureCache } from "../trust/signatureCache.ts";
import type { StatusAnswer } from "../trust/statusAnswer.ts";
import type { Certificate } from "../x509/certificate.ts";
import type { CrlInHand } from "./crlStore.ts";

/** What a CRL issuer's path is judged by. */
interface CrlIssuerPolicy {
  crlSigners: readonly Certificate[];
  anchor: Certificate;
  allowWeakAlgorithms: boolean;
  clock: Clock;
  signatureCache: SignatureCache;
}

/** A CRL issuer that may be relied on, or why not. */
export type CrlIssuer = { certificate: Certificate; problem: string | undefined };

/** Who of `crlSigners` signed a CRL in hand, and whether it may; `statusOf` asks about one certificate of its path. */
export async function issuersOf(
  inHand: readonly CrlInHand[],
  policy: CrlIssuerPolicy,
  statusOf: (path: readonly Certificate[], index: number) => Promise<StatusAnswer | undefined>,
): Promise<CrlIssuer[]> {
  const signed = policy.crlSigners.filter((certificate) =>
    inHand.some(({ loaded: { crl, spki } }) => spki.equals(certificate.spki) && mayHaveSigned(crl, certificate)),
  );
  return Promise.all(
    signed.slice(0, MAX_ISSUERS).map(async (certificate): Promise<CrlIssuer> => {
      const path = pathOfIssuer(certificate, policy);
      if (typeof path === "string") return { certificate, problem: path };
      const answers = await Promise.all(path.slice(0, -1).map((_, index) => statusOf(path, index)));
      const index = answers.findIndex((answer) => answer?.status === "revoked");
      const answer = answers[index];
      if (answer?.status !== "revoked") return { certificate, problem: undefined };
      const at = new Date(answer.revokedAt).toISOString();
      return { certificate, problem: `"${path[index]!.subject}" was revoked at ${at}` };
    }),
  );
}

/** The path from a CRL issuer to the anchor, or why there is none. */
function pathOfIssuer(issuer: Certificate, policy: CrlIssuerPolicy): readonly Certificate[] | string {
  const { crlSigners, anchor, allowWeakAlgorithms, clock, signatureCache } = policy;
  const path = validatePath({
    leaf: issuer,
    intermediates: crlSigners.filter((candidate) => candidate !== issuer).slice(0, MAX_INTERMEDIATES),
    anchors: [anchor],
    time: clock.now(),
    purpose: "crlSigning",
    maxPath: MAX_INTERMEDIATES + 1,
    allowWeakAlgorithms,
    signatureCache,
  });
  return path.valid ? path.path : describePathRefusal(path.refusal);
}

/** Certificates of a CRL issuer's own path (TS 33.320 7.2.4-2). */
const MAX_INTERMEDIATES = 3;
/** CRL issuers whose status is asked for one certificate's sake. */
const MAX_ISSUERS = 4;
