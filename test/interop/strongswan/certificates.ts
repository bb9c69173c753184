/**
 * A small certificate authority made with OpenSSL's command line, for runs where our own PKI is not what is tested.
 *
 * Everything is a pair of PEM files, as our PKI writes them too, so either can stand for the other.
 */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

export type KeyKind = "rsa-2048" | "rsa-3072" | "ec-p256" | "ec-p384";

/** Paths of a certificate and its private key, both PEM. */
export interface Credential {
  certificate: string;
  key: string;
}

const NEW_KEY: Record<KeyKind, readonly string[]> = {
  "rsa-2048": ["-newkey", "rsa:2048"],
  "rsa-3072": ["-newkey", "rsa:3072"],
  "ec-p256": ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
  "ec-p384": ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384"],
};

/** A self-signed root in `directory`, or below `issuer` when that is given; files are called after `name`. */
export async function createAuthority(
  directory: string,
  name: string,
  kind: KeyKind,
  issuer?: Credential,
): Promise<Credential> {
  return create(directory, name, kind, issuer, [
    "basicConstraints=critical,CA:TRUE",
    "keyUsage=critical,keyCertSign,cRLSign",
  ]);
}

/**
 * An end entity's certificate with these subjectAltNames ("DNS:ap-1.example"), issued by `issuer`, for a new key or for
 * one that another certificate has already (many devices are made quickly so).
 */
export async function issueCertificate(
  directory: string,
  name: string,
  key: KeyKind | Credential,
  issuer: Credential,
  altNames: readonly string[],
): Promise<Credential> {
  return create(directory, name, key, issuer, [
    "basicConstraints=critical,CA:FALSE",
    "keyUsage=critical,digitalSignature",
    `subjectAltName=${altNames.join(",")}`,
  ]);
}

async function create(
  directory: string,
  name: string,
  key: KeyKind | Credential,
  issuer: Credential | undefined,
  extensions: readonly string[],
): Promise<Credential> {
  const existing = typeof key === "string" ? undefined : key.key;
  const made = { certificate: join(directory, `${name}.crt.pem`), key: existing ?? join(directory, `${name}.key.pem`) };
  await run("openssl", [
    ...["req", "-x509", "-noenc", "-sha256", "-days", "30", "-subj", `/O=Femtogate interop/CN=${name}`],
    ...(typeof key === "string" ? [...NEW_KEY[key], "-keyout", made.key] : ["-key", made.key]),
    ...["-out", made.certificate],
    // Without a configuration of its own `req` adds the system's default extensions to ours.
    ...["-config", "/dev/null"],
    ...(issuer === undefined ? [] : ["-CA", issuer.certificate, "-CAkey", issuer.key]),
    ...extensions.flatMap((extension) => ["-addext", extension]),
  ]);
  return made;
}
