/** The algorithms one IKE SA uses (RFC 7296 3.3.2). */
import { Encr, Group, Integ, Prf } from "../codec/numbers.ts";

export interface IkeSuite {
  /** Key length in bits, 0 where the cipher has only one. */
  encr: { id: number; keyLength: number };
  /** 0 with AEAD ciphers. */
  integ: number;
  prf: number;
  group: number;
}

/** "AES_GCM_16_256/PRF_HMAC_SHA2_256/CURVE25519". */
export function describeSuite(suite: IkeSuite): string {
  const encr = `${nameOf(Encr, suite.encr.id)}${suite.encr.keyLength === 0 ? "" : `_${suite.encr.keyLength}`}`;
  const integ = suite.integ === Integ.NONE ? [] : [nameOf(Integ, suite.integ)];
  return [encr, ...integ, `PRF_${nameOf(Prf, suite.prf)}`, nameOf(Group, suite.group)].join("/");
}

function nameOf(table: Record<string, number>, id: number): string {
  return Object.entries(table).find(([, value]) => value === id)?.[0] ?? String(id);
}
