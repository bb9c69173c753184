/**
 * A status service whose sources are the CRLs and OCSP responses given, in place of the servers of a policy: the same
 * code judges as in a role, and nothing is asked.
 */
import { type Bytes, copyOf } from "../../bytes/bytes.ts";
import { DecodeError } from "../../bytes/reader.ts";
import type { RevocationSection } from "../../revocation/config.ts";
import { NO_DISK } from "../../revocation/crlDisk.ts";
import { ThreadedCrlLoader } from "../../revocation/crlLoader.ts";
import type { Fetched, Fetcher } from "../../revocation/fetching.ts";
import type { OcspFetched, OcspTransport } from "../../revocation/ocspTransport.ts";
import { assembleStatusService, type StatusServiceOptions } from "../../revocation/open.ts";
import { systemTimers } from "../../revocation/timers.ts";
import { type PeerClass, type RevocationPolicy, ruleFor } from "../../trust/revocationPolicy.ts";
import type { StatusVerdict } from "../../trust/statusAnswer.ts";
import type { Certificate } from "../../x509/certificate.ts";
import type { Crl } from "../../x509/crl.ts";
import { parseOcspResponse } from "../../x509/ocsp.ts";
import type { Found, Material } from "./material.ts";

/** A path, and how its status is judged. */
export interface GivenQuestion {
  /** Validated: end entity first, anchor last. */
  path: readonly Certificate[];
  peerClass: PeerClass;
  policy: RevocationPolicy;
  material: Pick<Material, "crls" | "ocspResponses">;
}

/** The verdict by what is given; a method without a CRL or response about a certificate has no source for it. */
export async function statusByGiven(
  { path, peerClass, policy, material }: GivenQuestion,
  options: Omit<StatusServiceOptions, "section" | "policy" | "fetching"> & { section: RevocationSection },
): Promise<StatusVerdict> {
  const crls = named(material.crls);
  const responses = named(newestFirst(material.ocspResponses));
  const issuers = path.slice(0, -1).map((certificate, index) => {
    const issuer = path[index + 1]!;
    const about = [...crls].filter(([, crl]) => mayBeAbout(crl, certificate)).map(([name]) => [name]);
    const operator = { crl: about, ocsp: [...responses.keys()] };
    const rule = { ...ruleFor(policy, peerClass, issuer), origins: ["operator" as const], operator };
    return { issuers: [{ fingerprint: issuer.fingerprint }], rule };
  });
  // For the issuers of CRL issuers, which are in no path of ours.
  const all = { crl: [...crls.keys()].map((name) => [name]), ocsp: [] };
  const otherwise = { ...policy[peerClass].otherwise, origins: ["operator" as const], operator: all };
  const given = { ...policy, [peerClass]: { issuers, otherwise } };
  const { clock, random, section } = options;
  // A response that was kept carries the nonce of somebody else's request, if any.
  const ocsp = { ...section.ocsp, nonce: "off" as const };
  const loader = new ThreadedCrlLoader(random);
  const { service, crls: store } = assembleStatusService(
    { ...options, section: { ...section, ocsp, deadline: DEADLINE }, policy: given, fetching: "asked" },
    {
      clock,
      random,
      timers: systemTimers,
      fetcher: new GivenCrls(crls),
      disk: NO_DISK,
      loader,
      transport: new GivenResponses(responses),
    },
  );
  try {
    return await service.check(path, peerClass);
  } finally {
    service[Symbol.dispose]();
    await store[Symbol.asyncDispose]();
    await loader[Symbol.asyncDispose]();
  }
}

class GivenCrls implements Fetcher {
  readonly #crls: ReadonlyMap<string, Crl>;

  constructor(crls: ReadonlyMap<string, Crl>) {
    this.#crls = crls;
  }

  async fetch(name: string): Promise<Fetched> {
    const crl = this.#crls.get(name);
    if (crl === undefined) return { kind: "failed", problem: { reason: "BadUrl" } };
    // A copy: whoever loads it takes its memory over.
    return { kind: "content", segments: [copyOf(crl.der)], validators: {} };
  }
}

class GivenResponses implements OcspTransport {
  readonly #responses: ReadonlyMap<string, Bytes>;

  constructor(responses: ReadonlyMap<string, Bytes>) {
    this.#responses = responses;
  }

  async ask(name: string): Promise<OcspFetched> {
    const der = this.#responses.get(name);
    return der === undefined ? { ok: false, problem: { reason: "BadUrl" } } : { ok: true, der };
  }
}

/** Of its issuer, or of somebody who lists the certificates of others too. */
function mayBeAbout(crl: Crl, certificate: Certificate): boolean {
  return crl.issuer.equals(certificate.issuer) || crl.issuingDistributionPoint?.indirectCrl === true;
}

/** By where they come from; things of one origin are numbered. */
function named<T>(all: readonly Found<T>[]): Map<string, T> {
  const names = new Map<string, T>();
  for (const { item, origin } of all) {
    let name = origin;
    for (let again = 2; names.has(name); again++) name = `${origin} (${again})`;
    names.set(name, item);
  }
  return names;
}

/** The first that says good or revoked counts, and the newest knows best. */
function newestFirst(responses: readonly Found<Bytes>[]): Found<Bytes>[] {
  const dated = responses.map((found) => ({ found, at: thisUpdateOf(found.item) }));
  return dated.sort((a, b) => b.at - a.at).map(({ found }) => found);
}

function thisUpdateOf(response: Bytes): number {
  try {
    return Math.max(0, ...(parseOcspResponse(response).basic?.responses ?? []).map(({ thisUpdate }) => thisUpdate));
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    return 0;
  }
}

/** Nothing is waited for but our own work on what is at hand. */
const DEADLINE = 600_000;
