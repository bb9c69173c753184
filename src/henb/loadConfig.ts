/** The load generator's configuration file (YAML). */
import { z } from "zod";
import { cidr, fqdn, ipAddress, path, port } from "../config/fields.ts";
import { espSection, ikeSection, inBand, ocspFields, portsSection } from "../ipsec/settings.ts";

const key128 = z
  .string()
  .regex(/^[0-9a-f]{32}$/i, { error: "is not 32 hexadecimal digits" })
  .transform((digits) => Buffer.from(digits, "hex"));

export const loadConfig = z.strictObject({
  /** The gateway to load. */
  gateway: z.strictObject({
    /** The name that its certificate must carry. */
    name: z.union([ipAddress, fqdn]),
    /** Where it is. */
    address: ipAddress,
    ports: portsSection,
  }),
  /** Our own outer address, the same for all devices. */
  local: z.strictObject({
    /** An address of this machine. */
    address: ipAddress,
    /** 0 lets the system choose; all devices share them. */
    ports: z
      .strictObject({
        /** IKE until a NAT is found. */
        ike: port.default(0),
        /** IKE behind a NAT. */
        natT: port.default(0),
      })
      .prefault({}),
  }),
  /** Who may issue the gateway's certificate. */
  trust: z.strictObject({
    /** PEM files; each may hold several roots. */
    roots: z.array(path).min(1),
  }),
  /** The devices, which take turns. */
  devices: z
    .array(
      z.strictObject({
        /** PEM: the device's certificate and its intermediates, end entity first. */
        chain: path,
        /** PEM; several devices may name the same file. */
        key: path,
        /** The hosting party that authenticates after the device (TS 33.320 A.2), with Milenage. */
        hostingParty: z
          .strictObject({
            /** A subscriber of the AAA server, made for this load. */
            imsi: z.string().regex(/^\d{6,15}$/, { error: "is no IMSI: 6 to 15 digits, in quotes" }),
            /** 16 octets in hexadecimal. */
            k: key128,
            /** 16 octets in hexadecimal. */
            opc: key128,
          })
          .optional(),
      }),
    )
    .min(1),
  /** How IKE is spoken. */
  ike: ikeSection,
  /** What is negotiated for user packets, of which there are none. */
  esp: espSection,
  /** The gateway's revocation status in-band. */
  ocsp: z.strictObject({ inBand: inBand.default("leaf"), ...ocspFields }).prefault({}),
  /** What to ask for through the tunnel. */
  reach: z.array(cidr).min(1).default(["0.0.0.0/0"]),
});

export type LoadConfig = z.output<typeof loadConfig>;
