/** femtogate pki import-ca, import-crl, combine, allow, disallow, allowed: answering for a manufacturer's devices. */
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import type { ListedDevice } from "../../../pki/allowList.ts";
import { Pki } from "../../../pki/authority.ts";
import { readCertificateFile, readKeyHolder } from "../../../pki/caFolder.ts";
import { importCrl, nextUpdateOf, numberOf } from "../../../pki/foreignCrls.ts";
import { type Io, parse, UsageError } from "../../command.ts";
import { environment, needed, one, serialOf } from "./options.ts";

export function importCa(args: string[], io: Io): number {
  const { values, positionals } = parse({
    args,
    allowPositionals: true,
    options: {
      name: { type: "string" },
      cert: { type: "string" },
      crl: { type: "string" },
      "signer-cert": { type: "string" },
      "signer-key": { type: "string" },
    },
  });
  const directory = one(positionals);
  const name = needed("--name", values.name);
  const certificate = readCertificateFile(needed("--cert", values.cert));
  const { "signer-cert": signerCert, "signer-key": signerKey } = values;
  if ((signerCert === undefined) !== (signerKey === undefined))
    throw new UsageError("--signer-cert and --signer-key belong together");
  const signer = signerCert && signerKey ? readKeyHolder(signerCert, signerKey) : undefined;
  const source = values.crl === undefined ? undefined : crlSource(values.crl);
  using pki = Pki.open(directory, environment);
  pki.importCa(name, certificate, source, signer);
  io.print(`${name.padEnd(18)} ${certificate.subject.toString().padEnd(40)} ${pki.caFile(name)}`);
  const of = pki.ocspSigners().find(({ ca }) => ca === name)!.certificate;
  if (!of.issuer.equals(certificate.subject))
    io.print(`its OCSP answers are signed by "${of.subject}", which those who ask must trust: ${pki.signerFile(name)}`);
  if (source === undefined)
    io.print(`bring its CRL with: femtogate pki import-crl ${directory} --ca ${name} --file FILE`);
  return 0;
}

export function bringCrl(args: string[], io: Io): number {
  const { values, positionals } = parse({
    args,
    allowPositionals: true,
    options: { ca: { type: "string" }, file: { type: "string" } },
  });
  const directory = one(positionals);
  const file = readFileSync(needed("--file", values.file));
  using pki = Pki.open(directory, environment);
  const { crl, index } = importCrl(pki, pki.foreign(needed("--ca", values.ca)), file, environment);
  io.print(`CRL ${numberOf(crl)} of ${index.size} entries, good until ${new Date(nextUpdateOf(crl)).toISOString()}`);
  return 0;
}

export function combine(args: string[], io: Io): number {
  const { values, positionals } = parse({
    args,
    allowPositionals: true,
    options: { ca: { type: "string" }, off: { type: "boolean" } },
  });
  const ca = needed("--ca", values.ca);
  using pki = Pki.open(one(positionals), environment);
  const on = values.off !== true;
  pki.allowList.combine(pki.authority(ca).name, on);
  io.print(on ? `${ca}: good means not revoked and allowed` : `${ca}: good means not revoked`);
  return 0;
}

export function allow(args: string[], io: Io): number {
  const { pki: opened, ca, devices } = listing(args);
  using pki = opened;
  pki.allowList.allow(ca, devices);
  io.print(`${devices.length} allowed under ${ca}`);
  if (!pki.allowList.isCombined(ca))
    io.print(
      `nobody looks at the list of ${ca} yet; switch that on with: femtogate pki combine ${pki.directory} --ca ${ca}`,
    );
  return 0;
}

export function disallow(args: string[], io: Io): number {
  const { pki: opened, ca, devices } = listing(args);
  using pki = opened;
  pki.allowList.disallow(ca, devices);
  io.print(`${devices.length} not allowed any more under ${ca}`);
  return 0;
}

export function allowed(args: string[], io: Io): number {
  const { values, positionals } = parse({ args, allowPositionals: true, options: { ca: { type: "string" } } });
  using pki = Pki.open(one(positionals), environment);
  for (const device of pki.allowList.list(pki.authority(needed("--ca", values.ca)).name)) io.print(device);
  return 0;
}

/** A PKI opened, and the devices that the options or a file name. */
function listing(args: string[]): { pki: Pki; ca: string; devices: ListedDevice[] } {
  const { values, positionals } = parse({
    args,
    allowPositionals: true,
    options: {
      ca: { type: "string" },
      name: { type: "string", multiple: true },
      serial: { type: "string", multiple: true },
      cert: { type: "string", multiple: true },
      list: { type: "string" },
    },
  });
  const directory = one(positionals);
  const lines = values.list === undefined ? [] : readFileSync(values.list, "utf8").split("\n");
  const devices: ListedDevice[] = [
    ...(values.name ?? []).map((identity) => ({ identity })),
    ...(values.serial ?? []).map((serial) => ({ serial: serialOf({ serial }) })),
    ...(values.cert ?? []).map((cert) => ({ serial: serialOf({ cert }) })),
    ...lines
      .map((line) => line.replace(/#.*/, "").trim())
      .filter((line) => line !== "")
      .map(listedDevice),
  ];
  if (devices.length === 0)
    throw new UsageError("name devices with --name FQDN, --serial HEX, --cert FILE or --list FILE");
  const pki = Pki.open(directory, environment);
  try {
    return { pki, ca: pki.authority(needed("--ca", values.ca)).name, devices };
  } catch (error) {
    pki.close();
    throw error;
  }
}

/** A line as `allowed` prints it: "ap-1.example" or "serial 4f3e..". */
function listedDevice(line: string): ListedDevice {
  const serial = /^serial +(.*)$/.exec(line)?.[1];
  return serial === undefined ? { identity: line } : { serial: serialOf({ serial }) };
}

function crlSource(text: string): string {
  const url = URL.parse(text);
  if (url === null) return pathToFileURL(text).href;
  if (SOURCES.includes(url.protocol)) return text;
  throw new UsageError(`--crl takes a URL of ${SOURCES.join(" ")} or a file, not "${text}"`);
}

const SOURCES: readonly string[] = ["http:", "https:", "ldap:", "file:"];
