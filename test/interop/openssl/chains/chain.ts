/** Chains made from a seed, every part of them open to be spoilt, and issued with a few shared keys so that it is fast. */

import type { SeededRandom } from "../../../../src/sim/random.ts";
import type { PolicyDemands } from "../../../../src/trust/policyGraph.ts";
import { basicConstraints, keyUsage, subjectAltName } from "../../../../src/x509/build.ts";
import type { Certificate } from "../../../../src/x509/certificate.ts";
import type { Crl } from "../../../../src/x509/crl.ts";
import { KEY_MAKERS, type KeyPair, LEAF_EXTENSIONS, type Made, type Making, make, name } from "../../../x509/made.ts";
import { type CrlMaking, makeCrl } from "../../../x509/madeCrl.ts";

/** One certificate to be; its issuer is the one before it. */
export type Link = Omit<Making, "issuer" | "extensions"> & {
  extensions: NonNullable<Making["extensions"]>;
  /** Made, but not sent along. */
  kept?: boolean;
};

/** A chain to be, which a flaw may change before it is issued. */
export interface Draft {
  /** Tells this chain's names from all others'. */
  id: string;
  random: SeededRandom;
  /** Root, CAs, end entity. */
  links: Link[];
  options: ChainOptions;
  /** Per issuer, the root's first; undefined for a chain whose status is not asked for. */
  crls: CrlMaking[][] | undefined;
}

/** What both validators are asked for, besides the chain. */
export interface ChainOptions {
  server: boolean;
  /** Whether policies are looked at where nothing is demanded of them, which OpenSSL does on demand only. */
  policyCheck: boolean;
  policies: PolicyDemands;
}

/** A chain as issued. */
export interface Chain {
  root: Certificate;
  sent: readonly Certificate[];
  leaf: Certificate;
  crls: readonly Crl[] | undefined;
  options: ChainOptions;
}

/** A good chain of a root, no to three CAs and an end entity, with some of what makes chains differ. */
export function draftChain(id: string, random: SeededRandom, depth = random.below(4)): Draft {
  const link = (title: string, extensions: Link["extensions"]): Link => ({
    subject: name(`${title} of ${id}`),
    keys: KEYS[random.below(KEYS.length)]!,
    extensions,
  });
  const cas = Array.from({ length: depth }, (_, at) => {
    const room = random.chance(0.4) ? depth - 1 - at + random.below(2) : undefined;
    return link(`CA ${at + 1}`, caExtensions(random, room));
  });
  const san = subjectAltName({ dns: [hostOf(id)], email: [`ap@${hostOf(id)}`], ip: [Buffer.from([10, 1, 2, 3])] });
  return {
    id,
    random,
    links: [link("Root", caExtensions(random)), ...cas, link("AP", [...LEAF_EXTENSIONS, san])],
    options: { server: false, policyCheck: false, policies: {} },
    crls: undefined,
  };
}

/** The DNS name in the end entity's certificate. */
export function hostOf(id: string): string {
  return `ap-${id}.vendor.example`;
}

/** Issues the links from the root down, then the CRLs. */
export function issue({ links, options, crls }: Draft): Chain {
  const made: Made[] = [];
  for (const { kept: _, ...link } of links) {
    const issuer = made.at(-1);
    made.push(make({ ...link, ...(issuer === undefined ? {} : { issuer }) }));
  }
  const sent = made.filter((_, at) => at > 0 && at < links.length - 1 && links[at]!.kept !== true);
  return {
    root: made[0]!.certificate,
    sent: sent.map(({ certificate }) => certificate),
    leaf: made.at(-1)!.certificate,
    options,
    crls: crls?.flatMap((ofIssuer, at) =>
      ofIssuer.map(({ revoked = [], ...making }) => {
        // What an issuer revokes is the one below it, whoever the flaw named.
        const entries = revoked.map((entry) => ({ ...entry, certificate: made[at + 1]! }));
        return makeCrl(made[at]!, { ...making, revoked: entries });
      }),
    ),
  };
}

/** Asks for the status of the whole chain, by a CRL of each issuer that revokes nobody. */
export function withCrls(draft: Draft): CrlMaking[][] {
  draft.crls = draft.links.slice(0, -1).map(() => [{}]);
  return draft.crls;
}

/** A CA of the draft, not the root; one is put in if there is none. */
export function anyCa(draft: Draft): number {
  if (draft.links.length === 2)
    draft.links.splice(1, 0, {
      subject: name(`CA of ${draft.id}`),
      keys: KEYS[0]!,
      extensions: caExtensions(draft.random),
    });
  return 1 + draft.random.below(draft.links.length - 2);
}

function caExtensions(random: SeededRandom, room?: number): Link["extensions"] {
  const constraints = basicConstraints(true, room);
  return random.chance(0.2) ? [constraints] : [constraints, keyUsage("keyCertSign", "cRLSign")];
}

const KEYS: readonly KeyPair[] = Array.from({ length: 5 }, () => KEY_MAKERS["P-256"]());
