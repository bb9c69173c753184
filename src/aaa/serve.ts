/** The AAA server as a process: configuration, database, sockets and log around `AaaServer`. */
import { readFileSync } from "node:fs";
import type { Bytes } from "../bytes/bytes.ts";
import { makeErrorAnswer } from "../diameter/codec/commands.ts";
import { Application, ResultCode, VENDOR_3GPP } from "../diameter/codec/numbers.ts";
import { reportMessages } from "../diameter/transport/messageRecord.ts";
import { DiameterService } from "../diameter/transport/service.ts";
import { KDF_1 } from "../eap/aka/variant.ts";
import { describeEap } from "../eap/describe.ts";
import type { BoundedServer } from "../http/boundedServer.ts";
import type { TlsCredentials } from "../http/mutualTls.ts";
import { readConfig } from "../ipsec/roleFiles.ts";
import { createLogger, type Logger } from "../observe/log.ts";
import { StrangerLog } from "../observe/strangerLog.ts";
import type { ClientSettings } from "../radius/core/server.ts";
import { RadiusListener } from "../radius/transport/listener.ts";
import { reportPackets } from "../radius/transport/messageRecord.ts";
import { RadiusRequester } from "../radius/transport/requester.ts";
import type { Clock, Random } from "../sim/environment.ts";
import { PostgresDatabase } from "../store/postgres.ts";
import { type Database, integer, sql } from "../store/sql.ts";
import { SqliteDatabase } from "../store/sqlite.ts";
import { Accounting } from "./accounting.ts";
import { type AaaConfig, aaaConfig } from "./config.ts";
import { Devices } from "./devices.ts";
import { DiameterFront } from "./diameter.ts";
import { type Hss, LocalHss } from "./hss/hss.ts";
import { Subscribers } from "./hss/subscribers.ts";
import { answerDeregistration, SwxClient, SwxServer } from "./hss/swx.ts";
import { Identities } from "./identities.ts";
import { serveProvisioning } from "./provisioning.ts";
import { Pseudonyms } from "./pseudonyms.ts";
import { RadiusFront } from "./radius.ts";
import { type AaaEvent, AaaServer } from "./server.ts";
import { makeTables } from "./tables.ts";

/** A configuration or file that the AAA server cannot work with; the message says what to put right. */
class AaaSetupError extends Error {
  override readonly name = "AaaSetupError";
}

export interface RunningAaa {
  server: AaaServer;
  /** Ports that the system chose, in the order of the configuration. */
  ports: { diameter: number[]; radius: number[]; radsec: number[]; admin: number | undefined };
  stop(): Promise<void>;
}

/** Opens the database that a configuration names, with its tables. Throws typed errors. */
export async function openDatabase(config: AaaConfig, at: (path: string) => string): Promise<Database> {
  const isUrl = /^postgres(ql)?:/.test(config.database);
  const database = isUrl ? await PostgresDatabase.open(config.database) : new SqliteDatabase(at(config.database));
  await makeTables(database);
  return database;
}

/** Starts the AAA server that a configuration file describes; throws typed errors that say what to put right. */
export async function serveAaa(
  file: string,
  environment: { clock: Clock; random: Random },
  write: (line: string) => void,
): Promise<RunningAaa> {
  const { config, at } = readConfig(aaaConfig, file);
  const log = createLogger(config.log, "aaa", environment.clock, write);
  const database = await openDatabase(config, at);
  const pseudonyms = await Pseudonyms.open(database, environment.clock, environment.random);
  const running = new Aaa(config, at, environment, database, pseudonyms, log);
  try {
    await running.start();
  } catch (error) {
    await running.stop();
    throw error;
  }
  const { ports } = running;
  log.info({ event: "listening", ...ports }, `the AAA server listens: ${JSON.stringify(ports)}`);
  return { server: running.server, ports, stop: () => running.stop() };
}

class Aaa {
  readonly server: AaaServer;
  readonly ports: RunningAaa["ports"] = { diameter: [], radius: [], radsec: [], admin: undefined };
  readonly #config: AaaConfig;
  readonly #at: (path: string) => string;
  readonly #environment: { clock: Clock; random: Random };
  readonly #database: Database;
  readonly #pseudonyms: Pseudonyms;
  readonly #log: Logger;
  readonly #strangers: StrangerLog;
  readonly #subscribers: Subscribers | undefined;
  readonly #devices: Devices;
  readonly #hss: Hss;
  readonly #requesters = new Map<string, RadiusRequester>();
  #swx: SwxServer | undefined;
  #diameter: DiameterService | undefined;
  #radius: RadiusListener | undefined;
  #admin: BoundedServer | undefined;
  #sweeping: NodeJS.Timeout | undefined;

  constructor(
    config: AaaConfig,
    at: (path: string) => string,
    environment: { clock: Clock; random: Random },
    database: Database,
    pseudonyms: Pseudonyms,
    log: Logger,
  ) {
    this.#config = config;
    this.#at = at;
    this.#environment = environment;
    this.#database = database;
    this.#pseudonyms = pseudonyms;
    this.#log = log;
    this.#strangers = new StrangerLog(environment.clock);
    const { clock, random } = environment;
    const { policy, eap, limits, hss } = config;
    this.#devices = new Devices(database, policy);
    this.#subscribers = hss.kind === "local" ? new Subscribers(database) : undefined;
    this.#hss =
      this.#subscribers !== undefined
        ? new LocalHss(this.#subscribers, random)
        : new SwxClient({
            identity: this.#identity,
            realm: hss.kind === "swx" ? hss.realm : "",
            host: hss.kind === "swx" ? hss.host : undefined,
            random,
            service: () => this.#service,
          });
    const { methods, reauthRealm, ...aka } = eap;
    this.server = new AaaServer({
      clock,
      random,
      hss: this.#hss,
      devices: this.#devices,
      identities: new Identities(pseudonyms),
      accounting: new Accounting(database, clock),
      aka: { ...aka, reauthRealm, keyDerivations: [KDF_1] },
      methods,
      sessionTimeout: Math.ceil(policy.sessionTimeout / 1000),
      oneSessionPerDevice: policy.oneSessionPerDevice,
      limits,
      onEvent: (event) => this.#report(event),
    });
  }

  async start(): Promise<void> {
    const { diameter, radius, admin } = this.#config;
    const tls = this.#readTls();
    if (diameter !== undefined) await this.#startDiameter(diameter, tls);
    if (radius !== undefined) await this.#startRadius(radius, tls);
    if (admin !== undefined) {
      this.#admin = await serveProvisioning({
        listen: admin.listen,
        token: this.#readSecret(admin.tokenFile),
        subscribers: this.#subscribers,
        devices: this.#devices,
        aaa: this.server,
        onSubscriberGone: (imsi) => this.#subscriberGone(imsi),
      });
      this.ports.admin = this.#admin.port;
    }
    this.#sweeping = setInterval(() => {
      this.server.sweep();
      this.#pseudonyms.renew().catch((error) => this.#fault(error));
    }, SWEEP_INTERVAL);
  }

  async stop(): Promise<void> {
    clearInterval(this.#sweeping);
    await this.#admin?.close();
    await this.#radius?.close();
    for (const requester of this.#requesters.values()) requester.close();
    await this.#diameter?.close();
    await this.#database.close();
    this.#log.info({ event: "stopped" }, "stopped");
  }

  async #startDiameter(section: NonNullable<AaaConfig["diameter"]>, tls: TlsCredentials | undefined): Promise<void> {
    const { host, realm, listen, peers, watchdog, answerWithin } = section;
    const local = this.#config.hss.kind === "local" && this.#config.hss.serve;
    const front = new DiameterFront(
      this.server,
      this.#identity,
      () => this.#service,
      (error) => this.#fault(error),
    );
    const swx = new SwxServer(this.#hss, this.#identity, () => this.#service);
    if (local) this.#swx = swx;
    const hssClients = new Set(peers.filter((peer) => peer.hssClient).map((peer) => peer.host.toLowerCase()));
    const needsSwx = local || this.#config.hss.kind === "swx";
    this.#diameter = await DiameterService.start({
      ...this.#environment,
      identity: {
        host,
        realm,
        addresses: [...new Set(listen.map(({ address }) => address))],
        product: "Femtogate AAA",
        vendor: 0,
        originStateId: await this.#countRestart(),
      },
      spoken: [
        { id: Application.SWm, vendor: VENDOR_3GPP, accounting: false },
        { id: Application.baseAccounting, vendor: 0, accounting: true },
        ...(needsSwx ? [{ id: Application.SWx, vendor: VENDOR_3GPP, accounting: false }] : []),
      ],
      peers: peers.map((peer) => ({
        host: peer.host,
        realm: peer.realm ?? realm,
        connect: peer.connect !== undefined,
        priority: peer.priority,
      })),
      timers: { watchdog, answer: answerWithin },
      listen,
      endpoints: new Map(
        peers.flatMap((peer) => (peer.connect === undefined ? [] : [[peer.host.toLowerCase(), peer.connect]])),
      ),
      tls,
      onRequest: (message, peer, answer) => {
        if (message.header.application !== Application.SWx) void front.answer(message, peer).then(answer);
        else if (local && hssClients.has(peer)) void swx.answer(message).then(answer);
        else if (local)
          answer(
            makeErrorAnswer(message, this.#identity, {
              resultCode: ResultCode.AUTHORIZATION_REJECTED,
              message: "not a client of this HSS",
            }),
          );
        else answer(answerDeregistration(message, this.#identity, (imsi) => this.#subscriberGone(imsi)));
      },
      onEvent: (event) => this.#log.info({ event: event.kind, detail: event }, `Diameter: ${event.kind}`),
      trace: this.#config.log.messages
        ? reportMessages(({ record, text }) => this.#log.info(record, text), describeEap)
        : undefined,
    });
    this.ports.diameter = this.#diameter.addresses().map(({ port }) => port);
  }

  async #startRadius(section: NonNullable<AaaConfig["radius"]>, tls: TlsCredentials | undefined): Promise<void> {
    const clients: ClientSettings[] = [];
    const trace = this.#config.log.messages
      ? reportPackets(({ record, text }) => this.#log.info(record, text), describeEap)
      : undefined;
    for (const { name, block, secretFile, certificate, dynamicAuthorization } of section.clients) {
      if (certificate !== undefined) clients.push({ name, by: { kind: "certificate", fqdn: certificate } });
      if (block === undefined || secretFile === undefined) continue;
      const secret: Bytes = Buffer.from(this.#readSecret(secretFile), "utf8");
      clients.push({ name, by: { kind: "address", block, secret } });
      if (dynamicAuthorization === undefined) continue;
      const server = { ...dynamicAuthorization, name, transport: "udp", secret } as const;
      this.#requesters.set(
        name,
        new RadiusRequester({
          ...this.#environment,
          servers: [server],
          onEvent: (event) => this.#log.info({ event: event.kind, detail: event }, `RADIUS: ${event.kind} ${name}`),
          trace,
        }),
      );
    }
    const front = new RadiusFront({
      aaa: this.server,
      ...this.#environment,
      requesterFor: (client) => this.#requesters.get(client),
      onFault: (error) => this.#fault(error),
    });
    this.#radius = await RadiusListener.start({
      ...this.#environment,
      clients,
      udp: [
        ...section.authentication.map((where) => ({ ...where, purpose: "authentication" }) as const),
        ...section.accounting.map((where) => ({ ...where, purpose: "accounting" }) as const),
      ],
      radsec: section.radsec,
      tls,
      trace,
      onRequest: (request, answer) => void front.answer(request).then(answer),
      onDrop: (reason, message) =>
        this.#strangers.say((more, tail) =>
          this.#log.warn({ event: "dropped", reason, ...more }, `RADIUS ${reason}: ${message}${tail}`),
        ),
    });
    const { udp, radsec } = this.#radius.ports();
    this.ports.radius = udp;
    this.ports.radsec = radsec;
  }

  /** A subscription is over: its sessions here end, and an AAA server that registered for it hears of it. */
  #subscriberGone(imsi: string): void {
    for (const session of [...this.server.sessions.all()].filter(({ subscriber }) => subscriber === imsi))
      void this.server.detach(session, "subscriptionEnded");
    void this.#swx?.deregister(imsi);
  }

  get #service(): DiameterService {
    if (this.#diameter === undefined) throw new AaaSetupError("Diameter is not served");
    return this.#diameter;
  }

  get #identity(): { host: string; realm: string } {
    const { host = "", realm = "" } = this.#config.diameter ?? {};
    return { host, realm };
  }

  /** Origin-State-Id: one more than at the last start (RFC 6733 8.16). */
  async #countRestart(): Promise<number> {
    const [row] = await this.#database.rows(
      sql`INSERT INTO restart (name, count) VALUES ('aaa', 1) ON CONFLICT (name) DO UPDATE SET count = restart.count + 1
          RETURNING count`,
    );
    return integer(row!, "count");
  }

  #readTls(): TlsCredentials | undefined {
    const { tls } = this.#config;
    if (tls === undefined) return undefined;
    return {
      certificates: this.#read(tls.chain),
      key: this.#read(tls.key),
      authorities: tls.roots.map((root) => this.#read(root)).join("\n"),
    };
  }

  #readSecret(path: string): string {
    const secret = this.#read(path).trim();
    // RFC 2865 3: a secret that can be guessed lets anybody in.
    if (secret.length < MIN_SECRET)
      throw new AaaSetupError(`${this.#at(path)} holds a secret of less than ${MIN_SECRET} characters`);
    return secret;
  }

  #read(path: string): string {
    try {
      return readFileSync(this.#at(path), "utf8");
    } catch (error) {
      throw new AaaSetupError(`cannot read ${this.#at(path)}: ${error instanceof Error ? error.message : error}`);
    }
  }

  #fault(error: unknown): void {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    this.#log.error({ event: "fault" }, `a request could not be answered: ${text}`);
  }

  #report(event: AaaEvent): void {
    switch (event.kind) {
      case "accepted":
        return this.#log.info(
          { event: "accepted", ...event },
          `${event.subscriber ?? event.device ?? event.session} accepted`,
        );
      case "refused":
        return this.#log.warn(
          { event: "refused", ...event },
          `${event.user ?? event.device ?? "?"} refused: ${event.message}`,
        );
      case "ended":
        return this.#log.info({ event: "ended", ...event }, `session ${event.session} ended: ${event.cause}`);
    }
  }
}

const SWEEP_INTERVAL = 10_000;
const MIN_SECRET = 16;
