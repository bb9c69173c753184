/** femtogate pki: a PKI in a folder, and the server that answers for it. */
import { existsSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { issuedFiles, Pki, REVOCATION_REASONS, type RevocationReason } from "../../pki/authority.ts";
import { readCertificateFile } from "../../pki/caFolder.ts";
import { KEY_KINDS, type PkiEnvironment } from "../../pki/certify.ts";
import { CA_NAMES, PROFILES } from "../../pki/profiles.ts";
import { servePki } from "../../pki/server.ts";
import { systemEnvironment } from "../../sim/system.ts";
import { toPem } from "../../x509/pem.ts";
import { type Command, type Io, numberOption, parse, UsageError } from "../command.ts";

const USAGE = `femtogate pki: CAs, certificates, CRLs and an OCSP responder in one folder

  femtogate pki init DIR [--keys ${KEY_KINDS.join("|")}] [--ocsp-keys KIND] [--operator NAME]
                         [--manufacturer NAME] [--ocsp-url URL] [--crl-url URL] [--crl-shards N] [--delta-crls]
  femtogate pki issue DIR --profile ${PROFILES.join("|")} --name FQDN [--name FQDN ...]
                         [--ip ADDRESS ...] [--keys KIND] [--not-before DATE] [--not-after DATE] [--extra-cas N]
                         [--out PREFIX]
  femtogate pki revoke DIR --serial HEX | --cert FILE
                         [--reason ${Object.keys(REVOCATION_REASONS).join("|")}]
  femtogate pki release DIR --serial HEX | --cert FILE
  femtogate pki list DIR [--json]
  femtogate pki crl DIR --ca ${CA_NAMES.join("|")} [--shard N] [--delta]
                         [--out FILE]
  femtogate pki serve DIR [--listen ADDRESS:PORT]

"issue" writes PREFIX.crt.pem, PREFIX.chain.pem (without the root) and PREFIX.key.pem (mode 0600).
"release" makes a certificate good again that was revoked with the reason certificateHold.
"serve" answers OCSP by GET and POST, /crl/<ca>.crl and /ca/<ca>.crt; it prints one JSON line when it listens.
With --crl-shards each certificate points to /crl/<ca>/<shard>.crl, with --delta-crls these point to ….delta.crl.`;

export const command: Command = {
  name: "pki",
  summary: "CAs, certificates, CRLs and the OCSP responder",
  usage: USAGE,
  async run(args, io) {
    const [verb, ...rest] = args;
    const action = verb === undefined || !Object.hasOwn(ACTIONS, verb) ? undefined : ACTIONS[verb];
    if (action === undefined) throw new UsageError(`say what to do: ${Object.keys(ACTIONS).join(", ")}`);
    return action(rest, io);
  },
};

const ACTIONS: Record<string, (args: string[], io: Io) => Promise<number> | number> = {
  init,
  issue,
  revoke,
  release,
  list,
  crl,
  serve,
};
const environment: PkiEnvironment = systemEnvironment;

function init(args: string[], io: Io): number {
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

function issue(args: string[], io: Io): number {
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

function revoke(args: string[], io: Io): number {
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

function release(args: string[], io: Io): number {
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

function list(args: string[], io: Io): number {
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

function crl(args: string[], io: Io): number {
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

async function serve(args: string[], io: Io): Promise<number> {
  const { values, positionals } = parse({ args, allowPositionals: true, options: { listen: { type: "string" } } });
  const listen = /^(.+):(\d+)$/.exec(values.listen ?? "127.0.0.1:8080");
  if (listen === null) throw new UsageError(`--listen takes ADDRESS:PORT, not "${values.listen}"`);
  const port = numberOption("the port of --listen", listen[2]!, 0, 65535);
  using pki = Pki.open(one(positionals), environment);
  const server = await servePki(pki, { address: listen[1]!.replace(/^\[|\]$/g, ""), port }, environment.clock);
  io.print(JSON.stringify({ event: "listening", role: "pki", address: server.address, port: server.port }));
  await io.stopped;
  await server.close();
  return 0;
}

function one(positionals: readonly string[]): string {
  const [directory, ...more] = positionals;
  if (directory === undefined || more.length > 0) throw new UsageError("name one folder that holds the PKI");
  return directory;
}

function oneOf<T extends string>(option: string, value: string | undefined, known: readonly T[]): T {
  const found = optionally(option, value, known);
  if (found === undefined) throw new UsageError(`${option} is missing: one of ${known.join(", ")}`);
  return found;
}

function optionally<T extends string>(option: string, value: string | undefined, known: readonly T[]): T | undefined {
  if (value === undefined) return undefined;
  const found = known.find((candidate) => candidate === value);
  if (found === undefined) throw new UsageError(`${option} is one of ${known.join(", ")}, not "${value}"`);
  return found;
}

function dateOption(option: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const at = Date.parse(text);
  if (Number.isNaN(at))
    throw new UsageError(`${option} takes a date such as 2027-01-31 or 2027-01-31T12:00:00Z, not "${text}"`);
  return at;
}

function serialOf({ serial, cert }: { serial?: string | undefined; cert?: string | undefined }): Buffer {
  if (cert !== undefined && serial !== undefined) throw new UsageError("give --serial or --cert, not both");
  if (cert !== undefined) return readCertificateFile(cert).serial;
  if (serial === undefined) throw new UsageError("say which certificate: --serial HEX or --cert FILE");
  // "4f3e..", or "4F:3E:.." as OpenSSL and browsers show it.
  const digits = serial.replaceAll(":", "");
  if (!/^([0-9a-f]{2})+$/i.test(digits)) throw new UsageError(`--serial takes hexadecimal digits, not "${serial}"`);
  return Buffer.from(digits, "hex");
}

/** More than any peer may accept (TS 33.320 7.2.3-2), so that refusals can be tried. */
const MAX_EXTRA_CAS = 8;
