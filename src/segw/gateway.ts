/**
 * The security gateway: what it decides about devices, on an `IkeService` that carries it out (TS 33.320 7.2, A.1).
 *
 * It takes certificates, keys, time, network and data plane from whoever starts it, so that the same gateway serves real
 * devices and a simulation.
 */
import type { Bytes } from "../bytes/bytes.ts";
import { parseCidr, parseIp } from "../bytes/ip.ts";
import type { DataPlane } from "../esp/dataPlane.ts";
import type { Connection } from "../ike/sa/connection.ts";
import type { EapRelayed, IkeEvent, IkeSaId, OwnAuth, Request, VerifiedPeer } from "../ike/sa/effects.ts";
import { innerAddresses } from "../ipsec/eventRecord.ts";
import { type IkeDecisions, IkeService } from "../ipsec/ikeService.ts";
import type { OwnCredentials } from "../ipsec/ownCredentials.ts";
import { blockSelector, connectionFrom, hashNumbers, profilePolicy } from "../ipsec/settings.ts";
import type { OcspTransport } from "../revocation/ocspTransport.ts";
import { OwnStatus } from "../revocation/ownStatus.ts";
import { PeerStatus, type StatusSource } from "../revocation/peerStatus.ts";
import type { Clock, Random, Timers } from "../sim/environment.ts";
import { AuthSignatureError, signAuth } from "../tre/authSignature.ts";
import { fqdnIdentity, IdType, identityText } from "../tre/identity.ts";
import { type VerifierPolicy, verifyCredentials } from "../tre/peerVerifier.ts";
import type { PeerCredentials, PeerEvidence, PeerRefusal } from "../tre/trustedEnvironment.ts";
import { SignatureCache } from "../trust/signatureCache.ts";
import type { Certificate } from "../x509/certificate.ts";
import type { AaaChange, AaaClient, AaaGrant, AaaSession } from "./aaa/client.ts";
import { AaaSessions, type AaaSessionsOptions } from "./aaa/sessions.ts";
import { AddressPool } from "./addressPool.ts";
import type { GatewayConfig } from "./config.ts";
import { Filters } from "./filters.ts";
import { IntegrityPolicy } from "./integrityPolicy.ts";
import { TunnelUsage } from "./tunnelUsage.ts";
import { type SecondRound, UserProfiles } from "./userProfiles.ts";

export interface GatewayCredentials extends OwnCredentials {
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
  /** Makes AAA sessions for this gateway; undefined where no AAA server is configured. */
  aaa: AaaClient | undefined;
  /** POSTs a JSON object and gives the one that is answered; see src/http. */
  postJson(url: string, body: object): Promise<unknown>;
  /** Revocation status of devices; undefined where the operator checks none. */
  status: StatusSource | undefined;
  /** A device was sent away because its certificate is good no longer (see `revocation.disconnectOn`). */
  onDeviceLost(sa: IkeSaId, refusal: PeerRefusal): void;
  /** A device is attached with a profile of the AAA server's. */
  onGranted: AaaSessionsOptions["onGranted"];
  /** The AAA server has changed what an attached device is granted. */
  onGrantChanged(sa: IkeSaId, device: string, grant: AaaGrant): void;
  /** What goes wrong with a session at the AAA server. */
  onAaaProblem(message: string): void;
  /** Asks for our own certificates' status. */
  ocspTransport: OcspTransport;
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
  readonly #deviceStatus: PeerStatus<IkeSaId> | undefined;
  readonly #integrity: IntegrityPolicy | undefined;
  readonly #aaa: AaaSessions | undefined;
  readonly #profiles: UserProfiles;
  readonly #filters: Filters;
  readonly #usage = new TunnelUsage(() => this.service.plane);

  constructor(options: GatewayOptions) {
    const { config, clock, random, timers } = options;
    this.#options = options;
    this.#policy = verifierPolicy(options);
    this.#ownStatus = ownStatus(options);
    const { status } = options;
    if (status !== undefined)
      this.#deviceStatus = new PeerStatus({
        source: status,
        peerClass: "device",
        onLost: (sa: IkeSaId, refusal) => this.#onLost(sa, refusal),
      });
    this.#integrity = integrityPolicy(options);
    this.#profiles = new UserProfiles(config.hostingParty);
    this.#filters = new Filters(config.filters);
    this.#aaa = this.#aaaSessions();
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
      prepareChild: (spec, sa) => {
        const filter = this.#aaa?.filterOf(sa);
        if (filter === undefined) return spec;
        return { ...spec, localSelectors: this.#filters.narrowed(filter, spec.localSelectors) };
      },
      beforeRemoval: (sa, child) => this.#usage.removing(sa, child),
      onFault: options.onFault,
    });
  }

  /** Deletes all IKE SAs, waits for answers as long as configured, and lets go of ports and plane. */
  async close(): Promise<void> {
    await this.service.close(this.#options.config.shutdownLimit);
    this.#deviceStatus?.close();
    await this.#aaa?.close(this.#options.config.shutdownLimit);
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
    const device = identityText(credentials.idType, credentials.idData);
    if (this.#deviceStatus === undefined && this.#integrity === undefined && this.#aaa === undefined)
      return { evidence, secondRound: this.#profiles.of(device) };
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
    const device = identityText(credentials.idType, credentials.idData);
    const secondRound = await this.#authorize(sa, device, credentials.remoteAddress ?? "");
    if (typeof secondRound === "object") return secondRound;
    return { evidence: { ...evidence, ocsp: status, ...(integrity === undefined ? {} : { integrity }) }, secondRound };
  }

  /** 7.x-1: authorization comes after authentication and status, and is a matter of its own. */
  async #authorize(sa: IkeSaId, device: string, from: string): Promise<PeerRefusal | SecondRound> {
    const local = this.#profiles.of(device);
    this.#aaa?.begin(sa, device, from);
    if (this.#aaa === undefined || this.#options.config.aaa?.authorizeDevices !== true) return local;
    const answer = await this.#aaa.authorize(sa);
    if (answer.kind === "refused") return answer.refusal;
    // Whoever demands more counts; else the server's word, since it knows the device.
    return answer.secondRound === "required" || local === "required" ? "required" : "allowed";
  }

  #aaaSessions(): AaaSessions | undefined {
    const { aaa, config, clock, random, timers } = this.#options;
    if (aaa === undefined) return undefined;
    return new AaaSessions({
      client: aaa,
      name: config.aaa?.server.protocol === "diameter" ? config.aaa.server.host : config.name,
      clock,
      random,
      timers,
      usageOf: (sa) => this.#usage.of(sa),
      hasFilter: (name) => this.#filters.has(name),
      onEnd: (sa, cause) => void this.service.command(sa, "close", cause),
      onGranted: this.#options.onGranted,
      onChanged: (sa, device, grant, filterChanged) => {
        this.#options.onGrantChanged(sa, device, grant);
        // A new CHILD SA in the old one's place has the new filter upon it; keys and the device see no more than that.
        if (filterChanged) this.service.command(sa, "rekeyChildren");
      },
      onProblem: (message) => this.#options.onAaaProblem(message),
    });
  }

  /** A.2-3: the gateway passes EAP on and does not look into it. */
  async relayEap({ party, packet }: Ask<"relayEap">, sa: IkeSaId): Promise<EapRelayed | PeerRefusal> {
    if (this.#aaa === undefined)
      return { reason: "NoAaaServer", message: "no AAA server is configured for hosting parties" };
    return this.#aaa.relay(sa, party, packet);
  }

  /** The AAA server wants a session ended; false if there is none of that name. */
  detach(session: string): boolean {
    return this.#aaa?.detach(session) ?? false;
  }

  /** The AAA server wants a session authorized anew; false if there is none of that name. */
  reauthorize(session: string): boolean {
    return this.#aaa?.reauthorize(session) ?? false;
  }

  /** The AAA server changes what a session is granted. */
  change(session: string, change: AaaChange): "changed" | "UnknownSession" | "UnknownFilter" {
    return this.#aaa?.change(session, change) ?? "UnknownSession";
  }

  sessionOf(session: string): AaaSession | undefined {
    return this.#aaa?.sessionOf(session);
  }

  assignAddress(request: Ask<"assignAddress">, sa: IkeSaId) {
    const granted = this.#aaa?.addressesOf(sa) ?? [];
    if (granted.length > 0) return this.pool.granted(granted, request.attributes);
    return this.pool.assign(request.identity.text, sa, request.attributes);
  }

  #onEvent(event: IkeEvent): void {
    if (event.kind === "failed" || event.kind === "closed") {
      this.pool.release(event.sa);
      this.#deviceStatus?.gone(event.sa);
      this.#aaa?.gone(event.sa, event.kind === "closed" ? event.cause : "failed");
      this.#usage.gone(event.sa);
    } else if (event.kind === "ikeRekeyed") {
      this.pool.transfer(event.from, event.to);
      this.#deviceStatus?.transfer(event.from, event.to);
      this.#aaa?.transfer(event.from, event.to);
      this.#usage.transfer(event.from, event.to);
    }
    if (event.kind === "childInstalled") this.#usage.installed(event.sa, event.child);
    this.#options.onEvent(event);
    // After the others have heard of it: the first check may end it at once.
    if (event.kind === "established") {
      this.#aaa?.attached(event.sa, innerAddresses(event.addresses));
      this.#deviceStatus?.attached(event.sa);
    }
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
    // TS 33.320 A.2-1: announced wherever a hosting party may follow.
    multipleAuth: config.aaa !== undefined,
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
    ocspDelegates: config.ocsp.delegates,
    signatureCache: new SignatureCache(),
    profile: profilePolicy(config.profile, "henb-ikev2"),
  };
}

function ownStatus({ config, credentials, clock, ocspTransport, onFault }: GatewayOptions): OwnStatus | undefined {
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
    transport: ocspTransport,
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
