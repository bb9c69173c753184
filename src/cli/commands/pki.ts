/** femtogate pki: a PKI in a folder, and the server that answers for it. */
import { readFileSync, writeFileSync } from "node:fs";
import {
  CA_NAMES,
  type CaName,
  KEY_KINDS,
  type KeyKind,
  Pki,
  type PkiEnvironment,
  PROFILES,
  type Profile,
  REVOCATION_REASONS,
  type RevocationReason,
} from "../../pki/authority.ts";
import { servePki } from "../../pki/server.ts";
import { systemEnvironment } from "../../sim/system.ts";
import { parseCertificate } from "../../x509/certificate.ts";
import { fromPem, toPem } from "../../x509/pem.ts";
import { type Command, type Io, parse, UsageError } from "../command.ts";

const USAGE = `femtogate pki: CAs, certificates, CRLs and an OCSP responder in one folder

  femtogate pki init DIR [--keys ${KEY_KINDS.join("|")}] [--operator NAME] [--manufacturer NAME]
                         [--ocsp-url URL] [--crl-url URL]
  femtogate pki issue DIR --profile ${PROFILES.join("|")} --name FQDN [--name FQDN ...] [--ip ADDRESS ...]
                         [--keys KIND] [--not-before DATE] [--not-after DATE] [--out PREFIX]
  femtogate pki revoke DIR --serial HEX | --cert FILE  [--reason ${Object.keys(REVOCATION_REASONS).join("|")}]
  femtogate pki list DIR [--json]
  femtogate pki crl DIR --ca ${CA_NAMES.join("|")} [--out FILE]
  femtogate pki serve DIR [--listen ADDRESS:PORT]

"issue" writes PREFIX.crt.pem, PREFIX.chain.pem (without the root) and PREFIX.key.pem (mode 0600).
"serve" answers OCSP by GET and POST, /crl/<ca>.crl and /ca/<ca>.crt; it prints one JSON line when it listens.`;

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
      operator: { type: "string" },
      manufacturer: { type: "string" },
      "ocsp-url": { type: "string" },
      "crl-url": { type: "string" },
    },
  });
  const directory = one(positionals);
  const pki = Pki.create(directory, environment, {
    ...(values.keys === undefined ? {} : { keys: oneOf("--keys", values.keys, KEY_KINDS) }),
    ...(values.operator === undefined ? {} : { operator: values.operator }),
    ...(values.manufacturer === undefined ? {} : { manufacturer: values.manufacturer }),
    ocspUrl: values["ocsp-url"],
    crlUrl: values["crl-url"],
  });
  for (const ca of CA_NAMES) io.print(`${ca.padEnd(18)} ${pki.ca(ca).subject.toString().padEnd(40)} ${pki.caFile(ca)}`);
  pki.close();
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
      out: { type: "string" },
    },
  });
  const pki = Pki.open(one(positionals), environment);
  const profile: Profile = oneOf("--profile", values.profile ?? "", PROFILES);
  const dns = values.name ?? [];
  if (dns.length === 0) throw new UsageError("--name FQDN is missing: the certificate's identity");
  const keys: KeyKind | undefined = values.keys === undefined ? undefined : oneOf("--keys", values.keys, KEY_KINDS);
  const notBefore = dateOption("--not-before", values["not-before"]);
  const notAfter = dateOption("--not-after", values["not-after"]);
  const issued = pki.issue({
    profile,
    dns,
    ip: values.ip ?? [],
    ...(keys === undefined ? {} : { keys }),
    ...(notBefore === undefined ? {} : { notBefore }),
    ...(notAfter === undefined ? {} : { notAfter }),
  });
  const files = pki.writeFiles(issued, values.out ?? dns[0]!);
  io.print(`serial ${issued.certificate.serialText}`);
  for (const file of Object.values(files)) io.print(file);
  pki.close();
  return 0;
}

function revoke(args: string[], io: Io): number {
  const { values, positionals } = parse({
    args,
    allowPositionals: true,
    options: { serial: { type: "string" }, cert: { type: "string" }, reason: { type: "string" } },
  });
  const pki = Pki.open(one(positionals), environment);
  const reason: RevocationReason = oneOf(
    "--reason",
    values.reason ?? "unspecified",
    Object.keys(REVOCATION_REASONS) as RevocationReason[],
  );
  const serial = values.cert === undefined ? hexOption(values.serial) : serialOf(values.cert);
  pki.revoke(serial, reason);
  pki.close();
  io.print(`revoked ${serial.toString("hex")} (${reason})`);
  return 0;
}

function list(args: string[], io: Io): number {
  const { values, positionals } = parse({ args, allowPositionals: true, options: { json: { type: "boolean" } } });
  const pki = Pki.open(one(positionals), environment);
  for (const row of pki.list()) {
    if (values.json === true) io.print(JSON.stringify(row));
    else
      io.print(
        `${row.serial}  ${row.ca.padEnd(18)} ${row.revokedAt === null ? "good   " : "revoked"}  until ${new Date(row.notAfter).toISOString().slice(0, 10)}  ${row.subject}`,
      );
  }
  pki.close();
  return 0;
}

function crl(args: string[], io: Io): number {
  const { values, positionals } = parse({
    args,
    allowPositionals: true,
    options: { ca: { type: "string" }, out: { type: "string" } },
  });
  const pki = Pki.open(one(positionals), environment);
  const ca: CaName = oneOf("--ca", values.ca ?? "", CA_NAMES);
  const pem = toPem("X509 CRL", pki.crl(ca));
  if (values.out === undefined) io.print(pem.trimEnd());
  else writeFileSync(values.out, pem);
  pki.close();
  return 0;
}

async function serve(args: string[], io: Io): Promise<number> {
  const { values, positionals } = parse({ args, allowPositionals: true, options: { listen: { type: "string" } } });
  const listen = /^(.+):(\d+)$/.exec(values.listen ?? "127.0.0.1:8080");
  if (listen === null) throw new UsageError(`--listen takes ADDRESS:PORT, not "${values.listen}"`);
  const pki = Pki.open(one(positionals), environment);
  const server = await servePki(
    pki,
    { address: listen[1]!.replace(/^\[|\]$/g, ""), port: Number(listen[2]) },
    environment.clock,
  );
  io.print(JSON.stringify({ event: "listening", role: "pki", address: server.address, port: server.port }));
  await io.stopped;
  await server.close();
  pki.close();
  return 0;
}

function one(positionals: readonly string[]): string {
  const [directory, ...more] = positionals;
  if (directory === undefined || more.length > 0) throw new UsageError("name one folder that holds the PKI");
  return directory;
}

function oneOf<T extends string>(option: string, value: string, known: readonly T[]): T {
  const found = known.find((candidate) => candidate === value);
  if (found === undefined)
    throw new UsageError(`${option} is one of ${known.join(", ")}${value === "" ? "" : `, not "${value}"`}`);
  return found;
}

function dateOption(option: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const at = Date.parse(text);
  if (Number.isNaN(at))
    throw new UsageError(`${option} takes a date such as 2027-01-31 or 2027-01-31T12:00:00Z, not "${text}"`);
  return at;
}

function hexOption(text: string | undefined): Buffer {
  if (text === undefined || !/^([0-9a-f]{2})+$/i.test(text))
    throw new UsageError("--serial takes hexadecimal digits, or use --cert FILE");
  return Buffer.from(text, "hex");
}

function serialOf(file: string): Buffer {
  const [der] = fromPem(readFileSync(file, "utf8"), "CERTIFICATE");
  if (der === undefined) throw new UsageError(`${file} holds no PEM certificate`);
  return parseCertificate(der).serial;
}
