/**
 * The valid_policy_tree of RFC 5280 6.1, step by step as it is written there, exponential growth included: what the graph
 * of RFC 9618 must agree with.
 */
import type { PolicyDemands } from "../../src/trust/policyGraph.ts";
import { Oid } from "../../src/x509/oids.ts";

/** What one certificate of a path says of policies; the one below the anchor first. */
export interface PolicyStatements {
  policies: readonly string[] | undefined;
  mappings: readonly (readonly [issuer: string, subject: string])[];
  requireExplicit: number | undefined;
  inhibitMapping: number | undefined;
  inhibitAny: number | undefined;
  selfIssued: boolean;
}

interface Node {
  policy: string;
  expected: string[];
  children: Node[];
}

const ANY = Oid.anyPolicy;

/** The policies that the path is valid for, or undefined if it is not valid. */
export function policiesByTree(path: readonly PolicyStatements[], demands: PolicyDemands): string[] | undefined {
  const n = path.length;
  let tree: Node | undefined = { policy: ANY, expected: [ANY], children: [] };
  let explicit = demands.requireExplicit === true ? 0 : n + 1;
  let mapping = demands.inhibitMapping === true ? 0 : n + 1;
  let any = demands.inhibitAny === true ? 0 : n + 1;
  for (const [index, certificate] of path.entries()) {
    const i = index + 1;
    const { policies, selfIssued } = certificate;
    if (policies !== undefined && tree !== undefined) {
      const above = atDepth(tree, i - 1);
      for (const policy of policies.filter((one) => one !== ANY)) {
        const matching = above.filter(({ expected }) => expected.includes(policy));
        const parents = matching.length > 0 ? matching : above.filter((node) => node.policy === ANY);
        for (const parent of parents) parent.children.push({ policy, expected: [policy], children: [] });
      }
      if (policies.includes(ANY) && (any > 0 || (i < n && selfIssued))) {
        for (const parent of above)
          for (const policy of parent.expected)
            if (!parent.children.some((child) => child.policy === policy))
              parent.children.push({ policy, expected: [policy], children: [] });
      }
      tree = prune(tree, i);
    }
    if (policies === undefined) tree = undefined;
    if (explicit === 0 && tree === undefined) return undefined;
    if (i === n) break;
    if (certificate.mappings.some((pair) => pair.includes(ANY))) return undefined;
    for (const [from, pairs] of Map.groupBy(certificate.mappings, ([issuer]) => issuer)) {
      if (tree === undefined) break;
      const to = [...new Set(pairs.map(([, subject]) => subject))];
      const nodes = atDepth(tree, i).filter(({ policy }) => policy === from);
      if (mapping === 0) {
        for (const parent of atDepth(tree, i - 1))
          parent.children = parent.children.filter(({ policy }) => policy !== from);
        tree = prune(tree, i);
      } else if (nodes.length > 0) for (const node of nodes) node.expected = to;
      else
        for (const parent of atDepth(tree, i - 1))
          if (parent.policy === ANY && parent.children.some(({ policy }) => policy === ANY))
            parent.children.push({ policy: from, expected: to, children: [] });
    }
    if (!selfIssued) [explicit, mapping, any] = [explicit, mapping, any].map((one) => Math.max(0, one - 1)) as Counters;
    explicit = Math.min(explicit, certificate.requireExplicit ?? n + 1);
    mapping = Math.min(mapping, certificate.inhibitMapping ?? n + 1);
    any = Math.min(any, certificate.inhibitAny ?? n + 1);
  }
  explicit = Math.max(0, explicit - 1);
  if (path.at(-1)!.requireExplicit === 0) explicit = 0;
  const found = tree === undefined ? [] : intersect(tree, n, demands.acceptable ?? [ANY]);
  return explicit > 0 || found.length > 0 ? found : undefined;
}

type Counters = [number, number, number];

/** RFC 5280 6.1.5 g. */
function intersect(tree: Node, n: number, acceptable: readonly string[]): string[] {
  const roots = domainRoots(tree).map(({ policy }) => policy);
  const anyAtEnd = atDepth(tree, n).some(({ policy }) => policy === ANY);
  const all = [...new Set([...roots, ...(anyAtEnd ? [ANY] : [])])];
  if (acceptable.includes(ANY)) return all;
  return acceptable.filter((policy) => all.includes(policy) || anyAtEnd);
}

/** Nodes that are not anyPolicy below ones that are. */
function domainRoots(node: Node): Node[] {
  if (node.policy !== ANY) return [];
  return node.children.flatMap((child) => (child.policy === ANY ? domainRoots(child) : [child]));
}

function atDepth(node: Node, depth: number): Node[] {
  return depth === 0 ? [node] : node.children.flatMap((child) => atDepth(child, depth - 1));
}

/** Without the nodes above `depth` that lead nowhere; undefined if nothing is left. */
function prune(node: Node, depth: number): Node | undefined {
  if (depth === 0) return node;
  node.children = node.children.filter((child) => prune(child, depth - 1) !== undefined);
  return node.children.length > 0 ? node : undefined;
}
