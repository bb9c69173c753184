/**
 * The home base station: attaches to its gateway and stays attached (TS 33.320 A.1).
 *
 * Everything that needs the identity, the key or the roots goes through the TrE; this core sees answers only (5.2-2).
 * Without an intact TrE nothing is attempted (5.2-3, A.1-1).
 */
import type { ChildSaId, ChildSaSpec, DataPlane } from "../esp/dataPlane.ts";
import type { Connection } from "../ike/sa/connection.ts";
import type {
  HostingPartyAnswer,
  HostingPartyRequest,
  IkeEvent,
  IkeRefusal,
  IkeSaId,
  OwnAuth,
  Request,
  VerifiedPeer,
} from "../ike/sa/effects.ts";
import type { Path } from "../ike/sa/ikeSa.ts";
import { innerAddresses, innerDnsServers } from "../ipsec/eventRecord.ts";
import { type IkeDecisions, IkeService } from "../ipsec/ikeService.ts";
import type { Clock, Milliseconds, Random, Timers } from "../sim/environment.ts";
import { AuthSignatureError } from "../tre/authSignature.ts";
import type { HostingPartyModule } from "../tre/hostingPartyModule.ts";
import type { PeerRefusal, TrustedEnvironment } from "../tre/trustedEnvironment.ts";
import type { DeviceConfig } from "./config.ts";
import { connectionTo } from "./deviceConnection.ts";
import type { StatusNetwork } from "./gatewayStatus.ts";
import { HostingParty } from "./hostingParty.ts";
import { StatusGuard, type StatusNews } from "./statusGuard.ts";
import { StatusWatch } from "./statusWatch.ts";

/** Each named for what the device waits for or has. */
export type DeviceState =
  | { kind: "Idle" }
  | { kind: "Unfit"; problems: readonly string[] }
  | { kind: "Attaching"; sa: IkeSaId; attempt: number }
  /** The tunnel carries no user traffic before the gateway is known to be good (TS 33.320 7.2.3-5). */
  | ({ kind: "AwaitStatus" } & Attachment)
  | ({ kind: "Attached" } & Attachment)
  | { kind: "Waiting"; attempt: number; refusal: IkeRefusal | undefined }
  | { kind: "Stopped"; refusal: IkeRefusal | undefined };

/** An IKE SA that stands. */
export interface Attachment {
  sa: IkeSaId;
  addresses: readonly string[];
  /** DNS servers that the gateway named; this program asks none of them. */
  dns: readonly string[];
  ocsp: string;
  /** How the hosting party's round ended, where there was one. */
  eap: string | undefined;
  /** The attempt that led here, 0 once it has led to a tunnel in use; should it end, waiting goes on from there. */
  attempt: number;
  /** Why it ends: there is no tunnel, or the gateway's status is not good. */
  refusal: IkeRefusal | undefined;
}

export interface DeviceOptions {
  config: DeviceConfig;
  tre: TrustedEnvironment;
  /** The hosting party's module, where one is to authenticate as well (TS 33.320 A.2). */
  hostingParty: HostingPartyModule | undefined;
  clock: Clock;
  random: Random;
  timers: Timers;
  plane: Pick<DataPlane, "needsUdpEncapsulation">;
  /** Outer addresses for the next attempt; the `attempt`th, so that several gateways take turns. */
  nextPath(attempt: number): Promise<Path>;
  onEvent(event: IkeEvent): void;
  onFault(what: string, error: unknown): void;
  onState(state: DeviceState): void;
  /** Sees each CHILD SA before it is installed: its selectors say what to route into the tunnel. */
  onChild(spec: ChildSaSpec): void;
  /** Brings queries to OCSP responders. */
  statusNetwork: StatusNetwork;
  /** Resolves once inner addresses and routes of the newest tunnel are in place. */
  tunnelReady(): Promise<void>;
  /** Hears what came of checks of the gateway's status after it was authenticated. */
  onStatus(news: StatusNews): void;
  exportKeys: boolean;
}

type Ask<K extends Request["ask"]> = Extract<Request, { ask: K }>;
type Standing = Extract<DeviceState, { kind: "AwaitStatus" | "Attached" }>;

export class HomeNodeB implements IkeDecisions {
  readonly service: IkeService;
  readonly #options: DeviceOptions;
  #state: DeviceState = { kind: "Idle" };
  readonly #hostingParty: HostingParty | undefined;
  #connection: Connection | undefined;
  #cancelRetry: () => void = () => undefined;
  readonly #children = new Set<ChildSaId>();
  readonly #guard: StatusGuard;

  constructor(options: DeviceOptions) {
    if (options.hostingParty !== undefined) this.#hostingParty = new HostingParty(options.hostingParty);
    this.#options = options;
    const { clock, random, timers, config, exportKeys } = options;
    this.service = new IkeService({
      endpoint: {
        clock,
        random,
        responder: undefined,
        cookieThreshold: 0,
        maxHalfOpen: 0,
        trace: config.log.messages,
        exportKeys,
      },
      decisions: this,
      timers,
      onEvent: (event) => this.#onEvent(event),
      onFault: options.onFault,
      prepareChild: (spec) => {
        options.onChild(spec);
        return this.#guard.prepare(spec);
      },
    });
    this.#guard = new StatusGuard({
      config: config.ocsp,
      outerAddress: config.local.address,
      tre: options.tre,
      network: options.statusNetwork,
      clock,
      random,
      timers,
      tunnelReady: () => options.tunnelReady(),
      setHold: (child, hold) => this.service.plane?.setHold(child, hold),
      onNews: (news) => this.#onStatus(news),
      onFault: options.onFault,
    });
  }

  get state(): DeviceState {
    return this.#state;
  }

  /** Checks integrity and begins to attach; resolves once the first request is on its way or nothing may be sent. */
  async start(): Promise<void> {
    const { tre, config, plane } = this.#options;
    const integrity = await tre.verifyIntegrity();
    // TS 33.320 5.2-3, A.1-1: on failure nothing below is attempted.
    if (!integrity.intact) return this.#enter({ kind: "Unfit", problems: integrity.problems });
    this.#connection = await connectionTo(config, tre, plane, this.#options.hostingParty !== undefined);
    await this.#attach(1);
  }

  /** Deletes the IKE SA and ends. */
  async stop(): Promise<void> {
    this.#cancelRetry();
    this.#guard.forget();
    const refusal = this.#state.kind === "Waiting" ? this.#state.refusal : undefined;
    if (this.#state.kind !== "Stopped" && this.#state.kind !== "Unfit") this.#enter({ kind: "Stopped", refusal });
    await this.service.close(this.#options.config.shutdownLimit);
  }

  /** TS 33.320 7.2.2-12: AUTH is computed in the TrE. */
  async computeAuth({
    octets,
    peerHashes,
    acceptableCas,
    integrityBinding,
  }: Ask<"computeAuth">): Promise<OwnAuth | PeerRefusal> {
    const { tre } = this.#options;
    try {
      const { method, data } = await tre.computeAuth({ octets, peerHashes, acceptableCas });
      const report =
        integrityBinding === undefined ? {} : { integrityReport: await tre.integrityReport(integrityBinding) };
      return { method, data, certificates: await tre.certificates(), ocspResponses: [], ...report };
    } catch (error) {
      if (!(error instanceof AuthSignatureError)) throw error;
      return { reason: error.reason, message: error.message };
    }
  }

  /** TS 33.320 7.2.2-11: signatures are verified in the TrE. */
  async verifyPeer({ credentials }: Ask<"verifyPeer">, sa: IkeSaId): Promise<VerifiedPeer | PeerRefusal> {
    const verdict = await this.#options.tre.verifyPeer(credentials);
    if (!verdict.valid) return verdict.refusal;
    if (this.#options.config.ocsp.ask.length === 0) return { evidence: verdict.evidence };
    const watch = await this.#guard.judge(verdict.path, verdict.status);
    if (!(watch instanceof StatusWatch)) return watch;
    if (this.#state.kind !== "Attaching" || this.#state.sa !== sa)
      return { reason: "Cancelled", message: "ended before it was established" };
    this.#guard.adopt(watch);
    return { evidence: { ...verdict.evidence, ocsp: watch.text } };
  }

  /** A.2-5, A.2-6: EAP and everything made from its key happen in the hosting party's module. */
  async hostingParty(step: HostingPartyRequest): Promise<HostingPartyAnswer | PeerRefusal> {
    if (this.#hostingParty !== undefined) return this.#hostingParty.carryOut(step);
    return { reason: "NoHostingParty", message: "no hosting party's module is configured" };
  }

  /** A device assigns nothing. */
  assignAddress(): PeerRefusal {
    return { reason: "NotAGateway", message: "a device has no addresses to give" };
  }

  async #attach(attempt: number): Promise<void> {
    let path: Path;
    try {
      path = await this.#options.nextPath(attempt);
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      return this.#retryAfter(attempt, { reason: "NoPath", message, by: "us" });
    }
    if (this.#state.kind === "Stopped") return;
    const sa = this.service.initiate(this.#connection!, path);
    // A refusal may have come while the request was being sent.
    if (this.#state.kind === "Idle" || this.#state.kind === "Waiting") this.#enter({ kind: "Attaching", sa, attempt });
  }

  #onEvent(event: IkeEvent): void {
    this.#options.onEvent(event);
    const state = this.#state;
    switch (event.kind) {
      case "established": {
        const addresses = innerAddresses(event.addresses);
        this.#enter({
          kind: this.#guard.holds ? "AwaitStatus" : "Attached",
          sa: event.sa,
          addresses,
          dns: innerDnsServers(event.addresses),
          ocsp: event.evidence.ocsp,
          eap: event.evidence.eap,
          attempt: state.kind === "Attaching" ? state.attempt : 0,
          refusal: undefined,
        });
        this.#guard.established(addresses);
        break;
      }
      case "ikeRekeyed":
        if (stands(state) && state.sa === event.from) this.#state = { ...state, sa: event.to };
        break;
      case "failed":
        if (state.kind === "Attaching" && state.sa === event.sa) this.#retryAfter(state.attempt, event.refusal);
        break;
      case "childRemoved":
        // The gateway took the tunnel down but kept the IKE SA; a device is of no use without a tunnel.
        this.#children.delete(event.child);
        this.#guard.removed(event.child);
        if (stands(state) && state.sa === event.sa && this.#children.size === 0) this.#renewTunnel();
        break;
      case "childInstalled":
        this.#children.add(event.child);
        this.#guard.installed(event.child);
        // One whose gateway may turn out bad has led to nothing yet.
        if (state.kind === "Attached" && !this.#guard.holds) this.#state = { ...state, attempt: 0, refusal: undefined };
        break;
      case "childFailed":
        if (stands(state) && state.sa === event.sa && this.#children.size === 0) this.#letGo(state, event);
        break;
      case "closed":
        if (stands(state) && state.sa === event.sa) this.#retryAfter(state.attempt, state.refusal);
        break;
    }
  }

  #renewTunnel(): void {
    const { timers, config } = this.#options;
    this.#cancelRetry = timers.after(Math.max(config.reconnect.initial, LEAST_WAIT), () => {
      if (stands(this.#state) && this.#children.size === 0) this.service.command(this.#state.sa, "createChild");
    });
  }

  /** The gateway gives no tunnel: attaching anew, after a while, is all that may help. */
  #letGo(state: Standing, { notify, message }: { notify: number; message: string }): void {
    this.#state = { ...state, refusal: { reason: "NoTunnel", message, by: "peer", notify } };
    this.service.command(state.sa, "close", "protocolError");
  }

  #onStatus(news: StatusNews): void {
    const state = this.#state;
    if (!stands(state)) return;
    if (news.kind === "good" && news.first) this.#enter({ ...state, kind: "Attached", ocsp: news.ocsp, attempt: 0 });
    this.#options.onStatus(news);
    if (news.kind === "good" || !news.ends) return;
    // TS 33.320 7.2.3-5: the tunnel is torn down; after a while the device tries again.
    this.#state = { ...state, refusal: { ...news.refusal, by: "us" } };
    const cause = news.refusal.reason === "CertificateRevoked" ? "certificateRevoked" : "statusNotGood";
    this.service.command(state.sa, "close", cause);
  }

  #retryAfter(attempt: number, refusal: IkeRefusal | undefined): void {
    this.#guard.forget();
    if (this.#state.kind === "Stopped") return;
    const { initial, most } = this.#options.config.reconnect;
    if (initial === 0) return this.#enter({ kind: "Stopped", refusal });
    this.#enter({ kind: "Waiting", attempt, refusal });
    this.#cancelRetry = this.#options.timers.after(
      this.#waitingTime(attempt, initial, most),
      () => void this.#attach(attempt + 1),
    );
  }

  /** Doubles with each attempt, half of it random, so that a fleet that lost its gateway does not come back in step. */
  #waitingTime(attempt: number, initial: Milliseconds, most: Milliseconds): Milliseconds {
    const base = Math.min(most, initial * 2 ** Math.min(attempt, 20));
    return base / 2 + (base / 2) * (this.#options.random.bytes(2).readUInt16BE() / 0xffff);
  }

  #enter(state: DeviceState): void {
    this.#state = state;
    this.#options.onState(state);
  }
}

function stands(state: DeviceState): state is Standing {
  return state.kind === "AwaitStatus" || state.kind === "Attached";
}

/** Milliseconds between the loss of a tunnel and the attempt at a new one, at the least. */
const LEAST_WAIT = 1_000;

/** How an EAP conversation ended, for people. */
