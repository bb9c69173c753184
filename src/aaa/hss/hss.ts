/**
 * What the AAA server asks of an HSS, whether it is in the same process or behind SWx (TS 29.273 8): authentication
 * vectors, and what a subscriber may use (TS 33.320 A.2-4).
 */

import { deriveCkIkPrime } from "../../eap/aka/keys.ts";
import type { Resync, VectorRefusal } from "../../eap/aka/serverTypes.ts";
import type { AkaVariant } from "../../eap/aka/variant.ts";
import { AMF_PLAIN, AMF_SEPARATED, type AuthenticationVector, makeVector } from "../../eap/authenticationVector.ts";
import type { Random } from "../../sim/environment.ts";
import type { AccessProfile } from "../profile.ts";
import type { Subscribers } from "./subscribers.ts";

export interface VectorRequest {
  imsi: string;
  method: AkaVariant["name"];
  /** Of EAP-AKA': the access network that CK' and IK' are bound to (TS 33.402 A.2). */
  networkName: string;
  resync: Resync | undefined;
}

export type VectorAnswer = { vector: AuthenticationVector } | { refusal: VectorRefusal; message: string };

export interface Hss {
  /** Never rejects: an HSS that cannot be reached is a refusal "Unavailable". */
  vector(request: VectorRequest): Promise<VectorAnswer>;
  /** Undefined for a subscriber that may not use this access (TS 29.273 8.1.2.2). Rejects if the HSS cannot say. */
  profile(imsi: string): Promise<AccessProfile | undefined>;
}

/** The HSS in this process, over the store. */
export class LocalHss implements Hss {
  readonly #subscribers: Subscribers;
  readonly #random: Random;

  constructor(subscribers: Subscribers, random: Random) {
    this.#subscribers = subscribers;
    this.#random = random;
  }

  async vector({ imsi, method, networkName, resync }: VectorRequest): Promise<VectorAnswer> {
    try {
      const taken =
        resync === undefined
          ? await this.#subscribers.takeSqn(imsi)
          : await this.#subscribers.takeSqnAfter(imsi, resync.rand, resync.auts);
      if (taken === undefined) return { refusal: "UnknownSubscriber", message: `${imsi} is unknown or barred` };
      if (taken === "wrongAuts") return { refusal: "WrongAuts", message: `AUTS of ${imsi} has a wrong MAC-S` };
      const rand = Buffer.from(this.#random.bytes(16));
      if (method === "EAP-AKA") return { vector: makeVector(taken.functions, rand, taken.sqn, AMF_PLAIN) };
      const vector = makeVector(taken.functions, rand, taken.sqn, AMF_SEPARATED);
      const { ck, ik } = vector;
      return { vector: { ...vector, ...deriveCkIkPrime(ck, ik, Buffer.from(networkName), vector.autn) } };
    } catch (error) {
      return { refusal: "Unavailable", message: `the HSS failed: ${error instanceof Error ? error.message : error}` };
    }
  }

  async profile(imsi: string): Promise<AccessProfile | undefined> {
    const found = await this.#subscribers.find(imsi);
    return found === undefined || found.barred ? undefined : found;
  }
}
