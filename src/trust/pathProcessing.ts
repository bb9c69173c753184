/** From the anchor down a given path: signatures, names and policies (RFC 5280 6.1.2 to 6.1.5). */
import type { Certificate } from "../x509/certificate.ts";
import type { NameConstraints } from "../x509/nameConstraintsExtension.ts";
import { checkNames } from "./nameConstraints.ts";
import type { PathRefusal } from "./pathRefusal.ts";
import type { PathWork } from "./pathWork.ts";
import { type PolicyDemands, PolicyGraph } from "./policyGraph.ts";
import { type WorkingKey, workingKey } from "./workingKey.ts";

/** What the caller brings to the path (RFC 5280 6.1.1). */
export interface PathInputs {
  policies: PolicyDemands;
  /** Constraints as if a CA above the anchor had made them (RFC 5280 6.1.1 h and i). */
  nameConstraints: NameConstraints | undefined;
  work: PathWork;
  /** True where the end entity's certificate comes back with many peers, as that of an OCSP signer does. */
  leafRecurs: boolean;
}

/** A path whose signatures, names and policies hold; `keys` in the order of the path, end entity first. */
export interface ProcessedPath {
  policies: readonly string[];
  keys: readonly WorkingKey[];
}

/** Processes a path, end entity first and anchor last, that chains by name and whose certificates stand each alone. */
export function processPath(path: readonly Certificate[], inputs: PathInputs): ProcessedPath | PathRefusal {
  const anchor = path.at(-1)!;
  const graph = new PolicyGraph(path.length - 1, inputs.policies, anchor);
  const constraints = [inputs.nameConstraints, anchor.extensions.nameConstraints].filter((one) => one !== undefined);
  const keys = [workingKey(anchor, undefined)];
  for (let at = path.length - 2; at >= 0; at--) {
    const certificate = path[at]!;
    const stands = at > 0 ? "ca" : "end";
    const issuerKey = keys[0]!;
    if (!inputs.work.verifies(certificate, issuerKey, at > 0 || inputs.leafRecurs))
      return inputs.work.cutShort ?? { reason: "BadSignature", subject: certificate.subject.toString() };
    keys.unshift(workingKey(certificate, issuerKey));
    // RFC 5280 6.1.3 b: names of self-issued certificates are exempt, unless it is the end entity's.
    if (constraints.length > 0 && (at === 0 || !certificate.isSelfIssued)) {
      const refusal = checkNames(certificate, constraints, stands);
      if (refusal !== undefined) return refusal;
    }
    if (at === 0) break;
    const problem = graph.addCa(certificate);
    if (problem !== undefined) return policyRefusal(problem, certificate, inputs.policies);
    if (certificate.extensions.nameConstraints !== undefined) constraints.push(certificate.extensions.nameConstraints);
  }
  const policies = graph.finish(path[0]!);
  return typeof policies === "string" ? policyRefusal(policies, path[0]!, inputs.policies) : { policies, keys };
}

function policyRefusal(
  reason: "AnyPolicyMapped" | "NoAcceptablePolicy",
  certificate: Certificate,
  { acceptable }: PolicyDemands,
): PathRefusal {
  const subject = certificate.subject.toString();
  return reason === "AnyPolicyMapped" ? { reason, subject } : { reason, subject, acceptable: acceptable ?? [] };
}
