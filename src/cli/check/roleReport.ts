/** What a role would do with a certificate, as a value and as a line. */
import type { CertificateStatus } from "../../trust/statusAnswer.ts";

/** What one role would do with an end's certificate. */
export interface RoleReport {
  role: string;
  would: "accept" | "refuse" | "undetermined";
  /** By name, as in the role's log. */
  reason: string | undefined;
  message: string;
  /** What the policy's sources said of each certificate, end entity first. */
  statuses: readonly CertificateStatus[];
}

/** "the SeGW would refuse it (CertificateRevoked): ...". */
export function describeRole({ role, would, reason, message }: RoleReport): string {
  if (would === "undetermined") return `what the ${role} would do is undetermined: ${message}`;
  return `the ${role} would ${would} it${reason === undefined ? "" : ` (${reason})`}: ${message}`;
}
