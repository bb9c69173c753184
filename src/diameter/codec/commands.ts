/**
 * Commands as data: number, and the grammars of request and answer (RFC 6733 3.2 CCF).
 *
 * Only the AVPs that Femtogate uses are named. Others may come with any command (every grammar ends in `* [ AVP ]`) and
 * are passed over, unless their M bit is set.
 */
import type { Bytes } from "../../bytes/bytes.ts";
import type { Avp } from "./avp.ts";
import type { Complete, Grammar } from "./dictionary.ts";
import { DiameterError } from "./error.ts";
import { readPartialValues, readValues, type Values, writeValues } from "./grammar.ts";
import type { DiameterHeader, DiameterMessage } from "./message.ts";
import { CommandCode, ResultCode } from "./numbers.ts";

export interface CommandDefinition {
  readonly code: number;
  /** As the standards abbreviate request and answer: "DER", "DEA". */
  readonly requestName: string;
  readonly answerName: string;
  readonly proxiable: boolean;
  readonly request: Grammar;
  readonly answer: Grammar;
}

export type RequestValues<C extends CommandDefinition> = Values<C["request"]>;
export type AnswerValues<C extends CommandDefinition> = Values<C["answer"]>;

const command = <const Q extends Partial<Grammar>, const A extends Partial<Grammar>>(
  names: readonly [request: string, answer: string],
  code: number,
  proxiable: boolean,
  request: Q,
  answer: A,
) => ({
  code,
  requestName: names[0],
  answerName: names[1],
  proxiable,
  request: { ...EMPTY_GRAMMAR, ...request } as Complete<Q>,
  answer: { ...EMPTY_GRAMMAR, ...answer } as Complete<A>,
});

const EMPTY_GRAMMAR: Grammar = { required: [], optional: [], repeated: [] };

const ORIGIN = ["Origin-Host", "Origin-Realm"] as const;
/** What every answer may hold (RFC 6733 7.2); the choice between the two results is checked in `readAnswer`. */
const RESULT = [
  "Result-Code",
  "Experimental-Result",
  "Error-Message",
  "Error-Reporting-Host",
  "Failed-AVP",
  "Origin-State-Id",
] as const;
/** What relays add (RFC 6733 6.1.9, 6.7). */
const ROUTED = ["Route-Record", "Proxy-Info"] as const;

const capabilities = {
  required: [...ORIGIN, "Vendor-Id", "Product-Name"],
  repeated: [
    "Host-IP-Address",
    "Supported-Vendor-Id",
    "Auth-Application-Id",
    "Inband-Security-Id",
    "Acct-Application-Id",
    "Vendor-Specific-Application-Id",
  ],
} as const;

/** RFC 6733 5.3. */
export const CapabilitiesExchange = command(
  ["CER", "CEA"],
  CommandCode.CapabilitiesExchange,
  false,
  { ...capabilities, optional: ["Origin-State-Id", "Firmware-Revision"] },
  { ...capabilities, optional: [...RESULT, "Firmware-Revision"] },
);

/** RFC 6733 5.5. */
export const DeviceWatchdog = command(
  ["DWR", "DWA"],
  CommandCode.DeviceWatchdog,
  false,
  { required: ORIGIN, optional: ["Origin-State-Id"] },
  { required: ORIGIN, optional: RESULT },
);

/** RFC 6733 5.4. */
export const DisconnectPeer = command(
  ["DPR", "DPA"],
  CommandCode.DisconnectPeer,
  false,
  { required: [...ORIGIN, "Disconnect-Cause"], optional: ["Origin-State-Id"] },
  { required: ORIGIN, optional: RESULT },
);

const sessionAnswer = { required: ["Session-Id", ...ORIGIN], repeated: ["Proxy-Info"] } as const;

/** RFC 6733 8.3.1: the AAA server wants a session authorized anew (TS 29.273 7.2.2.4). */
export const ReAuth = command(
  ["RAR", "RAA"],
  CommandCode.ReAuth,
  true,
  {
    required: [
      "Session-Id",
      ...ORIGIN,
      "Destination-Realm",
      "Destination-Host",
      "Auth-Application-Id",
      "Re-Auth-Request-Type",
    ],
    optional: ["User-Name", "Origin-State-Id"],
    repeated: ROUTED,
  },
  { ...sessionAnswer, optional: [...RESULT, "User-Name"] },
);

/** RFC 6733 8.5.1: the AAA server ends a session (TS 29.273 7.2.2.3). */
export const AbortSession = command(
  ["ASR", "ASA"],
  CommandCode.AbortSession,
  true,
  {
    required: ["Session-Id", ...ORIGIN, "Destination-Realm", "Destination-Host", "Auth-Application-Id"],
    optional: ["User-Name", "Origin-State-Id", "Auth-Session-State"],
    repeated: ROUTED,
  },
  { ...sessionAnswer, optional: [...RESULT, "User-Name"] },
);

/** RFC 6733 8.4.1: the access side says that a session is over (TS 29.273 7.2.2.2). */
export const SessionTermination = command(
  ["STR", "STA"],
  CommandCode.SessionTermination,
  true,
  {
    required: ["Session-Id", ...ORIGIN, "Destination-Realm", "Auth-Application-Id", "Termination-Cause"],
    optional: ["User-Name", "Destination-Host", "Origin-State-Id"],
    repeated: [...ROUTED, "Class"],
  },
  { ...sessionAnswer, optional: [...RESULT, "User-Name"], repeated: ["Proxy-Info", "Class"] },
);

/** What the network says about an accepted session, besides the verdict. */
const authorization = [
  "User-Name",
  "Session-Timeout",
  "Authorization-Lifetime",
  "Auth-Grace-Period",
  "Auth-Session-State",
  "Acct-Interim-Interval",
  "Framed-IP-Address",
  "MIP6-Feature-Vector",
  "Mobile-Node-Identifier",
] as const;
const authorizationLists = [
  "Class",
  "Reply-Message",
  "Filter-Id",
  "NAS-Filter-Rule",
  "Framed-IPv6-Prefix",
  "APN-Configuration",
] as const;
/** What the access side says about itself and the device. */
const access = [
  "Destination-Host",
  "Origin-State-Id",
  "User-Name",
  "NAS-Identifier",
  "NAS-IP-Address",
  "NAS-IPv6-Address",
  "NAS-Port-Type",
  "Called-Station-Id",
  "Calling-Station-Id",
  "Service-Type",
  "State",
  "Auth-Session-State",
  "RAT-Type",
  "Service-Selection",
  "MIP6-Feature-Vector",
  "Visited-Network-Identifier",
  "Terminal-Information",
  "UE-Local-IP-Address",
  "Emergency-Services",
  "AAA-Failure-Indication",
] as const;

/** RFC 4072 3, TS 29.273 7.2.2.1: EAP between SeGW and AAA server. */
export const DiameterEap = command(
  ["DER", "DEA"],
  CommandCode.DiameterEap,
  true,
  {
    required: ["Session-Id", "Auth-Application-Id", ...ORIGIN, "Destination-Realm", "Auth-Request-Type", "EAP-Payload"],
    optional: access,
    repeated: [...ROUTED, "Class", "Supported-Features"],
  },
  {
    required: ["Session-Id", "Auth-Application-Id", "Auth-Request-Type", ...ORIGIN],
    optional: [
      ...RESULT,
      ...authorization,
      "EAP-Payload",
      "EAP-Reissued-Payload",
      "EAP-Master-Session-Key",
      "Accounting-EAP-Auth-Method",
      "Multi-Round-Time-Out",
      "State",
    ],
    repeated: ["Proxy-Info", ...authorizationLists, "Supported-Features"],
  },
);

/** RFC 7155 3.1, TS 29.273 7.2.2.1.3: authorization without authentication (7.x-1). */
export const AA = command(
  ["AAR", "AAA"],
  CommandCode.AA,
  true,
  {
    required: ["Session-Id", "Auth-Application-Id", ...ORIGIN, "Destination-Realm", "Auth-Request-Type"],
    optional: access,
    repeated: [...ROUTED, "Class", "Supported-Features"],
  },
  {
    required: ["Session-Id", "Auth-Application-Id", "Auth-Request-Type", ...ORIGIN],
    optional: [...RESULT, ...authorization, "State"],
    repeated: ["Proxy-Info", ...authorizationLists, "Supported-Features"],
  },
);

/** RFC 6733 9.7. */
export const Accounting = command(
  ["ACR", "ACA"],
  CommandCode.Accounting,
  true,
  {
    required: ["Session-Id", ...ORIGIN, "Destination-Realm", "Accounting-Record-Type", "Accounting-Record-Number"],
    optional: [
      "Acct-Application-Id",
      "Destination-Host",
      "Origin-State-Id",
      "User-Name",
      "Event-Timestamp",
      "Acct-Session-Time",
      "Accounting-Input-Octets",
      "Accounting-Output-Octets",
      "Accounting-Input-Packets",
      "Accounting-Output-Packets",
      "Framed-IP-Address",
      "Calling-Station-Id",
      "NAS-Identifier",
      "Termination-Cause",
    ],
    repeated: [...ROUTED, "Class"],
  },
  {
    required: ["Session-Id", ...ORIGIN, "Accounting-Record-Type", "Accounting-Record-Number"],
    optional: [...RESULT, "Acct-Application-Id", "User-Name", "Event-Timestamp", "Acct-Interim-Interval"],
    repeated: ["Proxy-Info", "Class"],
  },
);

const swxRequest = [
  "Session-Id",
  "Vendor-Specific-Application-Id",
  "Auth-Session-State",
  ...ORIGIN,
  "Destination-Realm",
  "User-Name",
] as const;
const swxAnswer = ["Session-Id", "Vendor-Specific-Application-Id", "Auth-Session-State", ...ORIGIN] as const;
const swxLists = [...ROUTED, "Supported-Features"] as const;

/** TS 29.273 8.2.2.1: authentication vectors. */
export const MultimediaAuth = command(
  ["MAR", "MAA"],
  CommandCode.MultimediaAuth,
  true,
  {
    required: [...swxRequest, "SIP-Number-Auth-Items", "SIP-Auth-Data-Item"],
    optional: ["Destination-Host", "RAT-Type", "ANID", "Visited-Network-Identifier", "Terminal-Information"],
    repeated: swxLists,
  },
  {
    required: swxAnswer,
    optional: [...RESULT, "User-Name", "SIP-Number-Auth-Items", "3GPP-AAA-Server-Name"],
    repeated: ["Proxy-Info", "SIP-Auth-Data-Item", "Supported-Features"],
  },
);

/** TS 29.273 8.2.2.3: the AAA server registers for a user, or asks for the profile. */
export const ServerAssignment = command(
  ["SAR", "SAA"],
  CommandCode.ServerAssignment,
  true,
  {
    required: [...swxRequest, "Server-Assignment-Type"],
    optional: ["Destination-Host", "Service-Selection", "Visited-Network-Identifier", "Terminal-Information"],
    repeated: swxLists,
  },
  {
    required: swxAnswer,
    optional: [...RESULT, "User-Name", "Non-3GPP-User-Data", "3GPP-AAA-Server-Name"],
    repeated: ["Proxy-Info", "Supported-Features"],
  },
);

/** TS 29.273 8.2.2.2.2: the HSS ends a user's registration. */
export const RegistrationTermination = command(
  ["RTR", "RTA"],
  CommandCode.RegistrationTermination,
  true,
  { required: [...swxRequest, "Destination-Host", "Deregistration-Reason"], repeated: swxLists },
  { required: swxAnswer, optional: RESULT, repeated: ["Proxy-Info", "Supported-Features"] },
);

/** Every command that Femtogate knows, by its number. */
export const COMMANDS: ReadonlyMap<number, CommandDefinition> = new Map<number, CommandDefinition>(
  [
    CapabilitiesExchange,
    DeviceWatchdog,
    DisconnectPeer,
    ReAuth,
    AbortSession,
    SessionTermination,
    DiameterEap,
    AA,
    Accounting,
    MultimediaAuth,
    ServerAssignment,
    RegistrationTermination,
  ].map((definition) => [definition.code, definition]),
);

/** How an answer ended, by Result-Code or Experimental-Result (RFC 6733 7.1, 7.6). */
export interface Outcome {
  /** 0 for Result-Code, else the vendor whose Experimental-Result-Code it is. */
  vendor: number;
  code: number;
  /** Error-Message, fit to be shown. */
  message?: string;
}

export type ReadAnswer<C extends CommandDefinition> =
  /** Informational or success: 1xxx, 2xxx. All that the grammar requires is there. */
  | { ok: true; outcome: Outcome; values: AnswerValues<C> }
  /** Anything else; the values are what the answer happens to hold. */
  | { ok: false; outcome: Outcome; values: Partial<AnswerValues<C>> };

/** Takes a request apart; throws DiameterError. */
export function readRequest<C extends CommandDefinition>(definition: C, message: DiameterMessage): RequestValues<C> {
  return readValues<C["request"]>(definition.request, message.avps, definition.requestName);
}

/**
 * Takes an answer apart; throws DiameterError. AVPs that are not understood are passed over, whatever their M bit says:
 * refusing an answer helps nobody, and what the answer grants is only what is understood of it.
 */
export function readAnswer<C extends CommandDefinition>(definition: C, message: DiameterMessage): ReadAnswer<C> {
  const partial = readPartialValues<C["answer"]>(definition.answer, message.avps, definition.answerName);
  const outcome = outcomeOf(partial, definition.answerName);
  if (message.header.error || outcome.code >= 3000) return { ok: false, outcome, values: partial };
  const values = readValues<C["answer"]>(definition.answer, message.avps, definition.answerName, "ignore");
  return { ok: true, outcome, values };
}

/** A request of that command; the connection fills in the hop-by-hop identifier. */
export function makeRequest<C extends CommandDefinition>(
  definition: C,
  application: number,
  endToEnd: number,
  values: RequestValues<C>,
): DiameterMessage {
  const header: DiameterHeader = {
    request: true,
    proxiable: definition.proxiable,
    error: false,
    retransmitted: false,
    command: definition.code,
    application,
    hopByHop: 0,
    endToEnd,
  };
  return { header, avps: writeValues<C["request"]>(definition.request, values) };
}

/** The answer to `request`: same identifiers, same Proxy-Info, same P bit (RFC 6733 6.2). */
export function makeAnswer<C extends CommandDefinition>(
  definition: C,
  request: DiameterMessage,
  values: AnswerValues<C>,
): DiameterMessage {
  const avps = writeValues<C["answer"]>(definition.answer, values);
  return { header: answerHeader(request.header, false), avps: [...avps, ...proxyInfo(request)] };
}

/**
 * An answer that reports an error, to a request of any command (RFC 6733 7.2): E bit for protocol errors (3xxx).
 */
export function makeErrorAnswer(
  request: DiameterMessage,
  origin: { host: string; realm: string },
  error: { resultCode: number; message: string; failedAvp?: Avp | undefined },
): DiameterMessage {
  const sessionId = request.avps.find((avp) => avp.code === SESSION_ID && avp.vendor === 0);
  const protocolError = error.resultCode >= 3000 && error.resultCode < 4000;
  const avps = writeValues(ERROR_ANSWER, {
    "Result-Code": error.resultCode,
    "Origin-Host": origin.host,
    "Origin-Realm": origin.realm,
    "Error-Message": error.message,
    ...(error.failedAvp === undefined ? {} : { "Failed-AVP": [error.failedAvp] }),
  });
  return {
    header: answerHeader(request.header, protocolError),
    avps: [...(sessionId === undefined ? [] : [sessionId]), ...avps, ...proxyInfo(request)],
  };
}

/** First AVP of an IETF code in a message, undecoded. */
export function findAvp(message: DiameterMessage, code: number): Bytes | undefined {
  return message.avps.find((avp) => avp.code === code && avp.vendor === 0)?.data;
}

function answerHeader(request: DiameterHeader, error: boolean): DiameterHeader {
  return { ...request, request: false, error, retransmitted: false };
}

function proxyInfo(request: DiameterMessage): Avp[] {
  return request.avps.filter((avp) => avp.code === PROXY_INFO && avp.vendor === 0);
}

function outcomeOf(
  values: {
    "Error-Message"?: string;
    "Result-Code"?: number;
    "Experimental-Result"?: { "Vendor-Id": number; "Experimental-Result-Code": number };
  },
  answerName: string,
): Outcome {
  const experimental = values["Experimental-Result"];
  const said = values["Error-Message"]?.slice(0, MAX_MESSAGE_SHOWN).replaceAll(/[^\x20-\x7e]/g, "?");
  const message = said === undefined ? {} : { message: said };
  if (values["Result-Code"] !== undefined) return { vendor: 0, code: values["Result-Code"], ...message };
  if (experimental !== undefined)
    return { vendor: experimental["Vendor-Id"], code: experimental["Experimental-Result-Code"], ...message };
  throw new DiameterError(ResultCode.MISSING_AVP, `${answerName}: Result-Code`, 0, "is missing");
}

const MAX_MESSAGE_SHOWN = 200;

const ERROR_ANSWER = {
  required: ["Result-Code", ...ORIGIN],
  optional: ["Error-Message", "Failed-AVP"],
  repeated: [],
} as const;

const SESSION_ID = 263;
const PROXY_INFO = 284;
