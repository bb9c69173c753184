/**
 * Do a certificate's names keep to the constraints of the CAs above it? (RFC 5280 4.2.1.10, 6.1.3 b and c)
 *
 * RFC 5280 intersects permitted subtrees as it goes down. Here the constraints of every CA are kept and each name is
 * held against all of them, which comes to the same and needs no intersections of subtrees. A form that is constrained
 * but not read here (otherName and the like) makes a name of that form refused, never waved through.
 */
import type { Bytes } from "../bytes/bytes.ts";
import { formatIp } from "../bytes/ip.ts";
import type { Certificate } from "../x509/certificate.ts";
import { emptyNames, type GeneralNames, type NamesBeingRead } from "../x509/generalNames.ts";
import { addressAndMask, type NameConstraints, type Subtrees } from "../x509/nameConstraintsExtension.ts";
import { Oid } from "../x509/oids.ts";
import type { PathRefusal } from "./pathRefusal.ts";

/** Holds the names of `certificate` against the constraints of all CAs above it. */
export function checkNames(
  certificate: Certificate,
  constraints: readonly NameConstraints[],
  stands: "ca" | "end",
): PathRefusal | undefined {
  const names = constrainedNames(certificate, stands);
  const subject = certificate.subject.toString();
  for (const { permitted, excluded } of constraints) {
    if (count(names) * (count(permitted) + count(excluded)) > MAX_COMPARISONS)
      return { reason: "NameConstraintUnprocessable", subject, detail: "too many names for too many subtrees" };
    const detail = unprocessable(names, permitted, excluded);
    if (detail !== undefined) return { reason: "NameConstraintUnprocessable", subject, detail };
    const outside = outsideOf(names, permitted, excluded);
    if (outside !== undefined) return { reason: "NameNotPermitted", subject, ...outside };
  }
  return undefined;
}

/**
 * The names that constraints apply to: the subject, the alternative names, addresses of e-mail in the subject, and the
 * common name of an end entity that has no dNSName but one that looks like it, since TS 33.320 8.3.3.1-2 takes it for
 * the identity of a device.
 */
function constrainedNames({ subject, extensions }: Certificate, stands: "ca" | "end"): NamesBeingRead {
  const { dns, ip, email, uri, directory, others } = extensions.subjectAltName ?? emptyNames();
  const valuesOf = (oid: string) => subject.attributes.filter(({ type }) => type === oid).map(({ value }) => value);
  const fromSubject = stands === "end" && dns.length === 0 ? valuesOf(Oid.commonName).filter(looksLikeDns) : [];
  return {
    dns: [...dns, ...fromSubject],
    ip: [...ip],
    email: [...email, ...valuesOf(Oid.emailAddress)],
    uri: [...uri],
    directory: subject.isEmpty ? [...directory] : [subject, ...directory],
    others: [...others],
  };
}

/** RFC 5280 4.2.1.10: a name that cannot be held against a constraint of its form is refused. */
function unprocessable(names: GeneralNames, permitted: Subtrees, excluded: Subtrees): string | undefined {
  const form = names.others.find((other) => permitted.others.includes(other) || excluded.others.includes(other));
  if (form !== undefined) return `they constrain names of the form [${form}], which are not read here`;
  const constrains = (of: "uri" | "email") => permitted[of].length > 0 || excluded[of].length > 0;
  const uri = constrains("uri") ? names.uri.find((name) => hostOf(name) === undefined) : undefined;
  if (uri !== undefined) return `they constrain URIs, and "${uri}" has no host name`;
  const email = constrains("email") ? names.email.find((name) => !name.includes("@")) : undefined;
  return email === undefined ? undefined : `they constrain e-mail addresses, and "${email}" is none`;
}

function outsideOf(
  names: GeneralNames,
  permitted: Subtrees,
  excluded: Subtrees,
): { name: string; because: "not within a permitted subtree" | "excluded" } | undefined {
  const check = <N, T>(
    of: readonly N[],
    allowed: readonly T[],
    forbidden: readonly T[],
    within: (name: N, subtree: T) => boolean,
    show: (name: N) => string,
  ) => {
    for (const name of of) {
      if (forbidden.some((subtree) => within(name, subtree))) return { name: show(name), because: "excluded" as const };
      if (allowed.length > 0 && !allowed.some((subtree) => within(name, subtree)))
        return { name: show(name), because: "not within a permitted subtree" as const };
    }
    return undefined;
  };
  return (
    check(names.directory, permitted.directory, excluded.directory, (name, base) => name.isWithin(base), String) ??
    check(names.dns, permitted.dns, excluded.dns, dnsWithin, String) ??
    check(names.email, permitted.email, excluded.email, emailWithin, String) ??
    check(names.uri, permitted.uri, excluded.uri, uriWithin, String) ??
    check(names.ip, permitted.ip, excluded.ip, ipWithin, formatIp)
  );
}

/** The host itself and everything below it; with a dot ahead only what is below. */
function dnsWithin(name: string, base: string): boolean {
  return hostWithin(withoutDot(name), withoutDot(base), "host and below");
}

/** A mailbox, all mailboxes of a host, or with a dot ahead all mailboxes of the hosts below. */
function emailWithin(name: string, base: string): boolean {
  const at = name.lastIndexOf("@");
  const baseAt = base.lastIndexOf("@");
  // RFC 5280 7.5: the local part keeps its case.
  const sameMailbox = baseAt < 0 || name.slice(0, at) === base.slice(0, baseAt);
  return sameMailbox && hostWithin(withoutDot(name.slice(at + 1)), withoutDot(base.slice(baseAt + 1)), "host alone");
}

/** The host of a URI, or with a dot ahead the hosts below; a URI without a host name is within nothing. */
function uriWithin(uri: string, base: string): boolean {
  const host = hostOf(uri);
  return host !== undefined && hostWithin(withoutDot(host), withoutDot(base), "host alone");
}

function hostWithin(host: string, base: string, meaning: "host alone" | "host and below"): boolean {
  const [own, other] = [host.toLowerCase(), base.toLowerCase()];
  if (other.startsWith(".")) return own.endsWith(other);
  if (other === "") return true;
  return own === other || (meaning === "host and below" && own.endsWith(`.${other}`));
}

function ipWithin(name: Bytes, subtree: Bytes): boolean {
  const { address, mask } = addressAndMask(subtree);
  return name.length === address.length && name.every((octet, i) => ((octet ^ address[i]!) & mask[i]!) === 0);
}

/** The authority's host (RFC 3986 3.2), if it is a name and not an address. */
function hostOf(uri: string): string | undefined {
  const host = /^[a-z][a-z0-9+.-]*:\/\/(?:[^/?#@]*@)?([a-z0-9_.-]+)(?::\d*)?(?:[/?#]|$)/i.exec(uri)?.[1];
  return host === undefined || /^[\d.]*$/.test(host) ? undefined : host;
}

/** serverName.ts takes "host.example." for "host.example", and what is excluded must stay so with a dot behind. */
function withoutDot(name: string): string {
  return name.replace(/\.$/, "");
}

/** At least two labels of letters, digits, hyphens and underscores. */
function looksLikeDns(text: string): boolean {
  return /^[a-z0-9_-]+(\.[a-z0-9_-]+)+\.?$/i.test(text);
}

function count({ dns, ip, email, uri, directory, others }: GeneralNames): number {
  return dns.length + ip.length + email.length + uri.length + directory.length + others.length;
}

/** Names times subtrees of one certificate and one CA. */
const MAX_COMPARISONS = 65_536;
