/**
 * The `ocsp` section of a device's configuration: the three ways to the gateway's status (TS 33.320 7.2.2-5). CRLs are no
 * matter of an H(e)NB (5.2-6).
 */
import { z } from "zod";
import { duration } from "../config/fields.ts";
import { inBand, ocspFields } from "../ipsec/settings.ts";
import { host, ocspUrl } from "../revocation/config.ts";

/** Less than the time that IKE gives the device for its verdict on the gateway. */
const MAX_DEADLINE = 25_000;

export const ocspSection = z
  .strictObject({
    /** Which responses the gateway is to send in-band (RFC 4806). A missing one refuses it, unless `ask` has a way. */
    inBand: inBand.default("leaf"),
    /**
     * Ways to ask a responder about what did not come in-band, tried in this order: `direct`, before the tunnel, or
     * `tunnel`, through it and before any user data (TS 33.320 7.2.3-5).
     */
    ask: z
      .array(z.enum(["direct", "tunnel"]))
      .max(2)
      .default([]),
    /** What must be good by `ask`, where `inBand` does not cover it: the gateway's certificate, or its CAs too. */
    scope: z.enum(["leaf", "path"]).default("leaf"),
    /** The operator's responders, alternatives of each other. For `tunnel` behind the gateway, within `reach`. */
    responders: z.array(ocspUrl).max(8).default([]),
    /** Whose responders are asked, in this order; those that a certificate names only with `certificate` (7.2.2-8). */
    origins: z
      .array(z.enum(["operator", "certificate"]))
      .min(1)
      .default(["operator"]),
    /** Names, with all below them, and addresses that certificates may send us to; any if left out. */
    namedHosts: z.array(host).optional(),
    /** `get` lets caches answer, where no nonce is sent (RFC 5019). */
    method: z.enum(["get", "post"]).default("post"),
    /** Sent and accepted if it is missing, or required (RFC 9654). */
    nonce: z.enum(["off", "optional", "required"]).default("optional"),
    /** What certificates are named by; old responders know SHA-1 only. */
    hash: z.enum(["sha1", "sha256"]).default("sha1"),
    /** For one query. */
    timeLimit: duration.default(5_000),
    /** For one check, all queries included; at most 25s. */
    deadline: duration.default(10_000),
    /** While attached, `ask` is repeated at least this often, and before the last answer runs out; 0: never. */
    recheck: duration.default(3600_000),
    /** What such a check must find to end the stay: a revocation, or no valid `good` once the last one has run out. */
    disconnectOn: z.enum(["revoked", "refused"]).default("revoked"),
    ...ocspFields,
  })
  .superRefine(({ ask, origins, responders, deadline }, context) => {
    if (deadline === 0 || deadline > MAX_DEADLINE)
      context.addIssue({ code: "custom", path: ["deadline"], message: "is not within 1ms and 25s" });
    const somebody = origins.includes("certificate") || (origins.includes("operator") && responders.length > 0);
    if (ask.length > 0 && !somebody)
      context.addIssue({
        code: "custom",
        path: ["responders"],
        message: 'names nobody to ask: give responders, or add "certificate" to origins',
      });
  })
  .prefault({});

export type OcspConfig = z.output<typeof ocspSection>;

/** What of it the TrE judges by. */
export function ocspPolicy(config: OcspConfig) {
  const { inBand, ask, scope, tolerance, maxAge, delegates, nonce, hash } = config;
  return {
    inBandOcsp: inBand,
    askedOcsp: ask.length === 0 ? ("off" as const) : scope,
    asking: { nonce, hash },
    ocspTolerance: tolerance,
    ocspMaxAge: maxAge,
    ocspDelegates: delegates,
  };
}
