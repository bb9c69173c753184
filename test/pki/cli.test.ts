import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { chmodSync, existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { UsageError } from "../../src/cli/command.ts";
import { command } from "../../src/cli/commands/pki.ts";
import { PkiError } from "../../src/pki/error.ts";
import { checkCrl } from "../../src/trust/crl.ts";
import { checkOcspResponse } from "../../src/trust/ocsp.ts";
import { type Certificate, parseCertificate } from "../../src/x509/certificate.ts";
import { parseCrl } from "../../src/x509/crl.ts";
import { buildOcspRequest, certIdOf } from "../../src/x509/ocsp.ts";
import { fromPem } from "../../src/x509/pem.ts";
import { askOcsp } from "../net/askOcsp.ts";
import { temporaryFolder } from "./folder.ts";

const FEMTOGATE = fileURLToPath(new URL("../../bin/femtogate", import.meta.url));

test("a PKI lives from init to serve by the command line alone, and what was revoked is revoked for all who ask", async (t) => {
  const folder = temporaryFolder(t);
  const pki = join(folder, "pki");
  const made = run("init", pki, "--operator", "Op", "--manufacturer", "Maker", "--crl-url", "http://crl.example/crl");
  assert.equal(made.status, 0, made.stderr);
  assert.match(made.stdout, /^segw-ca +O=Op, CN=SeGW CA +.*segw-ca\.crt\.pem$/m);
  assert.match(made.stdout, /^device-tls-ca +O=Maker, CN=H\(e\)NB TLS CA/m);

  const out = join(folder, "ap-1");
  const issued = run("issue", pki, "--profile", "henb", "--name", "ap-1.example", "--extra-cas", "2", "--out", out);
  assert.equal(issued.status, 0, issued.stderr);
  const [serial, ...files] = issued.stdout.trimEnd().split("\n");
  assert.deepEqual(files, [`${out}.crt.pem`, `${out}.chain.pem`, `${out}.key.pem`]);
  const chain = fromPem(readFileSync(`${out}.chain.pem`, "utf8"), "CERTIFICATE").map(parseCertificate);
  assert.equal(chain.length, 4, "one certificate under three CAs, the root left out");
  assert.equal(serial, `serial ${chain[0]!.serialText}`);
  assert.equal(run("issue", pki, "--profile", "segw", "--name", "s.example", "--out", join(folder, "s")).status, 0);

  const listed = run("list", pki, "--json")
    .stdout.trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  const row = listed.find(({ subject }) => subject === "O=Maker, CN=ap-1.example");
  assert.deepEqual([row.ca, row.revokedAt, row.serial], ["device-ca-tier-3", null, chain[0]!.serialText]);

  // Running while the other processes change the folder.
  const url = await startServer(t, pki);
  assert.equal(await statusOf(url, chain), "good");
  const revoked = run("revoke", pki, "--cert", `${out}.crt.pem`, "--reason", "keyCompromise");
  assert.deepEqual([revoked.status, revoked.stdout], [0, `revoked ${chain[0]!.serialText} (keyCompromise)\n`]);
  assert.equal(await statusOf(url, chain), "revoked 1");
  assert.match(run("list", pki).stdout, new RegExp(`${chain[0]!.serialText} +device-ca-tier-3 +revoked +until 2`));

  const crl = parseCrl(fromPem(run("crl", pki, "--ca", "device-ca-tier-3").stdout, "X509 CRL")[0]!);
  const served = Buffer.from(await (await fetch(`${url}/crl/device-ca-tier-3.crl`)).arrayBuffer());
  assert.ok(served.equals(crl.der), "one CRL, whoever asks");
  const verdict = checkCrl({
    crl,
    certificate: chain[0]!,
    issuer: chain[1]!,
    time: Date.now(),
    tolerance: 1000,
    allowWeakAlgorithms: false,
  });
  assert.equal(verdict.status, "revoked");

  const again = run("revoke", pki, "--serial", chain[0]!.serialText);
  assert.equal(again.status, 1);
  assert.match(again.stderr, /is revoked already, since 20/);
});

test("a PKI has one folder that only its owner may look into, and keys that only its owner may read", (t) => {
  const folder = temporaryFolder(t);
  const pki = join(folder, "pki");
  assert.equal(run("init", pki).status, 0);
  assert.equal(run("issue", pki, "--profile", "hems", "--name", "hems.example", "--out", join(folder, "h")).status, 0);
  assert.deepEqual([mode(pki), mode(join(pki, "ca"))], [0o700, 0o700]);
  const keys = readdirSync(join(pki, "ca")).filter((file) => file.endsWith(".key.pem"));
  assert.equal(keys.length, 12, "six CAs and a signer for each");
  for (const key of [...keys.map((file) => join(pki, "ca", file)), join(folder, "h.key.pem")])
    assert.equal(mode(key), 0o600, key);
});

test("wrong use ends with status 2 and says what to write; what cannot be done ends with 1 and says why", async (t) => {
  const folder = temporaryFolder(t);
  const pki = join(folder, "pki");
  assert.equal(run("init", pki, "--keys", "p-384", "--ocsp-keys", "rsa-2048").status, 0);
  const cases: [args: string[], status: number, complaint: RegExp][] = [
    [[], 2, /say what to do: init, issue, revoke/],
    [["frobnicate"], 2, /say what to do/],
    [["init"], 2, /name one folder/],
    [["init", pki, "more"], 2, /name one folder/],
    [["init", pki], 1, /holds a PKI already/],
    [["init", join(folder, "x"), "--keys", "rsa-1024"], 2, /--keys is one of rsa-2048, .*not "rsa-1024"/],
    [["init", join(folder, "x"), "--ocsp-url", "https://x.example/"], 1, /ocspUrl/],
    [["init", join(folder, "x"), "--operator", "A", "--manufacturer", "A"], 1, /not be named as the operator/],
    [["init", join(folder, "x"), "--colour", "red"], 2, /--colour/],
    [["issue", join(folder, "none"), "--profile", "segw", "--name", "a.example"], 1, /holds no PKI; make one with/],
    [["issue", pki, "--profile", "router", "--name", "a.example"], 2, /--profile is one of segw, henb/],
    [["issue", pki, "--name", "a.example"], 2, /--profile is missing: one of segw/],
    [["issue", pki, "--profile", "segw"], 2, /--name FQDN is missing/],
    [["issue", pki, "--profile", "segw", "--name", "a b", "--out", join(folder, "o")], 1, /"a b" is no FQDN/],
    [["issue", pki, "--profile", "segw", "--name", "a.example", "--ip", "1.2.3", "--out", join(folder, "o")], 1, /IP/],
    [["issue", pki, "--profile", "segw", "--name", "a.example", "--not-after", "soon"], 2, /takes a date such as/],
    [
      [
        "issue",
        pki,
        "--profile",
        "segw",
        "--name",
        "a.example",
        "--not-after",
        "2099-01-01",
        "--out",
        join(folder, "o"),
      ],
      1,
      /after the end of the issuing CA/,
    ],
    [
      [
        "issue",
        pki,
        "--profile",
        "segw",
        "--name",
        "a.example",
        "--not-after",
        "2001-01-01",
        "--out",
        join(folder, "o"),
      ],
      1,
      /cannot end .* before it begins/,
    ],
    [
      ["issue", pki, "--profile", "segw", "--name", "a.example", "--out", join(folder, "no", "o")],
      2,
      /there is no folder/,
    ],
    [["issue", pki, "--profile", "segw", "--name", "a.example", "--extra-cas", "9"], 2, /--extra-cas takes/],
    [["revoke", pki], 2, /--serial HEX or --cert FILE/],
    [["revoke", pki, "--serial", "xyz"], 2, /hexadecimal/],
    [["revoke", pki, "--serial", "01", "--reason", "bored"], 2, /--reason is one of unspecified, keyCompromise/],
    [["revoke", pki, "--serial", "4F:01"], 1, /no certificate with serial 4f01 was issued here/],
    [["revoke", pki, "--cert", join(folder, "none.pem")], 1, /cannot read .*none\.pem/],
    [["crl", pki, "--ca", "my-ca"], 2, /--ca is one of operator-root, segw-ca/],
    [["serve", pki, "--listen", "8080"], 2, /--listen takes ADDRESS:PORT/],
    [["serve", pki, "--ocsp-life", "soon"], 2, /--ocsp-life takes a time such as/],
    [["serve", pki, "--ocsp-life", "0"], 2, /--ocsp-life takes a time such as/],
    [["serve", pki, "--listen", "127.0.0.1:99999"], 2, /port of --listen takes a whole number/],
  ];
  for (const [args, status, complaint] of cases) {
    const result = await runHere(args);
    assert.deepEqual([args.join(" "), result.status, result.printed], [args.join(" "), status, []]);
    assert.match(result.complaint, complaint, args.join(" "));
  }
  assert.deepEqual(readdirSync(folder), ["pki"], "a refusal leaves no files");
  assert.equal(run("list", pki).stdout.trimEnd().split("\n").length, 4, "nor certificates");
});

test("an operator answers for a manufacturer's devices by its CRL and a list of those allowed", async (t) => {
  const folder = temporaryFolder(t);
  const [maker, front] = [join(folder, "maker"), join(folder, "front")];
  const done = async (...args: string[]) => {
    const { status, printed, complaint } = await runHere(args);
    assert.equal(status, 0, complaint);
    return printed.join("\n");
  };
  await done("init", maker, "--manufacturer", "Maker", "--crl-url", "http://crl.example", "--delta-crls");
  await done("init", front, "--manufacturer", "Own devices");
  const device = join(folder, "ap-1");
  const [line] = (await done("issue", maker, "--profile", "henb", "--name", "ap-1.example", "--out", device)).split(
    "\n",
  );
  const serial = line!.replace("serial ", "");
  assert.match(await done("revoke", maker, "--serial", serial, "--reason", "certificateHold"), /certificateHold/);
  assert.equal(await done("release", maker, "--serial", serial), `released ${serial}`);
  assert.match((await runHere(["release", maker, "--serial", serial])).complaint, /not on hold/);
  const crl = join(folder, "maker.crl");
  await done("crl", maker, "--ca", "device-ca", "--delta", "--out", crl);
  const certificate = join(maker, "ca", "device-ca.crt.pem");
  const imported = await done("import-ca", front, "--name", "maker", "--cert", certificate);
  assert.match(imported, /^maker +O=Maker, CN=H\(e\)NB CA/);
  assert.match(imported, /must trust: .*maker-ocsp\.crt\.pem\nbring its CRL with: femtogate pki import-crl /);
  const bring = ["import-crl", front, "--ca", "maker", "--file", crl];
  assert.match((await runHere(bring)).complaint, /delta CRL; the complete one is needed/);
  await done("crl", maker, "--ca", "device-ca", "--out", crl);
  assert.match(await done(...bring), /^CRL \d+ of 0 entries, good until 20/);

  const list = join(folder, "devices");
  writeFileSync(list, `# delivered in May\nap-2.example\nserial 4F:01 # a spare\n\n`);
  const allow = ["allow", front, "--ca", "maker"];
  assert.match(
    await done(...allow, "--list", list, "--cert", `${device}.crt.pem`),
    /^3 allowed under maker\n.*pki combine/,
  );
  assert.equal(await done("combine", front, "--ca", "maker"), "maker: good means not revoked and allowed");
  assert.equal(await done(...allow, "--name", "AP-3.example"), "1 allowed under maker");
  await done("disallow", front, "--ca", "maker", "--serial", "4f01");
  const allowed = await done("allowed", front, "--ca", "maker");
  assert.deepEqual(allowed.split("\n"), ["ap-2.example", "ap-3.example", `serial ${serial}`]);
  assert.equal(await done("combine", front, "--ca", "maker", "--off"), "maker: good means not revoked");

  const refusals: [args: string[], status: number, complaint: RegExp][] = [
    [["import-ca", front, "--cert", certificate], 2, /--name is missing/],
    [["import-ca", front, "--name", "x", "--cert", certificate, "--signer-key", "k"], 2, /belong together/],
    [["import-ca", front, "--name", "x", "--cert", certificate, "--crl", "gopher://x/"], 2, /--crl takes a URL/],
    [["import-ca", front, "--name", "x", "--cert", certificate], 1, /is here already, as "maker"/],
    [["import-crl", front, "--ca", "segw-ca", "--file", crl], 1, /makes its own CRLs/],
    [["crl", front, "--ca", "maker"], 1, /issues no certificates and CRLs here/],
    [["crl", maker, "--ca", "device-ca", "--shard", "1"], 1, /has no shard 1/],
    [["allow", front, "--ca", "maker"], 2, /name devices with/],
    [["allow", front, "--ca", "none", "--name", "a.example"], 1, /there is no CA "none"/],
    [["init", join(folder, "x"), "--delta-crls"], 1, /crlUrl: is needed/],
  ];
  for (const [args, status, complaint] of refusals) {
    const result = await runHere(args);
    assert.equal(result.status, status, args.join(" "));
    assert.match(result.complaint, complaint, args.join(" "));
  }
});

test("a key that is there is not written over, and a key file's mode does not depend on what was there", (t) => {
  const folder = temporaryFolder(t);
  const pki = join(folder, "pki");
  assert.equal(run("init", pki).status, 0);
  const out = join(folder, "a");
  const issue = () => run("issue", pki, "--profile", "segw", "--name", "a.example", "--out", out);
  assert.equal(issue().status, 0);
  const key = readFileSync(`${out}.key.pem`, "utf8");
  const again = issue();
  assert.equal(again.status, 2);
  assert.match(again.stderr, /a\.crt\.pem is there already; remove it/);
  assert.equal(readFileSync(`${out}.key.pem`, "utf8"), key);
  rmSync(`${out}.crt.pem`);
  rmSync(`${out}.chain.pem`);
  chmodSync(`${out}.key.pem`, 0o644);
  assert.match(issue().stderr, /a\.key\.pem is there already/);
});

test("damaged files of a CA are named, and no key is shown", (t) => {
  const folder = temporaryFolder(t);
  const pki = join(folder, "pki");
  assert.equal(run("init", pki).status, 0);
  const complaint = () => {
    const { status, stderr } = run("list", pki);
    assert.equal(status, 1);
    return stderr;
  };
  const file = (name: string) => join(pki, "ca", name);
  const key = readFileSync(file("segw-ca.key.pem"), "utf8");
  writeFileSync(file("segw-ca.key.pem"), readFileSync(file("device-ca.key.pem")));
  assert.match(complaint(), /segw-ca\.key\.pem is not the key of .*segw-ca\.crt\.pem/);
  writeFileSync(file("segw-ca.key.pem"), key.replace(/[A-Z]{2}/g, "xx"));
  assert.match(complaint(), /segw-ca\.key\.pem holds no unencrypted PEM private key\n$/);
  rmSync(file("segw-ca.key.pem"));
  assert.match(complaint(), /cannot read .*segw-ca\.key\.pem/);
  writeFileSync(file("segw-ca.key.pem"), key);
  const certificate = readFileSync(file("segw-ca.crt.pem"), "utf8");
  writeFileSync(file("segw-ca.crt.pem"), certificate.slice(0, 200) + certificate.slice(260));
  assert.match(complaint(), /the certificate in .*segw-ca\.crt\.pem is damaged/);
});

test("an init that died half-way left no PKI, and may be run again", (t) => {
  const pki = join(temporaryFolder(t), "pki");
  // Something in the way of the fourth CA.
  const folder = join(pki, "ca", "manufacturer-root.crt.pem");
  spawnSync("mkdir", ["-p", folder]);
  const failed = run("init", pki);
  assert.equal(failed.status, 1);
  assert.ok(existsSync(join(pki, "ca", "segw-ca.key.pem")), "it had begun");
  assert.match(run("list", pki).stderr, /holds no PKI; make one with: femtogate pki init/);
  rmSync(folder, { recursive: true });
  const again = run("init", pki);
  assert.equal(again.status, 0, again.stderr);
  assert.equal(run("list", pki).stdout.trimEnd().split("\n").length, 4);
});

test("of two inits at once in one folder, one makes the PKI and the other is told", async (t) => {
  const pki = join(temporaryFolder(t), "pki");
  const start = () =>
    new Promise<number | null>((resolve) => {
      spawn(FEMTOGATE, ["pki", "init", pki], { stdio: "ignore" }).once("exit", (status) => resolve(status));
    });
  assert.deepEqual((await Promise.all([start(), start()])).toSorted(), [0, 1]);
  assert.equal(run("list", pki).status, 0);
});

function run(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(FEMTOGATE, ["pki", ...args], { encoding: "utf8" });
}

/** In this process, for what ends in a complaint; the status is what `main` makes of the error. */
async function runHere(args: readonly string[]): Promise<{ status: number; printed: string[]; complaint: string }> {
  const printed: string[] = [];
  const io = {
    print: (line: string) => printed.push(line),
    write: assert.fail,
    complain: assert.fail,
    env: {},
    stopped: Promise.resolve(),
  };
  try {
    return { status: await command.run(args, io), printed, complaint: "" };
  } catch (error) {
    assert.ok(error instanceof UsageError || error instanceof PkiError, String(error));
    return { status: error instanceof UsageError ? 2 : 1, printed, complaint: error.message };
  }
}

function mode(path: string): number {
  return statSync(path).mode & 0o777;
}

/** Runs `serve` until the test is over, and checks that it ends well when asked to; gives its URL. */
async function startServer(t: TestContext, pki: string): Promise<string> {
  const child = spawn(FEMTOGATE, ["pki", "serve", pki, "--listen", "127.0.0.1:0"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = new Promise<number | null>((resolve) => {
    child.once("exit", (status) => resolve(status));
  });
  t.after(async () => {
    child.kill("SIGTERM");
    assert.equal(await ended, 0, "ends at SIGTERM as a success");
  });
  for await (const line of createInterface({ input: child.stdout })) {
    const { event, role, address, port } = JSON.parse(line);
    assert.deepEqual([event, role], ["listening", "pki"]);
    return `http://${address}:${port}`;
  }
  throw new Error("serve ended before it listened");
}

async function statusOf(url: string, [leaf, issuer]: readonly Certificate[]): Promise<string> {
  const response = await askOcsp(url, buildOcspRequest([certIdOf(leaf!, issuer!)], undefined));
  const verdict = checkOcspResponse({
    response,
    certificate: leaf!,
    issuer: issuer!,
    time: Date.now(),
    tolerance: 1000,
    maxAge: 0,
    trustedResponders: [],
    allowWeakAlgorithms: false,
  });
  return verdict.status === "revoked" ? `revoked ${verdict.reasonCode}` : verdict.status;
}
