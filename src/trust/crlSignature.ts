/** A CRL's signature, which is verified once per key: over a million entries hashing alone takes long. */
import { sameBytes } from "../bytes/bytes.ts";
import type { Crl } from "../x509/crl.ts";
import { verifySignature } from "../x509/signature.ts";
import type { SearchableCrl } from "./crlEntries.ts";
import { inheritsParameters, keyObjectOf, type WorkingKey } from "./workingKey.ts";

/** True if the CRL's signature verifies under the key; a good one is remembered as long as the CRL lives. */
export function verifiesCrl({ crl, verifiedUnder }: SearchableCrl, signer: WorkingKey): boolean {
  const { spki } = signer.certificate;
  const inherits = inheritsParameters(signer.certificate);
  if (!inherits && verifiedUnder !== undefined && sameBytes(verifiedUnder, spki)) return true;
  const known = VERIFIED.get(crl);
  const name = spki.toString("latin1");
  if (known?.has(name)) return true;
  const key = keyObjectOf(signer);
  if (key === undefined || !verifySignature(crl.signatureAlgorithm, key, crl.tbs, crl.signature)) return false;
  if (!inherits) VERIFIED.set(crl, (known ?? new Set()).add(name));
  return true;
}

/** Good signatures only: bad ones are not worth the memory, and good ones are as few as a CA has keys. */
const VERIFIED = new WeakMap<Crl, Set<string>>();
