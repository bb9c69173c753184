/**
 * Many devices in one process, to load a gateway's signalling: each attaches with a certificate of its own and stays
 * attached; no user data flows.
 *
 * There is no TrE here: what is measured is the gateway, and a device of the load has nothing to protect. For the same
 * reason a hosting party's USIM is in memory only, and forgets which challenges it has seen when the load ends.
 */
import type { KeyObject } from "node:crypto";
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
import { type IkeDecisions, IkeService } from "../ipsec/ikeService.ts";
import type { Clock, Milliseconds, Random, Timers } from "../sim/environment.ts";
import { signAuth } from "../tre/authSignature.ts";
import { type VerifierPolicy, verifyCredentials } from "../tre/peerVerifier.ts";
import type { PeerRefusal } from "../tre/trustedEnvironment.ts";
import type { Usim } from "../tre/usim.ts";
import { UsimHostingParty } from "../tre/usimHostingParty.ts";
import type { Certificate } from "../x509/certificate.ts";
import { HostingParty } from "./hostingParty.ts";

/** One device of the load. */
export interface LoadDevice {
  /** End entity first, without the root. */
  chain: readonly Certificate[];
  key: KeyObject;
  connection: Connection;
  /** Authenticates after the device (TS 33.320 A.2), where the connection says so. */
  usim?: Usim;
}

export interface LoadOptions {
  devices: readonly LoadDevice[];
  policy: VerifierPolicy;
  path: () => Path;
  clock: Clock;
  random: Random;
  timers: Timers;
  onFault(what: string, error: unknown): void;
}

export interface LoadResult {
  established: number;
  /** How many attempts failed, by typed reason. */
  failed: ReadonlyMap<string, number>;
  /** Milliseconds from the first request to the IKE SA that stands, of each that was established. */
  latencies: readonly Milliseconds[];
  /** Milliseconds all attempts took. */
  duration: Milliseconds;
}

type Ask<K extends Request["ask"]> = Extract<Request, { ask: K }>;

interface Attempt {
  device: LoadDevice;
  begun: Milliseconds;
  hostingParty: HostingParty | undefined;
}

export class LoadGenerator implements IkeDecisions {
  readonly service: IkeService;
  readonly #options: LoadOptions;
  /** Whose IKE SA it is; also after rekeying. */
  readonly #devices = new Map<IkeSaId, LoadDevice>();
  readonly #attempts = new Map<IkeSaId, Attempt>();
  #next = 0;
  #onOutcome: (attempt: Attempt, refusal: IkeRefusal | undefined) => void = () => undefined;

  constructor(options: LoadOptions) {
    this.#options = options;
    const { clock, random, timers, onFault } = options;
    this.service = new IkeService({
      endpoint: {
        clock,
        random,
        responder: undefined,
        cookieThreshold: 0,
        maxHalfOpen: 0,
        trace: false,
        exportKeys: false,
      },
      decisions: this,
      timers,
      onEvent: (event) => this.#onEvent(event),
      onFault,
    });
  }

  /** IKE SAs that stand. */
  get attached(): number {
    return this.#devices.size - this.#attempts.size;
  }

  /** Attaches `count` times, the devices in turn, `concurrency` under way at once; what is established stays. */
  attach(count: number, concurrency: number): Promise<LoadResult> {
    const { clock } = this.#options;
    const begun = clock.now();
    const failed = new Map<string, number>();
    const latencies: Milliseconds[] = [];
    return new Promise((resolve) => {
      let started = 0;
      let ended = 0;
      const start = () => {
        started += 1;
        this.#initiate();
      };
      this.#onOutcome = (attempt, refusal) => {
        ended += 1;
        if (refusal === undefined) latencies.push(clock.now() - attempt.begun);
        else failed.set(refusal.reason, (failed.get(refusal.reason) ?? 0) + 1);
        if (started < count) start();
        else if (ended === count)
          resolve({ established: latencies.length, failed, latencies, duration: clock.now() - begun });
      };
      while (started < Math.min(count, concurrency)) start();
    });
  }

  computeAuth({ octets, peerHashes }: Ask<"computeAuth">, sa: IkeSaId): OwnAuth {
    const { chain, key } = this.#devices.get(sa)!;
    return { ...signAuth(key, octets, peerHashes), certificates: chain.map(({ der }) => der), ocspResponses: [] };
  }

  verifyPeer({ credentials }: Ask<"verifyPeer">): VerifiedPeer | PeerRefusal {
    const verdict = verifyCredentials(credentials, this.#options.policy);
    if (!verdict.valid) return verdict.refusal;
    const { path, names, ocsp } = verdict.verified;
    return { evidence: { path: path.map(({ subject }) => subject.toString()), names, ocsp } };
  }

  assignAddress(): PeerRefusal {
    return { reason: "NotAGateway", message: "a device has no addresses to give" };
  }

  /** Each attempt has a module of its own: a device of the load may be in several at once. */
  hostingParty(step: HostingPartyRequest, sa: IkeSaId): Promise<HostingPartyAnswer | PeerRefusal> | PeerRefusal {
    const party = this.#attempts.get(sa)?.hostingParty;
    return party?.carryOut(step) ?? { reason: "NoHostingParty", message: "this device of the load has no USIM" };
  }

  #initiate(): void {
    const { devices, path, clock, random } = this.#options;
    const device = devices[this.#next++ % devices.length]!;
    const begun = clock.now();
    const sa = this.service.initiate(device.connection, path());
    this.#devices.set(sa, device);
    const { usim } = device;
    const hostingParty = usim === undefined ? undefined : new HostingParty(new UsimHostingParty(usim, random));
    this.#attempts.set(sa, { device, begun, hostingParty });
  }

  #onEvent(event: IkeEvent): void {
    if (event.kind === "established") this.#end(event.sa, undefined);
    else if (event.kind === "failed") {
      this.#devices.delete(event.sa);
      this.#end(event.sa, event.refusal);
    } else if (event.kind === "closed") this.#devices.delete(event.sa);
    else if (event.kind === "ikeRekeyed") {
      const device = this.#devices.get(event.from);
      if (device !== undefined) this.#devices.set(event.to, device);
      this.#devices.delete(event.from);
    }
  }

  #end(sa: IkeSaId, refusal: IkeRefusal | undefined): void {
    const attempt = this.#attempts.get(sa);
    if (attempt === undefined) return;
    this.#attempts.delete(sa);
    this.#onOutcome(attempt, refusal);
  }
}
