/** Why an address gives no newer CRL, as a sentence and as a line of a verdict's evidence. */
import type { Attempt } from "../trust/statusAnswer.ts";
import type { RefreshProblem } from "./crlRefresh.ts";
import { describeFetchProblem } from "./fetching.ts";

/** An address that was asked in vain. */
export function attemptAt(url: string, problem: RefreshProblem): Attempt {
  return { url, reason: problem.reason, message: describeRefreshProblem(problem) };
}

/** One line for a person. */
export function describeRefreshProblem(problem: RefreshProblem): string {
  switch (problem.reason) {
    case "Malformed":
      return `the CRL is malformed: ${problem.detail}`;
    case "UnknownSigner":
      return `the CRL is from "${problem.issuer}", of which no certificate is at hand; configure it as a CRL signer`;
    case "BadSignature":
      return `the CRL's signature does not verify under any known key of "${problem.issuer}"`;
    case "LoaderFailed":
      return `the CRL could not be loaded: ${problem.detail}`;
    case "OlderThanHeld":
      return `the CRL is of ${iso(problem.thisUpdate)}, older than the one in hand of ${iso(problem.held)}`;
    case "FromTheFuture":
      return `the CRL says it is from ${iso(problem.thisUpdate)}; it is ${iso(problem.time)}: check the clock`;
    case "Outdated":
      return `the CRL was good until ${iso(problem.nextUpdate)}; it is ${iso(problem.time)}`;
    default:
      return describeFetchProblem(problem);
  }
}

function iso(time: number): string {
  return new Date(time).toISOString();
}
