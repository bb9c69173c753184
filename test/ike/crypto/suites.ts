/** Every IKE suite that can be negotiated, and keys for it. */

import type { IkeSpi } from "../../../src/ike/codec/message.ts";
import { Encr, Group, Integ, Prf } from "../../../src/ike/codec/numbers.ts";
import { deriveIkeKeys, type IkeKeys } from "../../../src/ike/crypto/kdf.ts";
import type { IkeSuite } from "../../../src/ike/crypto/suite.ts";

const ciphers = [
  ...[128, 192, 256].map((keyLength) => ({ id: Encr.AES_CBC, keyLength })),
  { id: Encr.DES3, keyLength: 0 },
];
const integs = Object.values(Integ).filter((integ) => integ !== Integ.NONE);

export const suites: IkeSuite[] = [
  ...[128, 256].map((keyLength) => ({
    encr: { id: Encr.AES_GCM_16, keyLength },
    integ: Integ.NONE,
    prf: Prf.HMAC_SHA2_256,
    group: Group.CURVE25519,
  })),
  ...ciphers.flatMap((encr) =>
    integs.map((integ) => ({ encr, integ, prf: Prf.HMAC_SHA2_384, group: Group.MODP_2048 })),
  ),
];

export function keysFor(suite: IkeSuite, secret = 1): IkeKeys {
  return deriveIkeKeys(suite, {
    nonceI: Buffer.alloc(32, 2),
    nonceR: Buffer.alloc(32, 3),
    sharedSecret: Buffer.alloc(32, secret),
    spiI: "1111111111111111" as IkeSpi,
    spiR: "2222222222222222" as IkeSpi,
  });
}
