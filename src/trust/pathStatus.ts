/** The status of every certificate of a path by CRLs (RFC 5280 6.3), and who signed those. */
import type { Certificate } from "../x509/certificate.ts";
import type { Crl } from "../x509/crl.ts";
import { type CrlEvidence, type CrlProblem, checkCrls, mayHaveSigned } from "./crl.ts";
import type { SearchableCrl } from "./crlEntries.ts";
import { verifiesCrl } from "./crlSignature.ts";
import type { PathRequest } from "./path.ts";
import { describePathRefusal, type PathRefusal } from "./pathRefusal.ts";
import { checkPurpose } from "./pathRules.ts";
import type { SearchResult } from "./pathSearch.ts";
import type { WorkingKey } from "./workingKey.ts";

/** What the status of a path is judged by. */
export interface StatusInputs {
  request: PathRequest;
  crls: readonly (Crl | SearchableCrl)[];
  /** The valid path of somebody who may have signed a CRL, or why there is none. */
  pathOf(signer: Certificate): SearchResult;
}

/** What the certificates of a valid path, end entity first and anchor last, are good by; or the first that is not. */
export function checkPathStatus(
  path: readonly Certificate[],
  keys: readonly WorkingKey[],
  inputs: StatusInputs,
): readonly CrlEvidence[] | PathRefusal {
  const { request, crls } = inputs;
  const evidence: CrlEvidence[] = [];
  for (let at = path.length - 2; at >= 0; at--) {
    const certificate = path[at]!;
    const verdict = checkCrls({
      certificate,
      crls,
      time: request.time,
      tolerance: request.crlTolerance ?? 0,
      allowWeakAlgorithms: request.allowWeakAlgorithms,
      useDeltas: request.useDeltaCrls ?? true,
      signerOf: (crl) => signerOf(crl, keys.slice(at + 1), inputs),
    });
    const subject = certificate.subject.toString();
    if (verdict.status === "revoked") {
      const { at: revokedAt, reasonCode } = verdict;
      return { reason: "Revoked", subject, at: revokedAt, reasonCode, evidence: verdict.evidence };
    }
    if (verdict.status === "undetermined") return { reason: "StatusUndetermined", subject, problems: verdict.problems };
    evidence.push(...verdict.evidence);
  }
  return evidence;
}

/** Those above in the path first, whose path and status are known to be good; then anybody of the CRL issuer's name. */
function signerOf(
  signed: SearchableCrl,
  above: readonly WorkingKey[],
  { request, pathOf }: StatusInputs,
): WorkingKey | CrlProblem {
  const { crl } = signed;
  const issuer = crl.issuer.toString();
  let problem: CrlProblem = {
    reason: "IssuerNotTrusted",
    issuer,
    detail: "its certificate is neither in the path nor among those received",
  };
  for (const key of above) {
    if (!mayHaveSigned(crl, key.certificate)) continue;
    if (checkPurpose(key.certificate, "crlSigning") !== undefined) problem = { reason: "IssuerMayNotSign", issuer };
    else if (verifiesCrl(signed, key)) return key;
    else problem = { reason: "BadSignature", issuer };
  }
  for (const candidate of [...request.intermediates, ...(request.crlIssuers ?? [])]) {
    if (!mayHaveSigned(crl, candidate) || above.some(({ certificate }) => certificate === candidate)) continue;
    const found = pathOf(candidate);
    if ("refusals" in found)
      problem = { reason: "IssuerNotTrusted", issuer, detail: describePathRefusal(found.refusals[0]!) };
    else if (verifiesCrl(signed, found.keys[0]!)) return found.keys[0]!;
    else problem = { reason: "BadSignature", issuer };
  }
  return problem;
}
