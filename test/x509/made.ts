/** Keys and certificates made for tests: one authority over another, every field open to be spoilt. */
import { generateKeyPairSync, type KeyObject } from "node:crypto";
import type { Bytes } from "../../src/bytes/bytes.ts";
import {
  authorityKeyIdentifier,
  basicConstraints,
  buildCertificate,
  keyIdOf,
  keyUsage,
  type NewExtension,
  subjectKeyIdentifier,
} from "../../src/x509/build.ts";
import { type Certificate, parseCertificate } from "../../src/x509/certificate.ts";
import { makeName, type Name } from "../../src/x509/name.ts";
import { Oid } from "../../src/x509/oids.ts";
import { type Signer, signerOf } from "../../src/x509/signature.ts";

/** 2026-06-01T00:00:00Z, in the middle of what `make` gives out. */
export const NOW = Date.UTC(2026, 5, 1);
export const DAY = 24 * 3600_000;

export interface KeyPair {
  publicKey: KeyObject;
  privateKey: KeyObject;
}

export const KEY_MAKERS = {
  "RSA-2048": () => generateKeyPairSync("rsa", { modulusLength: 2048 }),
  "RSA-3072": () => generateKeyPairSync("rsa", { modulusLength: 3072 }),
  "P-256": () => generateKeyPairSync("ec", { namedCurve: "P-256" }),
  "P-384": () => generateKeyPairSync("ec", { namedCurve: "P-384" }),
  "P-521": () => generateKeyPairSync("ec", { namedCurve: "P-521" }),
} satisfies Record<string, () => KeyPair>;

export interface Made {
  certificate: Certificate;
  keys: KeyPair;
  readonly signer: Signer;
}

export interface Making {
  name?: string;
  /** Instead of one with that name. */
  subject?: Name;
  /** Undefined makes it self-signed. */
  issuer?: Made;
  /** Stands as the issuer instead of the issuer's subject. */
  issuerName?: Name;
  keys?: KeyPair;
  serial?: Bytes;
  notBefore?: number;
  notAfter?: number;
  /** Instead of those of a CA. */
  extensions?: readonly NewExtension[];
  /** Besides. */
  more?: readonly NewExtension[];
  keyIds?: "present" | "absent";
  signer?: Signer;
}

export function name(commonName: string): Name {
  return makeName([
    { type: Oid.organization, value: "Femtogate" },
    { type: Oid.commonName, value: commonName },
  ]);
}

export const CA_EXTENSIONS: readonly NewExtension[] = [basicConstraints(true), keyUsage("keyCertSign", "cRLSign")];
export const LEAF_EXTENSIONS: readonly NewExtension[] = [basicConstraints(false), keyUsage("digitalSignature")];

export function make(making: Making = {}): Made {
  const keys = making.keys ?? KEY_MAKERS["P-256"]();
  const issuerKeys = making.issuer?.keys ?? keys;
  const subject = making.subject ?? name(making.name ?? "CA");
  const keyIds = [subjectKeyIdentifier(keyIdOf(keys.publicKey)), authorityKeyIdentifier(keyIdOf(issuerKeys.publicKey))];
  const der = buildCertificate({
    serial: making.serial ?? Buffer.from([++lastSerial >> 8, lastSerial & 0xff]),
    issuer: making.issuerName ?? making.issuer?.certificate.subject ?? subject,
    subject,
    notBefore: making.notBefore ?? NOW - 100 * DAY,
    notAfter: making.notAfter ?? NOW + 100 * DAY,
    publicKey: keys.publicKey,
    extensions: [
      ...(making.extensions ?? CA_EXTENSIONS),
      ...(making.more ?? []),
      ...(making.keyIds === "absent" ? [] : keyIds),
    ],
    signer: making.signer ?? signerOf(issuerKeys.privateKey),
  });
  return {
    certificate: parseCertificate(der),
    keys,
    get signer() {
      return signerOf(keys.privateKey);
    },
  };
}

/** A copy with one octet of the signature turned over. */
export function withBadSignature(certificate: Certificate): Certificate {
  const der = Buffer.from(certificate.der);
  der[der.length - 1]! ^= 1;
  return parseCertificate(der);
}

let lastSerial = 0x1000;
