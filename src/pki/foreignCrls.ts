/**
 * CRLs of foreign CAs, such as a manufacturer's, for the OCSP front that an operator runs for them (TS 33.320 7.2.2-8).
 *
 * A CRL comes from its CA's server, fetched and kept fresh as a gateway does it, or is brought by `import-crl`, whose
 * file is looked at every few seconds. Only a CRL that covers all certificates of its CA is used: from any other, not to
 * be listed would not mean to be good.
 */
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Bytes } from "../bytes/bytes.ts";
import { FolderCrlDisk, NO_DISK } from "../revocation/crlDisk.ts";
import { FetcherByScheme, FileCrlFetcher, HttpCrlFetcher } from "../revocation/crlFetchers.ts";
import { type LoadedCrl, loadedCrl, ThreadedCrlLoader } from "../revocation/crlLoader.ts";
import { loadCrl } from "../revocation/crlLoading.ts";
import { REFRESH_SCHEDULE, type RefreshProblem } from "../revocation/crlRefresh.ts";
import { CrlStore, type CrlStoreEvent } from "../revocation/crlStore.ts";
import { HttpExchanger } from "../revocation/httpExchange.ts";
import { LdapCrlFetcher } from "../revocation/ldapFetcher.ts";
import { systemTimers } from "../revocation/timers.ts";
import type { Milliseconds } from "../sim/environment.ts";
import type { Certificate } from "../x509/certificate.ts";
import type { Crl } from "../x509/crl.ts";
import { fromPem } from "../x509/pem.ts";
import type { ForeignAuthority } from "./authorities.ts";
import type { Pki } from "./authority.ts";
import type { PkiEnvironment } from "./certify.ts";
import { PkiError } from "./error.ts";
import { writeWholeFile } from "./wholeFile.ts";

/** What a foreign CA's CRL says now. */
export interface ForeignCrlSource {
  /** Changes whenever a CRL does. */
  readonly generation: number;
  /** The CRL in hand, whole in scope, perhaps out of date; undefined where there is none. */
  crlOf(authority: ForeignAuthority): LoadedCrl | undefined;
}

/** What happens to the CRLs. */
export type ForeignCrlEvent =
  | { event: "crl"; ca: string; number: string; entries: number; nextUpdate: Milliseconds }
  | { event: "crlRefused"; ca: string; problem: string }
  | { event: "crlFailed"; ca: string; problem: RefreshProblem; retryAt: Milliseconds };

export class ForeignCrls implements ForeignCrlSource, AsyncDisposable {
  readonly #pki: Pki;
  readonly #tell: (event: ForeignCrlEvent) => void;
  readonly #http = new HttpExchanger();
  readonly #loader: ThreadedCrlLoader;
  readonly #fetched: CrlStore;
  readonly #brought: CrlStore;
  readonly #followed = new Map<string, ForeignAuthority>();
  readonly #inHand = new Map<string, LoadedCrl>();
  #generation = 0;

  constructor(pki: Pki, { clock, random }: PkiEnvironment, tell: (event: ForeignCrlEvent) => void) {
    this.#pki = pki;
    this.#tell = tell;
    this.#loader = new ThreadedCrlLoader(random);
    const limits = { timeMs: 120_000, maxBytes: MAX_BYTES, maxRedirects: 3 };
    const http = new HttpCrlFetcher(this.#http, limits);
    const file = new FileCrlFetcher(MAX_BYTES);
    const parts = { clock, random, timers: systemTimers, loader: this.#loader };
    this.#fetched = new CrlStore({
      ...parts,
      fetcher: new FetcherByScheme({
        "http:": http,
        "https:": http,
        "ldap:": new LdapCrlFetcher(limits),
        "file:": file,
      }),
      disk: new FolderCrlDisk(join(pki.directory, "foreign", "fetched")),
      schedule: REFRESH_SCHEDULE,
    });
    this.#brought = new CrlStore({ ...parts, fetcher: file, disk: NO_DISK, schedule: BROUGHT_SCHEDULE });
    for (const store of [this.#fetched, this.#brought]) store.subscribe((event) => this.#onEvent(store, event));
    this.follow();
  }

  get generation(): number {
    return this.#generation;
  }

  /** Takes up foreign CAs that were imported since. */
  follow(): void {
    for (const authority of this.#pki.authorities()) {
      if (authority.kind === "own") continue;
      const url = sourceOf(this.#pki, authority);
      if (this.#followed.has(url)) continue;
      this.#followed.set(url, authority);
      const store = authority.crlSource === undefined ? this.#brought : this.#fetched;
      store.keep(url, [authority.certificate]);
      void this.#take(store, url);
    }
  }

  crlOf({ name }: ForeignAuthority): LoadedCrl | undefined {
    return this.#inHand.get(name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#fetched[Symbol.asyncDispose]();
    await this.#brought[Symbol.asyncDispose]();
    this.#http[Symbol.dispose]();
    await this.#loader[Symbol.asyncDispose]();
  }

  #onEvent(store: CrlStore, event: CrlStoreEvent): void {
    const ca = this.#followed.get(event.url)?.name;
    if (ca === undefined) return;
    if (event.kind === "adopted") void this.#take(store, event.url);
    else if (event.kind === "failed")
      this.#tell({ event: "crlFailed", ca, problem: event.problem, retryAt: event.retryAt });
  }

  async #take(store: CrlStore, url: string): Promise<void> {
    const authority = this.#followed.get(url)!;
    const { inHand } = await store.obtain(url, [authority.certificate]);
    if (inHand === undefined || this.#inHand.get(authority.name)?.crl === inHand.loaded.crl) return;
    const { crl, index } = inHand.loaded;
    const ca = authority.name;
    const problem = whyPartial(inHand.loaded);
    if (problem !== undefined) return this.#tell({ event: "crlRefused", ca, problem });
    this.#inHand.set(ca, inHand.loaded);
    this.#generation++;
    this.#tell({ event: "crl", ca, number: numberOf(crl), entries: index.size, nextUpdate: nextUpdateOf(crl) });
  }
}

/**
 * Keeps a CRL that a person brings, PEM or DER; gives it as read. Throws PkiError for one that is not this CA's, is out of
 * date or older than the one that is there, or does not cover all of the CA's certificates.
 */
export function importCrl(pki: Pki, authority: ForeignAuthority, file: Bytes, environment: PkiEnvironment): LoadedCrl {
  const { name, certificate, crlSource } = authority;
  if (crlSource !== undefined) throw new PkiError(`the CRL of ${name} is fetched from ${crlSource}`);
  const loaded = readCrl(fromPem(file.toString("latin1"), "X509 CRL")[0] ?? file, certificate, environment);
  const path = broughtFile(pki, name);
  const last = existsSync(path) ? readCrl(readFileSync(path), certificate, environment) : undefined;
  if (last !== undefined && last.crl.thisUpdate > loaded.crl.thisUpdate)
    throw new PkiError(
      `this CRL is of ${dateText(loaded.crl.thisUpdate)}; one of ${dateText(last.crl.thisUpdate)} is here`,
    );
  if (nextUpdateOf(loaded.crl) < environment.clock.now())
    throw new PkiError(`this CRL was good until ${dateText(nextUpdateOf(loaded.crl))}; get the next one`);
  mkdirSync(join(pki.directory, "foreign"), { recursive: true, mode: 0o700 });
  writeWholeFile(path, loaded.crl.der, 0o644);
  return loaded;
}

/** In decimal, as people and OpenSSL write it. */
export function numberOf({ number }: Crl): string {
  return number === undefined ? "none" : BigInt(`0x${number.toString("hex")}`).toString();
}

/** RFC 5280 5.1.2.5: nextUpdate is mandatory; a CRL without one would be good for ever. */
export function nextUpdateOf({ thisUpdate, nextUpdate }: Crl): Milliseconds {
  return nextUpdate ?? thisUpdate;
}

function readCrl(der: Bytes, { subject, spki }: Certificate, { random }: PkiEnvironment): LoadedCrl {
  const outcome = loadCrl([der], [{ name: subject.der, spki }], random);
  if (outcome.ok) {
    const loaded = loadedCrl(outcome);
    const problem = whyPartial(loaded);
    if (problem !== undefined) throw new PkiError(problem);
    return loaded;
  }
  const { problem } = outcome;
  switch (problem.reason) {
    case "UnknownSigner":
      throw new PkiError(`this CRL is from "${problem.issuer}", not from "${subject}"`);
    case "BadSignature":
      throw new PkiError(`the CRL's signature does not verify under the key of "${subject}"`);
    default:
      throw new PkiError(`this is no CRL: ${problem.detail}`);
  }
}

/** Why a CRL does not tell the status of every certificate of the CA. */
function whyPartial({ crl, index }: LoadedCrl): string | undefined {
  if (crl.baseNumber !== undefined) return "this is a delta CRL; the complete one is needed";
  const [unknown = index.unknownCritical] = crl.unknownCritical;
  if (unknown !== undefined) return `this CRL has the critical extension ${unknown}, which is not processed here`;
  if (crl.issuingDistributionPoint !== undefined)
    return "this CRL covers only what its issuing distribution point says; the one of all certificates is needed";
  if (crl.signatureAlgorithm.known?.digest === "sha1") return "this CRL is signed with SHA-1";
  return undefined;
}

function sourceOf(pki: Pki, { name, crlSource }: ForeignAuthority): string {
  return crlSource ?? pathToFileURL(broughtFile(pki, name)).href;
}

function broughtFile(pki: Pki, name: string): string {
  return join(pki.directory, "foreign", `${name}.crl`);
}

function dateText(at: Milliseconds): string {
  return new Date(at).toISOString();
}

/** Octets of a CRL. */
const MAX_BYTES = 256 * 1024 * 1024;
/** How soon a CRL that was brought is used. */
const BROUGHT_SCHEDULE = {
  ...REFRESH_SCHEDULE,
  interval: 5_000,
  leastInterval: 2_000,
  firstRetry: 2_000,
  longestRetry: 5_000,
};
