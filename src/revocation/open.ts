/** The status service of a process: the configuration, the network, the disk and the threads put together. */
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import type { Logger } from "../observe/log.ts";
import type { Clock, Random } from "../sim/environment.ts";
import type { PeerClass, RevocationPolicy } from "../trust/revocationPolicy.ts";
import { SignatureCache } from "../trust/signatureCache.ts";
import { type Certificate, parseCertificate } from "../x509/certificate.ts";
import { fromPem } from "../x509/pem.ts";
import { policyOf, type RevocationSection } from "./config.ts";
import { type CrlDisk, FolderCrlDisk, NO_DISK } from "./crlDisk.ts";
import { FetcherByScheme, FileCrlFetcher, HttpCrlFetcher } from "./crlFetchers.ts";
import { type CrlLoader, ThreadedCrlLoader } from "./crlLoader.ts";
import { logCrls } from "./crlLog.ts";
import { REFRESH_SCHEDULE } from "./crlRefresh.ts";
import { CrlStore } from "./crlStore.ts";
import type { Fetcher } from "./fetching.ts";
import { HttpExchanger } from "./httpExchange.ts";
import { DurableLastGood, MAX_KNOWN } from "./lastGood.ts";
import { type LastGoodDisk, LastGoodFile } from "./lastGoodFile.ts";
import { LdapCrlFetcher } from "./ldapFetcher.ts";
import { OcspClient } from "./ocspClient.ts";
import { FolderOcspDisk, type OcspDisk } from "./ocspDisk.ts";
import { HttpOcspTransport, type OcspTransport, ocspLimits } from "./ocspTransport.ts";
import { StatusService } from "./statusService.ts";
import { systemTimers, type Timers } from "./timers.ts";

export interface StatusServiceOptions {
  section: RevocationSection;
  /** In place of the section's own rules. */
  policy?: RevocationPolicy;
  /** Folder that the section's paths are relative to. */
  folder: string;
  /** Who may have signed CRLs: the trust anchors and the intermediates that are known. */
  cas: readonly Certificate[];
  /** CRL issuers besides those that the section names. */
  crlSigners?: readonly Certificate[];
  /** `ahead`: configured CRLs are fetched from the beginning on, and kept fresh; `asked`: when a check needs them. */
  fetching?: "ahead" | "asked";
  /** SHA-1 signatures of CRLs and OCSP responses, for old CAs. */
  allowWeakAlgorithms: boolean;
  clock: Clock;
  random: Random;
}

/** The service and its store of CRLs, whose events say what is fetched and what fails. */
export interface OpenStatusService extends AsyncDisposable {
  service: StatusService;
  crls: CrlStore;
}

/** What a status service rests on: the network, the disk and the threads of a process, or of a simulation. */
export interface StatusServiceWorld {
  clock: Clock;
  random: Random;
  timers: Timers;
  fetcher: Fetcher;
  disk: CrlDisk;
  ocspDisk?: OcspDisk;
  lastGoodDisk?: LastGoodDisk;
  loader: CrlLoader;
  transport: OcspTransport;
}

/** The service where a rule for this class of peers checks anything; undefined where nothing is to be checked. */
export function openStatusIfUsed(
  peerClass: PeerClass,
  options: StatusServiceOptions & { log: Logger },
): OpenStatusService | undefined {
  const { issuers, otherwise } = policyOf(options.section)[peerClass];
  if ([otherwise, ...issuers.map(({ rule }) => rule)].every(({ methods }) => methods === "none")) return undefined;
  const opened = openStatusService(options);
  logCrls(options.log, opened.crls);
  return opened;
}

/** Opens the service and begins to fetch the CRLs that are configured; throws for files that cannot be read. */
export function openStatusService(options: StatusServiceOptions): OpenStatusService {
  const { section, folder, clock, random } = options;
  const exchanger = new HttpExchanger();
  const loader = new ThreadedCrlLoader(random);
  const { crl, ocsp } = section;
  const limits = { timeMs: crl.timeLimit, maxBytes: crl.maxBytes };
  const http = new HttpCrlFetcher(exchanger, { ...limits, maxRedirects: crl.maxRedirects });
  const cache = section.cache === undefined ? undefined : resolve(folder, section.cache);
  const ocspDisk = cache === undefined ? undefined : new FolderOcspDisk(join(cache, "ocsp"));
  const { service, crls, lastGood } = assembleStatusService(options, {
    clock,
    random,
    timers: systemTimers,
    fetcher: new FetcherByScheme({
      "http:": http,
      "https:": http,
      "ldap:": new LdapCrlFetcher(limits),
      "file:": new FileCrlFetcher(crl.maxBytes),
    }),
    disk: cache === undefined ? NO_DISK : new FolderCrlDisk(cache),
    ...(ocspDisk === undefined ? {} : { ocspDisk }),
    ...(cache === undefined ? {} : { lastGoodDisk: new LastGoodFile(cache, clock, MAX_KNOWN) }),
    loader,
    transport: new HttpOcspTransport(exchanger, ocspLimits(ocsp.timeLimit)),
  });
  return {
    service,
    crls,
    async [Symbol.asyncDispose]() {
      service[Symbol.dispose]();
      await crls[Symbol.asyncDispose]();
      exchanger[Symbol.dispose]();
      await lastGood?.[Symbol.asyncDispose]();
      await ocspDisk?.[Symbol.asyncDispose]();
      await loader[Symbol.asyncDispose]();
    },
  };
}

/** The service that a section describes, in the world given. */
export function assembleStatusService(
  options: Omit<StatusServiceOptions, "clock" | "random">,
  { clock, random, timers, fetcher, disk, ocspDisk, lastGoodDisk, loader, transport }: StatusServiceWorld,
): { service: StatusService; crls: CrlStore; lastGood: DurableLastGood | undefined } {
  const { section, folder, cas, allowWeakAlgorithms } = options;
  const certificates = (files: readonly string[]) => files.flatMap((file) => readCertificates(resolve(folder, file)));
  const signatureCache = new SignatureCache();
  const { crl, ocsp } = section;
  const leastInterval = Math.min(REFRESH_SCHEDULE.leastInterval, crl.refresh);
  const schedule = { ...REFRESH_SCHEDULE, interval: crl.refresh, leastInterval, tolerance: crl.tolerance };
  const crls = new CrlStore({ clock, random, timers, fetcher, disk, loader, schedule });
  const lastGood = lastGoodDisk === undefined ? undefined : new DurableLastGood(lastGoodDisk, timers);
  const service = new StatusService({
    clock,
    random,
    timers,
    policy: options.policy ?? policyOf(section),
    settings: { ...NOBODY_STAYS, ...section },
    crls,
    crlSettings: {
      tolerance: crl.tolerance,
      allowWeakAlgorithms,
      useDeltas: crl.deltas,
      crlSigners: [...certificates(crl.signers), ...(options.crlSigners ?? [])],
    },
    ocsp: new OcspClient({
      clock,
      random,
      transport,
      ...(ocspDisk === undefined ? {} : { disk: ocspDisk }),
      settings: { ...ocsp, trustedResponders: certificates(ocsp.trustedResponders), allowWeakAlgorithms },
      signatureCache,
    }),
    ...(lastGood === undefined ? {} : { lastGood }),
    signatureCache,
  });
  if (options.fetching !== "asked") service.start(cas);
  return { service, crls, lastGood };
}

function readCertificates(file: string): Certificate[] {
  return fromPem(readFileSync(file, "utf8"), "CERTIFICATE").map(parseCertificate);
}

/** What holds for a role that watches nobody. */
const NOBODY_STAYS = { recheck: 3600_000, disconnectOn: "revoked" } as const;
