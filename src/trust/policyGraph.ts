/**
 * Which certificate policies hold along a path (RFC 5280 6.1 with the graph of RFC 9618).
 *
 * RFC 5280's tree has a node per policy and parent, and a few dozen mappings in each certificate make it grow
 * exponentially with the path (CVE-2023-0464). The graph of RFC 9618 gives the same answers with at most one node per
 * policy and depth: its size is bounded by what the certificates list. Qualifiers are not collected; nobody asks here.
 */
import type { Certificate } from "../x509/certificate.ts";
import { Oid } from "../x509/oids.ts";
import type { PolicyMapping } from "../x509/policyExtensions.ts";

/** What the caller demands of policies (RFC 5280 6.1.1 c, e, f, g); each left out demands nothing. */
export interface PolicyDemands {
  /** Object identifiers of the policies that are acceptable; any policy if left out. */
  acceptable?: readonly string[];
  /** The path must be valid for one of the acceptable policies. */
  requireExplicit?: boolean;
  /** No policy stands for another. */
  inhibitMapping?: boolean;
  /** anyPolicy in a certificate does not count. */
  inhibitAny?: boolean;
}

/** Why a path fails at a certificate. */
export type PolicyProblem = "AnyPolicyMapped" | "NoAcceptablePolicy";

/** The policy state of one path; certificates are brought in order, the one below the anchor first. */
export class PolicyGraph {
  readonly #acceptable: readonly string[];
  /** One map per certificate, policies to nodes; undefined once the graph is empty (RFC 9618: NULL). */
  #depths: PolicyNodes[] | undefined = [new Map([[Oid.anyPolicy, ROOT]])];
  /** Certificates that may follow before the restriction holds (RFC 5280 6.1.2 d to f). */
  #explicitPolicy: number;
  #policyMapping: number;
  #inhibitAny: number;

  /** `length` counts the certificates below the anchor, whose own constraints hold for all of them (RFC 5937 3.2). */
  constructor(length: number, demands: PolicyDemands, anchor: Certificate) {
    this.#acceptable = demands.acceptable ?? [Oid.anyPolicy];
    this.#explicitPolicy = demands.requireExplicit === true ? 0 : length + 1;
    this.#policyMapping = demands.inhibitMapping === true ? 0 : length + 1;
    this.#inhibitAny = demands.inhibitAny === true ? 0 : length + 1;
    this.#restrict(anchor);
  }

  /** RFC 5280 6.1.3 d to f, then 6.1.4 a, b, h to j for a CA of the path. */
  addCa(certificate: Certificate): PolicyProblem | undefined {
    if (!this.#add(certificate, "ca")) return "NoAcceptablePolicy";
    const { policyMappings } = certificate.extensions;
    if (policyMappings !== undefined) {
      if (policyMappings.some((pair) => [pair.issuerDomain, pair.subjectDomain].includes(Oid.anyPolicy)))
        return "AnyPolicyMapped";
      this.#map(policyMappings);
    }
    if (!certificate.isSelfIssued) {
      this.#explicitPolicy = Math.max(0, this.#explicitPolicy - 1);
      this.#policyMapping = Math.max(0, this.#policyMapping - 1);
      this.#inhibitAny = Math.max(0, this.#inhibitAny - 1);
    }
    this.#restrict(certificate);
    return undefined;
  }

  /** RFC 5280 6.1.3 d to f and 6.1.5 a, b, g: the policies the path is valid for, of those that are acceptable. */
  finish(endEntity: Certificate): readonly string[] | PolicyProblem {
    if (!this.#add(endEntity, "end")) return "NoAcceptablePolicy";
    this.#explicitPolicy = Math.max(0, this.#explicitPolicy - 1);
    if (endEntity.extensions.policyConstraints?.requireExplicitPolicy === 0) this.#explicitPolicy = 0;
    const policies = this.#userConstrained();
    return this.#explicitPolicy > 0 || policies.length > 0 ? policies : "NoAcceptablePolicy";
  }

  /** RFC 5280 6.1.3 d to f as RFC 9618 5.2 has them; false if an explicit policy is required and none is left. */
  #add(certificate: Certificate, stands: "ca" | "end"): boolean {
    const policies = certificate.extensions.certificatePolicies;
    if (policies === undefined) this.#depths = undefined;
    if (policies !== undefined && this.#depths !== undefined) {
      const above = this.#depths.at(-1)!;
      const expected = nodesByExpectation(above);
      const nodes: PolicyNodes = new Map();
      for (const policy of policies) {
        if (policy === Oid.anyPolicy) continue;
        const parents = expected.get(policy) ?? (above.has(Oid.anyPolicy) ? [Oid.anyPolicy] : undefined);
        if (parents !== undefined) nodes.set(policy, { parents, expected: [policy] });
      }
      const anyCounts = this.#inhibitAny > 0 || (stands === "ca" && certificate.isSelfIssued);
      if (anyCounts && policies.includes(Oid.anyPolicy))
        for (const [policy, parents] of expected)
          if (!nodes.has(policy)) nodes.set(policy, { parents, expected: [policy] });
      this.#push(nodes);
    }
    return this.#explicitPolicy > 0 || this.#depths !== undefined;
  }

  /** RFC 5280 6.1.4 b as RFC 9618 5.3 has it. */
  #map(mappings: readonly PolicyMapping[]): void {
    const nodes = this.#depths?.at(-1);
    if (nodes === undefined) return;
    for (const [policy, pairs] of Map.groupBy(mappings, ({ issuerDomain }) => issuerDomain)) {
      const node = nodes.get(policy);
      const expected = [...new Set(pairs.map(({ subjectDomain }) => subjectDomain))];
      if (this.#policyMapping === 0) nodes.delete(policy);
      else if (node !== undefined) nodes.set(policy, { parents: node.parents, expected });
      else if (nodes.has(Oid.anyPolicy)) nodes.set(policy, { parents: [Oid.anyPolicy], expected });
    }
  }

  /** Nodes without children are left in place, since only what the deepest ones reach is looked at in the end. */
  #push(nodes: PolicyNodes): void {
    if (nodes.size === 0) this.#depths = undefined;
    else this.#depths?.push(nodes);
  }

  /** RFC 5280 6.1.4 i and j. */
  #restrict({ extensions: { policyConstraints, inhibitAnyPolicy } }: Certificate): void {
    const { requireExplicitPolicy, inhibitPolicyMapping } = policyConstraints ?? {};
    this.#explicitPolicy = Math.min(this.#explicitPolicy, requireExplicitPolicy ?? Number.POSITIVE_INFINITY);
    this.#policyMapping = Math.min(this.#policyMapping, inhibitPolicyMapping ?? Number.POSITIVE_INFINITY);
    this.#inhibitAny = Math.min(this.#inhibitAny, inhibitAnyPolicy ?? Number.POSITIVE_INFINITY);
  }

  /** RFC 5280 6.1.5 g as RFC 9618 5.4 has it. */
  #userConstrained(): string[] {
    const authority = this.#authorityConstrained();
    if (this.#acceptable.includes(Oid.anyPolicy)) return [...authority];
    return this.#acceptable.filter((policy) => authority.has(policy) || authority.has(Oid.anyPolicy));
  }

  /**
   * The policies, in the words of the anchor's domain, that lead from the anchor to the end entity: those below
   * anyPolicy nodes, which are met only where a way down from the anchor leaves its domain, or at the end entity.
   */
  #authorityConstrained(): Set<string> {
    const found = new Set<string>();
    const depths = this.#depths ?? [];
    let reached = new Set(depths.at(-1)?.keys());
    for (const nodes of depths.slice(1).toReversed()) {
      const above = new Set<string>();
      for (const policy of reached) {
        for (const parent of nodes.get(policy)?.parents ?? []) {
          if (parent === Oid.anyPolicy) found.add(policy);
          else above.add(parent);
        }
      }
      reached = above;
    }
    return found;
  }
}

/** A policy at one depth: what it comes from, and what the next certificate may call it. */
interface PolicyNode {
  /** anyPolicy alone, or others (RFC 9618 3.2). */
  parents: readonly string[];
  expected: readonly string[];
}

type PolicyNodes = Map<string, PolicyNode>;

/** The policies of `nodes` by what they may be called in the next certificate. */
function nodesByExpectation(nodes: PolicyNodes): Map<string, string[]> {
  const by = new Map<string, string[]>();
  for (const [policy, { expected }] of nodes) {
    for (const name of expected) {
      const parents = by.get(name);
      if (parents === undefined) by.set(name, [policy]);
      else parents.push(policy);
    }
  }
  return by;
}

const ROOT: PolicyNode = { parents: [], expected: [Oid.anyPolicy] };
