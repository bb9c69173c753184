/** The runs of the interop matrix: every key kind, cipher kind and group kind that the issue of a fleet may meet. */
import type { Algorithms } from "./attachment.ts";

export const MATRIX: readonly Algorithms[] = [
  { keys: "rsa-2048", ike: "aes128-sha256-modp2048", esp: "aes128-sha256" },
  { keys: "rsa-2048", ike: "aes128gcm16-prfsha256-x25519", esp: "aes128gcm16-x25519" },
  { keys: "p-256", ike: "aes256-sha256-modp2048", esp: "aes256-sha256-modp2048" },
  { keys: "p-256", ike: "aes256gcm16-prfsha384-x25519", esp: "aes256gcm16" },
];

/** Short certificates would fit one packet of the usual size; these fit none. */
export const SMALL_FRAGMENTS = { fragmentSize: 576 };
