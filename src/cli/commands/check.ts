/** femtogate check: what certificates are, whether they conform, and whether they are valid. */
import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { ConfigError } from "../../config/load.ts";
import { RoleFileError } from "../../ipsec/roleFiles.ts";
import { systemEnvironment } from "../../sim/system.ts";
import { TreError } from "../../tre/softwareTre.ts";
import {
  CERTIFICATE_PROFILES,
  type CertificateProfile,
  type Release,
  type Severity,
} from "../../trust/profiles/rule.ts";
import type { Certificate } from "../../x509/certificate.ts";
import { reportJson } from "../check/json.ts";
import { type CheckPolicy, type CheckReport, judge, type Result } from "../check/judge.ts";
import { readLiveIke } from "../check/liveIke.ts";
import { type ClientCredentials, readLiveTls } from "../check/liveTls.ts";
import { addMaterial, emptyMaterial, type Material, UnreachableHost, UnreadableInput } from "../check/material.ts";
import { readMaterial } from "../check/readFile.ts";
import { reportLines } from "../check/report.ts";
import { type PolicyFile, readPolicyFile } from "../check/rolePolicy.ts";
import { withRoles } from "../check/roles.ts";
import { type Command, type Io, numberOption, parse, UsageError } from "../command.ts";

const USAGE = `femtogate check: looks into certificates, judges them by TS 33.310 and TS 33.320, tells whether they are valid

  femtogate check [options] FILE|tls://HOST:PORT|ike://HOST[:PORT] ...

FILE is PEM, DER, PKCS#7 (.p7b), PKCS#12 (.p12), or a capture (pcap, pcapng): certificates in IKE_AUTH are
found where FILE.keys holds the keys (--capture-keys), those of TLS up to version 1.2 always.
ike:// attaches to a gateway as the device of --cert and ends that at once; an older attachment of the same
device ends with it.

  --trust FILE           trusted roots; without them no path can be judged
  --crl FILE             CRLs, and
  --ocsp-response FILE   OCSP responses (DER) that say whether a certificate is revoked
  --crl-signer FILE      issuers of such CRLs that are no CAs of the paths (indirect CRLs)
  --policy FILE.yaml     what each role would do: a role's configuration file (segw.yaml, henb.yaml, hems.yaml), or one
                         with a section \`revocation\`; its roots are trusted where --trust names none
  --online               asks the servers of that policy; else --crl and --ocsp-response stand in for them
  --name NAME            the FQDN or address that the end entity is known or connected to by
  --profile PROFILE      what it is for, instead of a guess: ${CERTIFICATE_PROFILES.slice(0, 5).join(", ")},
                         ${CERTIFICATE_PROFILES.slice(5).join(", ")}
  --release R9|newest    of the profiles (newest)
  --severity LEVEL       findings that make a certificate invalid, at least: error (default), warning, notice
  --crl-server, --ocsp-server, --status-in-band
                         say that the issuer runs a CRL or OCSP server, that the entity brings its status
  --time DATE            judge as of then
  --allow-weak           SHA-1 and short RSA keys
  --password TEXT, --password-file FILE
                         of PKCS#12 files; other users of this machine see --password
  --cert FILE, --key FILE
                         PEM: the device to be for ike://, a client's for tls:// servers that want one
  --nat-port PORT        the gateway's port for NAT traversal (4500)
  --brief                the tree and the verdicts only
  --json                 one JSON object

--trust, --crl, --ocsp-response and --crl-signer may be given again.
Exit status: 0 valid, 1 invalid, 2 used wrongly, 3 undetermined.`;

export const command: Command = {
  name: "check",
  summary: "Looks into certificates and tells whether they conform and are valid",
  usage: USAGE,
  async run(args, io) {
    const { values, positionals } = parse({ args: [...args], allowPositionals: true, options: OPTIONS });
    if (positionals.length === 0) throw new UsageError("say what to check: a file or tls://HOST:PORT");
    const password = passwordOf(values.password, values["password-file"]);
    const credentials = credentialsOf(values.cert, values.key);
    try {
      const material = emptyMaterial();
      for (const file of values.crl ?? []) addMaterial(material, only(readMaterial(file, { password }), file, "crls"));
      for (const file of values["ocsp-response"] ?? [])
        addMaterial(material, only(readMaterial(file, { password }), file, "ocspResponses"));
      const certificates = (files: readonly string[] = []) =>
        files.flatMap((file) => only(readMaterial(file, { password }), file, "certificates").certificates);
      if (values.online === true && values.policy === undefined)
        throw new UsageError("--online goes with --policy FILE");
      const file = values.policy === undefined ? undefined : readPolicyFile(values.policy);
      const anchors =
        values.trust === undefined && file !== undefined
          ? file.roots.map((item) => ({ item, origin: basename(values.policy!) }))
          : certificates(values.trust);
      const crlSigners = certificates(values["crl-signer"]).map(({ item }) => item);
      const natPort = numberOption("--nat-port", values["nat-port"] ?? "4500", 1, 65_535);
      const trusted = anchors.map(({ item }) => item);
      for (const input of positionals)
        addMaterial(material, await readInput(input, { password, credentials, natPort, trusted }));
      if (material.certificates.length + material.crls.length === 0)
        throw new UnreadableInput(["there is no certificate and no CRL in it", ...material.problems].join("; "));
      if (material.certificates.length + anchors.length > MAX_CERTIFICATES)
        throw new UnreadableInput(`more than ${MAX_CERTIFICATES} certificates; check them in parts`);
      const options = policyOf(values);
      const policy = { ...options, profile: options.profile ?? onlyKindOf(file), anchors, crlSigners };
      const report = judge(material, policy);
      // Everything is judged as of one time, however long the servers take.
      const clock = { now: () => policy.time };
      const whole =
        file === undefined
          ? report
          : await keptAlive(
              withRoles(report, {
                ...{
                  file,
                  anchors: values.trust === undefined ? undefined : trusted,
                  crlSigners,
                  material,
                  clock,
                  random: systemEnvironment.random,
                },
                identity: values.name,
                allowWeakAlgorithms: policy.allowWeakAlgorithms,
                online: values.online === true,
              }),
            );
      return show(io, whole, policy, values.json === true, values.brief === true);
    } catch (error) {
      if ([UnreadableInput, ConfigError, RoleFileError, TreError].some((kind) => error instanceof kind))
        throw new UsageError((error as Error).message);
      if (!(error instanceof UnreachableHost)) throw error;
      io.complain(`femtogate check: ${error.message}`);
      return STATUS.undetermined;
    }
  },
};

const OPTIONS = {
  trust: { type: "string", multiple: true },
  crl: { type: "string", multiple: true },
  "ocsp-response": { type: "string", multiple: true },
  "crl-signer": { type: "string", multiple: true },
  policy: { type: "string" },
  online: { type: "boolean" },
  name: { type: "string" },
  profile: { type: "string" },
  release: { type: "string" },
  severity: { type: "string" },
  "crl-server": { type: "boolean" },
  "ocsp-server": { type: "boolean" },
  "status-in-band": { type: "boolean" },
  time: { type: "string" },
  "allow-weak": { type: "boolean" },
  password: { type: "string" },
  "password-file": { type: "string" },
  cert: { type: "string" },
  key: { type: "string" },
  "nat-port": { type: "string" },
  brief: { type: "boolean" },
  json: { type: "boolean" },
} as const;

interface PolicyValues {
  name?: string | undefined;
  profile?: string | undefined;
  release?: string | undefined;
  severity?: string | undefined;
  "crl-server"?: boolean | undefined;
  "ocsp-server"?: boolean | undefined;
  "status-in-band"?: boolean | undefined;
  time?: string | undefined;
  "allow-weak"?: boolean | undefined;
}

function policyOf(values: PolicyValues): Omit<CheckPolicy, "anchors" | "crlSigners"> {
  const told = (name: "crl-server" | "ocsp-server" | "status-in-band") => values[name];
  const time = values.time === undefined ? systemEnvironment.clock.now() : Date.parse(values.time);
  if (Number.isNaN(time)) throw new UsageError(`--time "${values.time}" is no date such as 2026-11-24T12:00:00Z`);
  return {
    time,
    release: oneOf<Release>("--release", values.release ?? "newest", ["R9", "newest"]),
    profile:
      values.profile === undefined
        ? undefined
        : oneOf<CertificateProfile>("--profile", values.profile, CERTIFICATE_PROFILES),
    circumstances: {
      ...(values.name === undefined ? {} : { identity: values.name }),
      ...(told("crl-server") === undefined ? {} : { crlServer: true }),
      ...(told("ocsp-server") === undefined ? {} : { ocspServer: true }),
      ...(told("status-in-band") === undefined ? {} : { statusInBand: true }),
    },
    severity: oneOf<Severity>("--severity", values.severity ?? "error", ["error", "warning", "notice"]),
    allowWeakAlgorithms: values["allow-weak"] === true,
  };
}

/** What a role's file is about, where it meets one kind of certificate only. */
function onlyKindOf(file: PolicyFile | undefined): CertificateProfile | undefined {
  const [role, ...others] = file?.roles ?? [];
  return role !== undefined && others.length === 0 && role.takes.length === 1 ? role.takes[0] : undefined;
}

/** What works for us in the background, as the thread that loads CRLs, does not keep a process from ending. */
async function keptAlive<T>(work: Promise<T>): Promise<T> {
  const alive = setInterval(() => undefined, 60_000);
  try {
    return await work;
  } finally {
    clearInterval(alive);
  }
}

function show(io: Io, report: CheckReport, policy: CheckPolicy, json: boolean, brief: boolean): number {
  if (json) io.print(JSON.stringify(reportJson(report, policy)));
  else {
    const width = Math.min(process.stdout.columns ?? DEFAULT_WIDTH, MAX_WIDTH);
    const colour = process.stdout.isTTY === true && io.env.NO_COLOR === undefined;
    for (const line of reportLines(report, { width, colour, brief })) io.print(line);
    io.print(`as of ${new Date(policy.time).toISOString()}, by the profiles of release ${policy.release}`);
  }
  return STATUS[report.result];
}

interface InputOptions {
  password: string | undefined;
  credentials: ClientCredentials | undefined;
  natPort: number;
  trusted: readonly Certificate[];
}

async function readInput(input: string, options: InputOptions): Promise<Material> {
  const { password, credentials, natPort, trusted } = options;
  if (!input.includes("://")) return readMaterial(input, { password });
  const [, scheme, v6, name, portText] = /^(tls|ike):\/\/(?:\[([^\]]+)\]|([^:/]+))(?::(\d{1,5}))?$/.exec(input) ?? [];
  const host = v6 ?? name;
  if (host === undefined || (scheme === "tls" && portText === undefined))
    throw new UsageError(`"${input}" cannot be asked; tls://HOST:PORT and ike://HOST or ike://HOST:PORT can`);
  const port = numberOption(`the port of ${input}`, portText ?? "500", 1, 65_535);
  return scheme === "tls"
    ? readLiveTls({ host, port }, credentials)
    : readLiveIke({ host, port, natPort }, credentials, trusted);
}

/** A file given as the source of one kind of thing must have some. */
function only(material: Material, file: string, kind: "certificates" | "crls" | "ocspResponses"): Material {
  if (material[kind].length === 0)
    throw new UnreadableInput([`${file} has no ${KINDS[kind]}`, ...material.problems].join("; "));
  return { ...emptyMaterial(), [kind]: material[kind], problems: material.problems };
}

function passwordOf(password: string | undefined, file: string | undefined): string | undefined {
  if (file === undefined) return password;
  if (password !== undefined) throw new UsageError("--password and --password-file exclude each other");
  return text("--password-file", file).replace(/\r?\n$/, "");
}

function credentialsOf(cert: string | undefined, key: string | undefined): ClientCredentials | undefined {
  if (cert === undefined && key === undefined) return undefined;
  if (cert === undefined || key === undefined) throw new UsageError("--cert and --key belong together");
  return { certificates: text("--cert", cert), key: text("--key", key) };
}

function text(option: string, file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw new UsageError(`${option}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function oneOf<T extends string>(option: string, value: string, allowed: readonly T[]): T {
  const found = allowed.find((each) => each === value);
  if (found === undefined) throw new UsageError(`${option} is one of ${allowed.join(", ")}, not "${value}"`);
  return found;
}

const STATUS: Record<Result, number> = { valid: 0, invalid: 1, undetermined: 3 };
const KINDS = { certificates: "certificate", crls: "CRL", ocspResponses: "OCSP response" };
const DEFAULT_WIDTH = 100;
const MAX_WIDTH = 120;
/** Certificates of one check; a bundle of the web's roots has about 150. */
const MAX_CERTIFICATES = 2000;
