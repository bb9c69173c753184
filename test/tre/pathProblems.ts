/** Reasons of path validation alone (RFC 5280 6.1, 6.3), which test/trust shows one by one. */
export type OfPathAlone =
  | "AnyPolicyMapped"
  | "NameConstraintUnprocessable"
  | "NameNotPermitted"
  | "NoAcceptablePolicy"
  | "Revoked"
  | "SearchLimitReached"
  | "StatusUndetermined";
