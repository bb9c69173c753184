/** Numbers of Diameter: RFC 6733 and IANA's registries "AAA Parameters", TS 29.230 for what is 3GPP's. */

/** Vendor-Id of 3GPP (TS 29.230 4). */
export const VENDOR_3GPP = 10415;

export const Application = {
  /** Common messages between neighbours: capabilities, watchdog, disconnect (RFC 6733 2.4). */
  common: 0,
  baseAccounting: 3,
  /** TS 29.273 7: SeGW or ePDG to the AAA server. */
  SWm: 16777264,
  /** TS 29.273 8: AAA server to the HSS. */
  SWx: 16777265,
  relay: 0xffffffff,
} as const;

export const CommandCode = {
  CapabilitiesExchange: 257,
  ReAuth: 258,
  AA: 265,
  DiameterEap: 268,
  Accounting: 271,
  AbortSession: 274,
  SessionTermination: 275,
  DeviceWatchdog: 280,
  DisconnectPeer: 282,
  ServerAssignment: 301,
  MultimediaAuth: 303,
  RegistrationTermination: 304,
} as const;

/** Result-Code (RFC 6733 7.1). */
export const ResultCode = {
  MULTI_ROUND_AUTH: 1001,
  SUCCESS: 2001,
  LIMITED_SUCCESS: 2002,
  COMMAND_UNSUPPORTED: 3001,
  UNABLE_TO_DELIVER: 3002,
  REALM_NOT_SERVED: 3003,
  TOO_BUSY: 3004,
  LOOP_DETECTED: 3005,
  APPLICATION_UNSUPPORTED: 3007,
  INVALID_HDR_BITS: 3008,
  INVALID_AVP_BITS: 3009,
  UNKNOWN_PEER: 3010,
  AUTHENTICATION_REJECTED: 4001,
  ELECTION_LOST: 4003,
  AVP_UNSUPPORTED: 5001,
  UNKNOWN_SESSION_ID: 5002,
  AUTHORIZATION_REJECTED: 5003,
  INVALID_AVP_VALUE: 5004,
  MISSING_AVP: 5005,
  RESOURCES_EXCEEDED: 5006,
  AVP_OCCURS_TOO_MANY_TIMES: 5009,
  NO_COMMON_APPLICATION: 5010,
  UNSUPPORTED_VERSION: 5011,
  UNABLE_TO_COMPLY: 5012,
  INVALID_AVP_LENGTH: 5014,
  INVALID_MESSAGE_LENGTH: 5015,
  NO_COMMON_SECURITY: 5017,
} as const;

/** Experimental-Result-Code of vendor 3GPP (TS 29.229 6.2, TS 29.272 7.4, TS 29.273 10). */
export const ExperimentalResult = {
  AUTHENTICATION_DATA_UNAVAILABLE: 4181,
  USER_UNKNOWN: 5001,
  ROAMING_NOT_ALLOWED: 5004,
  IDENTITY_ALREADY_REGISTERED: 5005,
  AUTH_SCHEME_NOT_SUPPORTED: 5006,
  USER_NO_NON_3GPP_SUBSCRIPTION: 5450,
} as const;

/** Auth-Request-Type (RFC 6733 8.7). */
export const AuthRequestType = { AUTHENTICATE_ONLY: 1, AUTHORIZE_ONLY: 2, AUTHORIZE_AUTHENTICATE: 3 } as const;

/** Auth-Session-State (RFC 6733 8.11). */
export const AuthSessionState = { STATE_MAINTAINED: 0, NO_STATE_MAINTAINED: 1 } as const;

/** Re-Auth-Request-Type (RFC 6733 8.12). */
export const ReAuthRequestType = { AUTHORIZE_ONLY: 0, AUTHORIZE_AUTHENTICATE: 1 } as const;

/** Termination-Cause (RFC 6733 8.15). */
export const TerminationCause = {
  LOGOUT: 1,
  SERVICE_NOT_PROVIDED: 2,
  BAD_ANSWER: 3,
  ADMINISTRATIVE: 4,
  LINK_BROKEN: 5,
  AUTH_EXPIRED: 6,
  USER_MOVED: 7,
  SESSION_TIMEOUT: 8,
} as const;

/** Disconnect-Cause (RFC 6733 5.4.3). */
export const DisconnectCause = { REBOOTING: 0, BUSY: 1, DO_NOT_WANT_TO_TALK_TO_YOU: 2 } as const;

/** Accounting-Record-Type (RFC 6733 9.8.1). */
export const AccountingRecordType = { EVENT: 1, START: 2, INTERIM: 3, STOP: 4 } as const;

/** Server-Assignment-Type (TS 29.273 8.2.3.6, after TS 29.229 6.3.15). */
export const ServerAssignmentType = {
  NO_ASSIGNMENT: 0,
  REGISTRATION: 1,
  USER_DEREGISTRATION: 5,
  ADMINISTRATIVE_DEREGISTRATION: 8,
  AUTHENTICATION_FAILURE: 9,
  AUTHENTICATION_TIMEOUT: 10,
  AAA_USER_DATA_REQUEST: 12,
} as const;
