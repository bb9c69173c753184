/**
 * What an operator may decide about revocation checks (TS 33.320 7.2.2-7, 7.2.2-8, 7.2.4-4, 8.3.2.1-4): as values.
 *
 * A policy has rules per class of peer, and within a class per issuer of the certificate in question: the devices of one
 * manufacturer may be checked by its CRL while another's have OCSP. What the rules come to is computed by
 * statusDecision.ts, how they are carried out by statusCheck.ts.
 */
import type { Milliseconds } from "../sim/environment.ts";
import type { Certificate } from "../x509/certificate.ts";
import type { DistributionPoint } from "../x509/distributionPoints.ts";

/** Who presents the certificate. */
export type PeerClass = "device" | "gateway" | "managementServer";

/** A way to learn a certificate's status. */
export type Method = "crl" | "ocsp";

/** Which methods are used: none, one, both together, or one with the other where the first says nothing. */
export type Methods = "none" | "crl" | "ocsp" | "both" | "crlFirst" | "ocspFirst";

/** Whose server is asked (7.2.2-8); `certificate` are those that the certificate names. */
export type Origin = "operator" | "manufacturer" | "certificate";

/** How a method can fail to say good or revoked. */
export type Trouble =
  /** The source answers, and does not know or does not cover the certificate. */
  | "unknown"
  /** What is known is past its time. */
  | "stale"
  /** No source gave a valid answer. */
  | "unreachable"
  /** No source is configured or named. */
  | "noSource";

/** What to do in trouble; `grace` goes on accepting for so long after the last good answer has run out. */
export type Tolerance = { kind: "refuse" } | { kind: "accept" } | { kind: "grace"; lasts: Milliseconds };

/** Addresses at which the same is to be had, tried in their order until one answers. */
export type Alternatives = readonly string[];

/**
 * Configured addresses by method. All CRLs are used together, as shards, complete and delta CRLs; responders are
 * alternatives of each other.
 */
export interface Servers {
  crl: readonly Alternatives[];
  ocsp: Alternatives;
}

/** How the status of a certificate is checked. */
export interface StatusRule {
  methods: Methods;
  /** `leaf`: only where the certificate is the end entity's; `path`: CA certificates below the root as well. */
  scope: "leaf" | "path";
  /** In the order in which they are tried; a server named in a certificate is asked only if listed here (7.2.2-8). */
  origins: readonly Origin[];
  operator: Servers;
  manufacturer: Servers;
  /** Hosts that a certificate may send us to, itself or anything below it; undefined for any. */
  namedHosts: readonly string[] | undefined;
  tolerances: Record<Trouble, Tolerance>;
}

/** A rule and the issuers for whose certificates it stands. */
export interface IssuerRule {
  issuers: readonly IssuerMatch[];
  rule: StatusRule;
}

/** An issuer by its name as `Name.toString` writes it, or by the SHA-256 of its certificate in hexadecimal. */
export type IssuerMatch = { name: string } | { fingerprint: string };

/** The first fitting rule stands; `otherwise` for all other issuers. */
export interface ClassPolicy {
  issuers: readonly IssuerRule[];
  otherwise: StatusRule;
}

export type RevocationPolicy = Record<PeerClass, ClassPolicy>;

/** The rule for certificates of `issuer` that peers of this class present. */
export function ruleFor(policy: RevocationPolicy, peerClass: PeerClass, issuer: Certificate): StatusRule {
  const { issuers, otherwise } = policy[peerClass];
  const name = issuer.subject.toString();
  const fits = (match: IssuerMatch) =>
    "name" in match ? match.name === name : match.fingerprint.toLowerCase() === issuer.fingerprint;
  return issuers.find((candidate) => candidate.issuers.some(fits))?.rule ?? otherwise;
}

/** Addresses of one origin that may answer for a certificate: all of `groups`, any address of each. */
export interface Source {
  origin: Origin;
  groups: readonly Alternatives[];
}

/** Whom to ask about `certificate` by this method, in order. Servers it names count only if policy lists them (7.2.2-8). */
export function sourcesFor(rule: StatusRule, method: Method, certificate: Certificate): Source[] {
  return rule.origins
    .map((origin) => ({ origin, groups: groupsOf(rule, origin, method, certificate) }))
    .filter(({ groups }) => groups.length > 0);
}

function groupsOf(rule: StatusRule, origin: Origin, method: Method, certificate: Certificate): Alternatives[] {
  const groups =
    origin === "certificate"
      ? namedBy(certificate, method, rule.namedHosts)
      : method === "crl"
        ? rule[origin].crl
        : [rule[origin].ocsp];
  return groups.filter((group) => group.length > 0);
}

/** RFC 5280 4.2.1.13: the names of one distribution point are ways to the same CRL, its points may have different ones. */
function namedBy(certificate: Certificate, method: Method, hosts: StatusRule["namedHosts"]): Alternatives[] {
  const { crlDistributionPoints, ocspUrls } = certificate.extensions;
  const groups = method === "ocsp" ? [ocspUrls] : crlDistributionPoints.map(crlUrlsOf);
  return groups
    .slice(0, MAX_NAMED)
    .map((group) => group.filter((url) => mayBeAsked(url, method, hosts)).slice(0, MAX_NAMED));
}

/** Addresses of the CRL of one distribution point. */
export function crlUrlsOf({ name }: DistributionPoint): Alternatives {
  return name !== undefined && "fullName" in name ? name.fullName.uri : [];
}

/** A certificate is written by somebody else: it can name schemes we do not speak and hosts that are none of its business. */
export function mayBeAsked(text: string, method: Method, hosts: readonly string[] | undefined): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, hostname } = new URL(text);
  if (!SCHEMES[method].includes(protocol) || hostname === "") return false;
  // An IPv6 address stands in brackets in an address, and without them in a list of hosts.
  const host = hostname.toLowerCase().replace(/^\[|\]$/g, "");
  return hosts?.some((allowed) => host === allowed || host.endsWith(`.${allowed}`)) ?? true;
}

/** LDAP for CRLs is the way of TS 33.310; OCSP has no binding to it. CRLs are signed, so that LDAP over TLS adds nothing. */
const SCHEMES: Record<Method, readonly string[]> = {
  crl: ["http:", "https:", "ldap:"],
  ocsp: ["http:", "https:"],
};
/** Groups taken from one certificate, and addresses of each. */
const MAX_NAMED = 8;
