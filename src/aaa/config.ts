/** The AAA server's configuration file (YAML); docs/standards/diameter.md and radius.md say what the messages are. */
import { z } from "zod";
import { cidr, duration, fqdn, ipAddress, path, port } from "../config/fields.ts";
import { logSection } from "../observe/log.ts";
import { AUTHENTICATIONS } from "./devices.ts";

const endpoint = z.strictObject({ address: ipAddress, port });

const diameterSection = z.strictObject({
  /** DiameterIdentity and realm of this server. */
  host: fqdn,
  realm: fqdn,
  /** Where gateways and relays connect to: 3868 plain, 5868 with `tls: true`. */
  listen: z.array(endpoint.extend({ tls: z.boolean().default(false) })).default([]),
  /** Who may connect, and whom to connect to. */
  peers: z
    .array(
      z.strictObject({
        host: fqdn,
        /** By default this server's realm. */
        realm: fqdn.optional(),
        /** Connect there; without it the peer connects to us. */
        connect: endpoint.extend({ tls: z.boolean().default(false) }).optional(),
        /** Lower is asked first. */
        priority: z.number().int().min(0).max(1000).default(0),
        /** May ask the HSS here for vectors: an AAA server, or a relay in front of some. A gateway never needs them. */
        hssClient: z.boolean().default(false),
      }),
    )
    .default([]),
  watchdog: duration.default(30_000),
  answerWithin: duration.default(5_000),
});

const radiusSection = z.strictObject({
  authentication: z.array(endpoint).default([]),
  accounting: z.array(endpoint).default([]),
  /** RADIUS over TLS (RFC 6614), usually port 2083. */
  radsec: z.array(endpoint).default([]),
  clients: z
    .array(
      z
        .strictObject({
          name: z.string().min(1).max(64),
          /** Over UDP: its address or block, and the file that holds the shared secret. */
          block: cidr.optional(),
          secretFile: path.optional(),
          /** Over RadSec: the name in its certificate. */
          certificate: fqdn.optional(),
          /** Where it takes Disconnect and CoA (RFC 5176), usually port 3799; over UDP, with the same secret. */
          dynamicAuthorization: endpoint.optional(),
        })
        .refine((client) => (client.block === undefined) !== (client.certificate === undefined), {
          error: "names a client by `block` and `secretFile`, or by `certificate`: one of the two",
        })
        .refine((client) => client.block === undefined || client.secretFile !== undefined, {
          error: "needs `secretFile`: without a shared secret RADIUS over UDP proves nothing",
        }),
    )
    .default([]),
});

export const aaaConfig = z
  .strictObject({
    /** SQLite file, or a postgres: URL. */
    database: z.string().min(1).default("aaa.sqlite"),
    diameter: diameterSection.optional(),
    radius: radiusSection.optional(),
    /** For Diameter over TLS and RadSec: our certificate, and who signs the other side's. */
    tls: z.strictObject({ chain: path, key: path, roots: z.array(path).min(1) }).optional(),
    hss: z
      .discriminatedUnion("kind", [
        z.strictObject({
          kind: z.literal("local"),
          /** Answers other AAA servers over SWx. */
          serve: z.boolean().default(false),
        }),
        /** Another's HSS over SWx. */
        z.strictObject({ kind: z.literal("swx"), realm: fqdn, host: fqdn.optional() }),
      ])
      .prefault({ kind: "local" }),
    policy: z
      .strictObject({
        unknownDevices: z.enum(["allow", "deny"]).default("deny"),
        /** What an unknown device that is allowed must do (TS 33.320 A.1-4). */
        authentication: z.enum(AUTHENTICATIONS).default("either"),
        /** Which hosting party may be on which device: see `femtogate aaa bind`. */
        hostingPartyBinding: z.enum(["off", "listed", "required"]).default("listed"),
        oneSessionPerDevice: z.boolean().default(true),
        sessionTimeout: duration.default(24 * 3600_000),
      })
      .prefault({}),
    eap: z
      .strictObject({
        methods: z
          .array(z.enum(["EAP-AKA", "EAP-AKA'"]))
          .min(1)
          .default(["EAP-AKA'", "EAP-AKA"]),
        /** The access network that EAP-AKA' binds keys to (TS 24.302 8.1.1). */
        networkName: z.string().min(1).max(250).default("WLAN"),
        pseudonyms: z.boolean().default(true),
        maxReauthentications: z.number().int().min(0).max(1000).default(16),
        /** Leads identities for fast re-authentication back to this server, where there are several. */
        reauthRealm: fqdn.optional(),
        resultIndications: z.boolean().default(true),
        alwaysAskIdentity: z.boolean().default(false),
      })
      .prefault({}),
    /** HTTP for provisioning: keep it on loopback or behind a proxy with TLS. */
    admin: z.strictObject({ listen: endpoint, tokenFile: path }).optional(),
    limits: z
      .strictObject({
        sessions: z.number().int().min(1).default(1_000_000),
        /** Authentications at once. */
        conversations: z.number().int().min(1).default(10_000),
      })
      .prefault({}),
    log: logSection,
  })
  .refine((config) => config.diameter !== undefined || config.radius !== undefined, {
    error: "serves nobody: write a `diameter` or a `radius` section",
  })
  .refine((config) => config.hss.kind === "local" || config.diameter !== undefined, {
    error: "asks an HSS over SWx and has no `diameter` section to ask by",
  })
  .refine((config) => config.tls !== undefined || !needsTls(config), {
    error: "has an endpoint with TLS and no `tls` section",
  });

export type AaaConfig = z.output<typeof aaaConfig>;

function needsTls({
  diameter,
  radius,
}: {
  diameter?: z.output<typeof diameterSection> | undefined;
  radius?: z.output<typeof radiusSection> | undefined;
}): boolean {
  const diameterTls =
    diameter?.listen.some(({ tls }) => tls) === true || diameter?.peers.some(({ connect }) => connect?.tls) === true;
  return diameterTls || (radius?.radsec.length ?? 0) > 0;
}
