/** Codes of EAP-AKA that both ends know (RFC 4187 10.19, 10.20; RFC 9048 4). */

/** AT_NOTIFICATION; the two highest bits say success and "before authentication" (RFC 4187 6.1). */
export const Notification = {
  GENERAL_FAILURE_AFTER_AUTHENTICATION: 0,
  TEMPORARILY_DENIED: 1026,
  NOT_SUBSCRIBED: 1031,
  GENERAL_FAILURE: 16384,
  SUCCESS: 32768,
} as const;

/** S bit: the code does not imply failure. */
export function impliesSuccess(code: number): boolean {
  return (code & 0x8000) !== 0;
}

/** P bit: the code is used before authentication, and unprotected. */
export function isBeforeAuthentication(code: number): boolean {
  return (code & 0x4000) !== 0;
}

/** AT_CLIENT_ERROR_CODE that EAP-AKA uses; the others are EAP-SIM's. */
export const UNABLE_TO_PROCESS_PACKET = 0;

/** D bit of AT_BIDDING: the server would have preferred EAP-AKA'. */
export const BIDDING_PREFERS_AKA_PRIME = 0x8000;
