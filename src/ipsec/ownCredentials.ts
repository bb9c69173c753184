/** The certificate path and key that a gateway or an H(e)MS shows itself with, checked as its peers will check them. */
import { createPublicKey, type KeyObject } from "node:crypto";
import { parseIp } from "../bytes/ip.ts";
import { hasAddress, hasDns } from "../trust/serverName.ts";
import type { Certificate } from "../x509/certificate.ts";
import { RoleFileError, readCertificates, readKey } from "./roleFiles.ts";

export interface OwnCredentials {
  /** End entity first, without the root, at most four (TS 33.320 7.2.3-1). */
  chain: readonly Certificate[];
  key: KeyObject;
}

/** Reads both PEM files; `name` is what devices connect to. Throws RoleFileError. */
export function readOwnCredentials(files: { chain: string; key: string }, name: string): OwnCredentials {
  const chain = readCertificates(files.chain);
  const key = readKey(files.key);
  // TS 33.320 7.2.3-1.
  if (chain.length > MAX_PATH)
    throw new RoleFileError(
      `${files.chain} holds ${chain.length} certificates; at most ${MAX_PATH} are sent, without the root`,
    );
  const [own] = chain;
  const address = parseIp(name);
  const named = address === undefined ? hasDns(own!, name) : hasAddress(own!, address);
  // TS 33.320 7.2.2-4, 8.3.2.1-1: devices would refuse it; better to hear so at start.
  if (!named)
    throw new RoleFileError(
      `the certificate in ${files.chain} does not carry "${name}" in subjectAltName, as every device will demand`,
    );
  if (own!.publicKey?.equals(createPublicKey(key)) !== true)
    throw new RoleFileError(`${files.key} is not the key of the first certificate in ${files.chain}`);
  return { chain, key };
}

const MAX_PATH = 4;
