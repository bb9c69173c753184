/** The AAA server's configuration file (YAML); docs/standards/diameter.md and radius.md say what the messages are. */
import { z } from "zod";
import { cidr, duration, fqdn, ipAddress, path, port } from "../config/fields.ts";
import { logSection } from "../observe/log.ts";
import { AUTHENTICATIONS } from "./devices.ts";

const endpoint = z.strictObject({
  /** IP address. */
  address: ipAddress,
  /** Port. */
  port,
});

/** A realm is a DiameterIdentity and need not have two labels (RFC 6733 4.3.1). */
const realmName = z
  .string()
  .regex(/^[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*$/i, { error: "is no realm such as operator.example" });

const tcpEndpoint = endpoint.extend({
  /** TLS over TCP (RFC 6733 13.1). */
  tls: z.boolean().default(false),
});

const diameterSection = z.strictObject({
  /** DiameterIdentity of this server. */
  host: fqdn,
  /** Its realm. */
  realm: realmName,
  /** Where gateways and relays connect to: 3868 plain, 5868 with `tls: true`. */
  listen: z.array(tcpEndpoint).default([]),
  /** Who may connect, and whom to connect to. */
  peers: z
    .array(
      z.strictObject({
        /** Its DiameterIdentity. */
        host: fqdn,
        /** By default this server's realm. */
        realm: realmName.optional(),
        /** Connect there; without it the peer connects to us. */
        connect: tcpEndpoint.optional(),
        /** Lower is asked first. */
        priority: z.number().int().min(0).max(1000).default(0),
        /** May ask the HSS here for vectors: an AAA server, or a relay in front of some. A gateway never needs them. */
        hssClient: z.boolean().default(false),
      }),
    )
    .default([]),
  /** Silence after which a peer is asked whether it lives (RFC 3539). */
  watchdog: duration.default(30_000),
  /** How long an answer may take before another peer is asked. */
  answerWithin: duration.default(5_000),
});

const radiusSection = z.strictObject({
  /** Where Access-Requests are taken over UDP, usually port 1812. */
  authentication: z.array(endpoint).default([]),
  /** Where Accounting-Requests are taken over UDP, usually port 1813. */
  accounting: z.array(endpoint).default([]),
  /** RADIUS over TLS (RFC 6614), usually port 2083. */
  radsec: z.array(endpoint).default([]),
  /** Who may ask. */
  clients: z
    .array(
      z
        .strictObject({
          /** For logs. */
          name: z.string().min(1).max(64),
          /** Over UDP: its address or block. */
          block: cidr.optional(),
          /** Over UDP: the file that holds the shared secret. */
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
    /** Diameter: SWm towards gateways, SWx towards an HSS (TS 29.273). */
    diameter: diameterSection.optional(),
    /** RADIUS with EAP (RFC 3579). */
    radius: radiusSection.optional(),
    /** For Diameter over TLS and RadSec: our certificate, and who signs the other side's. */
    tls: z
      .strictObject({
        /** PEM: our certificate and its intermediates. */
        chain: path,
        /** PEM, PKCS#8. */
        key: path,
        /** PEM files of the CAs that sign the other sides' certificates. */
        roots: z.array(path).min(1),
      })
      .optional(),
    /** Where vectors and subscriptions come from. */
    hss: z
      .discriminatedUnion("kind", [
        z.strictObject({
          /** From the database of this server. */
          kind: z.literal("local"),
          /** Answers other AAA servers over SWx. */
          serve: z.boolean().default(false),
        }),
        z.strictObject({
          /** From another's HSS over SWx. */
          kind: z.literal("swx"),
          /** Its realm. */
          realm: realmName,
          /** Its DiameterIdentity; by default whoever serves the realm. */
          host: fqdn.optional(),
        }),
      ])
      .prefault({ kind: "local" }),
    /** Who may connect (TS 33.320 7.x). */
    policy: z
      .strictObject({
        /** Devices that have no entry. */
        unknownDevices: z.enum(["allow", "deny"]).default("deny"),
        /** What an unknown device that is allowed must do (TS 33.320 A.1-4). */
        authentication: z.enum(AUTHENTICATIONS).default("either"),
        /** Which hosting party may be on which device: see `femtogate aaa bind`. */
        hostingPartyBinding: z.enum(["off", "listed", "required"]).default("listed"),
        /** A new session of a device ends its older one. */
        oneSessionPerDevice: z.boolean().default(true),
        /** How long a session lasts, unless the device's or subscriber's profile says otherwise. */
        sessionTimeout: duration.default(24 * 3600_000),
      })
      .prefault({}),
    /** How hosting parties are authenticated (RFC 4187, RFC 9048). */
    eap: z
      .strictObject({
        /** Most preferred first. */
        methods: z
          .array(z.enum(["EAP-AKA", "EAP-AKA'"]))
          .min(1)
          .default(["EAP-AKA'", "EAP-AKA"]),
        /** The access network that EAP-AKA' binds keys to (TS 24.302 8.1.1). */
        networkName: z.string().min(1).max(250).default("WLAN"),
        /** Gives subscribers names for the next time that do not tell who they are. */
        pseudonyms: z.boolean().default(true),
        /** Fast re-authentications between two full ones; 0 for none. */
        maxReauthentications: z.number().int().min(0).max(1000).default(16),
        /** Leads identities for fast re-authentication back to this server, where there are several. */
        reauthRealm: fqdn.optional(),
        /** Protected success where the other side takes it (RFC 4187 6.2). */
        resultIndications: z.boolean().default(true),
        /** Asks for the identity within EAP-AKA even if the first one is usable. */
        alwaysAskIdentity: z.boolean().default(false),
      })
      .prefault({}),
    /** HTTP for provisioning: keep it on loopback or behind a proxy with TLS. */
    admin: z
      .strictObject({
        /** Where it listens. */
        listen: endpoint,
        /** File that holds the token which requests must bring. */
        tokenFile: path,
      })
      .optional(),
    /** What this server keeps at most. */
    limits: z
      .strictObject({
        /** Sessions of devices. */
        sessions: z.number().int().min(1).default(1_000_000),
        /** Authentications at once. */
        conversations: z.number().int().min(1).default(10_000),
      })
      .prefault({}),
    /** Log lines on standard output. */
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
