/** The device's configuration file (YAML); docs/guides/henb.md shows a complete one. */
import { z } from "zod";
import { cidr, duration, fqdn, ipAddress, path } from "../config/fields.ts";
import { espSection, ikeSection, portsSection, profileSection } from "../ipsec/settings.ts";
import { logSection } from "../observe/log.ts";
import { managementSection } from "./managementConfig.ts";
import { ocspSection } from "./ocspConfig.ts";

const sections = z.strictObject({
  /** The trusted environment, here one in software. */
  tre: z.strictObject({
    /** Folder of the trusted environment: identity, key, roots, manifest. */
    directory: path,
    /** Folder of the files that the manifest lists (TS 33.320 A.1-1). */
    files: path,
  }),
  /** Where to attach. */
  gateway: z.strictObject({
    /** The name to connect to: the FQDN that DNS resolves, else the IP address (TS 33.320 7.2.2-4). */
    name: z.union([ipAddress, fqdn]),
    /** Addresses to use instead of what DNS says; they take turns. */
    addresses: z.array(ipAddress).default([]),
    ports: portsSection,
  }),
  /** Our own outer address and ports. */
  local: z
    .strictObject({
      /** By default the address that the system uses towards the gateway. */
      address: ipAddress.optional(),
      ports: portsSection,
    })
    .prefault({}),
  /** How IKE is spoken. */
  ike: ikeSection,
  /** How user packets are protected. */
  esp: espSection,
  /** How the gateway's revocation status is checked; without a valid `good` there is no attachment (TS 33.320 7.2.3-4). */
  ocsp: ocspSection,
  /** Sends INTEGRITY_INFO, the state of trust as the TrE signs it (TS 33.320 7.2.2-13). */
  sendIntegrityInfo: z.boolean().default(false),
  /** What the gateway's certificate must keep to (TS 33.320 7.2.5.2.1-1). */
  profile: profileSection,
  /** A hosting party that authenticates after the device (TS 33.320 A.2); none if left out. */
  hostingParty: z
    .strictObject({
      /** Folder of a software USIM: usim.yaml and the state it keeps. */
      usim: path,
      /**
       * EAP methods that are acceptable; the first is the one to begin with. TS 33.320 A.2 has EAP-AKA. Whoever accepts
       * EAP-AKA' as well should begin with it: a server that would rather have used it makes EAP-AKA fail then, lest
       * somebody talks both ends down (RFC 9048 4).
       */
      methods: z
        .array(z.enum(["EAP-AKA", "EAP-AKA'"]))
        .min(1)
        .default(["EAP-AKA"]),
      /** Realm of the identities; by default the one that follows from the IMSI (TS 23.003 19.2). */
      realm: fqdn.optional(),
      /** Access network that EAP-AKA' must be bound to; any if left out. */
      networkName: z.string().min(1).max(250).optional(),
    })
    .optional(),
  /** Its H(e)MS (TS 33.320 8.3); none if left out. */
  management: managementSection.optional(),
  /** Inner addresses to ask for. */
  requestAddresses: z
    .array(z.enum(["ipv4", "ipv6"]))
    .min(1)
    .default(["ipv4"]),
  /** What to reach through the tunnel; the gateway narrows it. */
  reach: z.array(cidr).min(1).default(["0.0.0.0/0", "::/0"]),
  /** Waiting times between attempts, half of each at random; `initial: 0` makes a single attempt. */
  reconnect: z
    .strictObject({
      /** Before the second attempt; doubles with each further one. */
      initial: duration.default(2_000),
      /** What it grows to. */
      most: duration.default(300_000),
    })
    .prefault({}),
  /** What carries user packets. */
  dataPlane: z
    .strictObject({
      /** `tun`: ESP here, between a TUN interface and UDP port 4500; `none`: packets are counted and dropped. */
      kind: z.enum(["tun", "none"]).default("tun"),
      /** Name of the TUN interface; "%d" becomes the first free number. */
      interface: z.string().min(1).max(15).default("henb%d"),
      /** Octets of the longest inner packet; 1400 if left out. */
      mtu: z.number().int().min(1280).max(65_535).optional(),
    })
    .prefault({}),
  /** How long the gateway may take to answer the Delete on shutdown. */
  shutdownLimit: duration.default(2_000),
  /** Log lines on standard output. */
  log: logSection,
});

/** Through the tunnel needs a tunnel. */
export const deviceConfig = sections.superRefine(({ ocsp, dataPlane }, context) => {
  if (dataPlane.kind === "none" && ocsp.ask.includes("tunnel"))
    context.addIssue({
      code: "custom",
      path: ["ocsp", "ask"],
      message: "asks through a tunnel, but dataPlane.kind is none",
    });
});

export type DeviceConfig = z.output<typeof deviceConfig>;
