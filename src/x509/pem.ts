/** PEM armour (RFC 7468), read leniently about what stands around it. */
import type { Bytes } from "../bytes/bytes.ts";

/** One block with this label. */
export function toPem(label: string, der: Bytes): string {
  const lines = der.toString("base64").match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join("\n")}\n-----END ${label}-----\n`;
}

/** All blocks with this label, in order. */
export function fromPem(text: string, label: string): Bytes[] {
  const pattern = new RegExp(`-----BEGIN ${label}-----([A-Za-z0-9+/=\\s]+)-----END ${label}-----`, "g");
  return [...text.matchAll(pattern)].map((match) => Buffer.from(match[1]!, "base64"));
}
