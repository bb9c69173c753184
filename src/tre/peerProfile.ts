/** The profile of TS 33.310 that a peer's certificate must keep to, where the operator enforces it. */
import { lint } from "../trust/profiles/lint.ts";
import type { CertificateProfile, Release } from "../trust/profiles/rule.ts";
import type { Certificate } from "../x509/certificate.ts";
import { type Refused, refuse } from "./peerRefusal.ts";

/** Which profile the peer's certificate must keep, in which release, and how bad a breach must be to count. */
export interface ProfilePolicy {
  certificate: CertificateProfile;
  release: Release;
  least: "error" | "warning";
}

/** 7.2.5.2.1-1, 8.3.3.1-1: the profile wins where RFC 5280 would let a certificate pass; `identity` is what the peer claims. */
export function checkProfile(
  identity: string,
  [leaf, issuer]: readonly Certificate[],
  profile: ProfilePolicy | undefined,
): Refused | undefined {
  if (profile === undefined || leaf === undefined) return undefined;
  const { certificate: name, release, least } = profile;
  const circumstances = { identity, ...(issuer === undefined ? {} : { issuer }) };
  const findings = lint({ certificate: leaf, profile: name, release, circumstances });
  const counting = findings.filter(({ severity }) => severity === "error" || severity === least);
  const [first] = counting;
  if (first === undefined) return undefined;
  const more = counting.length === 1 ? "" : `, and ${counting.length - 1} more`;
  return refuse(
    "ProfileViolated",
    `the certificate of "${leaf.subject}" breaks rule ${first.rule}: ${first.found} (${first.clause})${more}`,
    { certificate: leaf.subject.toString(), findings: counting },
  );
}
