/** femtogate pki init, issue, revoke, release, list, crl: what a PKI's own CAs do. */
import { existsSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { issuedFiles, Pki, REVOCATION_REASONS, type RevocationReason } from "../../../pki/authority.ts";
import { KEY_KINDS } from "../../../pki/certify.ts";
import { PROFILES } from "../../../pki/profiles.ts";
import { toPem } from "../../../x509/pem.ts";
import { type Io, numberOption, parse, UsageError } from "../../command.ts";
import { dateOption, environment, one, oneOf, optionally, serialOf } from "./options.ts";

export function init(args: string[], io: Io): number {
  const { values, positionals } = parse({
    args,
    allowPositionals: true,
    options: {
      keys: { type: "string" },
      "ocsp-keys": { type: "string" },
      operator: { type: "string" },
      manufacturer: { type: "string" },
      "ocsp-url": { type: "string" },
      "crl-url": { type: "string" },
      "crl-shards": { type: "string" },
      "delta-crls": { type: "boolean" },
    },
  });
  const directory = one(positionals);
  using pki = Pki.create(directory, environment, {
    keys: optionally("--keys", values.keys, KEY_KINDS),
    ocspKeys: optionally("--ocsp-keys", values["ocsp-keys"], KEY_KINDS),
    operator: values.operator,
    manufacturer: values.manufacturer,
    ocspUrl: values["ocsp-url"],
    crlUrl: values["crl-url"],
    crlShards: numberOption("--crl-shards", values["crl-shards"] ?? "1", 1, 1000),
    deltaCrls: values["delta-crls"],
  });
  for (const ca of pki.caNames())
    io.print(`${ca.padEnd(18)} ${pki.ca(ca).subject.toString().padEnd(40)} ${pki.caFile(ca)}`);
  return 0;
}

export function issue(args: string[], io: Io): number {
  const { values, positionals } = parse({
    args,
    allowPositionals: true,
    options: {
      profile: { type: "string" },
      name: { type: "string", multiple: true },
      ip: { type: "string", multiple: true },
      keys: { type: "string" },
      "not-before": { type: "string" },
      "not-after": { type: "string" },
      "extra-cas": { type: "string" },
      out: { type: "string" },
    },
  });
  const directory = one(positionals);
  const profile = oneOf("--profile", values.profile, PROFILES);
  const [identity, ...more] = values.name ?? [];
  if (identity === undefined) throw new UsageError("--name FQDN is missing: the certificate's identity");
  const keys = optionally("--keys", values.keys, KEY_KINDS);
  const notBefore = dateOption("--not-before", values["not-before"]);
  const notAfter = dateOption("--not-after", values["not-after"]);
  const extraCas = numberOption("--extra-cas", values["extra-cas"] ?? "0", 0, MAX_EXTRA_CAS);
  const prefix = values.out ?? identity;
  // Looked at before anything is issued: a certificate whose key cannot be kept is of no use, nor is one key lost for another.
  if (!existsSync(dirname(prefix))) throw new UsageError(`there is no folder ${dirname(prefix)}`);
  for (const file of Object.values(issuedFiles(prefix)))
    if (existsSync(file))
      throw new UsageError(`${file} is there already; remove it, or choose another name with --out`);
  using pki = Pki.open(directory, environment);
  const issued = pki.issue({ profile, dns: [identity, ...more], ip: values.ip, keys, notBefore, notAfter, extraCas });
  io.print(`serial ${issued.certificate.serialText}`);
  for (const file of Object.values(pki.writeFiles(issued, prefix))) io.print(file);
  return 0;
}

export function revoke(args: string[], io: Io): number {
  const { values, positionals } = parse({
    args,
    allowPositionals: true,
    options: { serial: { type: "string" }, cert: { type: "string" }, reason: { type: "string" } },
  });
  const directory = one(positionals);
  const reasons = Object.keys(REVOCATION_REASONS) as RevocationReason[];
  const reason = optionally("--reason", values.reason, reasons) ?? "unspecified";
  const serial = serialOf(values);
  using pki = Pki.open(directory, environment);
  pki.revoke(serial, reason);
  io.print(`revoked ${serial.toString("hex")} (${reason})`);
  return 0;
}

export function release(args: string[], io: Io): number {
  const { values, positionals } = parse({
    args,
    allowPositionals: true,
    options: { serial: { type: "string" }, cert: { type: "string" } },
  });
  const directory = one(positionals);
  const serial = serialOf(values);
  using pki = Pki.open(directory, environment);
  pki.release(serial);
  io.print(`released ${serial.toString("hex")}`);
  return 0;
}

export function list(args: string[], io: Io): number {
  const { values, positionals } = parse({ args, allowPositionals: true, options: { json: { type: "boolean" } } });
  using pki = Pki.open(one(positionals), environment);
  for (const row of pki.list()) {
    if (values.json === true) io.print(JSON.stringify(row));
    else
      io.print(
        `${row.serial}  ${row.ca.padEnd(18)} ${row.revokedAt === null ? "good   " : "revoked"}  until ${new Date(row.notAfter).toISOString().slice(0, 10)}  ${row.subject}`,
      );
  }
  return 0;
}

export function crl(args: string[], io: Io): number {
  const { values, positionals } = parse({
    args,
    allowPositionals: true,
    options: {
      ca: { type: "string" },
      shard: { type: "string" },
      delta: { type: "boolean" },
      out: { type: "string" },
    },
  });
  using pki = Pki.open(one(positionals), environment);
  const ca = oneOf("--ca", values.ca, pki.caNames());
  const shard = values.shard === undefined ? undefined : numberOption("--shard", values.shard, 0, 999);
  const { der } = pki.currentCrl({ ca, shard }, values.delta === true ? "delta" : "complete");
  const pem = toPem("X509 CRL", der);
  if (values.out === undefined) io.print(pem.trimEnd());
  else writeFileSync(values.out, pem);
  return 0;
}

/** More than any peer may accept (TS 33.320 7.2.3-2), so that refusals can be tried. */
const MAX_EXTRA_CAS = 8;
