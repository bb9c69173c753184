/** A USIM of the load: in memory, so that what is measured is not this machine's disk. */
import type { Bytes } from "../bytes/bytes.ts";
import { milenage } from "../eap/milenage.ts";
import { newSqnArray, SQN_DEFAULTS } from "../eap/sqn.ts";
import { authenticateUsim } from "../eap/usim.ts";
import type { Usim } from "../tre/usim.ts";

/** Keys of 16 octets each. */
export function loadUsim({ imsi, k, opc }: { imsi: string; k: Bytes; opc: Bytes }): Usim {
  const functions = milenage(k, opc);
  let array = newSqnArray(SQN_DEFAULTS);
  return {
    subscriber: async () => ({ imsi, mncDigits: 2 }),
    async authenticate(rand, autn) {
      const made = authenticateUsim(functions, array, SQN_DEFAULTS, rand, autn);
      array = made.array;
      return made.answer;
    },
  };
}
