/**
 * Lines of Wireshark's file `ikev2_decryption_table`, by which it shows what is inside the Encrypted payload.
 *
 * Wireshark names algorithms by texts of its own, each cipher with its key length and, for AES-GCM, its ICV length. The
 * salt of AES-GCM stands at the end of the key, as RFC 5282 7.1 derives it; with AES-GCM the integrity key is empty and
 * its algorithm is "NONE [RFC4306]". Read from Wireshark 4.0.17 and checked against it for every suite.
 */
import type { Bytes } from "../bytes/bytes.ts";

/** Keys of one IKE SA. */
export interface ExportedIkeKeys {
  /** 16 hexadecimal digits each. */
  initiatorSpi: string;
  responderSpi: string;
  /** Numbers of IANA's registry "IKEv2 Parameters"; `keyLength` in bits, 0 where the cipher has only one. */
  suite: { encr: { id: number; keyLength: number }; integ: number };
  /** SK_ei, SK_er (with AES-GCM including the salt), SK_ai, SK_ar (empty with AES-GCM). */
  keys: { ei: Bytes; er: Bytes; ai: Bytes; ar: Bytes };
}

/** One line with its line feed, or undefined for algorithms that Wireshark cannot decrypt. */
export function decryptionTableLine({ initiatorSpi, responderSpi, suite, keys }: ExportedIkeKeys): string | undefined {
  const cipher = CIPHERS.get(`${suite.encr.id}/${suite.encr.keyLength}`);
  const integrity = INTEGRITY.get(suite.integ);
  if (cipher === undefined || integrity === undefined) return undefined;
  const hex = (key: Bytes) => key.toString("hex");
  const fields = [initiatorSpi, responderSpi, hex(keys.ei), hex(keys.er), `"${cipher}"`];
  return `${[...fields, hex(keys.ai), hex(keys.ar), `"${integrity}"`].join(",")}\n`;
}

/** The keys that a table of such lines holds; lines that are none, or of other algorithms, are passed over. */
export function readDecryptionTable(text: string): ExportedIkeKeys[] {
  return text.split("\n").flatMap((line) => {
    const match = LINE.exec(line.trim());
    if (match === null) return [];
    const [, initiatorSpi, responderSpi, ei, er, cipher, ai, ar, integrity] = match.map((field) => field ?? "");
    const encr = keyOf(CIPHERS, cipher!)?.split("/").map(Number);
    const integ = keyOf(INTEGRITY, integrity!);
    if (encr === undefined || integ === undefined) return [];
    const key = (hex: string | undefined) => Buffer.from(hex!, "hex");
    return {
      initiatorSpi: initiatorSpi!.toLowerCase(),
      responderSpi: responderSpi!.toLowerCase(),
      suite: { encr: { id: encr[0]!, keyLength: encr[1]! }, integ },
      keys: { ei: key(ei), er: key(er), ai: key(ai), ar: key(ar) },
    };
  });
}

function keyOf<K>(map: ReadonlyMap<K, string>, name: string): K | undefined {
  for (const [key, value] of map) if (value === name) return key;
  return undefined;
}

/** One line as Wireshark writes it: hexadecimal keys bare, names in quotes. */
const LINE =
  /^([0-9a-f]{16}),([0-9a-f]{16}),((?:[0-9a-f]{2})*),((?:[0-9a-f]{2})*),"([^"]*)",((?:[0-9a-f]{2})*),((?:[0-9a-f]{2})*),"([^"]*)"$/i;

const CIPHERS = new Map([
  ["3/0", "3DES [RFC2451]"],
  ["11/0", "NULL [RFC2410]"],
  ["12/128", "AES-CBC-128 [RFC3602]"],
  ["12/192", "AES-CBC-192 [RFC3602]"],
  ["12/256", "AES-CBC-256 [RFC3602]"],
  ["20/128", "AES-GCM-128 with 16 octet ICV [RFC5282]"],
  ["20/192", "AES-GCM-192 with 16 octet ICV [RFC5282]"],
  ["20/256", "AES-GCM-256 with 16 octet ICV [RFC5282]"],
]);

const INTEGRITY = new Map([
  [0, "NONE [RFC4306]"],
  [2, "HMAC_SHA1_96 [RFC2404]"],
  [12, "HMAC_SHA2_256_128 [RFC4868]"],
  [13, "HMAC_SHA2_384_192 [RFC4868]"],
  [14, "HMAC_SHA2_512_256 [RFC4868]"],
]);
