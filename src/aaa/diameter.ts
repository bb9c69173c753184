/**
 * The AAA server's face over Diameter: SWm towards gateways (TS 29.273 7, with the SeGW in the ePDG's place) and base
 * accounting (RFC 6733 9).
 *
 * Device authorization (7.x-1) is AAR with AUTHORIZE_ONLY, not DER without EAP: the grammar of DER requires an
 * EAP-Payload, and TS 29.273 7.2.2.1.3 has AAR on SWm for just this, authorization without authentication.
 * DIAMETER_LIMITED_SUCCESS says that the device may connect and a hosting party must follow (RFC 6733 7.1.2: "additional
 * processing is required"). Both rounds share one Session-Id, so that one STR or ASR ends all.
 */
import { type Bytes, copyOf } from "../bytes/bytes.ts";
import { parseIp } from "../bytes/ip.ts";
import {
  AA,
  AbortSession,
  Accounting,
  type CommandDefinition,
  DiameterEap,
  makeAnswer,
  makeErrorAnswer,
  makeRequest,
  ReAuth,
  type RequestValues,
  readAnswer,
  readRequest,
  SessionTermination,
} from "../diameter/codec/commands.ts";
import { DiameterError } from "../diameter/codec/error.ts";
import type { DiameterMessage } from "../diameter/codec/message.ts";
import {
  AccountingRecordType,
  Application,
  AuthRequestType,
  AuthSessionState,
  CommandCode,
  ExperimentalResult,
  ReAuthRequestType,
  ResultCode,
  VENDOR_3GPP,
} from "../diameter/codec/numbers.ts";
import { type DiameterService, UnansweredError } from "../diameter/transport/service.ts";
import type { AaaServer, Decision, RejectReason } from "./server.ts";
import type { Gateway, Grant, Session } from "./sessions.ts";

export interface DiameterIdentity {
  host: string;
  realm: string;
}

/** Requests of gateways in, answers out; `service` is asked only once there are sessions to speak about. */
export class DiameterFront {
  readonly #aaa: AaaServer;
  readonly #identity: DiameterIdentity;
  readonly #service: () => DiameterService;
  readonly #onFault: (error: unknown) => void;
  readonly #gateways = new Map<string, DiameterGateway>();

  /** `onFault` hears what is wrong with the store or this program; the peer does not. */
  constructor(
    aaa: AaaServer,
    identity: DiameterIdentity,
    service: () => DiameterService,
    onFault: (error: unknown) => void,
  ) {
    this.#onFault = onFault;
    this.#aaa = aaa;
    this.#identity = identity;
    this.#service = service;
  }

  /** Answers one request of SWm or of accounting; never rejects. */
  async answer(message: DiameterMessage, peer: string): Promise<DiameterMessage> {
    try {
      switch (message.header.command) {
        case CommandCode.AA:
          return await this.#authorize(message, peer);
        case CommandCode.DiameterEap:
          return await this.#authenticate(message, peer);
        case CommandCode.SessionTermination:
          return this.#terminate(message, peer);
        case CommandCode.Accounting:
          return await this.#account(message, peer);
        default:
          return this.#error(message, ResultCode.COMMAND_UNSUPPORTED, "not a command that the AAA server takes");
      }
    } catch (error) {
      if (error instanceof DiameterError)
        return makeErrorAnswer(message, this.#identity, { ...error, message: error.message });
      this.#onFault(error);
      return this.#error(message, ResultCode.UNABLE_TO_COMPLY, "the AAA server failed");
    }
  }

  async #authorize(message: DiameterMessage, peer: string): Promise<DiameterMessage> {
    const request = readRequest(AA, message);
    if (request["Auth-Request-Type"] !== AuthRequestType.AUTHORIZE_ONLY)
      return this.#error(message, ResultCode.INVALID_AVP_VALUE, "AAR is for AUTHORIZE_ONLY here; EAP comes in DER");
    const device = request["User-Name"];
    if (device === undefined) return this.#error(message, ResultCode.MISSING_AVP, "User-Name: the device's identity");
    const decision = await this.#aaa.authorizeDevice({ ...this.#query(request, peer), device });
    const base = { ...this.#base(request), "Auth-Request-Type": request["Auth-Request-Type"] };
    if (decision.kind === "accept" || decision.kind === "hostingPartyFollows") {
      const follows = decision.kind === "hostingPartyFollows";
      return makeAnswer(AA, message, {
        ...base,
        "Result-Code": follows ? ResultCode.LIMITED_SUCCESS : ResultCode.SUCCESS,
        ...granted(decision.grant),
      });
    }
    return makeAnswer(AA, message, { ...base, ...outcomeOf(decision) });
  }

  async #authenticate(message: DiameterMessage, peer: string): Promise<DiameterMessage> {
    const request = readRequest(DiameterEap, message);
    const decision = await this.#aaa.eap({
      ...this.#query(request, peer),
      device: request["Calling-Station-Id"],
      user: request["User-Name"],
      payload: copyOf(request["EAP-Payload"]),
    });
    const base = { ...this.#base(request), "Auth-Request-Type": request["Auth-Request-Type"] };
    if (decision.kind === "challenge")
      return makeAnswer(DiameterEap, message, {
        ...base,
        "Result-Code": ResultCode.MULTI_ROUND_AUTH,
        "EAP-Payload": decision.packet,
        "Multi-Round-Time-Out": ROUND_SECONDS,
      });
    if (decision.kind === "accept" && decision.eap !== undefined)
      return makeAnswer(DiameterEap, message, {
        ...base,
        "Result-Code": ResultCode.SUCCESS,
        "EAP-Payload": decision.eap.packet,
        "EAP-Master-Session-Key": decision.eap.msk,
        ...granted(decision.grant),
      });
    const packet = decision.kind === "reject" ? decision.packet : undefined;
    return makeAnswer(DiameterEap, message, {
      ...base,
      ...outcomeOf(decision),
      ...(packet === undefined ? {} : { "EAP-Payload": packet }),
    });
  }

  #terminate(message: DiameterMessage, peer: string): DiameterMessage {
    const request = readRequest(SessionTermination, message);
    const cause = `terminated ${request["Termination-Cause"]}`;
    const known = this.#aaa.end(request["Session-Id"], cause, this.#gateway(request, peer));
    return makeAnswer(SessionTermination, message, {
      "Session-Id": request["Session-Id"],
      "Origin-Host": this.#identity.host,
      "Origin-Realm": this.#identity.realm,
      "Result-Code": known ? ResultCode.SUCCESS : ResultCode.UNKNOWN_SESSION_ID,
    });
  }

  async #account(message: DiameterMessage, peer: string): Promise<DiameterMessage> {
    const request = readRequest(Accounting, message);
    const gateway = this.#gateway(request, peer);
    const type = request["Accounting-Record-Type"];
    const kind =
      type === AccountingRecordType.START ? "start" : type === AccountingRecordType.STOP ? "stop" : "interim";
    const octets = (value: bigint | undefined) => (value === undefined ? undefined : Number(value));
    await this.#aaa.account(
      {
        kind,
        session: request["Session-Id"],
        device: request["Calling-Station-Id"],
        subscriber: request["User-Name"],
        seconds: request["Acct-Session-Time"],
        inputOctets: octets(request["Accounting-Input-Octets"]),
        outputOctets: octets(request["Accounting-Output-Octets"]),
        cause: request["Termination-Cause"],
      },
      gateway,
    );
    return makeAnswer(Accounting, message, {
      "Session-Id": request["Session-Id"],
      "Origin-Host": this.#identity.host,
      "Origin-Realm": this.#identity.realm,
      "Result-Code": ResultCode.SUCCESS,
      "Accounting-Record-Type": type,
      "Accounting-Record-Number": request["Accounting-Record-Number"],
      "Acct-Application-Id": Application.baseAccounting,
    });
  }

  #query(request: RequestValues<typeof AA> | RequestValues<typeof DiameterEap>, peer: string) {
    return {
      session: request["Session-Id"],
      gateway: this.#gateway(request, peer),
      from: request["UE-Local-IP-Address"],
      accountingId: undefined,
    };
  }

  /** Whom a request comes from; one that lost its sessions since says so by its Origin-State-Id (RFC 6733 8.16). */
  #gateway(
    request: { "Origin-Host": string; "Origin-Realm": string; "Origin-State-Id"?: number },
    peer: string,
  ): DiameterGateway {
    const name = request["Origin-Host"].toLowerCase();
    let gateway = this.#gateways.get(name);
    if (gateway === undefined) {
      gateway = new DiameterGateway(name, request["Origin-Realm"], this.#identity, this.#service);
      if (this.#gateways.size >= MAX_GATEWAYS) this.#gateways.clear();
      this.#gateways.set(name, gateway);
    }
    gateway.via = peer;
    const state = request["Origin-State-Id"];
    if (state !== undefined) {
      if (gateway.originStateId !== undefined && state > gateway.originStateId) this.#aaa.gatewayRestarted(name);
      gateway.originStateId = state;
    }
    return gateway;
  }

  #base(request: { "Session-Id": string; "Auth-Application-Id": number }) {
    return {
      "Session-Id": request["Session-Id"],
      "Auth-Application-Id": request["Auth-Application-Id"],
      "Origin-Host": this.#identity.host,
      "Origin-Realm": this.#identity.realm,
      "Auth-Session-State": AuthSessionState.STATE_MAINTAINED,
    };
  }

  #error(message: DiameterMessage, resultCode: number, text: string): DiameterMessage {
    return makeErrorAnswer(message, this.#identity, { resultCode, message: text });
  }
}

class DiameterGateway implements Gateway {
  readonly name: string;
  readonly #realm: string;
  readonly #identity: DiameterIdentity;
  readonly #service: () => DiameterService;
  /** The neighbour that its last request came through. */
  via: string | undefined;
  originStateId: number | undefined;

  constructor(name: string, realm: string, identity: DiameterIdentity, service: () => DiameterService) {
    this.name = name;
    this.#realm = realm;
    this.#identity = identity;
    this.#service = service;
  }

  abort(session: Session): Promise<boolean> {
    return this.#tell(AbortSession, { ...this.#route(session), "Auth-Application-Id": Application.SWm });
  }

  reauthorize(session: Session): Promise<boolean> {
    return this.#tell(ReAuth, {
      ...this.#route(session),
      "Auth-Application-Id": Application.SWm,
      "Re-Auth-Request-Type": ReAuthRequestType.AUTHORIZE_ONLY,
    });
  }

  /** By Session-Id. */
  tellsApart(one: Session, other: Session): boolean {
    return one.id !== other.id;
  }

  async #tell<C extends CommandDefinition>(command: C, values: RequestValues<C>): Promise<boolean> {
    const service = this.#service();
    const message = makeRequest(command, Application.SWm, service.node.newEndToEnd(), values);
    const destination = { application: Application.SWm, realm: this.#realm, host: this.name, via: this.via };
    try {
      const answer = readAnswer(command, (await service.request(message, destination)).message);
      return answer.ok || answer.outcome.code === ResultCode.UNKNOWN_SESSION_ID;
    } catch (error) {
      if (error instanceof UnansweredError || error instanceof DiameterError) return false;
      throw error;
    }
  }

  #route({ id, subscriber, device }: Session) {
    const user = subscriber ?? device;
    return {
      "Session-Id": id,
      "Origin-Host": this.#identity.host,
      "Origin-Realm": this.#identity.realm,
      "Destination-Realm": this.#realm,
      "Destination-Host": this.name,
      ...(user === undefined ? {} : { "User-Name": user }),
    };
  }
}

function granted({ profile, subscriber }: Grant) {
  const address = profile.address === undefined ? undefined : parseIp(profile.address);
  return {
    "Session-Timeout": profile.sessionTimeout,
    ...(subscriber === undefined ? {} : { "User-Name": subscriber }),
    ...(profile.filter === undefined ? {} : { "Filter-Id": [profile.filter] }),
    ...(address?.length === 4 ? { "Framed-IP-Address": address } : {}),
    ...(address?.length === 16 ? { "Framed-IPv6-Prefix": [hostPrefix(address)] } : {}),
  };
}

/** One IPv6 address as a prefix (RFC 3162 2.3): reserved, length, prefix. */
function hostPrefix(address: Bytes): Bytes {
  return Buffer.concat([Buffer.from([0, 128]), address]);
}

function outcomeOf(decision: Decision) {
  if (decision.kind !== "reject")
    return { "Result-Code": ResultCode.UNABLE_TO_COMPLY, "Error-Message": "a request of this session is at work" };
  const { reason } = decision;
  if (reason === "UnknownSubscriber")
    return {
      "Experimental-Result": {
        "Vendor-Id": VENDOR_3GPP,
        "Experimental-Result-Code": ExperimentalResult.USER_UNKNOWN,
      },
    };
  // The reason is for the gateway's log; details of an authentication stay here.
  return { "Result-Code": RESULTS[reason], "Error-Message": reason };
}

const RESULTS: Record<Exclude<RejectReason, "UnknownSubscriber">, number> = {
  UnknownDevice: ResultCode.AUTHORIZATION_REJECTED,
  DeniedDevice: ResultCode.AUTHORIZATION_REJECTED,
  WrongLocation: ResultCode.AUTHORIZATION_REJECTED,
  NotForHostingParties: ResultCode.AUTHORIZATION_REJECTED,
  HostingPartyNotBound: ResultCode.AUTHORIZATION_REJECTED,
  UnknownSession: ResultCode.UNKNOWN_SESSION_ID,
  TooManySessions: ResultCode.RESOURCES_EXCEEDED,
  Unavailable: ResultCode.UNABLE_TO_COMPLY,
  AuthenticationFailed: ResultCode.AUTHENTICATION_REJECTED,
};

/** Seconds that a peer has for its next EAP response. */
const ROUND_SECONDS = 30;
/** Gateways remembered; beyond it a peer makes up names, and who is real is learnt again with its next request. */
const MAX_GATEWAYS = 10_000;
