/** What a peer is told, apart from what we know (RFC 7296 3.10.1): an attacker learns the notify and no more. */
import { NotifyType } from "../codec/numbers.ts";

/** "AUTHENTICATION_FAILED (24)". */
export function notifyText(type: number): string {
  const name = NAMES.get(type);
  return name === undefined ? `notify ${type}` : `${name} (${type})`;
}

const NAMES = new Map<number, string>(Object.entries(NotifyType).map(([name, type]) => [type, name]));
