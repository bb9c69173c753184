/**
 * The `revocation` section of a role's configuration file; docs/revocation-policy.md explains and shows it.
 *
 * An issuer's rule begins as its class's and changes what it names, so that a manufacturer's servers are three lines.
 */
import { z } from "zod";
import { duration, fqdn, ipAddress, path } from "../config/fields.ts";
import type {
  ClassPolicy,
  IssuerMatch,
  PeerClass,
  RevocationPolicy,
  Servers,
  StatusRule,
  Tolerance,
} from "../trust/revocationPolicy.ts";

/** Octets of a CRL; the reader takes no more. */
const MAX_CRL = 256 * 1024 * 1024;

const url = (protocols: RegExp, examples: string) =>
  z.url({ protocol: protocols, error: `is no address of a kind that is spoken here: ${examples}` });
const crlUrl = url(/^(https?|ldap|file)$/, "http://, https://, ldap:// or file:///");
/** Of a responder. */
export const ocspUrl = url(/^https?$/, "http:// or https://");

/** Where a certificate may send us. */
export const host = z
  .union([ipAddress, fqdn], { error: "is neither a domain name such as vendor.example nor an address" })
  .transform((text) => text.toLowerCase());

const servers = z
  .strictObject({
    /** Used together; a list within the list holds ways to the same CRL. */
    crl: z.array(z.union([crlUrl, z.array(crlUrl).min(1)])).default([]),
    /** Alternatives of each other. */
    ocsp: z.array(ocspUrl).default([]),
  })
  .transform(({ crl, ocsp }): Servers => ({ crl: crl.map((one) => (typeof one === "string" ? [one] : one)), ocsp }));

/** "refuse", "accept" or a time of grace. */
const tolerance = z
  .union([z.enum(["refuse", "accept"]), duration], {
    error: 'is none of "refuse", "accept" and a time of grace such as 12h',
  })
  .transform((value): Tolerance => (typeof value === "number" ? { kind: "grace", lasts: value } : { kind: value }));

const ruleFields = {
  /** Nothing, one method, both together, or one with the other where the first says nothing. */
  methods: z.enum(["none", "crl", "ocsp", "both", "crlFirst", "ocspFirst"]).optional(),
  /** End entities only, or CA certificates below the root as well. */
  scope: z.enum(["leaf", "path"]).optional(),
  /** Whose servers are asked, in this order; those that a certificate names only with `certificate` (7.2.2-8). */
  origins: z.array(z.enum(["operator", "manufacturer", "certificate"])).optional(),
  /** The operator's servers. */
  operator: servers.optional(),
  /** The manufacturer's servers. */
  manufacturer: servers.optional(),
  /** Names, with all below them, and addresses that certificates may send us to; any if left out. */
  namedHosts: z.array(host).optional(),
  /** The source does not know or cover the certificate: `refuse`, `accept` or a time of grace. */
  unknown: tolerance.optional(),
  /** What is known is past its nextUpdate. */
  stale: tolerance.optional(),
  /** No source gave a valid answer. */
  unreachable: tolerance.optional(),
  /** No source is configured, or named and allowed. */
  noSource: tolerance.optional(),
};
const issuerRule = z.strictObject({
  /** As `femtogate check` shows the issuer's name: "O=Vendor, CN=Vendor CA". */
  names: z.array(z.string().regex(/=/, { error: 'is no name such as "O=Vendor, CN=Vendor CA"' })).default([]),
  /** SHA-256 of issuers' certificates, hexadecimal. */
  fingerprints: z
    .array(z.string().regex(/^[0-9a-f]{64}$/i, { error: "is no SHA-256 of 64 hexadecimal digits" }))
    .default([]),
  ...ruleFields,
});
const classSection = z.strictObject({
  ...ruleFields,
  /** Rules for certificates of some issuers; what one leaves out is its class's. */
  issuers: z.array(issuerRule).default([]),
});

/** What holds for all classes of peers. */
const commonFields = {
  /** For one check, all look-ups included. */
  deadline: duration.default(10_000),
  /** Folder in which CRLs, OCSP responses and what grace counts from outlive a restart; none if left out. */
  cache: path.optional(),
  /** How CRLs are fetched and used. */
  crl: z
    .strictObject({
      /** How often a CRL is asked for anew, if its nextUpdate is far. */
      refresh: duration.default(3600_000),
      /** For one fetch. */
      timeLimit: duration.default(60_000),
      /** Octets of a CRL. */
      maxBytes: z.number().int().min(1024).max(MAX_CRL).default(MAX_CRL),
      /** 0 follows none; from an address that a certificate named they lead to `namedHosts` only. */
      maxRedirects: z.number().int().min(0).max(10).default(3),
      /** How far the CA's clock and ours may differ. */
      tolerance: duration.default(300_000),
      /** Fetches the delta CRLs that a CRL points to. */
      deltas: z.boolean().default(true),
      /** PEM files of CRL issuers that are no CAs of the paths in question. */
      signers: z.array(path).default([]),
    })
    .prefault({}),
  /** How responders are asked and their answers used. */
  ocsp: z
    .strictObject({
      /** `get` lets caches answer, where no nonce is sent (RFC 5019). */
      method: z.enum(["get", "post"]).default("post"),
      /** Sent and accepted if it is missing, or required (RFC 9654). */
      nonce: z.enum(["off", "optional", "required"]).default("optional"),
      /** Octets. */
      nonceLength: z.number().int().min(1).max(128).default(32),
      /** What certificates are named by; old responders know SHA-1 only. */
      hash: z.enum(["sha1", "sha256"]).default("sha1"),
      /** For one query. */
      timeLimit: duration.default(5_000),
      /** How far the responder's clock and ours may differ. */
      tolerance: duration.default(300_000),
      /** How old an answer without nextUpdate may be. */
      maxAge: duration.default(24 * 3600_000),
      /** For how long at most an answer is used again. */
      reuse: duration.default(3600_000),
      /** PEM files of responders that may answer for every CA. */
      trustedResponders: z.array(path).default([]),
      /** A delegated signer without id-pkix-ocsp-nocheck is trusted, or checked by CRL (RFC 6960 4.2.2.2.1). */
      delegates: z.enum(["trust", "check"]).default("trust"),
    })
    .prefault({}),
};

/** What holds for peers that stay. */
const stayFields = {
  /** How often the certificate of a connected peer is checked again at least. */
  recheck: duration.default(3600_000),
  /** What ends a connected peer's stay: only that it was revoked, or any refusal. */
  disconnectOn: z.enum(["revoked", "refused"]).default("revoked"),
};

/** For roles that devices attach to: SeGW and H(e)MS. */
export const deviceRevocationSection = z.strictObject({
  ...commonFields,
  ...stayFields,
  /** The rule for H(e)NB certificates. */
  device: classSection.prefault({}),
});

/** For devices, whose session with an H(e)MS is over before it could be checked again. */
export const managementServerRevocationSection = z.strictObject({
  ...commonFields,
  /** The rule for H(e)MS certificates. */
  managementServer: classSection.prefault({}),
});

/** With a rule for each class, for whoever judges in the place of several roles. */
export const revocationSection = deviceRevocationSection.extend({
  /** The rule for SeGW certificates. */
  gateway: classSection.prefault({}),
  /** The rule for H(e)MS certificates. */
  managementServer: classSection.prefault({}),
});

type ClassSection = z.output<typeof classSection>;

/** A section with rules for the classes that a role meets; peers do not stay where it says nothing of that. */
export type RevocationSection = z.output<z.ZodObject<typeof commonFields>> &
  Partial<z.output<z.ZodObject<typeof stayFields>>> & { [C in PeerClass]?: ClassSection };

/** The policy that a section describes; a class that it has no rule for is not checked. */
export function policyOf(section: { [C in PeerClass]?: ClassSection }): RevocationPolicy {
  return {
    device: classPolicyOf(section.device),
    gateway: classPolicyOf(section.gateway),
    managementServer: classPolicyOf(section.managementServer),
  };
}

type RuleFields = Omit<z.output<typeof issuerRule>, "names" | "fingerprints">;

function classPolicyOf(section: ClassSection | undefined): ClassPolicy {
  if (section === undefined) return { issuers: [], otherwise: DEFAULT_RULE };
  const { issuers, ...fields } = section;
  const otherwise = ruleOf(fields, DEFAULT_RULE);
  return {
    otherwise,
    issuers: issuers.map(({ names, fingerprints, ...own }) => ({
      issuers: [
        ...names.map((name): IssuerMatch => ({ name })),
        ...fingerprints.map((fingerprint): IssuerMatch => ({ fingerprint })),
      ],
      rule: ruleOf(own, otherwise),
    })),
  };
}

function ruleOf(fields: RuleFields, base: StatusRule): StatusRule {
  const { unknown, stale, unreachable, noSource } = fields;
  return {
    methods: fields.methods ?? base.methods,
    scope: fields.scope ?? base.scope,
    origins: fields.origins ?? base.origins,
    operator: fields.operator ?? base.operator,
    manufacturer: fields.manufacturer ?? base.manufacturer,
    namedHosts: fields.namedHosts ?? base.namedHosts,
    tolerances: {
      unknown: unknown ?? base.tolerances.unknown,
      stale: stale ?? base.tolerances.stale,
      unreachable: unreachable ?? base.tolerances.unreachable,
      noSource: noSource ?? base.tolerances.noSource,
    },
  };
}

/** Nothing is checked unless the operator says so (TS 33.320 7.2.4-4), and then strictly. */
const DEFAULT_RULE: StatusRule = {
  methods: "none",
  scope: "path",
  origins: ["operator", "manufacturer"],
  operator: { crl: [], ocsp: [] },
  manufacturer: { crl: [], ocsp: [] },
  namedHosts: undefined,
  tolerances: {
    unknown: { kind: "refuse" },
    stale: { kind: "refuse" },
    unreachable: { kind: "refuse" },
    noSource: { kind: "refuse" },
  },
};
