/** The `management` section of a device's configuration: its connection to the H(e)MS (TS 33.320 8.3). */
import { z } from "zod";
import { duration, ipAddress } from "../config/fields.ts";
import { TLS_VERSIONS } from "../http/tlsProfile.ts";
import { profileSection } from "../ipsec/settings.ts";
import { managementServerRevocationSection, policyOf } from "../revocation/config.ts";

export const managementSection = z
  .strictObject({
    /** https: with the name that must stand in the H(e)MS's certificate: an FQDN, else an address (TS 33.320 8.3.2.1-1). */
    url: z.url({ protocol: /^https$/, error: "is no https: URL" }),
    /** Addresses to use instead of what DNS says; the first that answers. */
    addresses: z.array(ipAddress).max(8).default([]),
    /** Through the tunnel (TS 33.320 8.3.1), or past it on the public network (8.3.2.1). */
    via: z.enum(["tunnel", "direct"]).default("tunnel"),
    /**
     * How its revocation status is learnt: `stapled`, `direct` from a responder as `revocation` says, `either`: directly
     * where no valid response is stapled. Without a valid `good` there is no session (TS 33.320 8.3.2.1-2).
     */
    status: z.enum(["off", "stapled", "direct", "either"]).default("stapled"),
    /** Whom to ask for `direct` and `either`; the rule is that of `managementServer`. */
    revocation: managementServerRevocationSection.prefault({}),
    /** How far clocks may differ. */
    tolerance: duration.default(300_000),
    /** A stapled response without nextUpdate older than this is stale. */
    maxAge: duration.default(7 * 24 * 3600_000),
    /** What becomes of a stapled response by a signer without id-pkix-ocsp-nocheck: trusted, or worth nothing. */
    delegates: z.enum(["trust", "refuse"]).default("trust"),
    /** What its certificate must keep to (TS 33.320 8.3.3.1-1). */
    profile: profileSection,
    /** The least TLS version. */
    minVersion: z.enum(TLS_VERSIONS).default("TLSv1.2"),
    /** Accepts SHA-1 and short keys in certificates: for old servers. */
    allowWeakAlgorithms: z.boolean().default(false),
    /** For a connection with its handshake, and for each answer. */
    answerWithin: duration.default(10_000),
    /** Time from the end of one session to the next; 0: one at each attachment. */
    every: duration.default(0),
    /** Time from a session that failed to the next attempt, half of it at random; 0: none. */
    retryAfter: duration.default(60_000),
  })
  .superRefine(({ status, revocation }, context) => {
    const { methods } = policyOf(revocation).managementServer.otherwise;
    if ((status === "direct" || status === "either") && methods === "none")
      context.addIssue({
        code: "custom",
        path: ["revocation"],
        message: `says nobody to ask for status "${status}": set managementServer.methods to ocsp, and its servers`,
      });
  });

export type ManagementConfig = z.output<typeof managementSection>;
