/** The lab as a person runs it: what it shows, what it says at its end, and that it leaves nothing behind. */
import assert from "node:assert/strict";
import { execFileSync, spawn, spawnSync } from "node:child_process";
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { after } from "node:test";
import type { Io } from "../../src/cli/command.ts";
import { command } from "../../src/cli/commands/lab.ts";
import type { Summary } from "../../src/lab/flow.ts";
import { whyNoHosts } from "../../src/lab/namespaces.ts";
import { devicesPlan } from "../../src/lab/plan.ts";
import { jsonReport } from "../../src/lab/report.ts";
import { Lab, LabError } from "../../src/lab/run.ts";
import { systemEnvironment } from "../../src/sim/system.ts";
import { BIN, femtogate, start } from "../cli/femtogate.ts";
import { Tshark } from "../interop/tshark/tshark.ts";

const scratch = mkdtempSync(join(tmpdir(), "femtogate-labtest-"));
after(() => rmSync(scratch, { recursive: true }));

const TARGET = "10.40.0.2";
const ESTABLISHED = {
  flow: "A.1",
  expected: "established",
  result: "established",
  reason: "",
  ocsp: "in-band good",
  profile: { secondRound: "allowed", sessionTimeout: 86_400 },
};
/** The subscriber's session is shorter than what the AAA server grants a device alone. */
const COMBINED = { ...ESTABLISHED, flow: "A.2", profile: { secondRound: "required", sessionTimeout: 3_600 } };
const REFUSED = {
  flow: "A.1",
  expected: "refused",
  expectedReason: "CertificateRevoked",
  result: "refused",
  reason: "CertificateRevoked",
  ocsp: "device revoked",
  address: "",
};
const fqdn = (index: number) => `ap-000${index}.henb.example`;

/** The H(e)MS stapled a good response, and had nothing to say. */
const MANAGED = { result: "managed", ocsp: "in-band good", reason: "" };

/** Both call flows, and each way to be refused; without pings. */
const WHOLE = [
  { ...ESTABLISHED, device: fqdn(1), address: "10.64.0.1" },
  { ...ESTABLISHED, device: fqdn(2), address: "10.64.0.2" },
  { ...REFUSED, device: fqdn(3) },
  { ...REFUSED, device: fqdn(4), reason: "DeviceNotAuthorized", expectedReason: "DeviceNotAuthorized", ocsp: "" },
  { ...COMBINED, device: fqdn(5), address: "10.64.0.3", eap: "aka success" },
  { ...COMBINED, device: fqdn(6), address: "10.64.0.4", eap: "aka' success" },
  {
    ...REFUSED,
    flow: "A.2",
    device: fqdn(7),
    reason: "HostingPartyRefused",
    expectedReason: "HostingPartyRefused",
    ocsp: "",
  },
];

test("--once --json: one object a line, the summary last, status 0, and nothing is left", {
  skip: whyNoHosts(),
}, async () => {
  const { child, ended } = start(["lab", "--once", "--json"]);
  const { status, out, err } = await ended;
  assert.deepEqual([status, err], [0, ""]);
  const records = out
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  assert.deepEqual(records.at(-1), {
    event: "summary",
    flows: WHOLE.map((flow) =>
      flow.result === "refused"
        ? flow
        : { ...flow, management: MANAGED, ping: { target: TARGET, sent: 3, received: 3 } },
    ),
    leftOut: [],
    ok: true,
  });
  const of = (source: string, event: string) =>
    records.filter((record) => record.source === source && record.event === event);
  assert.equal(of("segw.operator.example", "established")[0]?.peer, fqdn(1));
  assert.equal(of("segw.operator.example", "failed")[0]?.peer, fqdn(3));
  assert.equal(of(fqdn(1), "attached").length, 1);
  assert.equal(of(fqdn(5), "attached")[0]?.eap, "aka success");
  assert.equal(of(fqdn(3), "failed")[0]?.notify, 24, "the device hears AUTHENTICATION_FAILED");
  nothingLeft(child.pid!, folderIn(out));
});

test("for people: the ladder of both devices, verdicts, and a table; captured, tshark shows IDi (3 devices, RSA)", {
  skip: whyNoHosts(),
}, async () => {
  using tshark = new Tshark();
  const { status, out } = await femtogate(
    ["lab", "--once", "--devices", "3", "--keys", "rsa-2048", "--capture", tshark.file, "--capture-keys"],
    { env: { LANG: "C.UTF-8", LC_ALL: "C.UTF-8" } },
  );
  assert.equal(status, 0, out);
  assert.match(out, /PKI \(rsa-2048\), HSS, AAA server, SeGW, H\(e\)MS, 3 H\(e\)NBs/);
  for (const shown of [
    /ap-0001\.henb\.example +─ IKEv2 IKE_AUTH request 1 ─+▶ segw\.operator\.example/,
    /ap-0003\.henb\.example +◀─ IKEv2 IKE_AUTH response 1 ─+ segw\.operator\.example\n.*N\(AUTHENTICATION_FAILED\)/,
    /✔ ap-0002\.henb\.example is authentic; its certificate: OCSP good/,
    /✔ segw\.operator\.example is authentic; its certificate: in-band good/,
    /✘ ap-0003\.henb\.example refused, CertificateRevoked/,
    /✔ ping 10\.40\.0\.2 through the tunnel: 3 of 3 came back/,
    /\nflow +device +expected +result +status +address +ping +H\(e\)MS\nA\.1 +ap-0001\.henb\.example +established +established +in-band good +10\.64\.0\.1 +3\/3 from 10\.40\.0\.2 +in-band good\n/,
    /\nA\.1 +ap-0003\.henb\.example +refused +refused \(CertificateRevoked\) +device revoked +- +- +-\n/,
    /\nEvery flow ended as expected\.\n$/,
  ])
    assert.match(out, shown);

  const identities = tshark
    .fields("with keys", "isakmp.exchangetype", "isakmp.id.data.fqdn")
    .filter(([type]) => type === "35");
  const named = new Set(identities.flatMap(([, names]) => names!.split(",")));
  for (const name of [fqdn(1), fqdn(2), fqdn(3), "segw.operator.example"]) assert.ok(named.has(name), name);
  assert.doesNotMatch(tshark.read("without keys", "-O", "isakmp"), /henb\.example/);
  for (const line of tshark.complaints()) if (!line.startsWith("Frame")) assert.match(line, OCSP_AS_CERTIFICATE);
  assert.equal(statSync(tshark.file).mode & 0o777, 0o600);
});

test("without root's rights the lab runs as root of namespaces of its own, or says what it leaves out", {
  skip: whyNoPriv(),
}, async () => {
  const { child, ended } = start(["lab", "--once", "--json", "--devices", "2"], { prefix: unprivileged() });
  const { status, out, err } = await ended;
  assert.deepEqual([status, err], [0, ""]);
  const summary = summaryIn(out);
  assert.deepEqual(
    summary.flows.map(({ result }) => result),
    ["established", "refused"],
  );
  if (summary.leftOut.length === 0) assert.equal(summary.flows[0]?.ping?.received, 3);
  nothingLeft(child.pid!, folderIn(out));
});

test("where there are no namespaces at all, every role is on loopback, and the lab says what is missing", async () => {
  const { ended } = start(["lab", "--once", "--json"], {
    env: { PATH: pathWithout("unshare", "ip") },
  });
  const { status, out } = await ended;
  assert.equal(status, 0, out);
  const { flows, leftOut, ok } = summaryIn(out);
  assert.deepEqual(flows, WHOLE);
  assert.equal(leftOut.length, 2);
  assert.match(leftOut.join(), /hosts of their own: .*loopback,the tunnel's data/);
  assert.ok(ok);
  assert.ok(!existsSync(folderIn(out)));
});

test("without --once the lab stays up until Ctrl-C, then says goodbye to the gateway and removes everything", {
  skip: whyNoHosts(),
}, async () => {
  const { child, ended, line } = start(["lab", "--json", "--devices", "1"]);
  const summary = JSON.parse(await line((text) => text.startsWith('{"event":"summary"'))) as Summary;
  assert.deepEqual(
    summary.flows.map(({ result }) => result),
    ["established"],
  );
  child.kill("SIGINT");
  const { status, out } = await ended;
  assert.equal(status, 0);
  const records = out
    .trim()
    .split("\n")
    .map((text) => JSON.parse(text));
  const closed = records.find(({ source, event }) => source === "segw.operator.example" && event === "closed");
  assert.equal(closed?.cause, "deletedByPeer");
  nothingLeft(child.pid!, folderIn(out));
});

test("the ladder shows EAP, Diameter and the HSS beside IKE (TS 33.320 A.2)", { skip: whyNoHosts() }, async () => {
  const { status, out } = await femtogate(["lab", "--once"], { env: { LANG: "C.UTF-8", LC_ALL: "C.UTF-8" } });
  assert.equal(status, 0, out);
  const flow = out.slice(out.indexOf(`${fqdn(5)}     ─ IKEv2 IKE_SA_INIT`));
  let at = 0;
  // In the order of A.2; what repeats stands once.
  for (const shown of [
    /ap-0005\.henb\.example +─ IKEv2 IKE_AUTH request 1 /,
    /segw\.operator\.example +─ Diameter AAR ─+▶ aaa\.operator\.example/,
    /segw\.operator\.example +◀─ Diameter AAA ─+ aaa\.operator\.example\n[^▶]*LIMITED_SUCCESS/,
    /segw\.operator\.example +─ Diameter DER ─+▶ aaa\.operator\.example\n[^▶]*EAP-Payload\(empty\)/,
    /aaa\.operator\.example +─ Diameter MAR ─+▶ hss\.operator\.example/,
    /aaa\.operator\.example +◀─ Diameter MAA ─+ hss\.operator\.example/,
    /segw\.operator\.example +◀─ Diameter DEA ─+ aaa\.operator\.example\n[^▶]*EAP-Payload\(request[ \n│]+AKA-Challenge RAND /,
    /ap-0005\.henb\.example +◀─ IKEv2 IKE_AUTH response 2 ─+ segw.*\n.*EAP\(request AKA-Challenge RAND AUTN /,
    /ap-0005\.henb\.example +─ IKEv2 IKE_AUTH request 3 ─+▶ segw.*\n.*EAP\(response AKA-Challenge RES /,
    /aaa\.operator\.example +─ Diameter SAR ─+▶ hss\.operator\.example/,
    /segw\.operator\.example +◀─ Diameter DEA ─+ aaa\.operator\.example\n[^▶]*EAP-Master-Session-Key\(64 octets\)/,
    /IKEv2 IKE_AUTH response \d ─+ segw.*\n.*EAP\(success\)/,
    /• ap-0005\.henb\.example is granted: hosting party required, 3600 s/,
    /✔ attached, inner address /,
    /segw\.operator\.example +─ Diameter ACR ─+▶ aaa\.operator\.example/,
  ]) {
    const found = shown.exec(flow.slice(at));
    assert.ok(found !== null, `${shown} in ${flow.slice(at)}`);
    at += found.index + 1;
  }
  assert.doesNotMatch(out, /UNKNOWN_SESSION_ID/, "the servers agree on which sessions there are");
});

test("Ctrl-C in the middle of a flow ends everything as well, starts nothing more, and is no success", {
  skip: whyNoHosts(),
}, async () => {
  const { child, ended, line } = start(["lab", "--json", "--devices", "4"]);
  await line((text) => text.includes('"exchange":"IKE_SA_INIT"'));
  child.kill("SIGINT");
  const { status, out, err } = await ended;
  assert.deepEqual([status, err], [1, ""]);
  assert.ok(!out.includes(fqdn(2)), "the next device was not started");
  nothingLeft(child.pid!, folderIn(out));
});

test("a reader who goes away ends the lab, with all of its roles", { skip: whyNoHosts() }, async () => {
  const script = `"$0" lab --devices 1 | { read -r first; echo "$first"; }`;
  const { stdout } = spawnSync("bash", ["-c", script, BIN], { encoding: "utf8" });
  const folder = stdout.split(":")[0]!;
  assert.match(folder, /femtogate-lab-/);
  assert.deepEqual(processesOf(folder), []);
  assert.ok(!existsSync(folder));
});

test("roles end when the lab is killed, though nobody tells them", { skip: whyNoHosts() }, async () => {
  const { child, ended, line } = start(["lab", "--json", "--devices", "1"]);
  const folder = folderIn(await line((text) => text.includes('"notice"')));
  await line((text) => text.includes('"exchange":"IKE_SA_INIT"'));
  const roles = processesOf(folder);
  assert.ok(roles.length >= 3);
  child.kill("SIGKILL");
  await ended;
  for (const pid of roles) await gone(pid);
  // What a killed lab cannot do itself.
  for (const name of namespacesOf(child.pid!)) execFileSync("ip", ["netns", "delete", name]);
  rmSync(folder, { recursive: true });
});

test("a flow that does not end as expected is shown as such, and the status is 1", { skip: whyNoHosts() }, async () => {
  const directory = join(scratch, "tampered");
  let out = "";
  const io: Io = {
    print: (line) => assert.fail(line),
    complain: (line) => assert.fail(line),
    write(text) {
      out += text;
      // Everything is made and nothing started: the first device's firmware is changed.
      if (text.includes('"event":"notice"')) appendFileSync(join(directory, "henb-1", "files", "firmware.bin"), "!");
    },
    env: {},
    stopped: new Promise(() => undefined),
  };
  assert.equal(await command.run(["--once", "--json", "--devices", "2", "--dir", directory], io), 1);
  const { flows, ok } = summaryIn(out);
  assert.equal(ok, false);
  assert.deepEqual(
    [flows[0]?.expected, flows[0]?.result, flows[0]?.reason],
    ["established", "refused", "integrityFailed"],
  );
  assert.deepEqual(flows[1], { ...REFUSED, device: fqdn(2) });
  // The folder that was named stays, with what a person would want to look at.
  for (const path of ["pki", "segw/segw.yaml", "henb-1/henb.yaml", "henb-2/tre/identity.key.pem"])
    assert.ok(existsSync(join(directory, path)), path);
  assert.equal(statSync(directory).mode & 0o777, 0o700);
  assert.deepEqual(namespacesOf(process.pid), []);
  assert.deepEqual(processesOf(directory), []);
});

test("a folder that is not empty, or is none, is left as it is", async () => {
  const full = join(scratch, "full");
  mkdirSync(full);
  writeFileSync(join(full, "mine"), "mine");
  for (const [directory, message] of [
    [full, /full is not empty; name a new folder or an empty one$/],
    [join(full, "mine"), /mine cannot be used as a folder \(EEXIST\)$/],
    [join(full, "mine", "deeper"), /deeper cannot be used as a folder \(ENOTDIR\)$/],
  ] as const) {
    const { clock, random } = systemEnvironment;
    const report = jsonReport(assert.fail);
    const lab = new Lab({ directory, plan: devicesPlan(1), keys: "p-256", capture: undefined, clock, random, report });
    await assert.rejects(lab.run(), (error) => error instanceof LabError && message.test(error.message));
    await lab.stop();
  }
  assert.deepEqual(readdirSync(full), ["mine"]);
  const { status, err } = await femtogate(["lab", "--once", "--dir", full]);
  assert.equal(status, 1);
  assert.match(err, /^femtogate lab: .*full is not empty; name a new folder or an empty one\n$/);
});

test("a role that cannot start ends the lab with what the role said", { skip: whyNoHosts() }, async () => {
  const { child, ended } = start([
    "lab",
    "--once",
    "--json",
    "--capture",
    join(scratch, "no", "such", "folder.pcapng"),
  ]);
  const { status, out, err } = await ended;
  assert.equal(status, 1);
  assert.match(
    err,
    /^femtogate lab: segw\.operator\.example: ended \(status 1\)\n.*femtogate segw: ENOENT: .*folder\.pcapng/,
  );
  nothingLeft(child.pid!, folderIn(out));
});

/** Of the lab that had this process id and this folder. */
function nothingLeft(pid: number, folder: string): void {
  assert.deepEqual(namespacesOf(pid), []);
  assert.deepEqual(processesOf(folder), []);
  assert.ok(!existsSync(folder), `${folder} is still there`);
}

function folderIn(output: string): string {
  const folder = /([^" ]*femtogate-lab-\w+)/.exec(output)?.[1];
  assert.ok(folder !== undefined, output);
  return folder;
}

function summaryIn(output: string): Summary {
  return JSON.parse(output.trim().split("\n").at(-1)!) as Summary;
}

function namespacesOf(pid: number): string[] {
  const { stdout } = spawnSync("ip", ["netns", "list"], { encoding: "utf8" });
  return stdout
    .split("\n")
    .flatMap((line) => (line.split(" ")[0]!.startsWith(`fglab${pid}-`) ? [line.split(" ")[0]!] : []));
}

/** Processes that were started with something in that folder. */
function processesOf(folder: string): number[] {
  return readdirSync("/proc")
    .map(Number)
    .filter((pid) => {
      try {
        return pid > 0 && readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(folder);
      } catch {
        return false;
      }
    });
}

/** Resolves once a process that is not ours has ended; `tail` watches it for us. */
function gone(pid: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn("tail", [`--pid=${pid}`, "--follow", "/dev/null"]);
    child.once("exit", () => resolve());
    child.once("error", reject);
  });
}

/** Runs a command as nobody where nobody may read this clone, else as root without a single right of root's. */
function unprivileged(): string[] {
  const nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
  const powerless = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"];
  return spawnSync(nobody[0]!, [...nobody.slice(1), "test", "-r", BIN]).status === 0 ? nobody : powerless;
}

function whyNoPriv(): string | false {
  return (
    spawnSync("setpriv", ["--version"]).status !== 0 &&
    "setpriv (util-linux) is missing: nothing can be run without root's rights"
  );
}

/** A PATH with all commands there are but some. */
function pathWithout(...missing: string[]): string {
  const folder = join(scratch, "path");
  mkdirSync(folder);
  for (const directory of process.env.PATH!.split(":"))
    for (const name of existsSync(directory) ? readdirSync(directory) : [])
      if (!missing.includes(name) && !existsSync(join(folder, name)))
        symlinkSync(join(directory, name), join(folder, name));
  return folder;
}

/** That tshark takes CERT of encoding 14 (RFC 4806) for a certificate too: an OCSP response begins with an ENUMERATED. */
const OCSP_AS_CERTIFICATE = /but found class:(UNIVERSAL\(0\) tag:10|CONTEXT\(2\) tag:0)\]$|\[Group: Malformed\]/;
