/** Certificates and CRLs of NIST's path validation test suite, which scripts/pkits-data unpacks. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type Certificate, parseCertificate } from "../../src/x509/certificate.ts";
import { type Crl, parseCrl } from "../../src/x509/crl.ts";

export function pkitsCertificate(file: string): Certificate {
  return parseCertificate(readFileSync(join(folder, "certs", file)));
}

export function pkitsCrl(file: string): Crl {
  return parseCrl(readFileSync(join(folder, "crls", file)));
}

const folder = unpackedData();

function unpackedData(): string {
  const { status, stdout, stderr } = spawnSync(join(import.meta.dirname, "../../scripts/pkits-data"), {
    encoding: "utf8",
  });
  assert.equal(status, 0, stderr);
  return stdout.trim();
}
