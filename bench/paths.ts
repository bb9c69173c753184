/**
 * Certification paths per CPU-second: four certificates below a trusted root, parsed and validated, RSA-2048 throughout,
 * as a gateway does it for each device. Every device has a certificate of its own; the three CAs above it come back.
 *
 * `openssl verify` judges the same paths in one process, so that its start hardly counts. Node's X509Certificate is its
 * library without the rules of RFC 5280 6.1: four certificates read and four signatures verified, nothing else.
 */
import { execFileSync } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { Bytes } from "../src/bytes/bytes.ts";
import { validatePath } from "../src/trust/path.ts";
import { SignatureCache } from "../src/trust/signatureCache.ts";
import {
  authorityInfoAccess,
  basicConstraints,
  crlDistributionPoint,
  extendedKeyUsage,
  keyUsage,
  subjectAltName,
} from "../src/x509/build.ts";
import type { Certificate } from "../src/x509/certificate.ts";
import { Oid } from "../src/x509/oids.ts";
import { toPem } from "../src/x509/pem.ts";
import { KEY_MAKERS, type Made, make, NOW } from "../test/x509/made.ts";
import { type Bench, BenchUnavailable, median, type Row } from "./bench.ts";

const MEASURE = "paths of 4 certificates, parsed and validated, RSA-2048, per CPU-second";
const DEVICES = 512;
const RUNS = 3;
const WARM_UP = 4000;
const VALIDATIONS = 20_000;
/** Validations after which memory is compared. */
const LEAK_VALIDATIONS = 300_000;

export const paths: Bench = {
  name: "paths",
  async run(): Promise<Row[]> {
    const world = createPaths();
    const cached = new SignatureCache();
    const remembering = (at: number) => validate(world, at, cached);
    const forgetting = (at: number) => validate(world, at, new SignatureCache());
    const library = (at: number) => verifySignatures(world, at);
    const row = { measure: MEASURE, unit: "/s" };
    return [
      { ...row, subject: "femtogate, CAs in the signature cache", value: rate(remembering, VALIDATIONS) },
      { ...row, subject: "femtogate, nothing remembered", value: rate(forgetting, VALIDATIONS / 4) },
      { ...row, subject: "openssl verify", value: await opensslRate(world), reference: true },
      {
        ...row,
        subject: "node:crypto X509Certificate",
        value: rate(library, VALIDATIONS / 4),
        note: "signatures only",
      },
      {
        measure: `memory kept after ${LEAK_VALIDATIONS} validations`,
        subject: "femtogate, CAs in the signature cache",
        value: memoryKept(remembering),
        unit: "kB",
      },
    ];
  },
};

interface Paths {
  root: Certificate;
  /** Per device the four certificates, end entity first. */
  sent: readonly (readonly Bytes[])[];
}

function createPaths(): Paths {
  const newKeys = KEY_MAKERS["RSA-2048"];
  const root = make({ name: "Root", keys: newKeys() });
  const cas: Made[] = [];
  for (const name of ["Manufacturer CA", "Regional CA", "Device CA"]) {
    const usage = [basicConstraints(true, 2 - cas.length), keyUsage("keyCertSign", "cRLSign"), CRL];
    cas.push(make({ name, keys: newKeys(), issuer: cas.at(-1) ?? root, extensions: usage }));
  }
  const above = cas.toReversed().map(({ certificate }) => certificate.der);
  const keys = newKeys();
  const sent = Array.from({ length: DEVICES }, (_, at) => {
    const name = `ap-${at}.example`;
    const extensions = [
      basicConstraints(false),
      keyUsage("digitalSignature"),
      extendedKeyUsage(Oid.ipsecIke),
      subjectAltName({ dns: [name] }),
      CRL,
      authorityInfoAccess({ ocsp: "http://ocsp.example/" }),
    ];
    return [make({ name, keys, issuer: cas.at(-1)!, extensions }).certificate.der, ...above];
  });
  return { root: root.certificate, sent };
}

function validate({ root, sent }: Paths, at: number, signatureCache: SignatureCache): void {
  const [leaf, ...intermediates] = sent[at % sent.length]!.map((der) => signatureCache.read(der));
  const verdict = validatePath({
    leaf: leaf!,
    intermediates,
    anchors: [root],
    time: NOW,
    purpose: "ike",
    maxPath: 4,
    allowWeakAlgorithms: false,
    signatureCache,
  });
  if (!verdict.valid) throw new Error(`a good path was refused: ${verdict.refusal.reason}`);
}

function verifySignatures({ root, sent }: Paths, at: number): void {
  const path = sent[at % sent.length]!.map((der) => new X509Certificate(der));
  const issuers = [...path.slice(1).map(({ publicKey }) => publicKey), root.publicKey!];
  if (!path.every((certificate, index) => certificate.verify(issuers[index]!)))
    throw new Error("a good signature was refused");
}

function rate(once: (at: number) => void, count: number): number {
  for (let at = 0; at < WARM_UP; at++) once(at);
  const runs = Array.from({ length: RUNS }, () => {
    const before = process.cpuUsage();
    for (let at = 0; at < count; at++) once(at);
    const { user, system } = process.cpuUsage(before);
    return (count * 1e6) / (user + system);
  });
  return median(runs);
}

async function opensslRate({ root, sent }: Paths): Promise<number> {
  const directory = await mkdtemp(join(tmpdir(), "femtogate-bench-"));
  try {
    const write = (file: string, ...ders: readonly Bytes[]) =>
      writeFile(join(directory, file), ders.map((der) => toPem("CERTIFICATE", der)).join(""));
    await write("root.pem", root.der);
    await write("cas.pem", ...sent[0]!.slice(1));
    await Promise.all(sent.map(([leaf], at) => write(`${at}.pem`, leaf!)));
    const verify = `openssl verify -attime ${NOW / 1000} -CAfile root.pem -untrusted cas.pem`;
    const runs = Array.from({ length: RUNS }, () => {
      const [user, system] = cpuSeconds(directory, `${verify} {0..${DEVICES - 1}}.pem`);
      return DEVICES / (user + system);
    });
    return median(runs);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** User and system time of a command that bash runs. */
function cpuSeconds(directory: string, command: string): [user: number, system: number] {
  const script = `TIMEFORMAT='%U %S'; time ${command} >/dev/null`;
  try {
    const said = execFileSync("bash", ["-c", `{ ${script}; } 2>&1`], { cwd: directory, encoding: "utf8" });
    const [user, system] = said.trim().split(" ").map(Number);
    return [user!, system!];
  } catch (error) {
    throw new BenchUnavailable(`openssl verify does not run: ${error instanceof Error ? error.message : error}`);
  }
}

function memoryKept(once: (at: number) => void): number {
  setFlagsFromString("--expose-gc");
  const collect: () => void = runInNewContext("gc");
  const kept = () => {
    collect();
    const { heapUsed, external } = process.memoryUsage();
    return (heapUsed + external) / 1024;
  };
  const before = kept();
  for (let at = 0; at < LEAK_VALIDATIONS; at++) once(at);
  return kept() - before;
}

const CRL = crlDistributionPoint("http://crl.example/ca.crl");
