/** Extensions made for tests that the project's own PKI never issues: constraints, policies, scopes of CRLs. */
import type { Bytes } from "../../src/bytes/bytes.ts";
import * as write from "../../src/der/writer.ts";
import type { NewExtension } from "../../src/x509/build.ts";
import type { Name } from "../../src/x509/name.ts";
import { Oid } from "../../src/x509/oids.ts";

/** One GeneralName; `ip` of a subtree is an address and its mask. */
export type NewGeneralName =
  | { dns: string }
  | { email: string }
  | { uri: string }
  | { ip: Bytes }
  | { directory: Name }
  | { registeredId: string };

function generalName(name: NewGeneralName): Bytes {
  if ("email" in name) return write.implicit(1, Buffer.from(name.email, "latin1"));
  if ("dns" in name) return write.implicit(2, Buffer.from(name.dns, "latin1"));
  if ("directory" in name) return write.explicit(4, name.directory.der);
  if ("uri" in name) return write.implicit(6, Buffer.from(name.uri, "latin1"));
  if ("ip" in name) return write.implicit(7, name.ip);
  return write.implicit(8, write.oid(name.registeredId).subarray(2));
}

export const altNames = (...names: readonly NewGeneralName[]): NewExtension => ({
  oid: Oid.subjectAltName,
  critical: false,
  value: write.sequence(...names.map(generalName)),
});

export const nameConstraints = (
  permitted: readonly NewGeneralName[],
  excluded: readonly NewGeneralName[] = [],
): NewExtension => ({
  oid: Oid.nameConstraints,
  critical: true,
  value: write.sequence(...subtrees(0, permitted), ...subtrees(1, excluded)),
});

export const certificatePolicies = (...policies: readonly string[]): NewExtension => ({
  oid: Oid.certificatePolicies,
  critical: false,
  value: write.sequence(...policies.map((policy) => write.sequence(write.oid(policy)))),
});

export const policyMappings = (...pairs: readonly (readonly [issuer: string, subject: string])[]): NewExtension => ({
  oid: Oid.policyMappings,
  critical: true,
  value: write.sequence(...pairs.map((pair) => write.sequence(...pair.map(write.oid)))),
});

export const policyConstraints = (skip: { requireExplicit?: number; inhibitMapping?: number }): NewExtension => ({
  oid: Oid.policyConstraints,
  critical: true,
  value: write.sequence(...skipCerts(0, skip.requireExplicit), ...skipCerts(1, skip.inhibitMapping)),
});

export const inhibitAnyPolicy = (skip: number): NewExtension => ({
  oid: Oid.inhibitAnyPolicy,
  critical: true,
  value: write.integer(skip),
});

/** One point of cRLDistributionPoints or freshestCRL, or the content of issuingDistributionPoint. */
export interface NewPoint {
  fullName?: readonly NewGeneralName[];
  /** An RDN of one common name below the CRL issuer's name. */
  relativeName?: string;
  /** Numbers of ReasonFlags. */
  reasons?: readonly number[];
  crlIssuer?: Name;
}

export const distributionPoints = (...points: readonly NewPoint[]): NewExtension => ({
  oid: Oid.crlDistributionPoints,
  critical: false,
  value: write.sequence(
    ...points.map((point) =>
      write.sequence(
        ...pointName(point),
        ...flags(1, point.reasons),
        ...(point.crlIssuer === undefined ? [] : [write.explicit(2, write.explicit(4, point.crlIssuer.der))]),
      ),
    ),
  ),
});

export const issuingDistributionPoint = (
  scope: NewPoint & { only?: "user" | "ca" | "attribute"; indirect?: boolean },
): NewExtension => ({
  oid: Oid.issuingDistributionPoint,
  critical: true,
  value: write.sequence(
    ...pointName(scope),
    ...(scope.only === "user" ? [TRUE(1)] : []),
    ...(scope.only === "ca" ? [TRUE(2)] : []),
    ...flags(3, scope.reasons),
    ...(scope.indirect === true ? [TRUE(4)] : []),
    ...(scope.only === "attribute" ? [TRUE(5)] : []),
  ),
});

export const deltaCrlIndicator = (base: number): NewExtension => ({
  oid: Oid.deltaCrlIndicator,
  critical: true,
  value: write.integer(base),
});

export const certificateIssuer = (issuer: Name): NewExtension => ({
  oid: Oid.certificateIssuer,
  critical: true,
  value: write.sequence(write.explicit(4, issuer.der)),
});

function pointName({ fullName, relativeName }: NewPoint): Bytes[] {
  if (fullName !== undefined) return [write.explicit(0, write.explicit(0, ...fullName.map(generalName)))];
  if (relativeName === undefined) return [];
  const attribute = write.sequence(write.oid(Oid.commonName), write.utf8String(relativeName));
  return [write.explicit(0, write.explicit(1, attribute))];
}

function subtrees(tag: number, names: readonly NewGeneralName[]): Bytes[] {
  return names.length === 0 ? [] : [write.explicit(tag, ...names.map((name) => write.sequence(generalName(name))))];
}

function skipCerts(tag: number, count: number | undefined): Bytes[] {
  return count === undefined ? [] : [write.implicit(tag, write.integer(count).subarray(2))];
}

function flags(tag: number, reasons: readonly number[] | undefined): Bytes[] {
  if (reasons === undefined) return [];
  const bits = Array.from({ length: 9 }, (_, bit) => reasons.includes(bit));
  return [write.implicit(tag, write.namedBits(bits).subarray(2))];
}

const TRUE = (tag: number): Bytes => write.implicit(tag, Buffer.from([0xff]));
