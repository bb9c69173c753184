/** What the network grants an accepted session (TS 29.273 7.2.2.1, TS 33.320 A.2-7): all of it optional. */
import { optionalInteger, optionalText, type Row } from "../store/sql.ts";

export interface AccessProfile {
  /** The inner address, IPv4 or IPv6, instead of one from the gateway's pool. */
  address?: string | undefined;
  /** Name of a filter that the gateway knows. */
  filter?: string | undefined;
  /** Seconds after which the session ends. */
  sessionTimeout?: number | undefined;
}

export function readProfile(row: Row): AccessProfile {
  return {
    address: optionalText(row, "address"),
    filter: optionalText(row, "filter"),
    sessionTimeout: optionalInteger(row, "session_timeout"),
  };
}

/** What either says, the first one's word before the second's; of two timeouts the shorter. */
export function combined(first: AccessProfile, second: AccessProfile): AccessProfile {
  const timeouts = [first.sessionTimeout, second.sessionTimeout].filter((one) => one !== undefined);
  return {
    address: first.address ?? second.address,
    filter: first.filter ?? second.filter,
    sessionTimeout: timeouts.length === 0 ? undefined : Math.min(...timeouts),
  };
}
