/** The files of a PKI's CAs and OCSP signers: NAME.crt.pem and NAME.key.pem (PKCS#8, mode 0600), as OpenSSL reads them. */
import { createPrivateKey, createPublicKey, type KeyObject } from "node:crypto";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { DecodeError } from "../bytes/reader.ts";
import { type Certificate, parseCertificate } from "../x509/certificate.ts";
import { fromPem, toPem } from "../x509/pem.ts";
import { type Signer, signerOf } from "../x509/signature.ts";
import { PkiError } from "./error.ts";
import { writeWholeFile } from "./wholeFile.ts";

/** A certificate whose private key is here. */
export interface KeyHolder {
  certificate: Certificate;
  key: KeyObject;
  signer: Signer;
}

export class CaFolder {
  readonly #path: string;

  /** `path` need not be there before the first `save`. */
  constructor(path: string) {
    this.#path = path;
  }

  certificateFile(name: string): string {
    return join(this.#path, `${name}.crt.pem`);
  }

  /** The key first: a certificate without a key would be found and used. */
  save(name: string, { certificate, key }: Pick<KeyHolder, "certificate" | "key">): void {
    mkdirSync(this.#path, { recursive: true, mode: 0o700 });
    writeKeyFile(this.#keyFile(name), key);
    this.saveCertificate(name, certificate);
  }

  saveCertificate(name: string, certificate: Certificate): void {
    mkdirSync(this.#path, { recursive: true, mode: 0o700 });
    writeWholeFile(this.certificateFile(name), toPem("CERTIFICATE", certificate.der), 0o644);
  }

  /** Throws PkiError for a file that is missing or damaged. */
  loadCertificate(name: string): Certificate {
    return readCertificateFile(this.certificateFile(name));
  }

  /** Throws PkiError for files that are missing, damaged, or do not belong together. */
  load(name: string): KeyHolder {
    return readKeyHolder(this.certificateFile(name), this.#keyFile(name));
  }

  #keyFile(name: string): string {
    return join(this.#path, `${name}.key.pem`);
  }
}

/** A certificate and its key; throws PkiError for files that are missing, damaged, or do not belong together. */
export function readKeyHolder(certificateFile: string, keyFile: string): KeyHolder {
  const certificate = readCertificateFile(certificateFile);
  const key = readKeyFile(keyFile);
  if (!createPublicKey(key).equals(certificate.publicKey ?? key))
    throw new PkiError(`${keyFile} is not the key of ${certificateFile}: give the two that belong together`);
  return { certificate, key, signer: signerOf(key) };
}

/** The first certificate of a PEM file; throws PkiError. */
export function readCertificateFile(path: string): Certificate {
  const [der] = fromPem(read(path), "CERTIFICATE");
  if (der === undefined) throw new PkiError(`${path} holds no PEM certificate`);
  try {
    return parseCertificate(der);
  } catch (error) {
    if (error instanceof DecodeError) throw new PkiError(`the certificate in ${path} is damaged: ${error.message}`);
    throw error;
  }
}

/** An unencrypted private key in PEM; throws PkiError. */
function readKeyFile(path: string): KeyObject {
  const text = read(path);
  try {
    return createPrivateKey(text);
  } catch {
    // What OpenSSL says of a key is not for logs.
    throw new PkiError(`${path} holds no unencrypted PEM private key`);
  }
}

/** PKCS#8 in PEM, for its owner's eyes only. */
export function writeKeyFile(path: string, key: KeyObject): void {
  writeWholeFile(path, key.export({ format: "pem", type: "pkcs8" }).toString(), 0o600);
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw new PkiError(`cannot read ${path}: ${error instanceof Error ? error.message : String(error)}`);
  }
}
