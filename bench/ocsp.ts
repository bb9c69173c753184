/**
 * An OCSP responder of one process: answers kept ready, beside nginx serving the same answer as a file; answers signed
 * for each request, beside `openssl ocsp`.
 *
 * The clients are another process on the same machine, and take a core of their own; so the rate on the clock is what
 * one process gave them, and the rate per CPU-second what it would give a machine to itself. Each figure is the median
 * of three runs, after a warm-up.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { generateKeyPairSync, sign } from "node:crypto";
import { chmodSync, readFileSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setImmediate } from "node:timers/promises";
import { Pki } from "../src/pki/authority.ts";
import type { KeyKind } from "../src/pki/certify.ts";
import { systemEnvironment } from "../src/sim/system.ts";
import { buildOcspRequest, certIdOf } from "../src/x509/ocsp.ts";
import { Daemon } from "../test/interop/daemon.ts";
import { type Bench, BenchUnavailable, median, type Row } from "./bench.ts";
import type { OcspLoad, OcspLoadResult } from "./ocspLoad.ts";
import { readUsage } from "./processUsage.ts";

const RUNS = 3;
const SIGNING_MS = 2_000;
const CERTIFICATES = 500;
const CONNECTIONS = 32;
const NONCE = Buffer.alloc(32, 0xaa);

/** A responder that runs, and how to ask it. */
interface Responder {
  subject: string;
  reference?: boolean;
  note?: string;
  port: number;
  pid: number;
  load: Pick<OcspLoad, "keepAlive" | "requests" | "nonceAt" | "connections">;
}

export const ocsp: Bench = {
  name: "ocsp",
  async run(): Promise<Row[]> {
    const rows: Row[] = [];
    for (const [keys, title] of [
      ["p-256", "P-256"],
      ["rsa-2048", "RSA-2048"],
    ] as const) {
      await using world = await makeWorld(keys);
      if (keys === "p-256")
        rows.push(...(await measure("OCSP answers kept ready, keep-alive", await keptReady(world))));
      const signed = `OCSP answers signed for each request, ${title}`;
      rows.push(...(await measure(signed, await signedEach(world))), signatures(keys, signed));
    }
    return rows;
  },
};

/** What no responder on this machine can pass. */
function signatures(keys: "p-256" | "rsa-2048", title: string): Row {
  const { privateKey } =
    keys === "p-256"
      ? generateKeyPairSync("ec", { namedCurve: "P-256" })
      : generateKeyPairSync("rsa", { modulusLength: 2048 });
  const content = Buffer.alloc(300, 7);
  const begin = performance.now();
  const before = process.cpuUsage();
  let count = 0;
  for (; performance.now() - begin < SIGNING_MS; count++) sign("sha256", content, privateKey);
  const { user, system } = process.cpuUsage(before);
  const value = (count * 1e6) / (user + system);
  return { measure: `${title}, per CPU-second`, subject: "node:crypto sign and nothing else", unit: "/s", value };
}

interface World extends AsyncDisposable {
  folder: string;
  pki: Pki;
  port: number;
  pid: number;
  /** DER requests without and with a nonce. */
  plain: Buffer[];
  nonced: Buffer[];
  ends: AsyncDisposableStack;
}

/** A PKI that serves, with certificates to be asked about. */
async function makeWorld(ocspKeys: KeyKind): Promise<World> {
  const ends = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), "femtogate-bench-ocsp-"));
  ends.defer(() => rm(folder, { recursive: true, force: true }));
  const pki = ends.use(Pki.create(join(folder, "pki"), systemEnvironment, { ocspKeys }));
  const issuer = pki.ca("device-ca");
  const ids = Array.from({ length: CERTIFICATES }, (_, index) =>
    certIdOf(pki.issue({ profile: "henb", dns: [`ap-${index}.example`] }).certificate, issuer),
  );
  const args = ["pki", "serve", pki.directory, "--listen", "127.0.0.1:0"];
  const child = spawn(join(import.meta.dirname, "..", "bin", "femtogate"), args, {
    stdio: ["ignore", "pipe", "inherit"],
  });
  ends.adopt(child, stop);
  for await (const line of createInterface({ input: child.stdout })) {
    const { event, port } = JSON.parse(line);
    if (event !== "listening") continue;
    const plain = ids.map((id) => buildOcspRequest([id], undefined));
    const nonced = ids.map((id) => buildOcspRequest([id], NONCE));
    const disposal = () => ends.disposeAsync();
    return { folder, pki, port, pid: child.pid!, plain, nonced, ends, [Symbol.asyncDispose]: disposal };
  }
  throw new Error("femtogate pki serve ended before it listened");
}

async function keptReady(world: World): Promise<Responder[]> {
  const { port, pid, plain } = world;
  const answer = await fetch(`http://127.0.0.1:${port}/`, { method: "POST", body: plain[0]! });
  const octets = Buffer.from(await answer.arrayBuffer());
  const nginx = await startNginx(world, octets);
  const ceiling = await startCeiling(world, octets);
  const gets = plain.map((request) => get(`/${encodeURIComponent(request.toString("base64"))}`));
  const keepAlive = { keepAlive: true, connections: CONNECTIONS };
  return [
    {
      ...nginx,
      subject: "nginx 1.22, a file",
      reference: true,
      note: "one process, open_file_cache",
      load: { ...keepAlive, requests: [get("/answer.der")] },
    },
    { ...ceiling, subject: "node:http and nothing else", load: { ...keepAlive, requests: gets } },
    { subject: "femtogate, GET", port, pid, load: { ...keepAlive, requests: gets } },
    { subject: "femtogate, POST", port, pid, load: { ...keepAlive, requests: plain.map((one) => post(one)) } },
  ];
}

async function signedEach(world: World): Promise<Responder[]> {
  const { port, pid, nonced } = world;
  const openssl = await startOpenssl(world);
  const requests = nonced.map((one) => post(one));
  const nonceAt = Buffer.from(requests[0]!, "base64").indexOf(NONCE);
  const ask = { requests, nonceAt, connections: CONNECTIONS };
  return [
    {
      ...openssl,
      subject: "openssl ocsp",
      reference: true,
      note: "a connection for each request, one client at a time, as it knows no other",
      load: { ...ask, keepAlive: false, connections: 4 },
    },
    { subject: "femtogate, a connection for each", port, pid, load: { ...ask, keepAlive: false } },
    { subject: "femtogate, keep-alive", port, pid, load: { ...ask, keepAlive: true } },
  ];
}

async function measure(title: string, responders: readonly Responder[]): Promise<Row[]> {
  const rows: Row[] = [];
  for (const { subject, reference = false, note, port, pid, load } of responders) {
    const runs: { perSecond: number; perCpuSecond: number }[] = [];
    for (let i = 0; i < RUNS; i++)
      runs.push(await measureOnce(subject, { ...load, port, warmUpMs: 1_000, measureMs: 3_000 }, pid));
    const of = { subject, reference, unit: "/s", ...(note === undefined ? {} : { note }) };
    rows.push(
      { ...of, measure: `${title}, on the clock`, value: median(runs.map(({ perSecond }) => perSecond)) },
      { ...of, measure: `${title}, per CPU-second`, value: median(runs.map(({ perCpuSecond }) => perCpuSecond)) },
    );
  }
  return rows;
}

async function measureOnce(
  subject: string,
  load: OcspLoad,
  pid: number,
): Promise<{ perSecond: number; perCpuSecond: number }> {
  const clients = spawn(process.execPath, [join(import.meta.dirname, "./ocspLoad.ts")], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  clients.stdin.end(JSON.stringify(load));
  const ended = new Promise((resolve) => clients.once("exit", resolve));
  let before = 0;
  for await (const line of createInterface({ input: clients.stdout })) {
    const { cpuMs } = await readUsage(pid);
    if (line === "measuring") {
      before = cpuMs;
      continue;
    }
    const { answers, ms }: OcspLoadResult = JSON.parse(line);
    await ended;
    return { perSecond: (answers * 1000) / ms, perCpuSecond: (answers * 1000) / (cpuMs - before) };
  }
  throw new Error(`the clients of ${subject} ended before they had measured`);
}

async function startNginx({ ends }: World, answer: Buffer): Promise<{ port: number; pid: number }> {
  const daemon = ends.use(
    await Daemon.start({
      name: "nginx",
      prepare({ folder, port, pidFile }) {
        // Where we are root it runs as another user.
        chmodSync(folder, 0o755);
        writeFileSync(join(folder, "answer.der"), answer);
        const config = join(folder, "nginx.conf");
        writeFileSync(config, nginxConfiguration(folder, port, pidFile));
        return { command: "nginx", args: ["-c", config, "-e", "stderr", "-p", folder] };
      },
    }),
  );
  // The file is there a moment before what is in it.
  let pid = "";
  while (!pid.endsWith("\n")) {
    await setImmediate();
    pid = readFileSync(join(daemon.folder, "run", "pid"), "utf8");
  }
  return { port: daemon.port, pid: Number(pid) };
}

async function startCeiling({ ends }: World, answer: Buffer): Promise<{ port: number; pid: number }> {
  const args = [join(import.meta.dirname, "./httpCeiling.ts"), answer.toString("base64")];
  const child = ends.adopt(spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] }), stop);
  for await (const line of createInterface({ input: child.stdout })) return { port: Number(line), pid: child.pid! };
  throw new Error("the bare server does not serve");
}

function nginxConfiguration(folder: string, port: number, pidFile: string): string {
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
  return `
daemon off;
master_process off;
pid ${pidFile};
events { worker_connections 1024; }
http {
  access_log off;
  sendfile on;
  open_file_cache max=16;
  keepalive_requests 1000000000;
  ${temporary.map((kind) => `${kind}_temp_path ${join(folder, kind)};`).join("\n  ")}
  types { application/ocsp-response der; }
  server { listen 127.0.0.1:${port}; root ${folder}; }
}
`;
}

/** `openssl ocsp` with the same signer and certificates. */
async function startOpenssl({ pki, folder, ends }: World): Promise<{ port: number; pid: number }> {
  const lines = pki
    .list()
    .filter(({ ca }) => ca === "device-ca")
    .map(({ serial }) => `V\t361231235959Z\t\t${serial.toUpperCase()}\tunknown\t/CN=${serial}\n`);
  const index = join(folder, "index.txt");
  writeFileSync(index, lines.join(""));
  const signer = join(pki.directory, "ca", "device-ca-ocsp");
  const args = [
    // Without ignore_err it ends at the first request that it cannot read.
    ...["ocsp", "-port", "0", "-ignore_err", "-index", index, "-CA", pki.caFile("device-ca"), "-nmin", "60"],
    ...["-rsigner", `${signer}.crt.pem`, "-rkey", `${signer}.key.pem`],
  ];
  // It says something about each request.
  const child = spawn("openssl", args, { stdio: ["ignore", "pipe", "ignore"] });
  ends.adopt(child, stop);
  const failed = new Promise<never>((_, reject) =>
    child.once("error", (error) => reject(new BenchUnavailable(`openssl does not start: ${error.message}`))),
  );
  const listening = (async () => {
    for await (const line of createInterface({ input: child.stdout })) {
      const [, port] = /^ACCEPT .*:(\d+) /.exec(line) ?? [];
      if (port !== undefined) return { port: Number(port), pid: child.pid! };
    }
    throw new BenchUnavailable("openssl ocsp does not serve");
  })();
  return Promise.race([listening, failed]);
}

function get(path: string): string {
  return Buffer.from(`GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`).toString("base64");
}

function post(body: Buffer): string {
  const head = `POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/ocsp-request\r\nContent-Length: ${body.length}\r\n\r\n`;
  return Buffer.concat([Buffer.from(head), body]).toString("base64");
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGTERM");
  await ended;
}
