/** The gateway's configuration file (YAML); docs/guides/segw.md shows a complete one. */
import { z } from "zod";
import { cidr, duration, fqdn, ipAddress, path } from "../config/fields.ts";
import { espSection, gatewayOcspSection, ikeSection, portsSection, profileSection } from "../ipsec/settings.ts";
import { logSection } from "../observe/log.ts";
import { deviceRevocationSection } from "../revocation/config.ts";
import { aaaSection } from "./aaa/config.ts";

export const gatewayConfig = z.strictObject({
  /** IDr, which must stand in the certificate's subjectAltName (TS 33.320 7.2.2-4). */
  name: z.union([ipAddress, fqdn]),
  /** Addresses of this machine to serve; each gets both ports. */
  listen: z.array(ipAddress).min(1),
  ports: portsSection,
  /** What the gateway shows itself with. */
  credentials: z.strictObject({
    /** PEM: the gateway's certificate and its intermediates, end entity first, without the root. */
    chain: path,
    /** PEM, PKCS#8. */
    key: path,
    /** PEM files of our own roots; needed to ask for the status of the path's last certificate. */
    roots: z.array(path).default([]),
    /** Signs with RSASSA-PSS where the peer takes RFC 7427 signatures. */
    pss: z.boolean().default(false),
  }),
  /** Who may issue device certificates (TS 33.320 7.2.2-2, 7.2.4-2). */
  trust: z.strictObject({
    /** PEM files; each may hold several roots. */
    roots: z.array(path).min(1),
  }),
  /** How IKE is spoken. */
  ike: ikeSection,
  /** How user packets are protected. */
  esp: espSection,
  /** Asks devices for their own status in-band; few devices have one. */
  ocsp: gatewayOcspSection,
  /** What a device's certificate must keep to (TS 33.320 7.2.5.2.1-1). */
  profile: profileSection,
  /** The gateway's own status, sent in-band (TS 33.320 7.2.2-6). */
  ownStatus: z
    .strictObject({
      /** `leaf`: for the gateway's own certificate; `path`: for the CAs between it and the root as well. */
      send: z.enum(["off", "leaf", "path"]).default("leaf"),
      /** Sends it to devices that did not ask, too. */
      unasked: z.boolean().default(false),
      /** The responder; by default the one that each certificate names. */
      url: z.url({ protocol: /^http$/, error: "is no http: URL" }).optional(),
      /** Longest time before a response is fetched anew; earlier, where it runs out earlier. */
      refreshAfter: duration.default(3600_000),
    })
    .prefault({}),
  /** Whether device certificates are checked for revocation, how and by whom (TS 33.320 7.2.2-7, -8). */
  revocation: deviceRevocationSection.prefault({}),
  /** Whether a hosting party must, may or must not follow a device, where no AAA server says it (TS 33.320 A.1-4). */
  hostingParty: z
    .strictObject({
      /** For devices that no profile names. */
      byDefault: z.enum(["required", "allowed", "forbidden"]).default("forbidden"),
      /** Profiles by IDi; the first that fits counts. `*` stands for any characters. */
      profiles: z
        .array(
          z.strictObject({
            /** A device's FQDN or a pattern of it ("*.vendor.example"). */
            device: z.string().min(1),
            /** What its profile says. */
            hostingParty: z.enum(["required", "allowed", "forbidden"]),
          }),
        )
        .default([]),
    })
    .prefault({}),
  /** AAA servers: for device authorization (TS 33.320 7.x) and for hosting parties (A.2). */
  aaa: aaaSection.optional(),
  /** Filters that the AAA server may put upon a device by their names (Filter-Id). */
  filters: z
    .array(
      z.strictObject({
        /** As the AAA server writes it. */
        name: z.string().min(1).max(250),
        /** What a device may reach under it, of what is `protected`. */
        reach: z.array(cidr),
      }),
    )
    .default([]),
  /** What becomes of the INTEGRITY_INFO that devices send (TS 33.320 A.1-6). */
  integrityInfo: z
    .strictObject({
      /** `record` keeps it for statistics and tells the log; `require` also refuses a device without a sound one. */
      policy: z.enum(["ignore", "record", "require"]).default("ignore"),
      /** Oldest measurement that is accepted. */
      maxAge: duration.default(24 * 3600_000),
      /** A fraud information gathering system that each statement is posted to as JSON. */
      fraudCollector: z.url({ protocol: /^https?$/, error: "is no http: or https: URL" }).optional(),
      /** A validation entity that each statement is posted to, and that answers {"trustworthy": true} or false. */
      validator: z.url({ protocol: /^https?$/, error: "is no http: or https: URL" }).optional(),
    })
    .prefault({}),
  /** What devices may reach through the tunnel. */
  protected: z.array(cidr).min(1),
  /** Inner addresses for devices. */
  pool: z.strictObject({
    /** IPv4 and IPv6; the first address of a block is not given out. */
    blocks: z.array(cidr).min(1),
    /** DNS servers that devices are told. */
    dns: z.array(ipAddress).default([]),
    /** Refuses devices that ask for no address. */
    required: z.boolean().default(true),
  }),
  /** Deletes older IKE SAs of a device that attaches anew (TS 33.320 A.1-9). */
  uniqueDevices: z.boolean().default(true),
  /** What those who have not proved who they are may cost. */
  limits: z
    .strictObject({
      /** Half-open IKE SAs above which a new one must return a cookie first (RFC 7296 2.6). */
      cookieThreshold: z.number().int().min(0).default(128),
      /** Half-open IKE SAs above which IKE_SA_INIT is dropped. */
      maxHalfOpen: z.number().int().min(1).default(10_000),
    })
    .prefault({}),
  /** What carries user packets. */
  dataPlane: z
    .strictObject({
      /** `tun`: ESP here, between a TUN interface and UDP port 4500; `none`: packets are counted and dropped. */
      kind: z.enum(["tun", "none"]).default("tun"),
      /** Name of the TUN interface; "%d" becomes the first free number. */
      interface: z.string().min(1).max(15).default("segw%d"),
      /** Octets of the longest inner packet; 1400 if left out. */
      mtu: z.number().int().min(1280).max(65_535).optional(),
      /** The gateway's own inner addresses ("10.64.0.1/32"). */
      addresses: z.array(cidr).default([]),
    })
    .prefault({}),
  /** How long devices may take to answer their Deletes on shutdown, and AAA servers to hear of the ends. */
  shutdownLimit: duration.default(2_000),
  /** Log lines on standard output. */
  log: logSection,
});

export type GatewayConfig = z.output<typeof gatewayConfig>;
