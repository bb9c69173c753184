/** Where OpenSSL 3.0 and we judge the same chain differently, and why; docs/openssl-differences.md shows this list. */
export interface Difference {
  /** Name of the flaw. */
  flaw: string;
  ours: "valid" | "invalid";
  theirs: "valid" | "invalid";
  why: string;
  /** True if it shows in some of the chains with the flaw only. */
  sometimes?: boolean;
}

export const DIFFERENCES: readonly Difference[] = [
  {
    flaw: "valid to this very second",
    ours: "valid",
    theirs: "invalid",
    why: "notAfter is inclusive (RFC 5280 4.1.2.5); OpenSSL lets a certificate expire at the beginning of that second.",
  },
  {
    flaw: "CRL to this very second",
    ours: "valid",
    theirs: "invalid",
    why: "The same second, of nextUpdate: RFC 5280 6.3.3 a asks for another CRL once the time is after it.",
  },
  {
    flaw: "P-224",
    ours: "invalid",
    theirs: "valid",
    why: "TS 33.310 6.1.1 names P-256 and P-384; OpenSSL's security level 2 asks for 112 bits, which P-224 has.",
  },
  {
    flaw: "issuer's name with accents in capitals",
    ours: "valid",
    theirs: "invalid",
    why: "RFC 4518 2.2 folds the case of all letters; OpenSSL folds that of ASCII.",
  },
  {
    flaw: "issuer's name with a sharp s",
    ours: "valid",
    theirs: "invalid",
    why: "The same: ß and SS are one in RFC 3454 table B.2.",
  },
  {
    flaw: "server: any extended key usage",
    ours: "valid",
    theirs: "invalid",
    why: "anyExtendedKeyUsage restricts nothing (RFC 5280 4.2.1.12); OpenSSL wants serverAuth for a server all the same.",
  },
  {
    flaw: "DNS name with a dot behind, excluded",
    ours: "invalid",
    theirs: "valid",
    why: "We take host.example. for host.example when a name is compared with the one that was meant, so that an exclusion must hold for both.",
  },
  {
    flaw: "URI with a user, excluded",
    ours: "invalid",
    theirs: "valid",
    why: "The host follows the user (RFC 3986 3.2); OpenSSL 3.0 takes u from u:p@a.example for the host.",
  },
  {
    flaw: "URI with an address, others excluded",
    ours: "invalid",
    theirs: "valid",
    why: "RFC 5280 4.2.1.10: under a constraint on URIs, one whose host is an address is refused.",
  },
  {
    flaw: "policy required by the root",
    ours: "invalid",
    theirs: "valid",
    why: "Constraints in the root's own certificate hold for what is below it (RFC 5937 3.2); OpenSSL does so for names and path length, not for policies.",
  },
  {
    flaw: "CRL without end of its time",
    ours: "invalid",
    theirs: "valid",
    why: "RFC 5280 5.1.2.5 requires nextUpdate; a CRL without one would be good for ever.",
  },
  {
    flaw: "CRL of end entities",
    ours: "valid",
    theirs: "invalid",
    sometimes: true,
    why: "OpenSSL asks for the root's own status in the root's CRL, which lists end entities only; an anchor is no part of the path (RFC 5280 6.1).",
  },
  {
    flaw: "delta CRL revokes, and nothing says that there are any",
    ours: "invalid",
    theirs: "valid",
    why: "A delta CRL at hand counts; OpenSSL looks at it only where freshestCRL stands in the certificate or CRL.",
  },
];
