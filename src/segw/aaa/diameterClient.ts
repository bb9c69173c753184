/**
 * The AAA server over Diameter: SWm as TS 29.273 7 shapes it, with the gateway in the ePDG's place, and base accounting.
 *
 * Device authorization is AAR with AUTHORIZE_ONLY (see src/aaa/diameter.ts, which says why); the second round is DER, the
 * first of them with an empty EAP-Payload (A.2-3). Both rounds share a Session-Id, so one STR or ASR ends all.
 */

import { type Bytes, copyOf, EMPTY } from "../../bytes/bytes.ts";
import { formatIp, parseIp } from "../../bytes/ip.ts";
import {
  AA,
  AbortSession,
  Accounting,
  type AnswerValues,
  DiameterEap,
  makeAnswer,
  makeErrorAnswer,
  makeRequest,
  ReAuth,
  type ReadAnswer,
  readAnswer,
  readRequest,
  SessionTermination,
} from "../../diameter/codec/commands.ts";
import { DiameterError } from "../../diameter/codec/error.ts";
import type { DiameterMessage } from "../../diameter/codec/message.ts";
import {
  AccountingRecordType,
  Application,
  AuthRequestType,
  AuthSessionState,
  CommandCode,
  ResultCode,
  TerminationCause,
  VENDOR_3GPP,
} from "../../diameter/codec/numbers.ts";
import { reportMessages } from "../../diameter/transport/messageRecord.ts";
import { DiameterService, type DiameterServiceOptions, UnansweredError } from "../../diameter/transport/service.ts";
import { describeEap } from "../../eap/describe.ts";
import type { PeerRefusal } from "../../tre/trustedEnvironment.ts";
import {
  type AaaClient,
  type AaaClientHost,
  type AaaGrant,
  type AaaSession,
  type DeviceAuthorization,
  type RelayedEap,
  type SessionEnd,
  unreachable,
} from "./client.ts";
import { addressOfPrefix } from "./framedPrefix.ts";

export interface DiameterClientOptions {
  /** Of the gateway. */
  host: string;
  realm: string;
  /** Where the AAA servers are. */
  destinationRealm: string;
  service: Omit<DiameterServiceOptions, "identity" | "spoken" | "onRequest" | "onEvent" | "listen">;
  /** Grows with every restart. */
  originStateId: number;
}

export class DiameterAaaClient implements AaaClient {
  readonly #options: DiameterClientOptions;
  readonly #host: AaaClientHost;
  #service: DiameterService | undefined;

  private constructor(options: DiameterClientOptions, host: AaaClientHost) {
    this.#options = options;
    this.#host = host;
  }

  /** Begins to connect to the servers; requests go out as soon as one is there. */
  static async start(options: DiameterClientOptions, host: AaaClientHost): Promise<DiameterAaaClient> {
    const client = new DiameterAaaClient(options, host);
    const { host: name, realm, originStateId, service } = options;
    client.#service = await DiameterService.start({
      ...service,
      listen: [],
      identity: { host: name, realm, addresses: [], product: "Femtogate SeGW", vendor: 0, originStateId },
      spoken: [
        { id: Application.SWm, vendor: VENDOR_3GPP, accounting: false },
        { id: Application.baseAccounting, vendor: 0, accounting: true },
      ],
      onRequest: (message, _peer, answer) => answer(client.#onRequest(message)),
      trace: host.onMessage === undefined ? undefined : reportMessages(host.onMessage, describeEap),
      onEvent: (event) => {
        if (event.kind === "peerUp") host.onUp(event.peer);
        else host.onProblem(`Diameter: ${event.kind} ${JSON.stringify(event)}`);
      },
    });
    return client;
  }

  async authorize(session: AaaSession): Promise<DeviceAuthorization> {
    const values = {
      ...this.#base(session),
      "Auth-Request-Type": AuthRequestType.AUTHORIZE_ONLY,
      "User-Name": session.device,
      "UE-Local-IP-Address": session.from,
    };
    const answer = await this.#ask(session, AA, makeRequest(AA, Application.SWm, this.#node.newEndToEnd(), values));
    if ("reason" in answer) return { kind: "refused", refusal: answer };
    if (!answer.ok) return { kind: "refused", refusal: refusalOf(answer, "DeviceNotAuthorized", session.device) };
    const follows = answer.outcome.code === ResultCode.LIMITED_SUCCESS;
    return { kind: "accepted", secondRound: follows ? "required" : "allowed", grant: grantOf(answer.values) };
  }

  async eap(session: AaaSession, packet: Bytes | undefined): Promise<RelayedEap> {
    const values = {
      ...this.#base(session),
      "Auth-Request-Type": AuthRequestType.AUTHORIZE_AUTHENTICATE,
      "EAP-Payload": packet ?? EMPTY,
      "Calling-Station-Id": session.device,
      ...(session.party === undefined ? {} : { "User-Name": session.party }),
    };
    const request = makeRequest(DiameterEap, Application.SWm, this.#node.newEndToEnd(), values);
    const answer = await this.#ask(session, DiameterEap, request);
    if ("reason" in answer) return failure(answer, undefined);
    const payload = answer.values["EAP-Payload"];
    if (!answer.ok) {
      const refusal = refusalOf(answer, "HostingPartyRefused", session.party ?? session.device);
      return failure(refusal, payload === undefined ? undefined : copyOf(payload));
    }
    if (payload === undefined) return failure(unreachable("its DEA holds no EAP-Payload"), undefined);
    const eap = copyOf(payload);
    if (answer.outcome.code === ResultCode.MULTI_ROUND_AUTH)
      return { answer: { kind: "request", packet: eap }, grant: {} };
    const msk = copyOf(answer.values["EAP-Master-Session-Key"] ?? EMPTY);
    return { answer: { kind: "success", packet: eap, msk, eap: "eap success" }, grant: grantOf(answer.values) };
  }

  started(session: AaaSession): void {
    void this.#account(session, AccountingRecordType.START, 0, undefined);
  }

  async ended(session: AaaSession, end: SessionEnd): Promise<void> {
    if (end.accounted) await this.#account(session, AccountingRecordType.STOP, 1, end);
    // RFC 6733 8.4: of a session that was authorized, and of no other.
    if (!end.authorized) return;
    const { host, realm, destinationRealm } = this.#options;
    const request = makeRequest(SessionTermination, Application.SWm, this.#node.newEndToEnd(), {
      "Session-Id": session.id,
      "Origin-Host": host,
      "Origin-Realm": realm,
      "Destination-Realm": destinationRealm,
      ...destination(session),
      "Auth-Application-Id": Application.SWm,
      "Termination-Cause": CAUSES[end.cause] ?? TerminationCause.LOGOUT,
      ...(session.party === undefined ? {} : { "User-Name": session.party }),
    });
    const answer = await this.#ask(session, SessionTermination, request);
    if ("reason" in answer) this.#host.onProblem(answer.message);
  }

  async close(): Promise<void> {
    await this.#service?.close();
  }

  async #account(session: AaaSession, type: number, number: number, end: SessionEnd | undefined): Promise<void> {
    const { host, realm, destinationRealm } = this.#options;
    const inner = session.addresses.map(parseIp).find((one) => one?.length === 4);
    const request = makeRequest(Accounting, Application.baseAccounting, this.#node.newEndToEnd(), {
      "Session-Id": session.id,
      "Origin-Host": host,
      "Origin-Realm": realm,
      "Destination-Realm": destinationRealm,
      ...destination(session),
      "Accounting-Record-Type": type,
      "Accounting-Record-Number": number,
      "Acct-Application-Id": Application.baseAccounting,
      "Calling-Station-Id": session.device,
      ...(session.party === undefined ? {} : { "User-Name": session.party }),
      ...(inner === undefined ? {} : { "Framed-IP-Address": inner }),
      ...(end === undefined
        ? {}
        : {
            "Acct-Session-Time": end.seconds,
            "Accounting-Input-Octets": BigInt(end.inputOctets),
            "Accounting-Output-Octets": BigInt(end.outputOctets),
            "Termination-Cause": CAUSES[end.cause] ?? TerminationCause.LOGOUT,
          }),
    });
    const answer = await this.#ask(session, Accounting, request, Application.baseAccounting);
    if ("reason" in answer) this.#host.onProblem(answer.message);
  }

  /**
   * The server ends a session by itself (ASR, TS 29.273 7.2.2.3), or has it authorized anew (RAR, 7.2.2.4). It is told at
   * once; the IKE SA goes, or the AAR comes, right after.
   */
  #onRequest(message: DiameterMessage): DiameterMessage {
    const identity = { host: this.#options.host, realm: this.#options.realm };
    try {
      switch (message.header.command) {
        case CommandCode.AbortSession: {
          const { "Session-Id": id } = readRequest(AbortSession, message);
          return makeAnswer(AbortSession, message, this.#told(id, this.#host.onDetach(id)));
        }
        case CommandCode.ReAuth: {
          const { "Session-Id": id } = readRequest(ReAuth, message);
          return makeAnswer(ReAuth, message, this.#told(id, this.#host.onReauthorize(id)));
        }
        default:
          return makeErrorAnswer(message, identity, {
            resultCode: ResultCode.COMMAND_UNSUPPORTED,
            message: "a SeGW takes ASR and RAR",
          });
      }
    } catch (error) {
      if (!(error instanceof DiameterError)) throw error;
      return makeErrorAnswer(message, identity, { ...error, message: error.message });
    }
  }

  #told(id: string, known: boolean) {
    return {
      "Session-Id": id,
      "Origin-Host": this.#options.host,
      "Origin-Realm": this.#options.realm,
      "Result-Code": known ? ResultCode.SUCCESS : ResultCode.UNKNOWN_SESSION_ID,
    };
  }

  async #ask<C extends typeof AA | typeof DiameterEap | typeof SessionTermination | typeof Accounting>(
    session: AaaSession,
    command: C,
    message: DiameterMessage,
    application: number = Application.SWm,
  ): Promise<ReadAnswer<C> | PeerRefusal> {
    const { host } = session.context;
    try {
      const to = { application, realm: this.#options.destinationRealm, ...(typeof host === "string" ? { host } : {}) };
      const { message: answered } = await this.#service!.request(message, to);
      const answer = readAnswer(command, answered);
      // The server that answered first keeps the session.
      const origin = (answer.values as { "Origin-Host"?: string })["Origin-Host"];
      if (answer.ok && origin !== undefined) session.context.host ??= origin;
      return answer;
    } catch (error) {
      if (error instanceof UnansweredError || error instanceof DiameterError) return unreachable(error.message);
      throw error;
    }
  }

  get #node() {
    return this.#service!.node;
  }

  #base(session: AaaSession) {
    const { host, realm, destinationRealm, originStateId } = this.#options;
    return {
      "Session-Id": session.id,
      "Auth-Application-Id": Application.SWm,
      "Origin-Host": host,
      "Origin-Realm": realm,
      "Origin-State-Id": originStateId,
      "Destination-Realm": destinationRealm,
      ...destination(session),
      "Auth-Session-State": AuthSessionState.STATE_MAINTAINED,
    };
  }
}

function destination({ context }: AaaSession): { "Destination-Host"?: string } {
  return typeof context.host === "string" ? { "Destination-Host": context.host } : {};
}

function failure(refusal: PeerRefusal, packet: Bytes | undefined): RelayedEap {
  return { answer: { kind: "failure", packet, refusal }, grant: {} };
}

function refusalOf(
  answer: { outcome: { code: number; message?: string | undefined } },
  reason: string,
  who: string,
): PeerRefusal {
  const { code, message } = answer.outcome;
  return {
    reason,
    message: `the AAA server refuses ${who}: ${message ?? `Result-Code ${code}`} (TS 33.320 7.x)`,
    evidence: { resultCode: code },
  };
}

function grantOf(values: Partial<AnswerValues<typeof AA>>): AaaGrant {
  const four = values["Framed-IP-Address"];
  const six = values["Framed-IPv6-Prefix"]?.[0];
  const addresses = [
    four?.length === 4 ? formatIp(four) : undefined,
    six === undefined ? undefined : addressOfPrefix(six, undefined),
  ].filter((one) => one !== undefined);
  const timeout = values["Session-Timeout"];
  const filter = values["Filter-Id"]?.[0];
  return {
    ...(addresses.length === 0 ? {} : { addresses }),
    ...(timeout === undefined ? {} : { sessionTimeout: timeout }),
    ...(filter === undefined ? {} : { filter }),
  };
}

/** Why an IKE SA ended, in Diameter's words (RFC 6733 8.15). */
const CAUSES: Record<string, number> = {
  deletedByPeer: TerminationCause.LOGOUT,
  deletedByUs: TerminationCause.ADMINISTRATIVE,
  replacedByNewerSa: TerminationCause.USER_MOVED,
  peerUnresponsive: TerminationCause.LINK_BROKEN,
  lifetimeOver: TerminationCause.AUTH_EXPIRED,
  sessionTimeout: TerminationCause.SESSION_TIMEOUT,
  detachedByAaa: TerminationCause.ADMINISTRATIVE,
  certificateRevoked: TerminationCause.ADMINISTRATIVE,
  shutdown: TerminationCause.ADMINISTRATIVE,
};
