/**
 * A gateway, devices and an OCSP responder on a simulated network under a virtual clock: the real roles, with nothing of
 * the machine beneath them.
 *
 *     henb 192.0.2.11.. ── World ── 192.0.2.1 segw ── (no network) ── OcspResponder
 */
import { join } from "node:path";
import type { Bytes } from "../../src/bytes/bytes.ts";
import { parseIp } from "../../src/bytes/ip.ts";
import { passesIn, passesOut } from "../../src/esp/hold.ts";
import { deviceConfig } from "../../src/henb/config.ts";
import { type DeviceState, HomeNodeB } from "../../src/henb/device.ts";
import { ocspPolicy } from "../../src/henb/ocspConfig.ts";
import type { StatusNews } from "../../src/henb/statusGuard.ts";
import { PLANE_NEEDS } from "../../src/ipsec/roleShell.ts";
import { OcspResponder } from "../../src/pki/ocspResponder.ts";
import { policyOf } from "../../src/revocation/config.ts";
import { NO_DISK } from "../../src/revocation/crlDisk.ts";
import type { Fetcher, FetchProblem } from "../../src/revocation/fetching.ts";
import type { Ends } from "../../src/revocation/httpExchange.ts";
import type { OcspFetched, OcspTransport } from "../../src/revocation/ocspTransport.ts";
import { assembleStatusService } from "../../src/revocation/open.ts";
import type { StatusService } from "../../src/revocation/statusService.ts";
import type { AaaClient } from "../../src/segw/aaa/client.ts";
import { type GatewayConfig, gatewayConfig } from "../../src/segw/config.ts";
import { type GatewayCredentials, SecurityGateway } from "../../src/segw/gateway.ts";
import { type Link, World } from "../../src/sim/world.ts";
import type { HostingPartyModule } from "../../src/tre/hostingPartyModule.ts";
import { SoftwareTre } from "../../src/tre/softwareTre.ts";
import type { TrustedEnvironment } from "../../src/tre/trustedEnvironment.ts";
import { InlineLoader } from "../revocation/storeWorld.ts";
import { type Credentials, RESPONDER, RESPONDER_ADDRESS, SEGW, SEGW_ADDRESS } from "./credentials.ts";
import { Party, WorldPorts } from "./party.ts";

/** What of a role's YAML file a test changes. */
type Changes = Record<string, unknown>;

export interface WorldOptions {
  seed?: number | string;
  link?: Link;
}

/** The responder as the gateway reaches it: it takes time, and can be made to fail or lie. */
export interface Responder {
  /** URLs asked so far, in order. */
  asked: string[];
  /** Milliseconds. */
  delay: number;
  reachable: (url: string) => boolean;
  /** Changes a response before it is handed out. */
  alter: (response: Bytes, request: Bytes) => Bytes;
}

export class Ecosystem {
  readonly world: World;
  readonly credentials: Credentials;
  readonly responder: Responder = {
    asked: [],
    delay: 20,
    reachable: () => true,
    alter: (response) => response,
  };
  /** Queries of devices, in order, whatever became of them. */
  readonly queries: { url: string; ends: Ends }[] = [];
  /** DNS, as devices ask it. */
  readonly hosts = new Map<string, readonly string[]>([[new URL(RESPONDER).hostname, [RESPONDER_ADDRESS]]]);
  readonly #ocsp: OcspResponder;

  constructor(credentials: Credentials, options: WorldOptions = {}) {
    this.world = new World(options.seed ?? 1, options.link);
    this.credentials = credentials;
    this.#ocsp = new OcspResponder(credentials.pki, this.world);
  }

  /** `aaa`: the AAA server as its client sees it, where one is configured. */
  gateway(
    changes: Changes = {},
    credentials: GatewayCredentials = this.credentials.gateway(),
    aaa: AaaClient | undefined = undefined,
  ): SimulatedGateway {
    return new SimulatedGateway(this, changes, credentials, aaa);
  }

  /** A device at 192.0.2.10 plus `index`, with the files of `folder`; it does nothing before `start`. */
  device(folder: string, changes: Changes = {}, options: DeviceOptions = {}): SimulatedDevice {
    return new SimulatedDevice(this, folder, changes, options);
  }

  /** Lets the world go on until `done` holds; throws after `within` milliseconds of virtual time. */
  async until(what: string, done: () => boolean, within = 120_000): Promise<void> {
    if (!(await this.world.runUntilSettled(done, within))) throw new Error(`${what}: not within ${within} ms`);
  }

  /** Lets `duration` milliseconds pass. */
  async pass(duration: number): Promise<void> {
    await this.world.runUntilSettled(() => false, duration);
  }

  /** Lets the world go on until a promise is there. */
  async during<T>(promise: Promise<T>, within = 120_000): Promise<T> {
    let settled = false;
    const watched = promise.finally(() => {
      settled = true;
    });
    // Handled below as well; without this a rejection would count as unhandled in between.
    watched.catch(() => undefined);
    await this.until("a promise", () => settled, within);
    return watched;
  }

  /** Device status by the policy of a gateway's configuration, in this world; undefined where it checks nothing. */
  statusService({ revocation }: GatewayConfig, { deviceRoots }: GatewayCredentials): StatusService | undefined {
    if (policyOf(revocation).device.otherwise.methods === "none") return undefined;
    const { world } = this;
    const { random } = world;
    const { service } = assembleStatusService(
      { section: revocation, folder: "/", cas: deviceRoots, allowWeakAlgorithms: false },
      {
        clock: world,
        random,
        timers: world,
        fetcher: NO_CRLS,
        disk: NO_DISK,
        loader: new InlineLoader(random),
        transport: this.ocspTransport,
      },
    );
    return service;
  }

  /** A query of a device, which comes through only where its tunnel or its lack of one lets it. */
  async bringQuery(device: SimulatedDevice, url: string, request: Bytes, ends: Ends): Promise<OcspFetched> {
    this.queries.push({ url, ends });
    const passes = () =>
      ends.local === undefined || device.carries(ends.local, ends.remote, Number(new URL(url).port) || 80);
    if (!passes()) return { ok: false, problem: NO_ROUTE };
    const fetched = await this.ocspTransport.ask(url, request, "post");
    return passes() ? fetched : { ok: false, problem: NO_ROUTE };
  }

  /** What the system's resolver says. */
  async resolve(host: string): Promise<readonly string[]> {
    const addresses = this.hosts.get(host);
    if (addresses === undefined) throw new Error("ENOTFOUND");
    return addresses;
  }

  readonly ocspTransport: OcspTransport = {
    ask: (url, request) => {
      const { responder, world } = this;
      responder.asked.push(url);
      return new Promise((resolve) => {
        if (responder.reachable(url))
          world.after(responder.delay, () =>
            resolve({ ok: true, der: responder.alter(this.#ocsp.answer(request).der, request) }),
          );
        else world.after(UNREACHABLE_AFTER, () => resolve({ ok: false, problem: OUT_OF_TIME }));
      });
    },
  };
}

export class SimulatedGateway extends Party {
  readonly gateway: SecurityGateway;
  /** Typed reasons of the devices it sent away. */
  readonly lost: string[] = [];

  constructor(eco: Ecosystem, changes: Changes, credentials: GatewayCredentials, aaa: AaaClient | undefined) {
    super();
    const { world } = eco;
    const config = gatewayConfig.parse({
      name: SEGW,
      listen: [SEGW_ADDRESS],
      credentials: { chain: "chain", key: "key" },
      trust: { roots: ["roots"] },
      ike: PATIENT,
      ownStatus: { send: "path" },
      revocation: { device: BY_OCSP },
      protected: ["10.40.0.0/24"],
      pool: { blocks: ["10.64.0.0/24"], dns: ["10.40.0.53"] },
      log: { messages: true },
      ...changes,
    });
    this.gateway = new SecurityGateway({
      config,
      credentials,
      clock: world,
      random: world.random,
      timers: world,
      ocspTransport: eco.ocspTransport,
      status: eco.statusService(config, credentials),
      aaa,
      onGranted: () => undefined,
      onGrantChanged: () => undefined,
      onAaaProblem: () => undefined,
      onDeviceLost: (_sa, refusal) => this.lost.push(refusal.reason),
      postJson: async () => undefined,
      plane: PLANE_NEEDS,
      onEvent: this.onEvent,
      onFault: this.onFault,
      exportKeys: true,
    });
    this.gateway.service.connect(new WorldPorts(world, SEGW_ADDRESS, this.gateway.service), this.plane);
  }

  get service() {
    return this.gateway.service;
  }

  /** Typed reasons of the devices it refused, in order. */
  get refusals(): string[] {
    return this.of("failed").map(({ refusal }) => refusal.reason);
  }
}

export interface DeviceOptions {
  index?: number;
  /** Authenticates after the device (TS 33.320 A.2). */
  hostingParty?: HostingPartyModule;
  /** Puts something in the TrE's place that is not as it should be. */
  tre?: (tre: TrustedEnvironment) => TrustedEnvironment;
}

export class SimulatedDevice extends Party {
  readonly device: HomeNodeB;
  readonly address: string;
  readonly states: DeviceState[] = [];
  /** How often it looked for a way to its gateway, and so might have asked DNS. */
  pathsSought = 0;
  /** What it learnt of its gateway's status after it was authenticated. */
  readonly statusNews: StatusNews[] = [];
  readonly #ports: WorldPorts;

  constructor(eco: Ecosystem, folder: string, changes: Changes, options: DeviceOptions) {
    super();
    const { index = 1, tre = (it) => it, hostingParty } = options;
    this.address = `192.0.2.${10 + index}`;
    const config = deviceConfig.parse({
      tre: { directory: join(folder, "tre"), files: join(folder, "files") },
      gateway: { name: SEGW, addresses: [SEGW_ADDRESS] },
      ike: PATIENT,
      ocsp: { inBand: "path" },
      reach: ["10.40.0.0/24"],
      // Long enough to have the Delete answered on any network of these tests.
      shutdownLimit: "5m",
      log: { messages: true },
      ...changes,
    });
    const { world } = eco;
    const policy = {
      clock: world,
      acceptedHashes: [2, 3, 4],
      allowWeakAlgorithms: false,
      ...ocspPolicy(config.ocsp),
    };
    const software = new SoftwareTre(config.tre.directory, config.tre.files, policy, world.random);
    this.device = new HomeNodeB({
      hostingParty,
      config,
      tre: tre(software),
      clock: world,
      random: world.random,
      timers: world,
      plane: PLANE_NEEDS,
      nextPath: async () => {
        this.pathsSought += 1;
        return {
          local: { address: this.address, port: 500 },
          remote: { address: SEGW_ADDRESS, port: 500 },
          natT: false,
          natPorts: { local: 4500, remote: 4500 },
        };
      },
      onEvent: this.onEvent,
      onFault: this.onFault,
      onState: (state) => void this.states.push(state),
      onChild: () => undefined,
      statusNetwork: {
        resolve: async (host) => eco.resolve(host),
        ask: (url, request, _method, ends) => eco.bringQuery(this, url, request, ends),
      },
      tunnelReady: async () => undefined,
      onStatus: (news) => void this.statusNews.push(news),
      exportKeys: true,
    });
    this.#ports = new WorldPorts(world, this.address, this.device.service);
    this.device.service.connect(this.#ports, this.plane);
  }

  get service() {
    return this.device.service;
  }

  get state(): DeviceState["kind"] {
    return this.device.state.kind;
  }

  get isAttached(): boolean {
    return this.state === "Attached" && this.plane.children.size === 1;
  }

  /** Inner addresses, if it is attached. */
  get addresses(): readonly string[] {
    return this.device.state.kind === "Attached" ? this.device.state.addresses : [];
  }

  /** Typed reasons of its attempts that failed, in order. */
  get refusals(): string[] {
    return this.of("failed").map(({ refusal }) => refusal.reason);
  }

  /** True if a TCP connection between these ends passes through its tunnel and back. */
  carries(local: string, remote: string, remotePort: number): boolean {
    const [own, other] = [parseIp(local)!, parseIp(remote)!];
    const rest = { version: 4, length: 40, protocol: 6 } as const;
    const out = { ...rest, source: own, destination: other, sourcePort: 50_000, destinationPort: remotePort };
    const back = { ...rest, source: other, destination: own, sourcePort: remotePort, destinationPort: 50_000 };
    const spec = this.children.at(-1);
    return spec !== undefined && (spec.hold === undefined || (passesOut(spec.hold, out) && passesIn(spec.hold, back)));
  }

  start(): Promise<void> {
    return this.device.start();
  }

  /** Ends as by loss of power: nobody hears. */
  crash(): void {
    this.#ports.open = false;
  }
}

/** Retransmissions that outlast a network that loses every fifth datagram. */
const PATIENT = { retransmission: { initial: "500ms", factor: 1.3, tries: 14 } };
/** Milliseconds. */
const UNREACHABLE_AFTER = 5_000;
const NO_ROUTE: FetchProblem = { reason: "Unreachable", detail: "no route to host" };
const OUT_OF_TIME: FetchProblem = { reason: "TimedOut", limitMs: UNREACHABLE_AFTER };

/** Devices by the responder that their certificates name. */
export const BY_OCSP = { methods: "ocsp", scope: "leaf", origins: ["certificate"] };

/** There are no CRLs in this world. */
const NO_CRLS: Fetcher = {
  fetch: async () => ({ kind: "failed", problem: { reason: "BadStatus", status: 404 } }),
};
