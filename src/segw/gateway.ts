/**
 * The security gateway: what it decides about devices, on an `IkeService` that carries it out (TS 33.320 7.2, A.1).
 *
 * It takes certificates, keys, time, network and data plane from whoever starts it, so that the same gateway serves real
 * devices and a simulation.
 */
import type { KeyObject } from "node:crypto";
import type { Bytes } from "../bytes/bytes.ts";
import { parseCidr, parseIp } from "../bytes/ip.ts";
import type { DataPlane } from "../esp/dataPlane.ts";
import type { Connection } from "../ike/sa/connection.ts";
import type { IkeEvent, IkeSaId, OwnAuth, Request, VerifiedPeer } from "../ike/sa/effects.ts";
import { type IkeDecisions, IkeService } from "../ipsec/ikeService.ts";
import { blockSelector, connectionFrom, hashNumbers } from "../ipsec/settings.ts";
import type { Clock, Random, Timers } from "../sim/environment.ts";
import { AuthSignatureError, signAuth } from "../tre/authSignature.ts";
import { fqdnIdentity, IdType } from "../tre/identity.ts";
import { type VerifierPolicy, verifyCredentials } from "../tre/peerVerifier.ts";
import type { PeerCredentials, PeerEvidence, PeerRefusal } from "../tre/trustedEnvironment.ts";
import { SignatureCache } from "../trust/signatureCache.ts";
import type { Certificate } from "../x509/certificate.ts";
import { AddressPool } from "./addressPool.ts";
import type { GatewayConfig } from "./config.ts";
import { DeviceStatus, type StatusSource } from "./deviceStatus.ts";
import { IntegrityPolicy } from "./integrityPolicy.ts";
import { OwnStatus } from "./ownStatus.ts";

export interface GatewayCredentials {
  /** End entity first, without the root, at most four (TS 33.320 7.2.3-1). */
  chain: readonly Certificate[];
  key: KeyObject;
  /** Our own roots. */
  ownRoots: readonly Certificate[];
  /** Roots of device certificates. */
  deviceRoots: readonly Certificate[];
}

export interface GatewayOptions {
  config: GatewayConfig;
  credentials: GatewayCredentials;
  clock: Clock;
  random: Random;
  timers: Timers;
  /** POSTs a JSON object and gives the one that is answered; see src/http. */
  postJson(url: string, body: object): Promise<unknown>;
  /** Revocation status of devices; undefined where the operator checks none. */
  status: StatusSource | undefined;
  /** A device was sent away because its certificate is good no longer (see `revocation.disconnectOn`). */
  onDeviceLost(sa: IkeSaId, refusal: PeerRefusal): void;
  /** POSTs an OCSP request; see src/http. */
  fetchOcsp(url: string, request: Bytes): Promise<Bytes>;
  /** What the plane will be capable of, known before it is made. */
  plane: Pick<DataPlane, "needsUdpEncapsulation">;
  onEvent(event: IkeEvent): void;
  onFault(what: string, error: unknown): void;
  /** Emits `keys` events, for captures a person asked for. */
  exportKeys: boolean;
}

type Ask<K extends Request["ask"]> = Extract<Request, { ask: K }>;

export class SecurityGateway implements IkeDecisions {
  readonly service: IkeService;
  readonly pool: AddressPool;
  readonly #options: GatewayOptions;
  readonly #ownStatus: OwnStatus | undefined;
  readonly #policy: VerifierPolicy;
  readonly #deviceStatus: DeviceStatus | undefined;
  readonly #integrity: IntegrityPolicy | undefined;

  constructor(options: GatewayOptions) {
    const { config, clock, random, timers } = options;
    this.#options = options;
    this.#policy = verifierPolicy(options);
    this.#ownStatus = ownStatus(options);
    const { status } = options;
    if (status !== undefined)
      this.#deviceStatus = new DeviceStatus({ source: status, onLost: (sa, refusal) => this.#onLost(sa, refusal) });
    this.#integrity = integrityPolicy(options);
    this.pool = new AddressPool({
      blocks: config.pool.blocks.map((block) => parseCidr(block)!),
      dns: config.pool.dns.map((address) => parseIp(address)!),
      sharedByIdentity: config.uniqueDevices,
    });
    this.service = new IkeService({
      endpoint: {
        clock,
        random,
        responder: responderConnection(options),
        ...config.limits,
        trace: config.log.messages,
        exportKeys: options.exportKeys,
      },
      decisions: this,
      timers,
      onEvent: (event) => this.#onEvent(event),
      onFault: options.onFault,
    });
  }

  /** Deletes all IKE SAs, waits for answers as long as configured, and lets go of ports and plane. */
  async close(): Promise<void> {
    await this.service.close(this.#options.config.shutdownLimit);
    this.#deviceStatus?.close();
  }

  computeAuth(request: Ask<"computeAuth">): OwnAuth | PeerRefusal | Promise<OwnAuth> {
    const { chain, key } = this.#options.credentials;
    let signed: { method: number; data: Bytes };
    try {
      signed = signAuth(key, request.octets, request.peerHashes, { pss: this.#options.config.credentials.pss });
    } catch (error) {
      if (!(error instanceof AuthSignatureError)) throw error;
      return { reason: error.reason, message: error.message };
    }
    const certificates = chain.map((certificate) => certificate.der);
    const responses = request.ocspAsked ? (this.#ownStatus?.responses() ?? []) : [];
    if (responses instanceof Promise)
      return responses.then((ocspResponses) => ({ ...signed, certificates, ocspResponses }));
    return { ...signed, certificates, ocspResponses: responses };
  }

  verifyPeer(
    { credentials }: Ask<"verifyPeer">,
    sa: IkeSaId,
  ): VerifiedPeer | PeerRefusal | Promise<VerifiedPeer | PeerRefusal> {
    // TS 33.320 5.2-5: a device is known by an FQDN and by nothing else.
    if (credentials.idType !== IdType.FQDN)
      return { reason: "IdentityNotFqdn", message: "the device's identity is no FQDN (TS 33.320 5.2)" };
    const verdict = verifyCredentials(credentials, this.#policy);
    if (!verdict.valid) return verdict.refusal;
    const { path, names, ocsp } = verdict.verified;
    const evidence = { path: path.map((certificate) => certificate.subject.toString()), names, ocsp };
    if (this.#deviceStatus === undefined && this.#integrity === undefined) return { evidence };
    return this.#checkFurther(sa, credentials, path, evidence);
  }

  /** Status first: what a revoked device says about itself is of no interest. */
  async #checkFurther(
    sa: IkeSaId,
    credentials: PeerCredentials,
    path: readonly Certificate[],
    evidence: PeerEvidence,
  ): Promise<VerifiedPeer | PeerRefusal> {
    const status = (await this.#deviceStatus?.check(sa, path)) ?? evidence.ocsp;
    if (typeof status !== "string") return status;
    const integrity = await this.#integrity?.judge(path[0]!, credentials);
    if (typeof integrity === "object") return integrity;
    return { evidence: { ...evidence, ocsp: status, ...(integrity === undefined ? {} : { integrity }) } };
  }

  assignAddress(request: Ask<"assignAddress">, sa: IkeSaId) {
    return this.pool.assign(request.identity.text, sa, request.attributes);
  }

  #onEvent(event: IkeEvent): void {
    if (event.kind === "failed" || event.kind === "closed") {
      this.pool.release(event.sa);
      this.#deviceStatus?.gone(event.sa);
    } else if (event.kind === "ikeRekeyed") {
      this.pool.transfer(event.from, event.to);
      this.#deviceStatus?.transfer(event.from, event.to);
    }
    this.#options.onEvent(event);
    // After the others have heard of it: the first check may end it at once.
    if (event.kind === "established") this.#deviceStatus?.attached(event.sa);
  }

  /** A certificate that turns bad ends the stay of its device (TS 33.320 7.2.4-4). */
  #onLost(sa: IkeSaId, refusal: PeerRefusal): void {
    this.#options.onDeviceLost(sa, refusal);
    this.service.command(sa, "close", "certificateRevoked");
  }
}

function responderConnection({ config, credentials, plane }: GatewayOptions): Connection {
  const address = parseIp(config.name);
  return {
    ...connectionFrom(config.ike, config.esp, plane),
    name: config.name,
    identity:
      address === undefined
        ? fqdnIdentity(config.name)
        : { idType: address.length === 4 ? IdType.IPV4_ADDR : IdType.IPV6_ADDR, idData: address },
    trustedCaHashes: credentials.deviceRoots.map((root) => root.keyHash),
    askOcsp: config.ocsp.inBand === "off" ? undefined : { responderHashes: [] },
    integrityInfo: config.integrityInfo.policy !== "ignore",
    volunteerOcsp: config.ownStatus.send !== "off" && config.ownStatus.unasked,
    localSelectors: config.protected.map(blockSelector),
    remoteSelectors: config.pool.blocks.map(blockSelector),
    connectedTo: undefined,
    requestAttributes: [],
    requireConfigRequest: config.pool.required,
    uniquePeers: config.uniqueDevices,
  };
}

function verifierPolicy({ config, credentials, clock }: GatewayOptions): VerifierPolicy {
  return {
    clock,
    roots: credentials.deviceRoots,
    maxPath: MAX_PATH,
    acceptedHashes: hashNumbers(config.ike),
    allowWeakAlgorithms: config.ike.allowWeakAlgorithms,
    checkServerName: false,
    inBandOcsp: config.ocsp.inBand,
    trustedResponders: [],
    ocspTolerance: config.ocsp.tolerance,
    ocspMaxAge: config.ocsp.maxAge,
    signatureCache: new SignatureCache(),
  };
}

function ownStatus({ config, credentials, clock, fetchOcsp, onFault }: GatewayOptions): OwnStatus | undefined {
  const { send, url, refreshAfter } = config.ownStatus;
  if (send === "off") return undefined;
  return new OwnStatus({
    chain: credentials.chain,
    roots: credentials.ownRoots,
    depth: send,
    url,
    tolerance: config.ocsp.tolerance,
    refreshAfter,
    allowWeakAlgorithms: config.ike.allowWeakAlgorithms,
    clock,
    fetch: fetchOcsp,
    onProblem: (message) => onFault("no OCSP response for our own certificate", message),
  });
}

function integrityPolicy({ config, clock, postJson, onFault }: GatewayOptions): IntegrityPolicy | undefined {
  const { policy, ...rest } = config.integrityInfo;
  if (policy === "ignore") return undefined;
  return new IntegrityPolicy({ ...rest, required: policy === "require", clock, postJson, onFault });
}

/** TS 33.320 7.2.4-2. */
const MAX_PATH = 4;
