/** The gateway's configuration of AAA servers. */
import { z } from "zod";
import { duration, fqdn, ipAddress, path, port } from "../../config/fields.ts";

const tls = z.strictObject({
  /** PEM: our certificate and its intermediates. */
  chain: path,
  /** PEM, PKCS#8. */
  key: path,
  /** PEM files of the CAs that sign the servers' certificates. */
  roots: z.array(path).min(1),
});

const diameter = z.strictObject({
  /** Diameter, SWm of TS 29.273. */
  protocol: z.literal("diameter"),
  /** DiameterIdentity of this gateway. */
  host: fqdn,
  /** Its realm. */
  realm: fqdn,
  /** The realm of the AAA servers; by default our own. */
  destinationRealm: fqdn.optional(),
  /** Servers or relays to connect to, in the order in which they are used. */
  peers: z
    .array(
      z.strictObject({
        /** DiameterIdentity. */
        host: fqdn,
        /** Its realm; by default the destination realm. */
        realm: fqdn.optional(),
        /** Where it listens. */
        address: ipAddress,
        /** 3868 plain, 5868 with TLS. */
        port: port.default(3868),
        /** TLS over TCP (RFC 6733 13.1). */
        tls: z.boolean().default(false),
      }),
    )
    .min(1),
  /** How long an answer may take before the next server is asked. */
  answerWithin: duration.default(5_000),
});

const radius = z.strictObject({
  /** RADIUS, over UDP or TLS. */
  protocol: z.literal("radius"),
  /** Servers in the order in which they are asked. */
  servers: z
    .array(
      z
        .strictObject({
          /** For logs; with RadSec the name in its certificate. */
          name: z.string().min(1),
          /** Where it listens. */
          address: ipAddress,
          /** Authentication: 1812 by UDP, 2083 by RadSec. */
          port: port.default(1812),
          /** Accounting by UDP; 0 for none. */
          accountingPort: port.default(1813),
          /** `udp` with a shared secret, or `radsec` with certificates (RFC 6614). */
          transport: z.enum(["udp", "radsec"]).default("udp"),
          /** File that holds the shared secret. */
          secretFile: path.optional(),
        })
        .refine(({ transport, secretFile }) => transport === "radsec" || secretFile !== undefined, {
          error: "needs `secretFile`: without a shared secret RADIUS over UDP proves nothing",
        }),
    )
    .min(1),
  /** Where Disconnect-Requests of the first server are taken (RFC 5176), usually port 3799. */
  dynamicAuthorization: z
    .strictObject({
      /** Address of this machine. */
      address: ipAddress,
      /** UDP port. */
      port: port.default(3799),
    })
    .optional(),
});

export const aaaSection = z.strictObject({
  /** Asks the AAA server whether a device may connect, by its certificate's identity (TS 33.320 7.x-1). */
  authorizeDevices: z.boolean().default(true),
  /** For Diameter over TLS and RadSec. */
  tls: tls.optional(),
  /** The servers and how to talk to them. */
  server: z.discriminatedUnion("protocol", [diameter, radius]),
});

export type AaaSection = z.output<typeof aaaSection>;
