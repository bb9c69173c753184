/** Files that a role starts from: its configuration, certificates and keys, with errors that say which and what to do. */
import { createPrivateKey, type KeyObject } from "node:crypto";
import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import type { z } from "zod";
import { DecodeError } from "../bytes/reader.ts";
import { loadConfig } from "../config/load.ts";
import { type Certificate, parseCertificate } from "../x509/certificate.ts";
import { fromPem } from "../x509/pem.ts";

/** A file that a role needs and cannot use. */
export class RoleFileError extends Error {
  override readonly name = "RoleFileError";
}

export interface LoadedConfig<T> {
  config: T;
  /** Resolves a path of the configuration against the folder of its file. */
  at(path: string): string;
}

/** Reads and checks a configuration file; throws RoleFileError or ConfigError. */
export function readConfig<S extends z.ZodType>(schema: S, file: string): LoadedConfig<z.output<S>> {
  const folder = dirname(resolve(file));
  return { config: loadConfig(schema, readText(file), file), at: (path) => resolve(folder, path) };
}

/** All certificates of a PEM file, in its order; throws RoleFileError if there is none or one cannot be read. */
export function readCertificates(file: string): Certificate[] {
  const ders = fromPem(readText(file), "CERTIFICATE");
  if (ders.length === 0) throw new RoleFileError(`${file} holds no PEM certificate`);
  return ders.map((der, index) => {
    try {
      return parseCertificate(der);
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      throw new RoleFileError(`certificate ${index + 1} in ${file} cannot be read: ${error.message}`);
    }
  });
}

/** A private key of a PEM file; throws RoleFileError, which never quotes the file. */
export function readKey(file: string): KeyObject {
  const text = readText(file);
  try {
    return createPrivateKey(text);
  } catch {
    throw new RoleFileError(`${file} holds no private key that can be read: PEM, PKCS#8 or SEC1, not encrypted`);
  }
}

function readText(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw new RoleFileError(`${file} cannot be read (${(error as NodeJS.ErrnoException).code ?? error})`);
  }
}
