/** Reasons of path validation alone (RFC 5280 6.1, 6.3), which test/trust shows, and of profiles (profiles.test.ts). */
export type OfPathAlone =
  | "AnyPolicyMapped"
  | "NameConstraintUnprocessable"
  | "NameNotPermitted"
  | "NoAcceptablePolicy"
  | "ProfileViolated"
  | "Revoked"
  | "SearchLimitReached"
  | "StatusUndetermined";
