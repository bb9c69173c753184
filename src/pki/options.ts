/** What is decided when a PKI is made, and holds for its life. */
import { z } from "zod";
import { KEY_KINDS } from "./certify.ts";
import { PkiError } from "./error.ts";

const schema = z
  .object({
    keys: z.enum(KEY_KINDS).default("p-256"),
    /** P-256 signs eight times as fast as RSA-2048, which devices of release 9 may need. */
    ocspKeys: z.enum(KEY_KINDS).default("p-256"),
    /** Organisation of the operator and of the manufacturer in names. */
    operator: z.string().min(1).default("Operator"),
    manufacturer: z.string().min(1).default("Manufacturer"),
    /** Shards that an issuing CA's CRL is cut into, each certificate pointing to its own (RFC 5280 5.2.5). */
    crlShards: z.int().min(1).max(1000).default(1),
    /** Publish delta CRLs, which complete CRLs point to (RFC 5280 5.2.4, 5.2.6). */
    deltaCrls: z.boolean().default(false),
    /** Base URLs put into certificates; undefined puts none (TS 33.320 7.2.5.2.1-3, -4). */
    ocspUrl: z.url({ protocol: /^http$/ }).optional(),
    crlUrl: z
      .url({ protocol: /^http$/ })
      .transform((url) => url.replace(/\/+$/, ""))
      .optional(),
  })
  .refine(({ crlShards, deltaCrls, crlUrl }) => (crlShards === 1 && !deltaCrls) || crlUrl !== undefined, {
    path: ["crlUrl"],
    error: "is needed for shards and delta CRLs, which are found by it",
  })
  // Two roots of one name would be taken for one CA with two keys.
  .refine(({ operator, manufacturer }) => operator !== manufacturer, {
    path: ["manufacturer"],
    error: "must not be named as the operator is",
  });

export type PkiOptions = z.input<typeof schema>;
export type FullOptions = z.output<typeof schema>;

/** Fills in what is not said; throws PkiError. */
export function checkOptions(options: unknown): FullOptions {
  const checked = schema.safeParse(options);
  if (checked.success) return checked.data;
  throw new PkiError(checked.error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`).join("; "));
}
