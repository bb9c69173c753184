/**
 * What a PKI of the H(e)NB path holds and issues (TS 33.310 6.1, TS 33.320 7.2.5.2 and 8.3.3): its CAs, its end
 * entities, and the extensions of each.
 *
 * CAs for IKEv2 and for TLS are apart, as TS 33.310 6.1.4a and 6.1.4b have them; the operator's hierarchy and the
 * manufacturer's share nothing (TS 33.320 7.2.2-2, 7.2.2-3).
 */
import { basicConstraints, extendedKeyUsage, keyUsage, type NewExtension, ocspNoCheck } from "../x509/build.ts";
import { Oid } from "../x509/oids.ts";

/** Whose organisation name a certificate carries. */
export type Owner = "operator" | "manufacturer";

/** The CAs that `init` makes, each root before what is under it. */
export const CA_NAMES = [
  "operator-root",
  "segw-ca",
  "hems-ca",
  "manufacturer-root",
  "device-ca",
  "device-tls-ca",
] as const;
export type CaName = (typeof CA_NAMES)[number];

/** End entities: IKEv2 (7.2.5.2.1-1), TLS (8.3.3.1-1), and a device's one certificate for both (8.3.3.1-5). */
export const PROFILES = ["segw", "henb", "henb-tls", "henb-both", "hems"] as const;
export type Profile = (typeof PROFILES)[number];

export const CA_PLANS: Readonly<Record<CaName, { parent: CaName | undefined; owner: Owner; commonName: string }>> = {
  "operator-root": { parent: undefined, owner: "operator", commonName: "Root CA" },
  "segw-ca": { parent: "operator-root", owner: "operator", commonName: "SeGW CA" },
  "hems-ca": { parent: "operator-root", owner: "operator", commonName: "H(e)MS CA" },
  "manufacturer-root": { parent: undefined, owner: "manufacturer", commonName: "Root CA" },
  "device-ca": { parent: "manufacturer-root", owner: "manufacturer", commonName: "H(e)NB CA" },
  "device-tls-ca": { parent: "manufacturer-root", owner: "manufacturer", commonName: "H(e)NB TLS CA" },
};

/** The CA that issues each profile, and what its keys are for (RFC 4945 5.1.3.12, TS 33.310 6.1.3a). */
export const PROFILE_PLANS: Readonly<Record<Profile, { ca: CaName; owner: Owner; purposes: readonly string[] }>> = {
  segw: { ca: "segw-ca", owner: "operator", purposes: [Oid.ipsecIke] },
  henb: { ca: "device-ca", owner: "manufacturer", purposes: [Oid.ipsecIke] },
  "henb-tls": { ca: "device-tls-ca", owner: "manufacturer", purposes: [Oid.clientAuth] },
  "henb-both": { ca: "device-ca", owner: "manufacturer", purposes: [Oid.ipsecIke, Oid.clientAuth] },
  hems: { ca: "hems-ca", owner: "operator", purposes: [Oid.serverAuth] },
};

/**
 * TS 33.310 6.1.2, 6.1.4, 6.1.4a, 6.1.4b: basicConstraints and keyUsage, critical. `below` is how many CAs may stand
 * under this one; undefined sets no limit.
 */
export function caExtensions(below: number | undefined): NewExtension[] {
  return [basicConstraints(true, below), keyUsage("keyCertSign", "cRLSign")];
}

/** TS 33.310 6.1.3, 6.1.3a, 6.1.3b: no CA, digitalSignature critical, the purposes. */
export function endEntityExtensions(profile: Profile): NewExtension[] {
  return [basicConstraints(false), keyUsage("digitalSignature"), extendedKeyUsage(...PROFILE_PLANS[profile].purposes)];
}

/** RFC 6960 4.2.2.2: a signer that a CA delegated to, and whose own status nobody need ask for. */
export function ocspSignerExtensions(): NewExtension[] {
  return [basicConstraints(false), keyUsage("digitalSignature"), extendedKeyUsage(Oid.ocspSigning), ocspNoCheck()];
}
