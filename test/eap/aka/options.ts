/** Options of a server and a peer with everything on, for tests to turn off. */
import type { AkaPeerOptions } from "../../../src/eap/aka/peerTypes.ts";
import type { AkaServerOptions } from "../../../src/eap/aka/serverTypes.ts";
import { KDF_1 } from "../../../src/eap/aka/variant.ts";
import type { Random } from "../../../src/sim/environment.ts";

export function serverOptions(random: Random, options: Partial<AkaServerOptions> = {}): AkaServerOptions {
  return {
    random,
    networkName: "WLAN",
    alwaysAskIdentity: false,
    pseudonyms: true,
    maxReauthentications: 3,
    reauthRealm: "aaa.example",
    resultIndications: false,
    authorize: false,
    prefersAkaPrime: false,
    keyDerivations: [KDF_1],
    ...options,
  };
}

export function peerOptions(random: Random, options: Partial<AkaPeerOptions> = {}): AkaPeerOptions {
  return {
    random,
    imsi: "001010123456789",
    realm: "nai.epc.mnc001.mcc001.3gppnetwork.org",
    remembered: { pseudonym: undefined, reauth: undefined },
    revealPermanent: true,
    resultIndications: true,
    acceptsAkaPrime: false,
    networkName: "WLAN",
    keyDerivations: [KDF_1],
    ...options,
  };
}
