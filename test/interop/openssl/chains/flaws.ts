/**
 * What is done to good chains, each to one chain at a time: nothing, harmless variety, or one thing that breaks it. The
 * name of a flaw is its identity: the list of differences refers to it.
 */
import { generateKeyPairSync, sign } from "node:crypto";
import type { Bytes } from "../../../../src/bytes/bytes.ts";
import { DerReader, Tag } from "../../../../src/der/reader.ts";
import * as write from "../../../../src/der/writer.ts";
import { basicConstraints, extendedKeyUsage, keyUsage, type NewExtension } from "../../../../src/x509/build.ts";
import { makeName, type Name, readName } from "../../../../src/x509/name.ts";
import { Oid } from "../../../../src/x509/oids.ts";
import { KEY_MAKERS, make, NOW, name } from "../../../x509/made.ts";
import type { CrlMaking } from "../../../x509/madeCrl.ts";
import {
  altNames,
  certificatePolicies,
  deltaCrlIndicator,
  distributionPoints,
  inhibitAnyPolicy,
  issuingDistributionPoint,
  type NewGeneralName,
  nameConstraints,
  policyConstraints,
  policyMappings,
} from "../../../x509/madeExtensions.ts";
import { anyCa, type Draft, hostOf, type Link, withCrls } from "./chain.ts";

/** Changes a draft in one way. */
export type Flaw = (draft: Draft) => void;

const stranger = make({ name: "Stranger" });
const rsa1024 = generateKeyPairSync("rsa", { modulusLength: 1024 });
const rsa2048 = KEY_MAKERS["RSA-2048"]();
const p224 = generateKeyPairSync("ec", { namedCurve: "secp224r1" });
const UNKNOWN = (critical: boolean): NewExtension => ({ oid: "1.2.3.4", critical, value: write.nullValue() });
const FRESHEST: NewExtension = {
  ...distributionPoints({ fullName: [{ uri: "http://a.example/delta.crl" }] }),
  oid: Oid.freshestCrl,
};
const [GOLD, SILVER] = ["1.2.3.1", "1.2.3.2"] as const;
const EXPLICIT = { requireExplicit: true };

/** Any certificate of the chain below the root. */
const anyLink = ({ links, random }: Draft): Link => links[1 + random.below(links.length - 1)]!;
const leafOf = ({ links }: Draft): Link => links.at(-1)!;
const caOf = (draft: Draft): Link => draft.links[anyCa(draft)]!;
const add = (link: Link, ...extensions: readonly NewExtension[]) => {
  link.extensions = [...link.extensions, ...extensions];
};
const replace = (link: Link, ...extensions: readonly NewExtension[]) => {
  const oids = extensions.map(({ oid }) => oid);
  link.extensions = [...link.extensions.filter(({ oid }) => !oids.includes(oid)), ...extensions];
};
const without = (link: Link, oid: string) => {
  link.extensions = link.extensions.filter((extension) => extension.oid !== oid);
};
/** Constrains names in a CA and gives the end entity these alternative names instead of its own. */
const constrained =
  (
    permitted: readonly NewGeneralName[],
    excluded: readonly NewGeneralName[],
    ...names: readonly NewGeneralName[]
  ): Flaw =>
  (draft) => {
    add(caOf(draft), nameConstraints(permitted, excluded));
    replace(leafOf(draft), altNames(...names));
  };
/** Policies for every CA and for the end entity, which is asked for an explicit one. */
const policies =
  (
    cas: readonly NewExtension[],
    leaf: readonly NewExtension[],
    demands: Draft["options"]["policies"] = EXPLICIT,
  ): Flaw =>
  (draft) => {
    anyCa(draft);
    for (const ca of draft.links.slice(1, -1)) add(ca, ...cas);
    add(leafOf(draft), ...leaf);
    draft.options.policies = demands;
    draft.options.policyCheck = true;
  };
/** Changes the CRLs of one issuer. */
const crls =
  (change: (of: CrlMaking[], draft: Draft) => void): Flaw =>
  (draft) => {
    const all = withCrls(draft);
    for (const issuer of draft.links.slice(0, -1)) replace(issuer, keyUsage("keyCertSign", "cRLSign"));
    change(all[draft.random.below(all.length)]!, draft);
  };
const server =
  (change: Flaw): Flaw =>
  (draft) => {
    draft.options.server = true;
    change(draft);
  };
/** The issuer's name as it stands in the certificate below a CA. */
const spelled =
  (spell: (text: string) => Bytes, commonName = "Üñ Operator CA"): Flaw =>
  (draft) => {
    const at = anyCa(draft);
    const text = `${commonName} ${draft.id}`;
    draft.links[at]!.subject = makeName([{ type: Oid.commonName, value: text }]);
    draft.links[at + 1]!.issuerName = nameWith(spell(text));
  };
const address = (text: string): Bytes => Buffer.from(text.split(".").map(Number));
const block = (base: string, mask: string) => ({ ip: Buffer.concat([address(base), address(mask)]) });

export const FLAWS: Readonly<Record<string, Flaw>> = {
  nothing: () => {},

  // Time
  expired: (draft) => Object.assign(anyLink(draft), { notAfter: NOW - 1000 }),
  "not valid yet": (draft) => Object.assign(anyLink(draft), { notBefore: NOW + 1000 }),
  "valid from this very second": (draft) => Object.assign(anyLink(draft), { notBefore: NOW }),
  "valid to this very second": (draft) => Object.assign(anyLink(draft), { notAfter: NOW }),
  "valid for one more second": (draft) => Object.assign(anyLink(draft), { notAfter: NOW + 1000 }),
  "root expired": (draft) => Object.assign(draft.links[0]!, { notAfter: NOW - 1000 }),

  // Signatures and keys
  forged: (draft) => Object.assign(anyLink(draft), { signer: stranger.signer }),
  "SHA-1": (draft) => {
    draft.links.at(-2)!.keys = rsa2048;
    leafOf(draft).signer = sha1Signer;
  },
  "RSA-2048": (draft) => Object.assign(anyLink(draft), { keys: rsa2048 }),
  "RSA-1024": (draft) => Object.assign(anyLink(draft), { keys: rsa1024 }),
  "P-224": (draft) => Object.assign(anyLink(draft), { keys: p224 }),

  // Chaining
  "a CA is missing": (draft) => Object.assign(caOf(draft), { kept: true }),
  "issuer's name differs": (draft) => Object.assign(anyLink(draft), { issuerName: name("Somebody else") }),
  "no key identifiers": (draft) => {
    for (const link of draft.links) link.keyIds = "absent";
  },
  "issuer's name in capitals": spelled((text) => write.utf8String(text.toUpperCase()), "Operator CA"),
  "issuer's name with more spaces": spelled((text) => write.utf8String(`  ${text.replaceAll(" ", "   ")} `)),
  "issuer's name as BMPString": spelled((text) => write.element(Tag.BMP_STRING, Buffer.from(text, "utf16le").swap16())),
  "issuer's name as T61String": spelled((text) => write.element(Tag.T61_STRING, Buffer.from(text, "latin1"))),
  "issuer's name with accents in capitals": spelled((text) => write.utf8String(text.toUpperCase())),
  "issuer's name with a sharp s": spelled((text) => write.utf8String(text.replace("SS", "ß")), "GROSS CA"),
  "issuer's RDNs in another order": (draft) => {
    const at = anyCa(draft);
    const attributes = draft.links[at]!.subject!.attributes;
    draft.links[at + 1]!.issuerName = makeName(attributes.toReversed());
  },

  // Being a CA
  "no basic constraints": (draft) => without(caOf(draft), Oid.basicConstraints),
  "cA is false": (draft) => replace(caOf(draft), basicConstraints(false)),
  "keyCertSign is missing": (draft) => replace(caOf(draft), keyUsage("cRLSign", "digitalSignature")),
  "path length exceeded": (draft) => {
    const at = anyCa(draft);
    draft.links.splice(at + 1, 0, { ...draft.links[at]!, subject: name(`Below in ${draft.id}`) });
    replace(draft.links[at]!, basicConstraints(true, 0));
  },
  "path length of the root exceeded": (draft) => {
    anyCa(draft);
    replace(draft.links[0]!, basicConstraints(true, 0));
  },
  "path length kept thanks to a self-issued CA": (draft) => {
    const at = anyCa(draft);
    const below = draft.links.length - 2 - at;
    draft.links.splice(at + 1, 0, { ...draft.links[at]!, keys: stranger.keys });
    for (const link of draft.links.slice(at, at + 2)) replace(link, basicConstraints(true, below));
  },
  "end entity is a CA": (draft) => replace(leafOf(draft), basicConstraints(true)),

  // Extensions
  "unknown critical extension": (draft) => add(anyLink(draft), UNKNOWN(true)),
  "unknown uncritical extension": (draft) => add(anyLink(draft), UNKNOWN(false)),
  "unknown critical extension in the root": (draft) => add(draft.links[0]!, UNKNOWN(true)),

  // Purpose
  "server: extended key usage fits": server((draft) =>
    add(leafOf(draft), extendedKeyUsage(Oid.serverAuth, Oid.ipsecIke)),
  ),
  "server: no extended key usage": server(() => {}),
  "server: extended key usage of clients": server((draft) => add(leafOf(draft), extendedKeyUsage(Oid.clientAuth))),
  "server: any extended key usage": server((draft) => add(leafOf(draft), extendedKeyUsage(Oid.anyExtendedKeyUsage))),
  "server: CA for clients only": server((draft) => add(caOf(draft), extendedKeyUsage(Oid.clientAuth))),
  "server: CA for servers": server((draft) => add(caOf(draft), extendedKeyUsage(Oid.serverAuth))),
  "server: key usage of CRL signers": server((draft) => replace(leafOf(draft), keyUsage("cRLSign"))),
  "server: key usage for encryption": server((draft) => replace(leafOf(draft), keyUsage("keyEncipherment"))),

  // Names
  "DNS name permitted": (draft) => add(caOf(draft), nameConstraints([{ dns: "vendor.example" }])),
  "DNS name not permitted": (draft) => add(caOf(draft), nameConstraints([{ dns: "other.example" }])),
  "DNS name excluded": (draft) => add(caOf(draft), nameConstraints([], [{ dns: "VENDOR.example" }])),
  "another DNS name excluded": (draft) => add(caOf(draft), nameConstraints([], [{ dns: "or.example" }])),
  "DNS name excluded by the root": (draft) => add(draft.links[0]!, nameConstraints([], [{ dns: hostOf(draft.id) }])),
  "DNS name with a dot behind, excluded": constrained([], [{ dns: "a.example" }], { dns: "x.a.example." }),
  "DNS subtree with a dot ahead": constrained([{ dns: ".a.example" }], [], { dns: "x.a.example" }),
  "DNS subtree with a dot ahead, the host itself": constrained([{ dns: ".a.example" }], [], { dns: "a.example" }),
  "mailbox permitted": constrained([{ email: "a@x.example" }], [], { email: "a@X.example" }),
  "mailbox not permitted by case": constrained([{ email: "A@x.example" }], [], { email: "a@x.example" }),
  "mail host permitted": constrained([{ email: "x.example" }], [], { email: "a@x.example" }),
  "mail host not permitted": constrained([{ email: "x.example" }], [], { email: "a@b.x.example" }),
  "mail domain permitted": constrained([{ email: ".x.example" }], [], { email: "a@b.x.example" }),
  "mail domain not permitted": constrained([{ email: ".x.example" }], [], { email: "a@x.example" }),
  "URI permitted": constrained([{ uri: "a.example" }], [], { uri: "http://a.example:80/x" }),
  "URI not permitted": constrained([{ uri: "a.example" }], [], { uri: "http://x.a.example/" }),
  "URI excluded by domain": constrained([], [{ uri: ".a.example" }], { uri: "https://x.a.example/" }),
  "URI with a user, excluded": constrained([], [{ uri: "a.example" }], { uri: "https://u:p@a.example/" }),
  "URI without a host": constrained([{ uri: "a.example" }], [], { uri: "urn:a.example" }),
  "URI with an address, others excluded": constrained([], [{ uri: "a.example" }], { uri: "http://192.0.2.1/" }),
  "address permitted": constrained([block("10.1.0.0", "255.255.0.0")], [], { ip: address("10.1.9.9") }),
  "address not permitted": constrained([block("10.1.0.0", "255.255.0.0")], [], { ip: address("10.2.0.0") }),
  "address excluded": constrained([], [block("10.1.0.0", "255.255.0.0")], { ip: address("10.1.0.1") }),
  "IPv6 address, IPv4 permitted": constrained([block("0.0.0.0", "0.0.0.0")], [], { ip: Buffer.alloc(16, 1) }),
  "directory name permitted": (draft) =>
    add(caOf(draft), nameConstraints([{ directory: makeName([{ type: Oid.organization, value: "FEMTOGATE" }]) }])),
  "directory name not permitted": (draft) =>
    add(caOf(draft), nameConstraints([{ directory: makeName([{ type: Oid.organization, value: "Femto" }]) }])),
  "directory name excluded": (draft) => {
    const { subject } = leafOf(draft);
    add(caOf(draft), nameConstraints([], [{ directory: subject! }]));
  },
  "common name as DNS name not permitted": (draft) => {
    leafOf(draft).subject = makeName([{ type: Oid.commonName, value: "ap.other.example" }]);
    without(leafOf(draft), Oid.subjectAltName);
    add(caOf(draft), nameConstraints([{ dns: "vendor.example" }]));
  },
  "e-mail address in the subject excluded": (draft) => {
    leafOf(draft).subject = makeName([{ type: Oid.emailAddress, value: "a@x.example" }]);
    add(caOf(draft), nameConstraints([], [{ email: "x.example" }]));
  },
  "a name of a form that is constrained but not read": constrained([{ registeredId: "1.2.3" }], [], {
    registeredId: "1.2.3",
  }),

  // Policies
  "policy all the way": policies([certificatePolicies(GOLD)], [certificatePolicies(GOLD, SILVER)]),
  "no policy in the end entity": policies([certificatePolicies(GOLD)], []),
  "another policy in the end entity": policies([certificatePolicies(GOLD)], [certificatePolicies(SILVER)]),
  "any policy in CAs": policies([certificatePolicies(Oid.anyPolicy)], [certificatePolicies(GOLD)]),
  "any policy inhibited": policies(
    [certificatePolicies(Oid.anyPolicy), inhibitAnyPolicy(0)],
    [certificatePolicies(Oid.anyPolicy)],
  ),
  "policy acceptable": policies([certificatePolicies(GOLD)], [certificatePolicies(GOLD)], {
    ...EXPLICIT,
    acceptable: [GOLD],
  }),
  "policy not acceptable": policies([certificatePolicies(GOLD)], [certificatePolicies(GOLD)], {
    ...EXPLICIT,
    acceptable: [SILVER],
  }),
  "policy required by a CA": policies([policyConstraints({ requireExplicit: 0 })], [], {}),
  "policy required by the root": (draft) => {
    add(draft.links[0]!, policyConstraints({ requireExplicit: 0 }));
    draft.options.policyCheck = true;
  },
  "policy mapped": (draft) => {
    const at = anyCa(draft);
    for (const [index, link] of draft.links.entries())
      if (index > 0) add(link, certificatePolicies(index <= at ? GOLD : SILVER));
    add(draft.links[at]!, policyMappings([GOLD, SILVER]));
    draft.options.policies = EXPLICIT;
    draft.options.policyCheck = true;
  },
  "policy mapped, mapping inhibited": (draft) => {
    FLAWS["policy mapped"]!(draft);
    draft.options.policies = { ...EXPLICIT, inhibitMapping: true };
  },
  "policy mapped from anyPolicy": policies(
    [certificatePolicies(GOLD), policyMappings([Oid.anyPolicy, GOLD])],
    [certificatePolicies(GOLD)],
  ),

  // Revocation
  "CRLs of all": crls(() => {}),
  revoked: crls(([one]) => Object.assign(one!, { revoked: [{ certificate: stranger }] })),
  "revoked for a reason": crls(([one]) => Object.assign(one!, { revoked: [{ certificate: stranger, reason: 1 }] })),
  "entry that removes": crls(([one]) => Object.assign(one!, { revoked: [{ certificate: stranger, reason: 8 }] })),
  "CRL missing": crls((of) => void of.splice(0)),
  "CRL past its time": crls(([one]) => Object.assign(one!, { nextUpdate: NOW - 1000 })),
  "CRL to this very second": crls(([one]) => Object.assign(one!, { nextUpdate: NOW })),
  "CRL from the future": crls(([one]) => Object.assign(one!, { thisUpdate: NOW + 1000 })),
  "CRL without end of its time": crls(([one]) => Object.assign(one!, { nextUpdate: undefined })),
  "CRL forged": crls(([one]) => Object.assign(one!, { signer: stranger.signer })),
  "CRL with an unknown critical extension": crls(([one]) => Object.assign(one!, { more: [UNKNOWN(true)] })),
  "CRL entry with an unknown critical extension": crls(([one]) =>
    Object.assign(one!, { revoked: [{ certificate: stranger, reason: 8, more: [UNKNOWN(true)] }] }),
  ),
  "CRL of end entities": crls(([one]) => Object.assign(one!, { more: [issuingDistributionPoint({ only: "user" })] })),
  "CRL of CAs": crls(([one]) => Object.assign(one!, { more: [issuingDistributionPoint({ only: "ca" })] })),
  "CRL of attribute certificates": crls(([one]) =>
    Object.assign(one!, { more: [issuingDistributionPoint({ only: "attribute" })] }),
  ),
  "CRL of another point": crls(([one]) =>
    Object.assign(one!, { more: [issuingDistributionPoint({ fullName: [{ uri: "http://b.example/" }] })] }),
  ),
  "CRL of the certificate's point": crls((_, draft) => {
    const point = { fullName: [{ uri: "http://a.example/" }] };
    // The root's too, whose status OpenSSL asks for.
    for (const link of draft.links) add(link, distributionPoints(point));
    draft.crls = draft.crls!.map(() => [{ more: [issuingDistributionPoint(point)] }]);
  }),
  "CRL of one reason": crls(([one]) => Object.assign(one!, { more: [issuingDistributionPoint({ reasons: [1] })] })),
  "issuer without cRLSign": crls((_, draft) => replace(draft.links.at(-2)!, keyUsage("keyCertSign"))),
  "delta CRL revokes": crls((of) => {
    of[0] = { number: 5, more: [FRESHEST] };
    of.push({ number: 6, revoked: [{ certificate: stranger }], more: [deltaCrlIndicator(5)] });
  }),
  "delta CRL revokes, and nothing says that there are any": crls((of) => {
    of[0] = { number: 5 };
    of.push({ number: 6, revoked: [{ certificate: stranger }], more: [deltaCrlIndicator(5)] });
  }),
  "delta CRL lifts": crls((of) => {
    of[0] = { number: 5, revoked: [{ certificate: stranger, reason: 6 }], more: [FRESHEST] };
    of.push({ number: 6, revoked: [{ certificate: stranger, reason: 8 }], more: [deltaCrlIndicator(5)] });
  }),
  "delta CRL of a later base": crls((of) => {
    of[0] = { number: 5, more: [FRESHEST] };
    of.push({ number: 8, revoked: [{ certificate: stranger }], more: [deltaCrlIndicator(7)] });
  }),
  "delta CRL alone": crls(([one]) => Object.assign(one!, { number: 6, more: [deltaCrlIndicator(5)] })),
  "delta CRL current, base past its time": crls((of) => {
    of[0] = { number: 5, nextUpdate: NOW - 1000, more: [FRESHEST] };
    of.push({ number: 6, more: [deltaCrlIndicator(5)] });
  }),
};

function nameWith(commonName: Bytes): Name {
  const der = write.sequence(write.setOf(write.sequence(write.oid(Oid.commonName), commonName)));
  return readName(new DerReader(der), "name");
}

const sha1Signer = {
  algorithm: write.sequence(write.oid(Oid.sha1WithRsa), write.nullValue()),
  sign: (data: Bytes) => sign("sha1", data, rsa2048.privateKey),
};
