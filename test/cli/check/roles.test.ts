/** `femtogate check --policy`: what the roles would do, on certificates, CRLs and answers of our own PKI. */
import assert from "node:assert/strict";
import { mkdirSync, rmSync } from "node:fs";
import { type TestContext, test } from "node:test";
import { extendedKeyUsage, keyUsage, subjectAltName } from "../../../src/x509/build.ts";
import type { Certificate } from "../../../src/x509/certificate.ts";
import { parseCrl } from "../../../src/x509/crl.ts";
import { buildOcspRequest, certIdOf } from "../../../src/x509/ocsp.ts";
import { Oid } from "../../../src/x509/oids.ts";
import { askOcsp } from "../../net/askOcsp.ts";
import { makePki, serve } from "../../pki/folder.ts";
import { largeSerial } from "../../revocation/largeCrl.ts";
import { crlAt, entryOf, indirectAt, pointOf } from "../../revocation/storeWorld.ts";
import { ocsp as signedOcsp } from "../../tre/peers.ts";
import { make, NOW } from "../../x509/made.ts";
import { femtogate } from "../femtogate.ts";
import { CheckFolder, check, checkJson } from "./run.ts";

const DEVICE = [
  keyUsage("digitalSignature"),
  extendedKeyUsage(Oid.ipsecIke),
  subjectAltName({ dns: ["ap-1.example"] }),
];
const POINT = "http://crl.example/indirect.crl";

/** A PKI that serves, and a folder with what it issued. */
async function world(t: TestContext) {
  const pki = makePki(t);
  const url = await serve(t, pki);
  const folder = new CheckFolder();
  t.after(() => folder[Symbol.dispose]());
  folder.writeCertificates("manufacturer.pem", pki.ca("manufacturer-root"));
  folder.writeCertificates("operator.pem", pki.ca("operator-root"));
  const issue = (profile: "henb" | "henb-tls" | "henb-both" | "segw" | "hems", name: string) => {
    const { certificate, chain } = pki.issue({ profile, dns: [name] });
    return { certificate, file: folder.writeCertificates(`${name}.pem`, ...chain) };
  };
  return {
    pki,
    url,
    folder,
    issue,
    crl: (ca: string) => folder.write(`${ca}.crl`, pki.crl(ca)),
    ocsp: async (certificate: Certificate, ca: string) => {
      const request = buildOcspRequest([certIdOf(certificate, pki.ca(ca))], undefined);
      return folder.write("response.der", await askOcsp(`${url}/ocsp`, request));
    },
    /** A gateway's file with this rule for devices. */
    segw: (device: string, more = "") =>
      folder.write(
        "segw.yaml",
        `name: segw.example
listen: [127.0.0.1]
credentials: { chain: segw.pem, key: segw.key }
trust: { roots: [manufacturer.pem] }
protected: [10.0.0.0/8]
pool: { blocks: [10.64.0.0/16] }
revocation: { device: ${device} }
${more}`,
      ),
    /** A file with rules for all classes. */
    classes: (section: string) =>
      folder.write("policy.yaml", `trust: { roots: [manufacturer.pem, operator.pem] }\nrevocation: ${section}\n`),
  };
}

const verdicts = (report: { ends: { roles: { role: string; would: string; reason?: string }[] }[] }) =>
  report.ends.flatMap(({ roles }) =>
    roles.map(({ role, would, reason }) => [role, would, reason ?? ""].join(" ").trim()),
  );

test("a revoked device of our PKI is told with CRL number, date of the entry and reason, as its SeGW would refuse it", async (t) => {
  const { pki, issue, crl, segw } = await world(t);
  const device = issue("henb", "ap-1.example");
  const policy = segw("{ methods: crl, scope: leaf, operator: { crl: ['http://crl.example/d.crl'] } }");
  const before = await checkJson(device.file, "--policy", policy, "--crl", crl("device-ca"));
  assert.deepEqual([before.status, verdicts(before.report)], [0, ["SeGW accept"]]);
  pki.revoke(device.certificate.serial, "keyCompromise");
  const list = crl("device-ca");
  const { number, thisUpdate } = parseCrl(pki.crl("device-ca"));
  const numberText = BigInt(`0x${number!.toString("hex")}`).toString();
  const [entry] = pki.list().filter(({ serial }) => serial === device.certificate.serialText);
  const revokedAt = new Date(Math.floor(entry!.revokedAt! / 1000) * 1000).toISOString();
  const { status, output } = await check(device.file, "--policy", policy, "--crl", list, "--brief");
  const flat = output.replace(/\s+/g, " ");
  assert.equal(status, 1);
  assert.ok(
    flat.includes(
      `CRL number ${numberText} of "O=Manufacturer, CN=H(e)NB CA" (device-ca.crl), revoked ${revokedAt.replace(".000Z", "Z")}, reason keyCompromise`,
    ),
    flat,
  );
  const after = await checkJson(device.file, "--policy", policy, "--crl", list);
  assert.deepEqual(verdicts(after.report), ["SeGW refuse CertificateRevoked"]);
  const [found] = after.report.ends[0]!.roles[0]!.statuses[0]!.findings;
  assert.deepEqual(
    [found!.answer.status, found!.answer.revokedAt, found!.answer.reasonCode, found!.answer.evidence],
    [
      "revoked",
      revokedAt,
      1,
      {
        ...found!.answer.evidence,
        kind: "crl",
        url: "device-ca.crl",
        number: numberText,
        thisUpdate: new Date(thisUpdate).toISOString(),
      },
    ],
  );
});

test("without --online nothing is asked: what hangs on a server is undetermined, and says on which", async (t) => {
  const { url, issue, segw, crl, ocsp } = await world(t);
  const device = issue("henb", "ap-1.example");
  const both = segw(
    `{ methods: both, scope: leaf, operator: { crl: ['${url}/crl/device-ca.crl'], ocsp: ['${url}/ocsp'] } }`,
  );
  const none = await checkJson(device.file, "--policy", both);
  assert.deepEqual([none.status, verdicts(none.report)], [3, ["SeGW undetermined"]]);
  assert.match(
    none.report.ends[0]!.reasons[0]!,
    /it would ask http:.*crl about .*\(CRL\); .*ocsp about .*\(OCSP\); --online/,
  );
  const half = await checkJson(device.file, "--policy", both, "--crl", crl("device-ca"));
  assert.deepEqual([half.status, verdicts(half.report)], [3, ["SeGW undetermined"]]);
  const whole = ["--crl", crl("device-ca"), "--ocsp-response", await ocsp(device.certificate, "device-ca")];
  const full = await checkJson(device.file, "--policy", both, ...whole);
  assert.deepEqual([full.status, verdicts(full.report)], [0, ["SeGW accept"]]);
  // A policy without any server refuses whatever might be asked.
  const bare = await checkJson(device.file, "--policy", segw("{ methods: crl }"));
  assert.deepEqual([bare.status, verdicts(bare.report)], [1, ["SeGW refuse NoStatusSource"]]);
});

test("with --online the policy's servers are asked, and files do not stand in for them", async (t) => {
  const { pki, url, issue, segw, crl } = await world(t);
  const device = issue("henb", "ap-1.example");
  const old = crl("device-ca");
  pki.revoke(device.certificate.serial, "superseded");
  const policy = segw(`{ methods: crlFirst, operator: { crl: ['${url}/crl/none.crl'], ocsp: ['${url}/ocsp'] } }`);
  const asked = await checkJson(device.file, "--policy", policy, "--online", "--crl", old);
  assert.deepEqual([asked.status, verdicts(asked.report)], [1, ["SeGW refuse CertificateRevoked"]]);
  const [byCrl, byOcsp] = asked.report.ends[0]!.roles[0]!.statuses[0]!.findings;
  assert.deepEqual([byCrl!.method, byCrl!.answer.status], ["crl", "unreachable"]);
  assert.deepEqual([byOcsp!.answer.status, byOcsp!.answer.reasonCode], ["revoked", 4]);
  const gone = segw("{ methods: ocsp, operator: { ocsp: ['http://127.0.0.1:1/'] } }");
  assert.deepEqual(verdicts((await checkJson(device.file, "--policy", gone, "--online")).report), [
    "SeGW refuse StatusUnreachable",
  ]);
  const lenient = segw("{ methods: ocsp, unreachable: accept, operator: { ocsp: ['http://127.0.0.1:1/'] } }");
  const let_in = await checkJson(device.file, "--policy", lenient, "--online");
  assert.deepEqual([let_in.status, verdicts(let_in.report)], [0, ["SeGW accept"]]);
});

test("each kind of certificate goes to the roles that take it, under its class's rule", async (t) => {
  const { folder, issue, classes, crl } = await world(t);
  const policy = classes(
    "{ device: { methods: none }, gateway: { methods: crl }, managementServer: { methods: none } }",
  );
  const cases = [
    ["henb", ["SeGW accept"]],
    ["henb-tls", ["H(e)MS accept"]],
    ["henb-both", ["SeGW accept", "H(e)MS accept"]],
    ["hems", ["H(e)NB accept"]],
  ] as const;
  for (const [kind, expected] of cases) {
    const { file } = issue(kind, `${kind}.example`);
    assert.deepEqual(verdicts((await checkJson(file, "--policy", policy)).report), expected, kind);
  }
  const hems = folder.write(
    "hems.yaml",
    `name: hems.example
listen: [{ address: 127.0.0.1 }]
credentials: { chain: c.pem, key: k.pem }
trust: { roots: [manufacturer.pem] }
revocation: { device: { methods: crl } }
`,
  );
  const byTls = await checkJson(issue("henb-tls", "ap-9.example").file, "--policy", hems);
  assert.deepEqual(verdicts(byTls.report), ["H(e)MS refuse NoStatusSource"]);
  const gateway = issue("segw", "segw.example");
  const asked = [gateway.file, "--policy", policy, "--profile", "segw"];
  assert.deepEqual(verdicts((await checkJson(...asked)).report), ["H(e)NB refuse NoStatusSource"]);
  const lists = ["--crl", crl("segw-ca"), "--crl", crl("operator-root")];
  assert.deepEqual(verdicts((await checkJson(...asked, ...lists)).report), ["H(e)NB accept"]);
  // A root of the manufacturer's does not vouch for gateways where only it is trusted.
  const { status, report } = await checkJson(...asked, "--trust", policy.replace("policy.yaml", "manufacturer.pem"));
  assert.deepEqual([status, verdicts(report)], [1, ["H(e)NB refuse NoPathToTrustAnchor"]]);
});

test("a device's file says what it wants of a gateway: name, TrE's roots, an OCSP response in-band", async (t) => {
  const { pki, url, folder, issue, ocsp } = await world(t);
  mkdirSync(folder.path("tre/roots"), { recursive: true });
  folder.writeCertificates("tre/roots/operator.pem", pki.ca("operator-root"));
  const policy = (name: string, inBand = "leaf") =>
    folder.write(
      "henb.yaml",
      `tre: { directory: tre, files: files }\ngateway: { name: ${name} }\nocsp: { inBand: ${inBand} }\n`,
    );
  const gateway = issue("segw", "segw.example");
  const open = await checkJson(gateway.file, "--policy", policy("segw.example"));
  assert.deepEqual([open.status, verdicts(open.report)], [3, ["H(e)NB undetermined"]]);
  const response = ["--ocsp-response", await ocsp(gateway.certificate, "segw-ca")];
  const good = await checkJson(gateway.file, "--policy", policy("segw.example"), ...response);
  assert.deepEqual([good.status, verdicts(good.report)], [0, ["H(e)NB accept"]]);
  const other = await checkJson(gateway.file, "--policy", policy("other.example"), ...response);
  assert.deepEqual([other.status, verdicts(other.report)], [1, ["H(e)NB refuse NameMismatch"]]);
  const off = await checkJson(gateway.file, "--policy", policy("segw.example", "off"));
  assert.deepEqual([off.status, verdicts(off.report)], [0, ["H(e)NB accept"]]);
  // What did not come in-band is asked for (7.2.3-5).
  const ask = policy("segw.example", `leaf, ask: [direct], responders: ['${url}/ocsp']`);
  assert.deepEqual(verdicts((await checkJson(gateway.file, "--policy", ask)).report), ["H(e)NB undetermined"]);
  assert.deepEqual(verdicts((await checkJson(gateway.file, "--policy", ask, "--online")).report), ["H(e)NB accept"]);
  pki.revoke(gateway.certificate.serial, "keyCompromise");
  assert.deepEqual(verdicts((await checkJson(gateway.file, "--policy", ask, "--online")).report), [
    "H(e)NB refuse CertificateRevoked",
  ]);
  const bad = ["--ocsp-response", await ocsp(gateway.certificate, "segw-ca")];
  const revoked = await checkJson(gateway.file, "--policy", policy("segw.example"), ...bad);
  assert.deepEqual([revoked.status, verdicts(revoked.report)], [1, ["H(e)NB refuse CertificateRevoked"]]);
});

test("a device's file says whether delegated OCSP signers without nocheck are believed, and whom else it trusts", async (t) => {
  const { folder } = await world(t);
  const root = make({ name: "Root" });
  const usage = [
    keyUsage("digitalSignature"),
    extendedKeyUsage(Oid.ipsecIke),
    subjectAltName({ dns: ["segw.example"] }),
  ];
  const gateway = make({ name: "segw.example", issuer: root, extensions: usage });
  const delegate = make({
    name: "responder",
    issuer: root,
    extensions: [keyUsage("digitalSignature"), extendedKeyUsage(Oid.ocspSigning)],
  });
  mkdirSync(folder.path("tre/roots"), { recursive: true });
  folder.writeCertificates("tre/roots/root.pem", root.certificate);
  const judged = async (delegates: string) => {
    const file = folder.write(
      "henb.yaml",
      `tre: { directory: tre, files: files }\ngateway: { name: segw.example }\nocsp: { delegates: ${delegates} }\n`,
    );
    const { report } = await checkJson(
      ...[folder.writeCertificates("gateway.pem", gateway.certificate), "--policy", file, "--profile", "segw"],
      ...["--time", new Date(NOW).toISOString(), "--ocsp-response"],
      folder.write("response.der", signedOcsp(gateway, root, { by: delegate })),
    );
    return verdicts(report);
  };
  assert.deepEqual(await judged("trust"), ["H(e)NB accept"]);
  assert.deepEqual(await judged("refuse"), ["H(e)NB refuse NoValidOcspResponse"]);
  mkdirSync(folder.path("tre/responders"));
  folder.writeCertificates("tre/responders/own.pem", delegate.certificate);
  assert.deepEqual(await judged("refuse"), ["H(e)NB accept"]);
});

test("a device's file says what it wants of its H(e)MS too: name, roots of its own, a stapled response or an asked one", async (t) => {
  const { pki, url, folder, issue, ocsp } = await world(t);
  mkdirSync(folder.path("tre/roots"), { recursive: true });
  mkdirSync(folder.path("tre/tls-roots"));
  folder.writeCertificates("tre/roots/manufacturer.pem", pki.ca("manufacturer-root"));
  folder.writeCertificates("tre/tls-roots/operator.pem", pki.ca("operator-root"));
  const policy = (management: string, host = "hems.example") =>
    folder.write(
      "henb.yaml",
      `tre: { directory: tre, files: files }
gateway: { name: segw.example }
management: { url: 'https://${host}/acs', ${management} }
`,
    );
  const hems = issue("hems", "hems.example");
  const judged = async (file: string, ...more: string[]) => {
    const { status, report } = await checkJson(hems.file, "--policy", file, ...more);
    return [status, ...verdicts(report)];
  };
  const response = ["--ocsp-response", await ocsp(hems.certificate, "hems-ca")];
  assert.deepEqual(await judged(policy("status: stapled")), [3, "H(e)NB undetermined"]);
  assert.deepEqual(await judged(policy("status: stapled"), ...response), [0, "H(e)NB accept"]);
  assert.deepEqual(await judged(policy("status: stapled", "other.example"), ...response), [
    1,
    "H(e)NB refuse NameMismatch",
  ]);
  const asks = `revocation: { managementServer: { methods: ocsp, operator: { ocsp: ['${url}/ocsp'] } } }`;
  assert.deepEqual(await judged(policy(`status: direct, ${asks}`)), [3, "H(e)NB undetermined"]);
  assert.deepEqual(await judged(policy(`status: direct, ${asks}`), "--online"), [0, "H(e)NB accept"]);
  assert.deepEqual(await judged(policy(`status: either, ${asks}`), ...response), [0, "H(e)NB accept"]);
  // A gateway's roots vouch for no H(e)MS where that has its own.
  rmSync(folder.path("tre/tls-roots"), { recursive: true });
  assert.deepEqual(await judged(policy('status: "off"')), [1, "H(e)NB refuse NoPathToTrustAnchor"]);
  mkdirSync(folder.path("tre/tls-roots"));
  folder.writeCertificates("tre/tls-roots/operator.pem", pki.ca("operator-root"));
  pki.revoke(hems.certificate.serial, "keyCompromise");
  assert.deepEqual(await judged(policy(`status: direct, ${asks}`), "--online"), [
    1,
    "H(e)NB refuse CertificateRevoked",
  ]);
  const bad = ["--ocsp-response", await ocsp(hems.certificate, "hems-ca")];
  assert.deepEqual(await judged(policy("status: stapled"), ...bad), [1, "H(e)NB refuse CertificateRevoked"]);
});

test("a CRL that is loaded on a thread keeps the process until the verdict is there", async (t) => {
  const { folder } = await world(t);
  const root = make({ name: "Root" });
  const { certificate } = make({ name: "ap-1.example", issuer: root, extensions: DEVICE });
  const crl = crlAt(root, NOW, [...Array.from({ length: 5000 }, (_, index) => largeSerial(index)), certificate.serial]);
  const rule = "{ methods: crl, operator: { crl: ['http://a.example/'] } }";
  const { status, out } = await femtogate([
    ...["check", "--json", folder.writeCertificates("ap-1.pem", certificate)],
    ...["--trust", folder.writeCertificates("root.pem", root.certificate)],
    ...["--crl", folder.write("large.crl", crl)],
    ...["--policy", folder.write("policy.yaml", `revocation: { device: ${rule} }`)],
    ...["--profile", "henb-ikev2", "--time", new Date(NOW).toISOString()],
  ]);
  assert.deepEqual([status, verdicts(JSON.parse(out))], [1, ["SeGW refuse CertificateRevoked"]]);
});

test("a policy that cannot be used is told with its place, and --online without one", async (t) => {
  const { folder, issue, segw, classes } = await world(t);
  const { file } = issue("henb", "ap-1.example");
  const cases: [policy: () => string, complaint: RegExp][] = [
    [
      () => segw("{ method: crl }"),
      /segw\.yaml:7:\d+: "revocation.device.method" is no known key; did you mean "methods"/,
    ],
    [() => segw("{}", "revocations: {}"), /"revocations" is no known key/],
    [() => classes("{ device: { methods: crls } }"), /policy\.yaml:2:\d+: "revocation.device.methods"/],
    [() => folder.write("x.yaml", "revocaton: {}"), /x\.yaml:1:1: "revocation" is missing/],
    [() => folder.path("none.yaml"), /none\.yaml cannot be read \(ENOENT\)/],
  ];
  for (const [policy, complaint] of cases) {
    const ran = await check(file, "--policy", policy());
    assert.equal(ran.status, 2);
    assert.match(ran.complaint, complaint);
  }
  const alone = await check(file, "--online");
  assert.deepEqual([alone.status, alone.complaint], [2, "--online goes with --policy FILE"]);
});

test("a CRL issuer that is no CA of the path speaks if it is named, has a path of its own, and is not revoked", async (t) => {
  const { folder, classes } = await world(t);
  const root = make({ name: "Root" });
  const ca = make({ name: "CA", issuer: root });
  const lists = make({ name: "CRL Issuer", issuer: root, extensions: [keyUsage("cRLSign")] });
  const { certificate } = make({
    name: "ap-1.example",
    issuer: ca,
    extensions: DEVICE,
    more: [pointOf(POINT, lists)],
  });
  const indirect = { extensions: [indirectAt(POINT)], entries: [entryOf(certificate, NOW)] };
  const crl = ["--crl", folder.write("indirect.crl", crlAt(lists, NOW, [], indirect))];
  const file = folder.writeCertificates("ap-1.pem", certificate, ca.certificate);
  const signer = ["--crl-signer", folder.writeCertificates("signer.pem", lists.certificate)];
  const common = [
    "--trust",
    folder.writeCertificates("root.pem", root.certificate),
    "--time",
    new Date(NOW).toISOString(),
  ];
  const policy = [
    "--policy",
    classes("{ device: { methods: crl, scope: leaf, operator: { crl: ['http://a.example/'] } } }"),
    "--profile",
    "henb-ikev2",
  ];
  const without = await checkJson(file, ...common, ...crl);
  assert.deepEqual([without.status, without.report.ends[0]!.statuses[0]!.status], [3, "undetermined"]);
  const named = await checkJson(file, ...common, ...crl, ...signer, ...policy);
  assert.deepEqual([named.status, named.report.ends[0]!.statuses[0]!.status], [1, "revoked"]);
  assert.deepEqual(verdicts(named.report), ["SeGW refuse CertificateRevoked"]);
  const gone = ["--crl", folder.write("root.crl", crlAt(root, NOW, [lists.certificate.serial]))];
  const revoked = await checkJson(file, ...common, ...crl, ...gone, ...signer, ...policy);
  const problems = revoked.report.ends[0]!.statuses[0]!.evidence.map(({ problem }) => problem);
  assert.match(problems.join(), /CRL Issuer" was revoked/);
  assert.deepEqual(verdicts(revoked.report), ["SeGW refuse StatusUnreachable"]);
});
