/**
 * What roles demand of the certificates they are shown, read from a role's configuration file or from one that holds a
 * `revocation` section with a rule for each class of peers.
 */
import { z } from "zod";
import { path } from "../../config/fields.ts";
import { hemsConfig } from "../../hems/config.ts";
import { deviceConfig } from "../../henb/config.ts";
import type { ManagementConfig } from "../../henb/managementConfig.ts";
import { hostOf } from "../../henb/managementSession.ts";
import type { OcspConfig } from "../../henb/ocspConfig.ts";
import { readCertificates, readConfig } from "../../ipsec/roleFiles.ts";
import { profilePolicy, profileSection } from "../../ipsec/settings.ts";
import { type RevocationSection, revocationSection } from "../../revocation/config.ts";
import { gatewayConfig } from "../../segw/config.ts";
import type { Clock, Random } from "../../sim/environment.ts";
import type { InBandPolicy, StatusScope } from "../../tre/inBandStatus.ts";
import type { ProfilePolicy } from "../../tre/peerProfile.ts";
import { readResponders, readRoots, readTlsRoots } from "../../tre/softwareTre.ts";
import type { Purpose } from "../../trust/path.ts";
import type { CertificateProfile } from "../../trust/profiles/rule.ts";
import type { PeerClass } from "../../trust/revocationPolicy.ts";
import type { Certificate } from "../../x509/certificate.ts";
import type { Material } from "./material.ts";

/**
 * Not strict: other roles' files have more keys, which are theirs to check. What this one is for has no default, so that
 * a misspelt `revocation` is told.
 */
export const policyFile = z.looseObject({
  /** Who issued the peers' certificates. */
  trust: z
    .looseObject({
      /** PEM files; each may hold several roots. */
      roots: z.array(path).min(1),
    })
    .optional(),
  /** What peers' certificates must keep to. */
  profile: profileSection,
  /** SHA-1 and short RSA keys. */
  allowWeakAlgorithms: z.boolean().default(false),
  /** How each class of peers is checked for revocation. */
  revocation: revocationSection,
});

/** One role's policy towards one kind of peer. */
export interface RolePolicy {
  /** "SeGW". */
  role: string;
  /** Whose certificates it judges. */
  peerClass: PeerClass;
  /** Kinds of certificates that such a peer has. */
  takes: readonly CertificateProfile[];
  purpose: Purpose;
  /** Whose name is compared: the peer's own claim (IDi), or the one that was connected to (TS 33.320 7.2.2-4). */
  name: "claimed" | "connectedTo";
  /** What it connects to by its configuration. */
  connectsTo: string | undefined;
  allowWeakAlgorithms: boolean;
  profile: ProfilePolicy | undefined;
  /** What it wants in-band (RFC 4806) or stapled. */
  inBand: InBand;
  /** What it trusts by its configuration. */
  roots: readonly Certificate[];
  /** Undefined where the role asks nobody; a device asks about what did not come in-band. */
  revocation: RevocationSection | undefined;
}

type Judging = Pick<InBandPolicy, "trustedResponders" | "ocspTolerance" | "ocspMaxAge" | "ocspDelegates">;
/** How deep, and how responses are judged. */
export type InBand = { depth: StatusScope } & Judging;

export interface PolicyFile {
  roles: readonly RolePolicy[];
  /** What the file says is trusted. */
  roots: readonly Certificate[];
  /** That its paths are relative to. */
  folder: string;
}

/** All that a role's verdict rests on besides its policy. */
export interface RoleWorld {
  file: PolicyFile;
  /** Trusted in place of what the file says (--trust); undefined: that counts. */
  anchors: readonly Certificate[] | undefined;
  crlSigners: readonly Certificate[];
  material: Material;
  clock: Clock;
  random: Random;
  /** What the end entity is known or connected to by (--name). */
  identity: string | undefined;
  /** SHA-1 and short keys whatever the policy says. */
  allowWeakAlgorithms: boolean;
  /** Asks the policy's servers. */
  online: boolean;
}

/** Reads FILE.yaml; throws ConfigError, RoleFileError, or TreError for a device whose TrE this user cannot read. */
export function readPolicyFile(file: string): PolicyFile {
  const { config } = readConfig(z.looseObject({}), file);
  if ("tre" in config) return ofDevice(file);
  if ("pool" in config || "protected" in config) return ofGateway(file);
  return "credentials" in config ? ofManagementServer(file) : ofClasses(file);
}

function ofClasses(file: string): PolicyFile {
  const { config, at } = readConfig(policyFile, file);
  const { trust, profile, allowWeakAlgorithms, revocation } = config;
  const roots = (trust?.roots ?? []).flatMap((each) => readCertificates(at(each)));
  const common = { connectsTo: undefined, allowWeakAlgorithms, inBand: NOT_IN_BAND, revocation, roots };
  const roles: RolePolicy[] = [
    { role: "SeGW", ...DEVICE_BY_IKE, profile: profilePolicy(profile, "henb-ikev2"), ...common },
    { role: "H(e)MS", ...DEVICE_BY_TLS, profile: profilePolicy(profile, "henb-tls"), ...common },
    { role: "H(e)NB", ...GATEWAY, profile: profilePolicy(profile, "segw"), ...common },
    { role: "H(e)NB", ...MANAGEMENT_SERVER, profile: profilePolicy(profile, "hems"), ...common },
  ];
  return { roles, roots, folder: at(".") };
}

function ofGateway(file: string): PolicyFile {
  const { config, at } = readConfig(gatewayConfig, file);
  const { ike, ocsp, profile, revocation, trust } = config;
  const roots = trust.roots.flatMap((each) => readCertificates(at(each)));
  const role: RolePolicy = {
    role: "SeGW",
    ...DEVICE_BY_IKE,
    connectsTo: undefined,
    allowWeakAlgorithms: ike.allowWeakAlgorithms,
    profile: profilePolicy(profile, "henb-ikev2"),
    inBand: { depth: ocsp.inBand, ...judging(ocsp) },
    revocation,
    roots,
  };
  return { roles: [role], roots, folder: at(".") };
}

function ofManagementServer(file: string): PolicyFile {
  const { config, at } = readConfig(hemsConfig, file);
  const { profile, revocation, trust } = config;
  const roots = trust.roots.flatMap((each) => readCertificates(at(each)));
  const role: RolePolicy = {
    role: "H(e)MS",
    ...DEVICE_BY_TLS,
    connectsTo: undefined,
    allowWeakAlgorithms: trust.allowWeakAlgorithms,
    profile: profilePolicy(profile, "henb-tls"),
    inBand: NOT_IN_BAND,
    revocation,
    roots,
  };
  return { roles: [role], roots, folder: at(".") };
}

function ofDevice(file: string): PolicyFile {
  const { config, at } = readConfig(deviceConfig, file);
  const { ike, ocsp, profile, gateway, management } = config;
  const tre = at(config.tre.directory);
  const roots = readRoots(tre);
  const trustedResponders = readResponders(tre);
  const role: RolePolicy = {
    role: "H(e)NB",
    ...GATEWAY,
    connectsTo: gateway.name,
    allowWeakAlgorithms: ike.allowWeakAlgorithms,
    profile: profilePolicy(profile, "segw"),
    inBand: { depth: ocsp.inBand, ...judging(ocsp), trustedResponders },
    revocation: ocsp.ask.length === 0 ? undefined : askedOf(ocsp),
    roots,
  };
  if (management === undefined) return { roles: [role], roots, folder: at(".") };
  const tlsRoots = readTlsRoots(tre);
  const towardsManagement = ofManagement(management, tlsRoots, trustedResponders);
  return { roles: [role, towardsManagement], roots: [...new Set([...roots, ...tlsRoots])], folder: at(".") };
}

/** A device towards its H(e)MS (TS 33.320 8.3.2.1). */
function ofManagement(
  management: ManagementConfig,
  roots: readonly Certificate[],
  trustedResponders: readonly Certificate[],
): RolePolicy {
  const { url, status, revocation, profile, allowWeakAlgorithms } = management;
  return {
    role: "H(e)NB",
    ...MANAGEMENT_SERVER,
    connectsTo: hostOf(new URL(url)),
    allowWeakAlgorithms,
    profile: profilePolicy(profile, "hems"),
    inBand: {
      depth: status === "stapled" || status === "either" ? "leaf" : "off",
      ...judging(management),
      trustedResponders,
    },
    revocation: status === "direct" || status === "either" ? revocation : undefined,
    roots,
  };
}

function judging({ tolerance, maxAge, delegates }: Pick<OcspConfig, "tolerance" | "maxAge" | "delegates">): Judging {
  return { trustedResponders: [], ocspTolerance: tolerance, ocspMaxAge: maxAge, ocspDelegates: delegates };
}

/** Direct or through the tunnel the same is asked (TS 33.320 7.2.3-5); from here only directly. */
function askedOf(ocsp: OcspConfig): RevocationSection {
  const { scope, responders, origins, namedHosts, method, nonce, hash, timeLimit, deadline, tolerance, maxAge } = ocsp;
  // A device has no CRLs: whom it does not trust it cannot check.
  const delegates = ocsp.delegates === "refuse" ? "check" : "trust";
  return revocationSection.parse({
    gateway: { methods: "ocsp", scope, origins, operator: { ocsp: responders }, ...(namedHosts && { namedHosts }) },
    ocsp: {
      ...{ method, nonce, hash, delegates },
      ...{ timeLimit: `${timeLimit}ms`, tolerance: `${tolerance}ms`, maxAge: `${maxAge}ms` },
    },
    deadline: `${deadline}ms`,
  });
}

const DEVICE_BY_IKE = {
  peerClass: "device",
  takes: ["henb-ikev2", "henb"],
  purpose: "ike",
  name: "claimed",
} as const;
const DEVICE_BY_TLS = {
  peerClass: "device",
  takes: ["henb-tls", "henb"],
  purpose: "tlsClient",
  name: "claimed",
} as const;
const GATEWAY = { peerClass: "gateway", takes: ["segw"], purpose: "ike", name: "connectedTo" } as const;
const MANAGEMENT_SERVER = {
  peerClass: "managementServer",
  takes: ["hems"],
  purpose: "tlsServer",
  name: "connectedTo",
} as const;
const NOT_IN_BAND: InBand = {
  depth: "off",
  trustedResponders: [],
  ocspTolerance: 0,
  ocspMaxAge: 0,
  ocspDelegates: "trust",
};
