/**
 * Encryption and integrity of ESP packets (RFC 4303 3.3.2, 3.4.4): AES-GCM (RFC 4106), and CBC ciphers (RFC 3602, RFC
 * 2451) with an HMAC over header, IV and ciphertext (RFC 2404, RFC 4868).
 *
 * A cipher serves one direction of one SA. Keys become KeyObjects once; a raw key costs a conversion at every packet.
 */
import { createCipheriv, createDecipheriv, createHmac, createSecretKey, type KeyObject } from "node:crypto";
import { type Bytes, copyOf, sameSecret } from "../bytes/bytes.ts";
import type { EspDirection, EspEncryption, EspIntegrity, EspSuite } from "./dataPlane.ts";
import { EspError } from "./error.ts";

/** SPI and the low half of the sequence number, in clear before the IV (RFC 4303 2). */
export const ESP_HEADER = 8;

/** What stands between an ESP packet's octets and its plaintext; `high` is the upper half of an ESN, not transmitted. */
export interface EspCipher {
  readonly ivLength: number;
  readonly icvLength: number;
  /** What the length of payload, padding, pad length and next header together is a multiple of (RFC 4303 2.4). */
  readonly alignment: number;
  /** True where the IV must be unpredictable; else it need only differ from packet to packet (RFC 4106 3.1). */
  readonly randomIv: boolean;
  /** Encrypts in place what stands between IV and ICV, and fills in the ICV; header and IV are there already. */
  protect(packet: Bytes, high: number): void;
  /** Verifies the ICV, then decrypts; throws EspError `Truncated` or `IntegrityFailure`. */
  open(packet: Bytes, high: number): Bytes;
}

/** Throws RangeError if the keys are not of the suite's lengths, or `integrity` does not go with `encryption`. */
export function createEspCipher(suite: EspSuite, direction: EspDirection): EspCipher {
  const { encryption, integrity } = suite;
  const { algorithm, keyLength, blockLength } = ENCRYPTION[encryption];
  const isAead = blockLength === 1;
  if (isAead !== (integrity === "none")) throw new RangeError(`${encryption} cannot go with integrity ${integrity}`);
  requireLength(`${encryption} key`, direction.encryptionKey, isAead ? keyLength + GCM_SALT : keyLength);
  if (integrity === "none") {
    requireLength(`${encryption}'s integrity key`, direction.integrityKey, 0);
    return new GcmEspCipher(direction.encryptionKey, suite.esn);
  }
  const { hash, keyLength: integrityKeyLength, icvLength } = INTEGRITY[integrity];
  requireLength(`${integrity} key`, direction.integrityKey, integrityKeyLength);
  return new CbcHmacEspCipher(algorithm, blockLength, hash, icvLength, direction, suite.esn);
}

/** AES-GCM with a 16-octet ICV and RFC 4106's nonce: a salt from the key material, then the packet's IV. */
export class AesGcm16 {
  readonly #algorithm: "aes-128-gcm" | "aes-192-gcm" | "aes-256-gcm";
  readonly #key: KeyObject;
  readonly #salt: Bytes;

  /** `keyAndSalt` is the key of 16, 24 or 32 octets with the 4-octet salt behind it (RFC 4106 8.1). */
  constructor(keyAndSalt: Bytes) {
    const keyLength = keyAndSalt.length - GCM_SALT;
    this.#algorithm = `aes-${keyLength * 8}-gcm` as "aes-128-gcm";
    this.#key = createSecretKey(keyAndSalt.subarray(0, keyLength));
    this.#salt = copyOf(keyAndSalt.subarray(keyLength));
  }

  encrypt(iv: Bytes, aad: Bytes, plaintext: Bytes): { ciphertext: Bytes; icv: Bytes } {
    const cipher = createCipheriv(this.#algorithm, this.#key, this.#nonce(iv), GCM_OPTIONS);
    cipher.setAAD(aad);
    const ciphertext = cipher.update(plaintext);
    cipher.final();
    return { ciphertext, icv: cipher.getAuthTag() };
  }

  /** Undefined if the ICV does not verify. */
  decrypt(iv: Bytes, aad: Bytes, ciphertext: Bytes, icv: Bytes): Bytes | undefined {
    const decipher = createDecipheriv(this.#algorithm, this.#key, this.#nonce(iv), GCM_OPTIONS);
    decipher.setAAD(aad);
    decipher.setAuthTag(icv);
    const plaintext = decipher.update(ciphertext);
    try {
      decipher.final();
    } catch {
      // The only way OpenSSL says so. The plaintext is dropped unseen.
      return undefined;
    }
    return plaintext;
  }

  #nonce(iv: Bytes): Bytes {
    const nonce = Buffer.allocUnsafe(GCM_SALT + GCM_IV);
    nonce.set(this.#salt, 0);
    nonce.set(iv, GCM_SALT);
    return nonce;
  }
}

class GcmEspCipher implements EspCipher {
  readonly ivLength = GCM_IV;
  readonly icvLength = GCM_ICV;
  readonly alignment = 4;
  readonly randomIv = false;
  readonly #gcm: AesGcm16;
  readonly #esn: boolean;

  constructor(keyAndSalt: Bytes, esn: boolean) {
    this.#gcm = new AesGcm16(keyAndSalt);
    this.#esn = esn;
  }

  protect(packet: Bytes, high: number): void {
    const start = ESP_HEADER + GCM_IV;
    const end = packet.length - GCM_ICV;
    const iv = packet.subarray(ESP_HEADER, start);
    const { ciphertext, icv } = this.#gcm.encrypt(iv, this.#aad(packet, high), packet.subarray(start, end));
    packet.set(ciphertext, start);
    packet.set(icv, end);
  }

  open(packet: Bytes, high: number): Bytes {
    const start = ESP_HEADER + GCM_IV;
    const end = packet.length - GCM_ICV;
    if (end - start < TRAILER) throw truncated(packet);
    const iv = packet.subarray(ESP_HEADER, start);
    const ciphertext = packet.subarray(start, end);
    const plaintext = this.#gcm.decrypt(iv, this.#aad(packet, high), ciphertext, packet.subarray(end));
    if (plaintext === undefined) throw integrityFailure(end);
    return plaintext;
  }

  /** SPI and sequence number, with ESN all 64 bits of it, high half first (RFC 4106 5). */
  #aad(packet: Bytes, high: number): Bytes {
    if (!this.#esn) return packet.subarray(0, ESP_HEADER);
    const aad = Buffer.allocUnsafe(12);
    packet.copy(aad, 0, 0, 4);
    aad.writeUInt32BE(high, 4);
    packet.copy(aad, 8, 4, 8);
    return aad;
  }
}

class CbcHmacEspCipher implements EspCipher {
  readonly ivLength: number;
  readonly icvLength: number;
  readonly alignment: number;
  readonly randomIv = true;
  readonly #algorithm: string;
  readonly #hash: string;
  readonly #encryptionKey: KeyObject;
  readonly #integrityKey: KeyObject;
  readonly #esn: boolean;

  constructor(
    algorithm: string,
    blockLength: number,
    hash: string,
    icvLength: number,
    direction: EspDirection,
    esn: boolean,
  ) {
    this.#algorithm = algorithm;
    this.ivLength = blockLength;
    this.alignment = blockLength;
    this.#hash = hash;
    this.icvLength = icvLength;
    this.#encryptionKey = createSecretKey(direction.encryptionKey);
    this.#integrityKey = createSecretKey(direction.integrityKey);
    this.#esn = esn;
  }

  protect(packet: Bytes, high: number): void {
    const start = ESP_HEADER + this.ivLength;
    const end = packet.length - this.icvLength;
    const cipher = createCipheriv(this.#algorithm, this.#encryptionKey, packet.subarray(ESP_HEADER, start));
    packet.set(cipher.setAutoPadding(false).update(packet.subarray(start, end)), start);
    packet.set(this.#icv(packet.subarray(0, end), high), end);
  }

  open(packet: Bytes, high: number): Bytes {
    const start = ESP_HEADER + this.ivLength;
    const end = packet.length - this.icvLength;
    if (end - start < this.alignment || (end - start) % this.alignment !== 0) throw truncated(packet);
    // The ICV is checked first, so that nobody without the key learns from how decryption goes (RFC 4303 3.4.4.1).
    if (!sameSecret(packet.subarray(end), this.#icv(packet.subarray(0, end), high))) throw integrityFailure(end);
    const decipher = createDecipheriv(this.#algorithm, this.#encryptionKey, packet.subarray(ESP_HEADER, start));
    return decipher.setAutoPadding(false).update(packet.subarray(start, end));
  }

  /** With ESN the high half of the sequence number follows the packet in the HMAC's input (RFC 4303 2.2.1). */
  #icv(packet: Bytes, high: number): Bytes {
    const hmac = createHmac(this.#hash, this.#integrityKey).update(packet);
    if (this.#esn) {
      const highOctets = Buffer.allocUnsafe(4);
      highOctets.writeUInt32BE(high, 0);
      hmac.update(highOctets);
    }
    return hmac.digest().subarray(0, this.icvLength);
  }
}

function requireLength(what: string, key: Bytes, length: number): void {
  if (key.length !== length) throw new RangeError(`${what} has ${key.length} octets instead of ${length}`);
}

function truncated(packet: Bytes): EspError {
  return new EspError("Truncated", "ESP", packet.length, "no whole number of blocks between IV and ICV");
}

function integrityFailure(offset: number): EspError {
  return new EspError("IntegrityFailure", "ESP.icv", offset, "does not verify");
}

/** Pad length and next header (RFC 4303 2.5, 2.6). */
const TRAILER = 2;

const GCM_SALT = 4;
const GCM_IV = 8;
const GCM_ICV = 16;
const GCM_OPTIONS = { authTagLength: GCM_ICV };

/** Lengths in octets; a block length of 1 marks the AEADs. */
const ENCRYPTION: Record<EspEncryption, { algorithm: string; keyLength: number; blockLength: number }> = {
  "aes-128-gcm": { algorithm: "aes-128-gcm", keyLength: 16, blockLength: 1 },
  "aes-256-gcm": { algorithm: "aes-256-gcm", keyLength: 32, blockLength: 1 },
  "aes-128-cbc": { algorithm: "aes-128-cbc", keyLength: 16, blockLength: 16 },
  "aes-192-cbc": { algorithm: "aes-192-cbc", keyLength: 24, blockLength: 16 },
  "aes-256-cbc": { algorithm: "aes-256-cbc", keyLength: 32, blockLength: 16 },
  "3des-cbc": { algorithm: "des-ede3-cbc", keyLength: 24, blockLength: 8 },
};

/** Lengths in octets (RFC 2404 3, 5; RFC 4868 2.6). */
const INTEGRITY: Record<Exclude<EspIntegrity, "none">, { hash: string; keyLength: number; icvLength: number }> = {
  "hmac-sha1-96": { hash: "sha1", keyLength: 20, icvLength: 12 },
  "hmac-sha256-128": { hash: "sha256", keyLength: 32, icvLength: 16 },
  "hmac-sha384-192": { hash: "sha384", keyLength: 48, icvLength: 24 },
  "hmac-sha512-256": { hash: "sha512", keyLength: 64, icvLength: 32 },
};
