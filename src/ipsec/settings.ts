/** The parts of a role's configuration that say how it speaks IKE and ESP, the same for gateway and device. */
import { z } from "zod";
import { cidrRange, parseCidr } from "../bytes/ip.ts";
import { duration, port } from "../config/fields.ts";
import type { DataPlane } from "../esp/dataPlane.ts";
import type { TrafficSelector } from "../esp/selector.ts";
import { CONNECTION_DEFAULTS, type Connection } from "../ike/sa/connection.ts";
import { ProposalSyntaxError, parseEspProposal, parseIkeProposal } from "../ike/sa/proposal.ts";
import { HashAlgorithm } from "../tre/authSignature.ts";
import type { ProfilePolicy } from "../tre/peerProfile.ts";
import type { CertificateProfile } from "../trust/profiles/rule.ts";

/** UDP ports; 0 lets the system choose, which only a device can do. */
export const portsSection = z
  .strictObject({
    /** IKE until a NAT is found. */
    ike: port.default(500),
    /** IKE behind a NAT, and ESP in UDP (RFC 3948). */
    natT: port.default(4500),
  })
  .prefault({});

export const ikeSection = z
  .strictObject({
    /** In order of preference, as strongSwan writes them; docs/reference/proposals.md lists the keywords. */
    proposals: z
      .array(z.string())
      .min(1)
      .default([
        "aes128gcm16-aes256gcm16-prfsha256-prfsha384-x25519-ecp256-ecp384-modp2048-modp3072",
        "aes128-aes256-sha256-sha384-prfsha256-prfsha384-x25519-ecp256-ecp384-modp2048-modp3072",
      ]),
    /** Hashes accepted in RFC 7427 signatures, and announced. */
    signatureHashes: z.array(z.enum(["sha256", "sha384", "sha512"])).default(["sha256", "sha384", "sha512"]),
    /** Accepts 3DES, MODP 1024 and 1536 in proposals, SHA-1 and short keys in certificates: for old devices. */
    allowWeakAlgorithms: z.boolean().default(false),
    /** Age at which this side rekeys the IKE SA, up to a tenth earlier at random; 0: never. */
    rekeyAfter: duration.default(CONNECTION_DEFAULTS.ikeRekeyAfter),
    /** Silence after which the peer is asked whether it lives (RFC 7296 2.4); 0: never. */
    dpdInterval: duration.default(CONNECTION_DEFAULTS.dpdInterval),
    /** How often a NAT in front of us is reminded of our port (RFC 3948 4); 0: never. */
    natKeepaliveInterval: duration.default(CONNECTION_DEFAULTS.natKeepaliveInterval),
    /** Largest IP packet of an IKE message, octets (RFC 7383); 0 switches fragmentation off. */
    fragmentSize: z
      .union([z.literal(0), z.number().int().min(576).max(65_535)])
      .default(CONNECTION_DEFAULTS.fragmentSize),
    /** When a request without an answer is sent again, and when the peer counts as gone (RFC 7296 2.4). */
    retransmission: z
      .strictObject({
        /** Wait before the first repetition. */
        initial: duration.default(CONNECTION_DEFAULTS.retransmission.initial),
        /** What each wait is multiplied by. */
        factor: z.number().min(1).max(10).default(CONNECTION_DEFAULTS.retransmission.factor),
        /** How often a request is sent before the peer counts as gone. */
        tries: z.number().int().min(1).max(20).default(CONNECTION_DEFAULTS.retransmission.tries),
      })
      .prefault({}),
  })
  .superRefine((section, context) => checkProposals(section, context, parseIkeProposal))
  .prefault({});

export const espSection = z
  .strictObject({
    /** In order of preference, without PRF; a group asks for key exchange of its own at each rekeying. */
    proposals: z.array(z.string()).min(1).default(["aes128gcm16-aes256gcm16", "aes128-aes256-sha256"]),
    /** Accepts 3DES in proposals: for old devices. */
    allowWeakAlgorithms: z.boolean().default(false),
    /** Age at which this side rekeys a CHILD SA, up to a tenth earlier at random; 0: never. */
    rekeyAfter: duration.default(CONNECTION_DEFAULTS.childRekeyAfter),
    /** Octets in either direction after which a CHILD SA is rekeyed; 0: never for that. */
    rekeyAfterBytes: z.number().int().min(0).default(CONNECTION_DEFAULTS.childRekeyAfterBytes),
    /** Packets that may come late and still count as new (RFC 4303 3.4.3). */
    replayWindow: z.number().int().min(32).max(65_536).default(CONNECTION_DEFAULTS.replayWindow),
  })
  .superRefine((section, context) => checkProposals(section, context, parseEspProposal))
  .prefault({});

/** How OCSP responses are judged. */
export const ocspFields = {
  /** How far clocks may differ. */
  tolerance: duration.default(300_000),
  /** A response without nextUpdate older than this is stale. */
  maxAge: duration.default(7 * 24 * 3600_000),
  /**
   * What becomes of responses by a signer that the CA delegated to without id-pkix-ocsp-nocheck, whose own status would have
   * to be checked (RFC 6960 4.2.2.2.1): they are trusted, or worth nothing.
   */
  delegates: z.enum(["trust", "refuse"]).default("trust"),
};

/** `leaf` or `path`: asks in-band and refuses the peer without a valid `good` (TS 33.320 7.2.3-4). */
export const inBand = z.enum(["off", "leaf", "path"]);

/** Revocation status of devices in the IKE exchange itself (RFC 4806); devices seldom have a response to send. */
export const gatewayOcspSection = z.strictObject({ inBand: inBand.default("off"), ...ocspFields }).prefault({});

/** Whether the peer's certificate must keep its profile of TS 33.310 6.1.3 and TS 33.320 7.2.5.2.1. */
export const profileSection = z
  .strictObject({
    /** Refuses on errors, on warnings as well, or not at all; `femtogate check` shows the findings of any certificate. */
    refuse: z.enum(["off", "errors", "warnings"]).default("off"),
    /** The release of TS 33.310 whose rules count: what the change request cites, or the newest. */
    release: z.enum(["R9", "newest"]).default("newest"),
  })
  .prefault({});

/** The policy that a section describes, for the peer's kind of certificate. */
export function profilePolicy(
  { refuse, release }: z.output<typeof profileSection>,
  certificate: CertificateProfile,
): ProfilePolicy | undefined {
  if (refuse === "off") return undefined;
  return { certificate, release, least: refuse === "errors" ? "error" : "warning" };
}

export type IkeSettings = z.output<typeof ikeSection>;
export type EspSettings = z.output<typeof espSection>;

/** IKE's numbers of the accepted signature hashes (RFC 7427 A). */
export function hashNumbers(settings: IkeSettings): number[] {
  return settings.signatureHashes.map((name) => HASHES[name]);
}

/** What a connection takes from the settings and from the data plane that will carry it. */
export function connectionFrom(
  ike: IkeSettings,
  esp: EspSettings,
  plane: Pick<DataPlane, "needsUdpEncapsulation">,
): Omit<
  Connection,
  | "name"
  | "identity"
  | "trustedCaHashes"
  | "askOcsp"
  | "localSelectors"
  | "remoteSelectors"
  | "connectedTo"
  | "requestAttributes"
> {
  return {
    ...CONNECTION_DEFAULTS,
    ikeProposals: ike.proposals.map((text) => parseIkeProposal(text, { allowWeak: ike.allowWeakAlgorithms })),
    espProposals: esp.proposals.map((text) => parseEspProposal(text, { allowWeak: esp.allowWeakAlgorithms })),
    signatureHashes: hashNumbers(ike),
    forceUdpEncapsulation: plane.needsUdpEncapsulation,
    fragmentSize: ike.fragmentSize,
    retransmission: ike.retransmission,
    dpdInterval: ike.dpdInterval,
    natKeepaliveInterval: ike.natKeepaliveInterval,
    ikeRekeyAfter: ike.rekeyAfter,
    childRekeyAfter: esp.rekeyAfter,
    childRekeyAfterBytes: esp.rekeyAfterBytes,
    replayWindow: esp.replayWindow,
  };
}

/** All protocols and ports of an address block that the configuration has checked. */
export function blockSelector(block: string): TrafficSelector {
  const parsed = parseCidr(block);
  if (parsed === undefined) throw new RangeError(`"${block}" is no address block`);
  const { start, end } = cidrRange(parsed);
  return {
    type: start.length === 4 ? 7 : 8,
    protocol: 0,
    startPort: 0,
    endPort: 0xffff,
    startAddress: start,
    endAddress: end,
  };
}

function checkProposals(
  section: { proposals: string[]; allowWeakAlgorithms: boolean },
  context: z.RefinementCtx,
  parse: (text: string, policy: { allowWeak: boolean }) => unknown,
): void {
  for (const [index, text] of section.proposals.entries()) {
    try {
      parse(text, { allowWeak: section.allowWeakAlgorithms });
    } catch (error) {
      if (!(error instanceof ProposalSyntaxError)) throw error;
      context.addIssue({ code: "custom", path: ["proposals", index], message: error.message });
    }
  }
}

const HASHES = {
  sha256: HashAlgorithm.SHA2_256,
  sha384: HashAlgorithm.SHA2_384,
  sha512: HashAlgorithm.SHA2_512,
} as const;
