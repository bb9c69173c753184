/** TS 33.310 6.1a: CRLs. */
import type { Crl } from "../../x509/crl.ts";
import { Oid } from "../../x509/oids.ts";
import { forbiddenHash } from "./commonRules.ts";
import { crlVersionOf, oidTexts } from "./encoding.ts";
import { always, type CrlRule } from "./rule.ts";

export const CRL_RULES: readonly CrlRule[] = [
  {
    id: "L1",
    requirement: "The CRL is version 2.",
    fix: "Issue it as version 2, which extensions need.",
    in: always("error", "knowledge"),
    clause: "TS 33.310 6.1a",
    check: (crl) => (crlVersionOf(crl) === 2 ? undefined : "version 1"),
  },
  {
    id: "L1a",
    requirement: "It is signed with a hash that certificates may be signed with.",
    fix: "Sign it with SHA-256 or SHA-384.",
    in: always("error", "knowledge"),
    clause: "TS 33.310 6.1a, 6.1.1",
    check: ({ signatureAlgorithm }, release) => forbiddenHash(signatureAlgorithm, release),
  },
  {
    id: "L2",
    requirement: "nextUpdate is there.",
    fix: "Issue it with nextUpdate; nobody knows when a CRL without one is out of date.",
    in: always("error", "text"),
    clause: "TS 33.310 6.1a, RFC 5280 5.1.2.5",
    check: ({ nextUpdate }) => (nextUpdate === undefined ? "no nextUpdate" : undefined),
  },
  {
    id: "L3",
    requirement: "cRLNumber is there and not critical.",
    fix: "Issue it with a cRLNumber that counts up.",
    in: always("error", "text"),
    clause: "TS 33.310 6.1a, RFC 5280 5.2.3",
    check: (crl) => notCritical(crl, Oid.crlNumber, "cRLNumber"),
  },
  {
    id: "L4",
    requirement: "authorityKeyIdentifier is there and not critical.",
    fix: "Issue it with the authorityKeyIdentifier of the CA.",
    in: always("error", "text"),
    clause: "TS 33.310 6.1a, RFC 5280 5.2.1",
    check: (crl) => notCritical(crl, Oid.authorityKeyIdentifier, "authorityKeyIdentifier"),
  },
  {
    id: "L5",
    requirement: "No entry has the reason unspecified, and removeFromCRL stands in delta CRLs only.",
    fix: "Leave the reason out instead of saying unspecified; leave the entry out instead of saying removeFromCRL.",
    in: always("warning", "text"),
    clause: "TS 33.310 6.1a, RFC 5280 5.3.1",
    check: (crl) => {
      const delta = crl.extensions.some(({ oid }) => oid === DELTA_CRL_INDICATOR);
      for (const { serial, reason } of crl.entries()) {
        if (reason === UNSPECIFIED) return `serial ${serial.toString("hex")}: unspecified`;
        if (reason === REMOVE_FROM_CRL && !delta) return `serial ${serial.toString("hex")}: removeFromCRL`;
      }
      return undefined;
    },
  },
  {
    id: "L6",
    requirement: "It has no critical extension but issuingDistributionPoint and deltaCRLIndicator.",
    fix: "Issue it without that extension, or not critical; whoever does not know it must ignore the CRL.",
    in: always("error", "knowledge"),
    clause: "TS 33.310 6.1a, RFC 5280 5.2",
    check: ({ extensions }) => {
      const others = extensions.filter(
        ({ oid, critical }) => critical && !CRITICAL.includes(oid) && !JUDGED.includes(oid),
      );
      return others.length === 0 ? undefined : `critical: ${oidTexts(others.map(({ oid }) => oid))}`;
    },
  },
];

function notCritical(crl: Crl, oid: string, name: string): string | undefined {
  const extension = crl.extensions.find((each) => each.oid === oid);
  return extension === undefined ? `no ${name}` : extension.critical ? `${name} is critical` : undefined;
}

const DELTA_CRL_INDICATOR = "2.5.29.27";
const CRITICAL: readonly string[] = [Oid.issuingDistributionPoint, DELTA_CRL_INDICATOR];
/** Whose criticality L3 and L4 judge. */
const JUDGED: readonly string[] = [Oid.crlNumber, Oid.authorityKeyIdentifier];
const UNSPECIFIED = 0;
const REMOVE_FROM_CRL = 8;
