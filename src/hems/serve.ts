/** The H(e)MS as a process: configuration, certificates, HTTPS and log around `ManagementServer`. */
import { constants } from "node:crypto";
import { readFileSync } from "node:fs";
import type { TlsOptions } from "node:tls";
import { type BoundedTlsServer, listenBoundedTls } from "../http/boundedTlsServer.ts";
import { TLS_PROFILE } from "../http/tlsProfile.ts";
import { type OwnCredentials, readOwnCredentials } from "../ipsec/ownCredentials.ts";
import { RoleFileError, readCertificates, readConfig } from "../ipsec/roleFiles.ts";
import type { RoleEnvironment } from "../ipsec/roleShell.ts";
import { profilePolicy } from "../ipsec/settings.ts";
import { createLogger, type Logger } from "../observe/log.ts";
import { StrangerLog } from "../observe/strangerLog.ts";
import { HttpExchanger } from "../revocation/httpExchange.ts";
import { HttpOcspTransport, type OcspTransport, ocspLimits } from "../revocation/ocspTransport.ts";
import { openStatusIfUsed } from "../revocation/open.ts";
import { OwnStatus } from "../revocation/ownStatus.ts";
import { SignatureCache } from "../trust/signatureCache.ts";
import type { Certificate } from "../x509/certificate.ts";
import { toPem } from "../x509/pem.ts";
import { type HemsConfig, hemsConfig } from "./config.ts";
import { logEvent } from "./eventLog.ts";
import { type ManagementHandler, NOTHING_TO_DO } from "./handler.ts";
import { ManagementServer } from "./managementServer.ts";

export interface RunningHems {
  server: ManagementServer;
  /** Ports in the order of the configuration. */
  ports: readonly number[];
  stop(): Promise<void>;
}

export interface ServeOptions {
  /** Takes each log line. */
  write(line: string): void;
  handler?: ManagementHandler;
}

/** Starts the H(e)MS that a configuration file describes; throws typed errors that say what to put right. */
export async function serveHems(
  file: string,
  environment: RoleEnvironment,
  { write, handler = NOTHING_TO_DO }: ServeOptions,
): Promise<RunningHems> {
  const { config, at } = readConfig(hemsConfig, file);
  const { clock, random, timers } = environment;
  const log = createLogger(config.log, "hems", clock, write);
  const own = readCredentials(config, at);
  const roots = config.trust.roots.flatMap((path) => readCertificates(at(path)));
  const { allowWeakAlgorithms } = config.trust;
  const exchanger = new HttpExchanger();
  const stapling = ownStatus(config, at, own, environment, exchanger, log);
  const status = openStatusIfUsed("device", {
    section: config.revocation,
    folder: at("."),
    cas: roots,
    allowWeakAlgorithms,
    clock,
    random,
    log,
  });
  const profile = profilePolicy(config.profile, "henb-tls");
  const strangers = new StrangerLog(clock);
  const server = new ManagementServer({
    // 8.3.2.1: as a gateway's, at most four certificates.
    policy: { clock, roots, maxPath: 4, allowWeakAlgorithms, signatureCache: new SignatureCache(), profile },
    status: status?.service,
    handler,
    clock,
    timers,
    connectionAge: config.limits.connectionAge,
    bodyBytes: config.limits.bodyBytes,
    onEvent: (event) => logEvent(log, strangers, event),
  });
  const listeners: BoundedTlsServer[] = [];
  let cancelRotation = () => {};
  const stop = async () => {
    cancelRotation();
    server.close();
    await Promise.all(listeners.map((listener) => listener.close()));
    await status?.[Symbol.asyncDispose]();
    exchanger[Symbol.dispose]();
  };
  try {
    for (const listen of config.listen)
      listeners.push(
        await listenBoundedTls(
          listen,
          tlsOptions(config, own, roots),
          {
            admit: (socket) => server.admit(socket),
            handle: (request, response) => server.handle(request, response),
            onFailure: (error) => fault(log, "a request could not be answered", error),
            onTurnedAway: (from, problem) => log.debug({ event: "turnedAway", from, problem }, `${from}: ${problem}`),
            staple: stapling && (async () => (await stapling.responses())[0]),
          },
          config.limits,
        ),
      );
  } catch (error) {
    await stop();
    throw error;
  }
  // RFC 9325 3.4: whoever steals the key of tickets reads TLS 1.2 sessions as far back as it was used.
  const rotate = () => {
    const key = Buffer.from(random.bytes(TICKET_KEY));
    for (const listener of listeners) listener.useTicketKey(key);
    cancelRotation = timers.after(config.tls.resumption, rotate);
  };
  if (config.tls.resumption > 0) rotate();
  const bound = listeners.map(({ address, port }) => ({ address, port }));
  log.info(
    { event: "listening", bound, name: config.name },
    `${config.name} serves ${bound.map(({ address, port }) => `${address} port ${port}`).join(", ")}`,
  );
  return {
    server,
    ports: listeners.map(({ port }) => port),
    async stop() {
      log.info({ event: "stopping", sessions: server.sessions }, `stopping: ${server.sessions} sessions are ended`);
      await stop();
      log.info({ event: "stopped" }, "stopped");
    },
  };
}

function readCredentials({ credentials, name }: HemsConfig, at: (path: string) => string): OwnCredentials {
  const file = at(credentials.chain);
  const own = readOwnCredentials({ chain: file, key: at(credentials.key) }, name);
  // TS 33.320 8.3.3.1-3.
  const { commonName } = own.chain[0]!.subject;
  if (commonName?.toLowerCase() !== name.toLowerCase())
    throw new RoleFileError(
      `the certificate in ${file} has the common name "${commonName ?? ""}" instead of "${name}", which TS 33.320 8.3.3.1 asks for`,
    );
  return own;
}

function tlsOptions({ tls }: HemsConfig, { chain, key }: OwnCredentials, roots: readonly Certificate[]): TlsOptions {
  const { resumption, minVersion } = tls;
  return {
    ...TLS_PROFILE,
    minVersion,
    cert: pemOf(chain),
    key: key.export({ type: "pkcs8", format: "pem" }),
    // They are named to devices that have several certificates; the verdict is ours.
    ca: roots.map((root) => pemOf([root])),
    requestCert: true,
    rejectUnauthorized: false,
    // Without tickets nothing is resumed, since no sessions are kept here.
    secureOptions: TLS_PROFILE.secureOptions | (resumption === 0 ? constants.SSL_OP_NO_TICKET : 0),
    ...(resumption === 0 ? {} : { sessionTimeout: Math.ceil(resumption / 1000) }),
  };
}

function pemOf(certificates: readonly Certificate[]): string {
  return certificates.map(({ der }) => toPem("CERTIFICATE", der)).join("");
}

/** Our own response to staple, the first of them on its way already; undefined where none is to be stapled. */
function ownStatus(
  { ownStatus: section, credentials, trust }: HemsConfig,
  at: (path: string) => string,
  { chain }: OwnCredentials,
  { clock }: RoleEnvironment,
  exchanger: HttpExchanger,
  log: Logger,
): OwnStatus | undefined {
  const { staple, url, file, refreshAfter, tolerance } = section;
  if (!staple) return undefined;
  const kept = new OwnStatus({
    chain,
    roots: credentials.roots.flatMap((path) => readCertificates(at(path))),
    // TLS 1.2 has room for the end entity's alone, and OpenSSL sends no other in TLS 1.3 either.
    depth: "leaf",
    url: file === undefined ? url : at(file),
    tolerance,
    refreshAfter,
    restAfterFailure: REST,
    allowWeakAlgorithms: trust.allowWeakAlgorithms,
    clock,
    transport: file === undefined ? new HttpOcspTransport(exchanger, ocspLimits(OCSP_TIME_LIMIT)) : FROM_FILE,
    onProblem: (message) => fault(log, "no OCSP response for our own certificate", message),
  });
  void kept.responses();
  return kept;
}

/** A response that somebody else fetches and puts there. */
const FROM_FILE: OcspTransport = {
  async ask(file) {
    try {
      return { ok: true, der: readFileSync(file) };
    } catch (error) {
      const detail = `the file cannot be read (${(error as NodeJS.ErrnoException).code ?? error})`;
      return { ok: false, problem: { reason: "Unreachable", detail } };
    }
  },
};

function fault(log: Logger, what: string, error: unknown): void {
  const problem = error instanceof Error ? error.message : String(error);
  log.error({ event: "fault", problem }, `${what}: ${problem}`);
}

/** Octets, as OpenSSL takes them. */
const TICKET_KEY = 48;
/** Milliseconds after a failure in which no handshake, which strangers can begin, leads to a fetch of our own status. */
const REST = 10_000;
/** Milliseconds for a query about our own certificate. */
const OCSP_TIME_LIMIT = 5_000;
