/**
 * SWx, both ends (TS 29.273 8): the HSS of this process for other AAA servers, and another's HSS for this one.
 *
 * A vector is asked for alone: SQN that are handed out ahead would have to be given back, and an EAP-AKA authentication
 * needs one.
 */
import { type Bytes, copyOf } from "../../bytes/bytes.ts";
import {
  type CommandDefinition,
  MultimediaAuth,
  makeAnswer,
  makeErrorAnswer,
  makeRequest,
  RegistrationTermination,
  type RequestValues,
  readAnswer,
  readRequest,
  ServerAssignment,
} from "../../diameter/codec/commands.ts";
import { DiameterError } from "../../diameter/codec/error.ts";
import type { DiameterMessage } from "../../diameter/codec/message.ts";
import {
  Application,
  AuthSessionState,
  CommandCode,
  ExperimentalResult,
  ResultCode,
  ServerAssignmentType,
  VENDOR_3GPP,
} from "../../diameter/codec/numbers.ts";
import { type DiameterService, UnansweredError } from "../../diameter/transport/service.ts";
import type { Random } from "../../sim/environment.ts";
import type { DiameterIdentity } from "../diameter.ts";
import type { AccessProfile } from "../profile.ts";
import type { Hss, VectorAnswer, VectorRequest } from "./hss.ts";

const APPLICATION = { "Vendor-Id": VENDOR_3GPP, "Auth-Application-Id": Application.SWx };

/** Answers MAR and SAR out of an HSS. */
export class SwxServer {
  readonly #hss: Hss;
  readonly #identity: DiameterIdentity;
  readonly #service: () => DiameterService;
  /** The AAA server that registered for a subscriber last (TS 29.273 8.1.2.2.2). */
  readonly #registered = new Map<string, { host: string; realm: string }>();

  constructor(hss: Hss, identity: DiameterIdentity, service: () => DiameterService) {
    this.#hss = hss;
    this.#identity = identity;
    this.#service = service;
  }

  /** Answers one request of SWx; never rejects. */
  async answer(message: DiameterMessage): Promise<DiameterMessage> {
    try {
      if (message.header.command === CommandCode.MultimediaAuth) return await this.#vector(message);
      if (message.header.command === CommandCode.ServerAssignment) return await this.#assign(message);
      return this.#error(message, ResultCode.COMMAND_UNSUPPORTED, "not a command that the HSS takes");
    } catch (error) {
      if (error instanceof DiameterError)
        return makeErrorAnswer(message, this.#identity, { ...error, message: error.message });
      return this.#error(message, ResultCode.UNABLE_TO_COMPLY, "the HSS failed");
    }
  }

  /** Tells the AAA server that registered for a subscriber that the subscription is over (RTR). */
  async deregister(imsi: string): Promise<boolean> {
    const server = this.#registered.get(imsi);
    if (server === undefined) return false;
    this.#registered.delete(imsi);
    const { host, realm } = server;
    const answer = await ask(
      this.#service(),
      RegistrationTermination,
      { realm, host },
      {
        ...common(this.#identity, realm, imsi, `${this.#identity.host};rtr;${this.#service().node.newEndToEnd()}`),
        "Destination-Host": host,
        // PERMANENT_TERMINATION (TS 29.229 6.3.17).
        "Deregistration-Reason": { "Reason-Code": 0 },
      },
    );
    return answer?.ok === true;
  }

  async #vector(message: DiameterMessage): Promise<DiameterMessage> {
    const request = readRequest(MultimediaAuth, message);
    const item = request["SIP-Auth-Data-Item"];
    const scheme = item["SIP-Authentication-Scheme"];
    const base = this.#base(request["Session-Id"]);
    if (scheme !== "EAP-AKA" && scheme !== "EAP-AKA'")
      return makeAnswer(MultimediaAuth, message, {
        ...base,
        ...experimental(ExperimentalResult.AUTH_SCHEME_NOT_SUPPORTED),
      });
    const imsi = request["User-Name"];
    const resync = resyncOf(item["SIP-Authorization"]);
    if (resync === "malformed")
      return this.#error(message, ResultCode.INVALID_AVP_VALUE, "SIP-Authorization holds RAND and AUTS, 30 octets");
    const answer = await this.#hss.vector({ imsi, method: scheme, networkName: request.ANID ?? "WLAN", resync });
    if ("refusal" in answer) {
      const unknown = answer.refusal === "UnknownSubscriber" || answer.refusal === "NotSubscribed";
      const code = unknown ? ExperimentalResult.USER_UNKNOWN : ExperimentalResult.AUTHENTICATION_DATA_UNAVAILABLE;
      return makeAnswer(MultimediaAuth, message, { ...base, ...experimental(code) });
    }
    const { rand, autn, xres, ck, ik } = answer.vector;
    return makeAnswer(MultimediaAuth, message, {
      ...base,
      "Result-Code": ResultCode.SUCCESS,
      "User-Name": imsi,
      "SIP-Number-Auth-Items": 1,
      "SIP-Auth-Data-Item": [
        {
          "SIP-Item-Number": 1,
          "SIP-Authentication-Scheme": scheme,
          "SIP-Authenticate": Buffer.concat([rand, autn]),
          "SIP-Authorization": xres,
          "Confidentiality-Key": ck,
          "Integrity-Key": ik,
        },
      ],
    });
  }

  async #assign(message: DiameterMessage): Promise<DiameterMessage> {
    const request = readRequest(ServerAssignment, message);
    const imsi = request["User-Name"];
    const base = this.#base(request["Session-Id"]);
    const type = request["Server-Assignment-Type"];
    if (ENDS_REGISTRATION.has(type)) {
      this.#registered.delete(imsi);
      return makeAnswer(ServerAssignment, message, { ...base, "Result-Code": ResultCode.SUCCESS });
    }
    const profile = await this.#hss.profile(imsi);
    if (profile === undefined)
      return makeAnswer(ServerAssignment, message, { ...base, ...experimental(ExperimentalResult.USER_UNKNOWN) });
    if (type === ServerAssignmentType.REGISTRATION) {
      const server = { host: request["Origin-Host"], realm: request["Origin-Realm"] };
      if (this.#registered.size < MAX_REGISTERED || this.#registered.has(imsi)) this.#registered.set(imsi, server);
    }
    const { address, filter, sessionTimeout } = profile;
    return makeAnswer(ServerAssignment, message, {
      ...base,
      "Result-Code": ResultCode.SUCCESS,
      "User-Name": imsi,
      "Non-3GPP-User-Data": {
        // END_USER_IMSI (RFC 8506 8.47).
        "Subscription-Id": { "Subscription-Id-Type": 1, "Subscription-Id-Data": imsi },
        "Non-3GPP-IP-Access": ACCESS_ALLOWED,
        ...(sessionTimeout === undefined ? {} : { "Session-Timeout": sessionTimeout }),
        ...(filter === undefined ? {} : { "Filter-Id": filter }),
        ...(address === undefined ? {} : { "APN-Configuration": [apnWith(address)] }),
      },
    });
  }

  #base(sessionId: string) {
    return {
      "Session-Id": sessionId,
      "Vendor-Specific-Application-Id": APPLICATION,
      "Auth-Session-State": AuthSessionState.NO_STATE_MAINTAINED,
      "Origin-Host": this.#identity.host,
      "Origin-Realm": this.#identity.realm,
    };
  }

  #error(message: DiameterMessage, resultCode: number, text: string): DiameterMessage {
    return makeErrorAnswer(message, this.#identity, { resultCode, message: text });
  }
}

/**
 * Answers RTR (TS 29.273 8.1.2.2.2): the HSS says that a subscription is over, and `onGone` ends its sessions. Never
 * throws.
 */
export function answerDeregistration(
  message: DiameterMessage,
  identity: DiameterIdentity,
  onGone: (imsi: string) => void,
): DiameterMessage {
  try {
    if (message.header.command !== CommandCode.RegistrationTermination)
      return makeErrorAnswer(message, identity, {
        resultCode: ResultCode.COMMAND_UNSUPPORTED,
        message: "of SWx an AAA server takes RTR only",
      });
    const request = readRequest(RegistrationTermination, message);
    onGone(request["User-Name"]);
    return makeAnswer(RegistrationTermination, message, {
      "Session-Id": request["Session-Id"],
      "Vendor-Specific-Application-Id": APPLICATION,
      "Auth-Session-State": AuthSessionState.NO_STATE_MAINTAINED,
      "Origin-Host": identity.host,
      "Origin-Realm": identity.realm,
      "Result-Code": ResultCode.SUCCESS,
    });
  } catch (error) {
    if (!(error instanceof DiameterError)) throw error;
    return makeErrorAnswer(message, identity, { ...error, message: error.message });
  }
}

export interface SwxClientOptions {
  identity: DiameterIdentity;
  /** Realm of the HSS, and the HSS itself where there is one only. */
  realm: string;
  host: string | undefined;
  random: Random;
  service(): DiameterService;
}

/** Another's HSS, asked over SWx. */
export class SwxClient implements Hss {
  readonly #options: SwxClientOptions;

  constructor(options: SwxClientOptions) {
    this.#options = options;
  }

  async vector({ imsi, method, networkName, resync }: VectorRequest): Promise<VectorAnswer> {
    const authorization =
      resync === undefined ? {} : { "SIP-Authorization": Buffer.concat([resync.rand, resync.auts]) };
    const answer = await this.#ask(MultimediaAuth, {
      ...this.#common(imsi),
      // WLAN (TS 29.212 5.3.31).
      "RAT-Type": 0,
      ...(method === "EAP-AKA'" ? { ANID: networkName } : {}),
      "SIP-Number-Auth-Items": 1,
      "SIP-Auth-Data-Item": { "SIP-Authentication-Scheme": method, ...authorization },
    });
    if (answer === undefined) return { refusal: "Unavailable", message: "the HSS does not answer" };
    if (!answer.ok) {
      const { vendor, code } = answer.outcome;
      if (vendor === VENDOR_3GPP && code === ExperimentalResult.USER_UNKNOWN)
        return { refusal: "UnknownSubscriber", message: `the HSS does not know ${imsi}` };
      const refusal = resync === undefined ? "Unavailable" : "WrongAuts";
      return { refusal, message: `the HSS answers ${vendor === 0 ? "" : `${vendor}:`}${code}` };
    }
    const item = answer.values["SIP-Auth-Data-Item"]?.[0];
    const authenticate = item?.["SIP-Authenticate"];
    const xres = item?.["SIP-Authorization"];
    const ck = item?.["Confidentiality-Key"];
    const ik = item?.["Integrity-Key"];
    if (authenticate?.length !== 32 || xres === undefined || ck?.length !== 16 || ik?.length !== 16)
      return { refusal: "Unavailable", message: "the HSS answers without a whole vector" };
    const [rand, autn] = [copyOf(authenticate.subarray(0, 16)), copyOf(authenticate.subarray(16))];
    return { vector: { rand, autn, xres: copyOf(xres), ck: copyOf(ck), ik: copyOf(ik) } };
  }

  async profile(imsi: string): Promise<AccessProfile | undefined> {
    const answer = await this.#ask(ServerAssignment, {
      ...this.#common(imsi),
      "Server-Assignment-Type": ServerAssignmentType.REGISTRATION,
    });
    if (answer === undefined) throw new Error("the HSS does not answer");
    if (!answer.ok) {
      const { vendor, code } = answer.outcome;
      if (vendor === VENDOR_3GPP && DENIED.has(code)) return undefined;
      throw new Error(`the HSS answers ${code}`);
    }
    const granted = answer.values["Non-3GPP-User-Data"];
    if (granted !== undefined && (granted["Non-3GPP-IP-Access"] ?? ACCESS_ALLOWED) !== ACCESS_ALLOWED) return undefined;
    return {
      address: granted?.["APN-Configuration"]?.[0]?.["Served-Party-IP-Address"]?.[0],
      filter: granted?.["Filter-Id"],
      sessionTimeout: granted?.["Session-Timeout"],
    };
  }

  #ask<C extends CommandDefinition>(command: C, values: RequestValues<C>) {
    const { realm, host } = this.#options;
    return ask(this.#options.service(), command, { realm, host }, values);
  }

  #common(imsi: string) {
    const { identity, realm, host, random } = this.#options;
    const session = `${identity.host};${random.bytes(8).toString("hex")};swx`;
    return { ...common(identity, realm, imsi, session), ...(host === undefined ? {} : { "Destination-Host": host }) };
  }
}

function common(identity: DiameterIdentity, realm: string, imsi: string, session: string) {
  return {
    "Session-Id": session,
    "Vendor-Specific-Application-Id": APPLICATION,
    "Auth-Session-State": AuthSessionState.NO_STATE_MAINTAINED,
    "Origin-Host": identity.host,
    "Origin-Realm": identity.realm,
    "Destination-Realm": realm,
    "User-Name": imsi,
  };
}

/** Undefined if no answer came, or none that can be read. */
async function ask<C extends CommandDefinition>(
  service: DiameterService,
  command: C,
  to: { realm: string; host: string | undefined },
  values: RequestValues<C>,
) {
  const message = makeRequest(command, Application.SWx, service.node.newEndToEnd(), values);
  try {
    return readAnswer(command, (await service.request(message, { application: Application.SWx, ...to })).message);
  } catch (error) {
    if (error instanceof UnansweredError || error instanceof DiameterError) return undefined;
    throw error;
  }
}

function experimental(code: number) {
  return { "Experimental-Result": { "Vendor-Id": VENDOR_3GPP, "Experimental-Result-Code": code } };
}

/** RAND and AUTS in one (TS 29.273 8.2.3.10). */
function resyncOf(authorization: Bytes | undefined): { rand: Bytes; auts: Bytes } | "malformed" | undefined {
  if (authorization === undefined || authorization.length === 0) return undefined;
  if (authorization.length !== 30) return "malformed";
  return { rand: copyOf(authorization.subarray(0, 16)), auts: copyOf(authorization.subarray(16)) };
}

/** An APN whose only point here is the address that the subscriber has in it. */
function apnWith(address: string) {
  const isV6 = address.includes(":");
  return {
    "Context-Identifier": 1,
    "Service-Selection": "*",
    // IPv4 or IPv6 (TS 29.272 7.3.62).
    "PDN-Type": isV6 ? 1 : 0,
    "Served-Party-IP-Address": [address],
  };
}

const ACCESS_ALLOWED = 0;
const DENIED = new Set<number>([
  ExperimentalResult.USER_UNKNOWN,
  ExperimentalResult.ROAMING_NOT_ALLOWED,
  ExperimentalResult.USER_NO_NON_3GPP_SUBSCRIPTION,
]);
const ENDS_REGISTRATION = new Set<number>([
  ServerAssignmentType.USER_DEREGISTRATION,
  ServerAssignmentType.ADMINISTRATIVE_DEREGISTRATION,
  ServerAssignmentType.AUTHENTICATION_FAILURE,
  ServerAssignmentType.AUTHENTICATION_TIMEOUT,
]);
/** Subscribers whose AAA server is remembered. */
const MAX_REGISTERED = 1_000_000;
