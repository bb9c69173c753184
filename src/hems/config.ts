/** The H(e)MS's configuration file (YAML); docs/guides/hems.md shows a complete one. */
import { z } from "zod";
import { duration, fqdn, ipAddress, path, port } from "../config/fields.ts";
import { TLS_VERSIONS } from "../http/tlsProfile.ts";
import { profileSection } from "../ipsec/settings.ts";
import { logSection } from "../observe/log.ts";
import { deviceRevocationSection } from "../revocation/config.ts";

export const hemsConfig = z.strictObject({
  /** What devices connect to; it must stand in the certificate's subjectAltName and common name (TS 33.320 8.3.3.1-3). */
  name: z.union([ipAddress, fqdn]),
  /** Where to listen for HTTPS. */
  listen: z
    .array(
      z.strictObject({
        /** An address of this machine. */
        address: ipAddress,
        /** TCP; 0 lets the system choose. */
        port: port.default(7548),
      }),
    )
    .min(1),
  /** What the H(e)MS shows itself with. */
  credentials: z.strictObject({
    /** PEM: its certificate and the intermediates, end entity first, without the root. */
    chain: path,
    /** PEM, PKCS#8. */
    key: path,
    /** PEM files of our own roots; needed to ask for our own status where a root issued our certificate. */
    roots: z.array(path).default([]),
  }),
  /** Who may issue device certificates (TS 33.320 8.3.2.1). */
  trust: z.strictObject({
    /** PEM files; each may hold several roots. */
    roots: z.array(path).min(1),
    /** Accepts SHA-1 and short keys in certificates: for old devices. */
    allowWeakAlgorithms: z.boolean().default(false),
  }),
  /** How TLS is spoken; suites and groups are those of TS 33.310 Annex E. */
  tls: z
    .strictObject({
      /** The least version. */
      minVersion: z.enum(TLS_VERSIONS).default("TLSv1.2"),
      /** For how long a session may be resumed, its certificate judged anew each time; 0: never. */
      resumption: duration.default(3600_000),
    })
    .prefault({}),
  /** What a device's certificate must keep to (TS 33.320 8.3.3.1-1). */
  profile: profileSection,
  /** Our own status, stapled for devices that ask (TS 33.320 8.3.2.1-3). */
  ownStatus: z
    .strictObject({
      /** Staples an OCSP response. */
      staple: z.boolean().default(true),
      /** The responder; by default the one that our certificate names. */
      url: z.url({ protocol: /^http$/, error: "is no http: URL" }).optional(),
      /** A file with the response in DER, which somebody else renews, instead of asking a responder. */
      file: path.optional(),
      /** Longest time before a response is fetched or read anew; earlier, where it runs out earlier. */
      refreshAfter: duration.default(3600_000),
      /** How far the responder's clock and ours may differ. */
      tolerance: duration.default(300_000),
    })
    .prefault({}),
  /** Whether device certificates are checked for revocation, how and by whom (TS 33.320 8.3.2.1-4). */
  revocation: deviceRevocationSection.prefault({}),
  /** What clients may cost. */
  limits: z
    .strictObject({
      /** Connections at each address of `listen`; strangers make room first. */
      connections: z.number().int().min(1).default(10_000),
      /** Connections of one IPv4 address, or of one IPv6 network of 64 bits; devices may share one behind a NAT. */
      connectionsPerAddress: z.number().int().min(1).default(100),
      /** For the TLS handshake. */
      handshake: duration.default(10_000),
      /** For the headers of a request. */
      headers: duration.default(5_000),
      /** For a whole request. */
      request: duration.default(30_000),
      /** Silence after which a connection is ended. */
      idle: duration.default(30_000),
      /** Age at which a connection is ended; earlier, where a certificate of its path expires. */
      connectionAge: duration.default(3600_000),
      /** Octets of a request's body. */
      bodyBytes: z
        .number()
        .int()
        .min(0)
        .max(64 * 1024 * 1024)
        .default(1_048_576),
    })
    .prefault({}),
  /** Log lines on standard output. */
  log: logSection,
});

export type HemsConfig = z.output<typeof hemsConfig>;
