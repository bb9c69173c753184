/** The device's configuration file (YAML); docs/guides/henb.md shows a complete one. */
import { z } from "zod";
import { cidr, duration, fqdn, ipAddress, path } from "../config/fields.ts";
import { deviceOcspSection, espSection, ikeSection, portsSection } from "../ipsec/settings.ts";
import { logSection } from "../observe/log.ts";

export const deviceConfig = z.strictObject({
  tre: z.strictObject({
    /** Folder of the trusted environment: identity, key, roots, manifest. */
    directory: path,
    /** Folder of the files that the manifest lists (TS 33.320 A.1-1). */
    files: path,
  }),
  gateway: z.strictObject({
    /** The name to connect to: the FQDN that DNS resolves, else the IP address (TS 33.320 7.2.2-4). */
    name: z.union([ipAddress, fqdn]),
    /** Addresses to use instead of what DNS says. */
    addresses: z.array(ipAddress).default([]),
    ports: portsSection,
  }),
  /** Our own outer address and ports; by default the address that the system uses towards the gateway. */
  local: z.strictObject({ address: ipAddress.optional(), ports: portsSection }).prefault({}),
  ike: ikeSection,
  esp: espSection,
  /** The gateway's revocation status in-band; a missing or bad answer ends the attempt (TS 33.320 7.2.3-4). */
  ocsp: deviceOcspSection,
  /** Sends INTEGRITY_INFO, the state of trust as the TrE signs it (TS 33.320 7.2.2-13). */
  sendIntegrityInfo: z.boolean().default(false),
  /** Inner addresses to ask for. */
  requestAddresses: z
    .array(z.enum(["ipv4", "ipv6"]))
    .min(1)
    .default(["ipv4"]),
  /** What to reach through the tunnel; the gateway narrows it. */
  reach: z.array(cidr).min(1).default(["0.0.0.0/0", "::/0"]),
  /** Waiting times between attempts, growing from `initial` to `most`; initial 0: a single attempt. */
  reconnect: z.strictObject({ initial: duration.default(2_000), most: duration.default(300_000) }).prefault({}),
  dataPlane: z
    .strictObject({
      kind: z.enum(["tun", "none"]).default("tun"),
      interface: z.string().min(1).max(15).default("henb%d"),
      mtu: z.number().int().min(1280).max(65_535).optional(),
    })
    .prefault({}),
  shutdownLimit: duration.default(2_000),
  log: logSection,
});

export type DeviceConfig = z.output<typeof deviceConfig>;
