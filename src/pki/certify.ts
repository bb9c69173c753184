/** Making a key and a certificate for it, as every certificate of a PKI is made (TS 33.310 6.1.1). */
import { createPublicKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import type { Bytes } from "../bytes/bytes.ts";
import type { Clock, Milliseconds, Random } from "../sim/environment.ts";
import {
  authorityKeyIdentifier,
  buildCertificate,
  keyIdOf,
  type NewExtension,
  subjectKeyIdentifier,
} from "../x509/build.ts";
import { parseCertificate } from "../x509/certificate.ts";
import { makeName } from "../x509/name.ts";
import { Oid } from "../x509/oids.ts";
import { signerOf } from "../x509/signature.ts";
import type { KeyHolder } from "./caFolder.ts";
import { PkiError } from "./error.ts";

/** Keys that TS 33.310 6.1.1 has every peer support, and stronger ones of the same kinds. */
export const KEY_KINDS = ["rsa-2048", "rsa-3072", "p-256", "p-384"] as const;
export type KeyKind = (typeof KEY_KINDS)[number];

export interface PkiEnvironment {
  clock: Clock;
  random: Random;
}

export interface NewSubject {
  subject: readonly [organisation: string, commonName: string];
  /** Undefined for a root, which signs itself. */
  issuer: Pick<KeyHolder, "certificate" | "signer"> | undefined;
  keys: KeyKind;
  notBefore?: Milliseconds | undefined;
  notAfter?: Milliseconds | undefined;
  /** Where notAfter is not given; cut short where the issuer ends earlier. */
  life: Milliseconds;
  extensions: readonly NewExtension[];
}

/** A new key, certified; nothing is kept. Throws PkiError for a validity that cannot be. */
export function certify({ clock, random }: PkiEnvironment, made: NewSubject): KeyHolder {
  return certifyKey({ clock, random }, made, generateKey(made.keys));
}

/** As `certify`, for a private key that there is already. */
export function certifyKey(
  { clock, random }: PkiEnvironment,
  made: Omit<NewSubject, "keys">,
  privateKey: KeyObject,
): KeyHolder {
  const publicKey = createPublicKey(privateKey);
  const now = clock.now();
  const issuer = made.issuer?.certificate;
  const latest = issuer?.notAfter ?? Number.POSITIVE_INFINITY;
  // An hour back: devices' clocks are not exact.
  const notBefore = made.notBefore ?? now - 3600_000;
  const notAfter = made.notAfter ?? Math.min(now + made.life, latest);
  if (notAfter <= notBefore)
    throw new PkiError(`a certificate cannot end (${dateText(notAfter)}) before it begins (${dateText(notBefore)})`);
  if (notAfter > latest)
    throw new PkiError(`${dateText(notAfter)} is after the end of the issuing CA itself, ${dateText(latest)}`);
  const subject = makeName([
    { type: Oid.organization, value: made.subject[0] },
    { type: Oid.commonName, value: made.subject[1] },
  ]);
  const signer = signerOf(privateKey);
  const keyId = keyIdOf(publicKey);
  const der = buildCertificate({
    serial: newSerial(random),
    issuer: issuer?.subject ?? subject,
    subject,
    notBefore,
    notAfter,
    publicKey,
    extensions: [
      ...made.extensions,
      subjectKeyIdentifier(keyId),
      authorityKeyIdentifier(issuer?.extensions.subjectKeyId ?? keyId),
    ],
    signer: made.issuer?.signer ?? signer,
  });
  return { certificate: parseCertificate(der), key: privateKey, signer };
}

/** 126 random bits, positive, always 16 octets (RFC 5280 4.1.2.2, TS 33.310 C10). */
function newSerial(random: Random): Bytes {
  const serial = Buffer.from(random.bytes(16));
  serial[0] = (serial[0]! & 0x3f) | 0x40;
  return serial;
}

function generateKey(kind: KeyKind): KeyObject {
  if (kind === "rsa-2048" || kind === "rsa-3072") {
    const modulusLength = kind === "rsa-2048" ? 2048 : 3072;
    return generateKeyPairSync("rsa", { modulusLength, publicExponent: 65537 }).privateKey;
  }
  return generateKeyPairSync("ec", { namedCurve: kind === "p-256" ? "P-256" : "P-384" }).privateKey;
}

function dateText(at: Milliseconds): string {
  return new Date(at).toISOString();
}
