/**
 * The key that a certificate's signature is verified with (RFC 5280 6.1.2 g to i, 6.1.4 d to f).
 *
 * Nearly always the one in the issuer's certificate; but a DSA key may leave its parameters to those of its own issuer,
 * so that the same certificate stands for different keys in different paths.
 */
import type { KeyObject } from "node:crypto";
import type { Bytes } from "../bytes/bytes.ts";
import type { Certificate } from "../x509/certificate.ts";
import { dsaKeyWith, dsaParameters } from "../x509/publicKey.ts";

/** A certificate's key within a path. */
export interface WorkingKey {
  certificate: Certificate;
  /** DER of the DSA parameters that hold for it and that it hands down; undefined for other kinds of keys. */
  parameters: Bytes | undefined;
}

/** The key of a certificate under its issuer's working key, or of an anchor under none. */
export function workingKey(certificate: Certificate, issuer: WorkingKey | undefined): WorkingKey {
  if (certificate.keyDescription.kind !== "dsa") return { certificate, parameters: undefined };
  return { certificate, parameters: dsaParameters(certificate.spki) ?? issuer?.parameters };
}

/** True for a key whose parameters are the issuer's: what is known of it in one path does not hold in another. */
export function inheritsParameters({ keyDescription: key }: Certificate): boolean {
  return key.kind === "dsa" && key.bits === undefined;
}

/** The key object; undefined for a key that OpenSSL cannot read or that lacks parameters. */
export function keyObjectOf({ certificate, parameters }: WorkingKey): KeyObject | undefined {
  if (!inheritsParameters(certificate)) return certificate.publicKey;
  return parameters && dsaKeyWith(certificate.spki, parameters);
}
