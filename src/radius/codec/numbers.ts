/** Numbers of RADIUS: RFC 2865 to 2869, 3579, 5176, 5997, and IANA's registry "RADIUS Types". */

export const Code = {
  AccessRequest: 1,
  AccessAccept: 2,
  AccessReject: 3,
  AccountingRequest: 4,
  AccountingResponse: 5,
  AccessChallenge: 11,
  StatusServer: 12,
  DisconnectRequest: 40,
  DisconnectAck: 41,
  DisconnectNak: 42,
  CoaRequest: 43,
  CoaAck: 44,
  CoaNak: 45,
} as const;

/** Vendor-Id of Microsoft, whose attributes carry the MSK (RFC 2548). */
export const VENDOR_MICROSOFT = 311;

/** Service-Type (RFC 2865 5.6). */
export const ServiceType = { Framed: 2, CallCheck: 10 } as const;

/** Tunnel-Type and Tunnel-Medium-Type (RFC 2868 3.1, 3.2). */
export const TunnelType = { ESP: 9 } as const;
export const TunnelMediumType = { IPv4: 1, IPv6: 2 } as const;

/** NAS-Port-Type (RFC 2865 5.41). */
export const NasPortType = { Virtual: 5 } as const;

/** Acct-Status-Type (RFC 2866 5.1). */
export const AcctStatusType = { Start: 1, Stop: 2, InterimUpdate: 3, AccountingOn: 7, AccountingOff: 8 } as const;

/** Acct-Terminate-Cause (RFC 2866 5.10). */
export const AcctTerminateCause = {
  UserRequest: 1,
  LostCarrier: 2,
  IdleTimeout: 4,
  SessionTimeout: 5,
  AdminReset: 6,
  NasRequest: 10,
} as const;

/** Error-Cause (RFC 5176 3.5). */
export const ErrorCause = {
  UnsupportedAttribute: 401,
  MissingAttribute: 402,
  NasIdentificationMismatch: 403,
  InvalidRequest: 404,
  UnsupportedService: 405,
  InvalidAttributeValue: 407,
  AdministrativelyProhibited: 501,
  SessionContextNotFound: 503,
  SessionContextNotRemovable: 504,
  ResourcesUnavailable: 506,
} as const;
