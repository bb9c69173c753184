/**
 * The lab: makes a PKI, starts every role as a process of its own, lets devices attach by the call flows of TS 33.320
 * Annex A, shows what passes, and says whether all ended as it should.
 */
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { whyNoTun } from "../esp/planes/tunDevice.ts";
import type { KeyKind } from "../pki/authority.ts";
import type { Clock, Random } from "../sim/environment.ts";
import { createEcosystem, type Ecosystem, GATEWAY_NAME, HEMS_NAME, type LabDevice } from "./ecosystem.ts";
import { type FlowResult, type Summary, summarize } from "./flow.ts";
import { LabLadder } from "./labLadder.ts";
import { loopbackPlaces, namespacePlaces, namespacesWork, type Places } from "./places.ts";
import type { PlannedDevice } from "./plan.ts";
import type { Report } from "./report.ts";
import { RoleFailed, RoleProcess, type RoleRecord } from "./roleProcess.ts";
import { AAA_NAME, HSS_NAME } from "./subscribers.ts";

export interface LabOptions {
  /** Where to make everything; undefined makes a temporary folder and removes it at the end. */
  directory: string | undefined;
  plan: readonly PlannedDevice[];
  keys: KeyKind;
  capture: { file: string; withKeys: boolean } | undefined;
  clock: Clock;
  random: Random;
  report: Report;
}

/** The lab cannot run here; says why and what to do. */
export class LabError extends Error {
  override readonly name = "LabError";
}

export class Lab {
  readonly #options: LabOptions;
  readonly #roles: RoleProcess[] = [];
  readonly #leftOut: string[] = [];
  /** What the gateway said of a device's attempt, by event and identity. */
  readonly #told = new Map<string, RoleRecord>();
  #ladder: LabLadder | undefined;
  #gateway: RoleProcess | undefined;
  #places: Places | undefined;
  #directory: string | undefined;
  #running: Promise<Summary> | undefined;
  /** There is an H(e)MS that devices can reach. */
  #managed = false;
  #stopping = false;

  constructor(options: LabOptions) {
    this.#options = options;
  }

  /** Starts everything and runs all flows; the roles go on until `stop`. Rejects with LabError where it cannot. */
  run(): Promise<Summary> {
    this.#running = this.#run();
    return this.#running;
  }

  /** Ends every role, devices first, and removes what was made; also while `run` is still at it. */
  async stop(): Promise<void> {
    this.#stopping = true;
    const [pki, hss, aaa, gateway, ...others] = this.#roles;
    await Promise.all(others.map((role) => role.stop()));
    await gateway?.stop();
    await aaa?.stop();
    await hss?.stop();
    await pki?.stop();
    await this.#running?.catch(() => undefined);
    this.#options.report.flush();
    this.#places?.close();
    if (this.#options.directory === undefined && this.#directory !== undefined)
      rmSync(this.#directory, { recursive: true, force: true });
  }

  async #run(): Promise<Summary> {
    const { report, plan, keys, clock, random } = this.#options;
    const directory = this.#openDirectory();
    const places = await this.#choosePlaces();
    this.#places = places;
    const dataPlane = await this.#chooseDataPlane(places);
    const ecosystem = await createEcosystem({
      directory,
      places,
      plan,
      keys,
      dataPlane,
      poolBlock: POOL,
      clock,
      random,
    });
    this.#ladder = new LabLadder(places, ecosystem.devices, report);
    report.notice(
      `${directory}: PKI (${keys}), HSS, AAA server, SeGW, ${dataPlane === "tun" ? "H(e)MS, " : ""}${plan.length} H(e)NB${plan.length === 1 ? "" : "s"}; each a process ${places.kind === "namespaces" ? "on a host of its own" : "on loopback"}`,
    );
    await this.#startPki(ecosystem, places);
    await this.#startAaa(ecosystem, places);
    await this.#startGateway(ecosystem, places);
    await this.#startHems(ecosystem, places);
    const flows = await this.#runFlows(ecosystem.devices, places);
    return summarize(flows, this.#leftOut);
  }

  #openDirectory(): string {
    const wanted = this.#options.directory;
    if (wanted === undefined) this.#directory = mkdtempSync(join(tmpdir(), "femtogate-lab-"));
    else {
      this.#directory = resolve(wanted);
      if (contentOf(this.#directory).length > 0)
        throw new LabError(`${wanted} is not empty; name a new folder or an empty one`);
    }
    return this.#directory;
  }

  async #choosePlaces(): Promise<Places> {
    if (namespacesWork()) return namespacePlaces(this.#options.plan.length, POOL);
    this.#leaveOut(
      "hosts of their own: this user may make no network namespaces (root may), so all roles are on loopback",
    );
    return loopbackPlaces(freePorts);
  }

  async #chooseDataPlane(places: Places): Promise<"tun" | "none"> {
    // On one host both ends of a tunnel would have the same routes: there is nothing to be seen.
    if (places.kind === "loopback") {
      this.#leaveOut("the tunnel's data: it needs hosts of their own");
      return "none";
    }
    const problem = await whyNoTun();
    if (problem === undefined) return "tun";
    this.#leaveOut(`the tunnel's data: ${problem.message}`);
    return "none";
  }

  #leaveOut(text: string): void {
    this.#leftOut.push(text);
    this.#options.report.notice(`Left out: ${text}`);
  }

  async #startPki(ecosystem: Ecosystem, { core, prefix }: Places): Promise<void> {
    const role = this.#start(
      "pki",
      ["pki", "serve", ecosystem.pki, "--listen", `${core.address}:${core.port}`],
      prefix("core"),
    );
    await role.waitFor("OCSP responder", ({ event }) => event === "listening", START_LIMIT);
  }

  async #startAaa({ hssConfig, aaaConfig }: Ecosystem, { prefix }: Places): Promise<void> {
    const hss = this.#start(HSS_NAME, ["aaa", "serve", hssConfig], prefix("core"));
    await hss.waitFor("HSS", ({ event }) => event === "listening", START_LIMIT);
    const aaa = this.#start(AAA_NAME, ["aaa", "serve", aaaConfig], prefix("core"));
    await Promise.all([
      aaa.waitFor("AAA server", ({ event }) => event === "listening", START_LIMIT),
      aaa.waitFor("HSS at the AAA server", ({ event }) => event === "peerUp", START_LIMIT),
    ]);
  }

  async #startGateway(ecosystem: Ecosystem, { prefix }: Places): Promise<void> {
    const { capture } = this.#options;
    const captureArgs =
      capture === undefined
        ? []
        : ["--capture", resolve(capture.file), ...(capture.withKeys ? ["--capture-keys"] : [])];
    const role = this.#start(GATEWAY_NAME, ["segw", ecosystem.gatewayConfig, ...captureArgs], prefix("segw"));
    this.#gateway = role;
    await Promise.all([
      role.waitFor("gateway", ({ event }) => event === "listening", START_LIMIT),
      role.waitFor("AAA server at the gateway", ({ event }) => event === "aaaUp", START_LIMIT),
    ]);
  }

  async #startHems({ hemsConfig }: Ecosystem, { prefix }: Places): Promise<void> {
    if (hemsConfig === undefined) return;
    const role = this.#start(HEMS_NAME, ["hems", hemsConfig], prefix("core"));
    await role.waitFor("H(e)MS", ({ event }) => event === "listening", START_LIMIT);
    this.#managed = true;
  }

  /** Devices attach one after the other, so that the ladder can be read; many of them in groups. */
  async #runFlows(devices: readonly LabDevice[], places: Places): Promise<FlowResult[]> {
    const flows: FlowResult[] = [];
    const atOnce = devices.length <= READABLE ? 1 : AT_ONCE;
    for (let at = 0; at < devices.length; at += atOnce) {
      const group = devices.slice(at, at + atOnce);
      flows.push(...(await Promise.all(group.map((device) => this.#runFlow(device, places)))));
    }
    return flows;
  }

  async #runFlow(device: LabDevice, places: Places): Promise<FlowResult> {
    const flow: FlowResult = {
      flow: device.flow,
      device: device.fqdn,
      expected: device.expected,
      ...(device.expectedReason === undefined ? {} : { expectedReason: device.expectedReason }),
      result: "failed",
      reason: "",
      ocsp: "",
      address: "",
    };
    const role = this.#start(device.fqdn, ["henb", device.config], places.prefix(device.index));
    // Waited for from now on, since it may follow at the heels of the attachment.
    const session = this.#managed ? sessionOf(role) : undefined;
    let end: RoleRecord;
    try {
      end = await role.waitFor(
        "end of the attempt",
        ({ event }) => event === "attached" || event === "failed" || event === "integrityFailed",
        FLOW_LIMIT,
      );
    } catch (error) {
      if (!(error instanceof RoleFailed)) throw error;
      if (!this.#stopping) this.#options.report.notice(error.message);
      return { ...flow, reason: "NoOutcome" };
    }
    if (end.event === "attached") {
      Object.assign(flow, {
        result: "established",
        ocsp: String(end.ocsp),
        ...(typeof end.eap === "string" ? { eap: end.eap } : {}),
        address: (end.addresses as string[]).join(" "),
      });
      const profile = (await this.#toldByGateway("granted", device.fqdn))?.profile;
      if (profile !== undefined) flow.profile = profile as Record<string, unknown>;
      const management = await session;
      if (management !== undefined) flow.management = management;
      return this.#ping(flow, device, places);
    }
    return this.#refusal(flow, end);
  }

  /** The gateway knows why it refused; the device hears AUTHENTICATION_FAILED and no more (RFC 7296 2.21.2). */
  async #refusal(flow: FlowResult, end: RoleRecord): Promise<FlowResult> {
    const told = end.by === "peer" ? await this.#toldByGateway("failed", flow.device) : undefined;
    const { reason } = told ?? end;
    const revoked = told === undefined ? "in-band revoked" : "device revoked";
    return {
      ...flow,
      result: "refused",
      reason: String(reason ?? end.event),
      ocsp: reason === "CertificateRevoked" ? revoked : "",
    };
  }

  /** The two processes' lines come by different pipes, so the gateway's may come after the device's. */
  async #toldByGateway(event: "failed" | "granted", device: string): Promise<RoleRecord | undefined> {
    const isIt = (record: RoleRecord) => record.event === event && deviceOf(record) === device;
    const known = this.#told.get(`${event} ${device}`);
    return known ?? this.#gateway?.waitFor(event, isIt, LINE_LIMIT).catch(() => undefined);
  }

  async #ping(flow: FlowResult, device: LabDevice, places: Places): Promise<FlowResult> {
    if (places.innerTarget === undefined || this.#leftOut.length > 0) return flow;
    const { sent, received } = await places.ping(device.index, places.innerTarget, PINGS);
    const ping = { target: places.innerTarget, sent, received };
    this.#options.report.record({ event: "ping", device: device.fqdn, ...ping });
    this.#ladder?.pinged(device, ping, this.#options.clock.now());
    return { ...flow, ping };
  }

  #start(name: string, args: readonly string[], prefix: readonly string[]): RoleProcess {
    if (this.#stopping) throw new LabError("the lab was stopped before its flows had ended");
    const role = RoleProcess.start({ name, args, prefix, onRecord: (record) => this.#onRecord(name, record) });
    this.#roles.push(role);
    return role;
  }

  #onRecord(name: string, record: RoleRecord): void {
    this.#options.report.record({ source: name, ...record });
    if (name === GATEWAY_NAME && (record.event === "failed" || record.event === "granted"))
      this.#told.set(`${record.event} ${deviceOf(record)}`, record);
    this.#ladder?.record(name, record);
  }
}

/** Whom a record of the gateway is about. */
function deviceOf({ peer, device }: RoleRecord): unknown {
  return peer ?? device;
}

/** How the device's session with the H(e)MS ended. */
async function sessionOf(role: RoleProcess): Promise<FlowResult["management"]> {
  const isIt = ({ event }: RoleRecord) => event === "managed" || event === "managementFailed";
  try {
    const { event, ocsp = "", reason = "" } = await role.waitFor("session with the H(e)MS", isIt, FLOW_LIMIT);
    return { result: event === "managed" ? "managed" : "failed", ocsp: String(ocsp), reason: String(reason) };
  } catch {
    return { result: "failed", ocsp: "", reason: "NoOutcome" };
  }
}

/** What is in a folder, which is made where it is not there. */
function contentOf(folder: string): string[] {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    return readdirSync(folder);
  } catch (error) {
    throw new LabError(`${folder} cannot be used as a folder (${(error as NodeJS.ErrnoException).code ?? error})`);
  }
}

/** Free TCP ports of loopback, taken to be free on UDP as well. */
async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from(
      { length: count },
      () =>
        new Promise<ReturnType<typeof createServer>>((done) => {
          const server = createServer().listen(0, "127.0.0.1", () => done(server));
        }),
    ),
  );
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => new Promise((done) => server.close(done))));
  return ports;
}

/** Inner addresses of devices. */
const POOL = "10.64.0.0/16";
/** Milliseconds. */
const START_LIMIT = 20_000;
const FLOW_LIMIT = 60_000;
const LINE_LIMIT = 2_000;
const PINGS = 3;
/** Up to so many devices attach one after the other. */
const READABLE = 8;
const AT_ONCE = 8;
