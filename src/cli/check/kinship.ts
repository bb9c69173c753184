/** Which certificate was issued under which, by names and key identifiers alone; for showing, and for finding ends. */
import { sameBytes } from "../../bytes/bytes.ts";
import type { Certificate } from "../../x509/certificate.ts";
import type { Found } from "./material.ts";

export class Kinship {
  readonly #all: Found<Certificate>[] = [];
  readonly #anchors = new Set<Certificate>();
  readonly #parents = new Map<Certificate, Certificate>();

  /** Anchors that nothing given was issued under do not appear. */
  constructor(given: readonly Found<Certificate>[], anchors: readonly Found<Certificate>[]) {
    const seen = new Set<string>();
    for (const found of given) {
      if (seen.has(found.item.fingerprint)) continue;
      seen.add(found.item.fingerprint);
      this.#all.push(found);
    }
    for (const { item } of anchors)
      for (const found of this.#all) if (found.item.fingerprint === item.fingerprint) this.#anchors.add(found.item);
    const others = anchors.filter(({ item }) => !seen.has(item.fingerprint));
    for (const { item } of [...this.#all]) this.#link(item, [...this.#all, ...others]);
    const used = new Set(this.#parents.values());
    for (const found of others) {
      if (!used.has(found.item)) continue;
      this.#all.push(found);
      this.#anchors.add(found.item);
    }
  }

  /** End entities, and CAs that issued nothing here. */
  get ends(): Found<Certificate>[] {
    const parents = new Set(this.#parents.values());
    const leaves = this.#all.filter(({ item }) => !parents.has(item));
    const entities = leaves.filter(({ item }) => item.extensions.basicConstraints?.ca !== true);
    return entities.length > 0 ? entities : leaves;
  }

  /** Parents before their children. */
  get inOrder(): Found<Certificate>[] {
    const out: Found<Certificate>[] = [];
    const add = (found: Found<Certificate>) => {
      out.push(found);
      for (const child of this.children(found.item)) add(child);
    };
    for (const root of this.roots) add(root);
    return out;
  }

  get roots(): Found<Certificate>[] {
    return this.#all.filter(({ item }) => !this.#parents.has(item));
  }

  children(certificate: Certificate): Found<Certificate>[] {
    return this.#all.filter(({ item }) => this.#parents.get(item) === certificate);
  }

  parent(certificate: Certificate): Certificate | undefined {
    return this.#parents.get(certificate);
  }

  isAnchor(certificate: Certificate): boolean {
    return this.#anchors.has(certificate);
  }

  /** The certificate and all above it, itself first. */
  lineage(certificate: Certificate): Certificate[] {
    const line = [certificate];
    for (let above = this.parent(certificate); above !== undefined; above = this.parent(above)) line.push(above);
    return line;
  }

  /** Candidates for its path: what may stand above it, without the anchors. */
  above(certificate: Certificate): Certificate[] {
    const wanted = new Set<Certificate>();
    const names = [certificate];
    for (let at = 0; at < names.length; at++) {
      for (const { item } of this.#all) {
        if (item === certificate || wanted.has(item) || this.#anchors.has(item)) continue;
        if (item.isSelfIssued || !item.subject.equals(names[at]!.issuer)) continue;
        wanted.add(item);
        names.push(item);
      }
    }
    return [...wanted];
  }

  /** Everything issued under it. */
  below(certificate: Certificate): Certificate[] {
    return this.children(certificate).flatMap(({ item }) => [item, ...this.below(item)]);
  }

  #link(certificate: Certificate, candidates: readonly Found<Certificate>[]): void {
    if (certificate.isSelfIssued) return;
    const wanted = certificate.extensions.authorityKeyId;
    const parent = candidates.find(({ item }) => {
      if (item === certificate || !item.subject.equals(certificate.issuer)) return false;
      const has = item.extensions.subjectKeyId;
      return wanted === undefined || has === undefined || sameBytes(wanted, has);
    });
    // Certificates that issued one another have no top: the last link of such a ring is left out.
    if (parent !== undefined && !this.lineage(parent.item).includes(certificate))
      this.#parents.set(certificate, parent.item);
  }
}
