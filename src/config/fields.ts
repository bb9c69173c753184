/** Pieces that configurations of several roles share, each with a message that says what to write. */
import { z } from "zod";
import { parseCidr, parseIp } from "../bytes/ip.ts";

/** "500ms", "30s", "5m", "4h", "2d" as milliseconds, up to ten years; 0 switches off where that makes sense. */
export const duration = z
  .union([z.string(), z.number()], { error: "is no duration; write it as 500ms, 30s, 5m, 4h or 2d" })
  .transform((value, context) => {
    if (value === 0 || value === "0") return 0;
    const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(String(value));
    const milliseconds = match === null ? Number.NaN : Number(match[1]) * UNITS[match[2] as keyof typeof UNITS];
    if (milliseconds <= MAX_DURATION) return milliseconds;
    const message = match === null ? "is no duration; write it as 500ms, 30s, 5m, 4h or 2d" : "is more than ten years";
    context.addIssue({ code: "custom", message: `"${value}" ${message}` });
    return z.NEVER;
  });

export const ipAddress = z
  .string()
  .refine((text) => parseIp(text) !== undefined, { error: "is no IPv4 or IPv6 address" });

export const cidr = z.string().refine((text) => parseCidr(text) !== undefined, {
  error: "is no address block such as 10.64.0.0/16 or 2001:db8::/64",
});

/** At least two labels, the last of which is no number: what looks like an IPv4 address is none (RFC 3696 2). */
export const fqdn = z
  .string()
  .regex(/^(?=.{1,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+(?!\d+$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/i, {
    error: "is no fully qualified domain name such as segw.operator.example",
  });

export const port = z.number().int().min(0).max(65535);

/** A path, relative to the folder of the configuration file. */
export const path = z.string().min(1);

const UNITS = { ms: 1, s: 1000, m: 60_000, h: 3600_000, d: 86_400_000 } as const;
const MAX_DURATION = 3650 * UNITS.d;
