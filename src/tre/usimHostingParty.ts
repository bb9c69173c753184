/**
 * A hosting party's module around a USIM: the EAP-AKA peer of `src/eap` and the card that answers it.
 *
 * Pseudonyms and the contexts of fast re-authentications live as long as this object: what is lost with it costs one full
 * authentication under the permanent identity, and no key is ever written to a disk.
 */
import { createHmac } from "node:crypto";
import { type Bytes, sameSecret } from "../bytes/bytes.ts";
import { permanentIdentity, realmOf } from "../eap/aka/identity.ts";
import { AkaPeer, firstIdentity } from "../eap/aka/peer.ts";
import type { AkaPeerAsk, AkaPeerOptions, AkaPeerWorld, RememberedIdentities } from "../eap/aka/peerTypes.ts";
import { AKA, AKA_PRIME, type AkaVariant, KDF_1 } from "../eap/aka/variant.ts";
import { EapPeer, type PeerEffect } from "../eap/peer.ts";
import type { UsimAnswer } from "../eap/usim.ts";
import type { Random } from "../sim/environment.ts";
import {
  HostingPartyError,
  type HostingPartyModule,
  type HostingPartyStep,
  type PrfHash,
} from "./hostingPartyModule.ts";
import { type Usim, UsimError } from "./usim.ts";

export interface HostingPartyPolicy {
  /** Methods that are acceptable, most preferred first; TS 33.320 A.2 has EAP-AKA alone. */
  methods: readonly ("EAP-AKA" | "EAP-AKA'")[];
  /** Realm of the identities; by default the one that follows from the IMSI (TS 23.003 19.2). */
  realm: string | undefined;
  /** Access network that EAP-AKA' must be bound to; undefined takes any. */
  networkName: string | undefined;
  /** Says the permanent identity when asked although there is a pseudonym; the IKE SA hides it from third parties. */
  revealPermanent: boolean;
  resultIndications: boolean;
}

export const HOSTING_PARTY_DEFAULTS: HostingPartyPolicy = {
  methods: ["EAP-AKA"],
  realm: undefined,
  networkName: undefined,
  revealPermanent: true,
  resultIndications: true,
};

export class UsimHostingParty implements HostingPartyModule {
  readonly #usim: Usim;
  readonly #random: Random;
  readonly #policy: HostingPartyPolicy;
  readonly #variants: readonly AkaVariant[];
  readonly #remembered = new Map<number, RememberedIdentities>();
  #peer: EapPeer<AkaPeerWorld> | undefined;
  #msk: Bytes | undefined;

  constructor(usim: Usim, random: Random, policy: HostingPartyPolicy = HOSTING_PARTY_DEFAULTS) {
    if (policy.methods.length === 0) throw new HostingPartyError("a hosting party without an EAP method cannot enter");
    this.#usim = usim;
    this.#random = random;
    this.#policy = policy;
    this.#variants = policy.methods.map((name) => (name === "EAP-AKA" ? AKA : AKA_PRIME));
  }

  async identity(): Promise<{ imsi: string; nai: string }> {
    const { imsi, realm } = await this.#subscriber();
    return { imsi, nai: permanentIdentity(this.#variants[0]!, imsi, realm) };
  }

  async begin(): Promise<Bytes> {
    this.#msk = undefined;
    const { imsi, realm } = await this.#subscriber();
    const optionsOf = (variant: AkaVariant): AkaPeerOptions => ({
      random: this.#random,
      imsi,
      realm,
      remembered: this.#remembered.get(variant.type) ?? { pseudonym: undefined, reauth: undefined },
      revealPermanent: this.#policy.revealPermanent,
      resultIndications: this.#policy.resultIndications,
      acceptsAkaPrime: this.#policy.methods.includes("EAP-AKA'"),
      networkName: this.#policy.networkName,
      keyDerivations: [KDF_1],
    });
    const preferred = this.#variants[0]!;
    const identity = Buffer.from(firstIdentity(preferred, optionsOf(preferred)), "latin1");
    this.#peer = new EapPeer<AkaPeerWorld>({
      identity,
      // IKEv2 protects every EAP packet (RFC 7296 2.16).
      protectedBelow: true,
      methods: this.#variants.map((variant) => ({
        type: variant.type,
        make: (said) => new AkaPeer(variant, optionsOf(variant), said),
      })),
    });
    return identity;
  }

  async receive(packet: Bytes): Promise<HostingPartyStep> {
    const peer = this.#peer;
    if (peer === undefined) throw new HostingPartyError("an EAP packet before the authentication has begun");
    return this.#carryOut(peer, peer.receive(packet));
  }

  async computeAuth(prf: PrfHash, octets: Bytes): Promise<Bytes> {
    if (this.#msk === undefined) throw new HostingPartyError("AUTH before the hosting party was authenticated");
    const key = createHmac(prf, this.#msk).update(KEY_PAD).digest();
    return createHmac(prf, key).update(octets).digest();
  }

  async verifyAuth(prf: PrfHash, octets: Bytes, auth: Bytes): Promise<boolean> {
    return sameSecret(await this.computeAuth(prf, octets), auth);
  }

  async #carryOut(
    peer: EapPeer<AkaPeerWorld>,
    effects: readonly PeerEffect<AkaPeerWorld>[],
  ): Promise<HostingPartyStep> {
    let step: HostingPartyStep = { kind: "ignored", problem: "the packet asks for nothing" };
    for (const effect of effects) {
      switch (effect.kind) {
        case "store":
          this.#remembered.set(effect.record.method, effect.record.identities);
          break;
        case "ask": {
          const answer = await this.#askUsim(effect.ask);
          // While the card computed, another authentication may have begun.
          if (this.#peer !== peer) return { kind: "ignored", problem: "another authentication has begun" };
          step = await this.#carryOut(peer, peer.answer(effect.askId, { ask: "usim", answer }));
          break;
        }
        case "send":
          step = { kind: "respond", packet: effect.packet };
          break;
        case "succeeded": {
          this.#msk = effect.result.msk;
          const method = effect.result.method === AKA.type ? AKA.name : AKA_PRIME.name;
          step = { kind: "succeeded", method, reauthentication: effect.result.reauthentication };
          break;
        }
        case "failed":
          step = effect;
          break;
        case "dropped":
          step = { kind: "ignored", problem: effect.problem };
          break;
        case "notice":
          break;
      }
    }
    return step;
  }

  async #askUsim({ rand, autn }: AkaPeerAsk): Promise<UsimAnswer | { kind: "unavailable"; message: string }> {
    try {
      return await this.#usim.authenticate(rand, autn);
    } catch (error) {
      if (!(error instanceof UsimError)) throw error;
      return { kind: "unavailable", message: error.message };
    }
  }

  async #subscriber(): Promise<{ imsi: string; realm: string }> {
    const { imsi, mncDigits } = await this.#usim.subscriber();
    return { imsi, realm: this.#policy.realm ?? realmOf(imsi, mncDigits) };
  }
}

/** RFC 7296 2.15, without a terminator. */
const KEY_PAD = Buffer.from("Key Pad for IKEv2", "ascii");
